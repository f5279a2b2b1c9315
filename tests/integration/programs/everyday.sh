#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everyday programs at work in the current directory. Deterministic: the tree that it leaves depends on nothing but the
# programs' versions and the directory's path.
set -eu
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 HOME=$PWD GIT_CONFIG_NOSYSTEM=1 PYTHONDONTWRITEBYTECODE=1
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@localhost GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@localhost

# bash: redirections of every kind, here-documents, subshells, coprocesses, pipes, appends, noclobber
mkdir shell && cd shell
for i in 1 2 3 4 5; do echo "line $i" >>log; done
{ echo a; echo b; } >group
(echo sub; exec echo replaced) >sub
cat >here <<TEXT
$(cat group)
TEXT
exec 7>seven && echo one >&7 && (echo two >&7) && echo three >&7 && exec 7>&-
exec 8<>rw && echo abcdef >&8 && exec 8>&- && exec 8<rw && read -r -n 3 x <&8 && read -r y <&8 && echo "$x/$y" >split && exec 8<&-
set -o noclobber; echo no >log 2>/dev/null && exit 1; set +o noclobber
seq 1 2000 | tee copy | sort -rn | uniq >sorted
while read -r l; do echo "<$l>"; done <here >wrapped
names=$(printf '%s\n' *) && echo "$names" >names
echo x | cat - /dev/stdin </dev/null >dash
diff <(sort copy) <(sort sorted) >samediff || true
cd ..

# coreutils
mkdir core && cd core
seq 1000 >s && split -l 100 s part. && cat part.* | cmp - s
cp -a ../shell shellcopy && cp -r --preserve=mode shellcopy again && mv again moved && ln -s moved link && ln s hard
install -m 751 s installed && truncate -s 12345 big && dd if=s of=big bs=100 seek=7 count=5 conv=notrunc status=none
touch -d @1600000000.123456789 stamp && touch -r stamp stamped && stat -c '%Y' stamped >when
chmod u+s,g-w installed && mkfifo pipe && (cat pipe >piped & echo through >pipe; wait)
rm -rf shellcopy && mkdir -p deep/er/and/deeper && rmdir -p deep/er/and/deeper && tail -n 3 s >tail && head -c 10 s >head
od -c head >od && sha256sum s hard >sums && sha256sum -c --quiet sums && shuf --random-source=s s >shuffled && tac s | rev >rev
find . -type f -name 'part.*' -size -2 | sort | xargs wc -l >wc
sed -i 's/^1/one/' part.aa && sed -n '5p' part.aa >fifth && grep -rn one . | sort >grep && awk '{ n += $1 } END { print n }' s >sum
ls -l --time-style=+ moved | awk 'NR > 1 { print $1, $NF }' >ls
cd ..

# git
mkdir git && cd git
git init -q -b main one && cd one
cp ../../core/s a && mkdir d && cp ../../shell/log d/b && git add . && git commit -qm first
echo more >>a && git commit -qam second && git branch side && git checkout -q side && echo s >side && git add side && git commit -qm side
git checkout -q main && git merge -q --no-ff -m merge side && git tag v1 && git log --format=%H%n%s >../log
git mv a renamed && git commit -qm rename && git stash list && git gc -q && git fsck --strict 2>/dev/null
cd .. && git clone -q one two && cd two && git log --oneline | cat >../clonelog && git diff --stat HEAD~1 >../diffstat
cd .. && rm -rf one/.git/index two/.git/index one/.git/hooks two/.git/hooks one/.git/logs two/.git/logs one/.git/objects/info two/.git
git -C one log -1 --format=%T >tree && rm -rf one/.git
cd ..

# sqlite3: rollback journal, WAL, vacuum
mkdir sql && cd sql
sqlite3 a.db 'PRAGMA journal_mode=delete; CREATE TABLE t(a PRIMARY KEY, b); BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<3000) INSERT INTO t SELECT n, hex(n*n) FROM c; COMMIT;' >/dev/null
sqlite3 a.db 'DELETE FROM t WHERE a % 3 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*), max(b) FROM t;' >check
sqlite3 w.db 'PRAGMA journal_mode=wal; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2); SELECT * FROM t;' >wal
sqlite3 a.db .dump | sort | sha256sum >dump && rm -f -- *.db
cd ..

# tar, rsync
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --exclude=pipe -cf all.tar shell core
mkdir untar && tar -C untar -xpf all.tar && tar -tf all.tar | sort >tarlist && gzip -n -k all.tar && zcat all.tar.gz | cmp - all.tar
rsync -a --delete shell/ synced/ && echo changed >>shell/log && rsync -ac --itemize-changes shell/ synced/ | awk '{ print $2 }' | sort >rsynclog
rm -f all.tar

# gcc, make
mkdir build && cd build
printf 'int twice(int x) { return 2 * x; }\n' >twice.c
printf '#include <stdio.h>\nint twice(int);\nint main(void) { printf("%%d\\n", twice(21)); return 0; }\n' >main.c
printf 'prog: main.o libtwice.a\n\tgcc -o $@ main.o -L. -ltwice\nlibtwice.a: twice.o\n\tar rcsD $@ $^\n%%.o: %%.c\n\tgcc -O1 -g -c -o $@ $<\nclean:\n\trm -f *.o\n' >Makefile
make -s -j3 && ./prog >out && make -n >uptodate && gcc -shared -fPIC -o libt.so twice.c && gcc -o dyn main.c ./libt.so && ./dyn >dynout
cd ..

# vim, perl, python3, node
printf 'hello world\nsecond\n' >vim.txt && vim -es -u NONE -c '%s/world/vim/' -c 'normal Goadded' -c 'wq' vim.txt
perl -e 'open(F, "+>", "perl.txt"); print F "a$_\n" for 1..500; seek(F,0,0); my @l = <F>; close F; open(G, ">>", "perl.txt"); print G scalar(@l), "\n"; close G; rename "perl.txt", "perl2.txt"; utime 1, 2, "perl2.txt"; unlink glob("nothing*"); mkdir "pd"; opendir(D, "core"); print join(",", sort grep { !/^\./ } readdir D), "\n";' >perl.out
python3 - <<'PY'
import json, mmap, os, pathlib, shutil, sqlite3, subprocess, tempfile, zipfile
p = pathlib.Path("py"); p.mkdir()
(p / "j").write_text(json.dumps({str(n): n for n in range(1000)}))
with open(p / "m", "w+b") as f:
    f.truncate(8192)
    with mmap.mmap(f.fileno(), 8192) as m:
        m[100:105] = b"hello"; m.flush()
    f.seek(100); assert f.read(5) == b"hello"; f.seek(0, 2); f.write(b"tail")
    os.pwrite(f.fileno(), b"XY", 4000)
with zipfile.ZipFile(p / "z.zip", "w") as z:
    z.writestr(zipfile.ZipInfo("a"), b"a" * 5000)
out = subprocess.run(["cat"], stdin=open(p / "j"), stdout=open(p / "cat", "w"), check=True)
with open(p / "shared", "w") as f:
    f.write("parent "); f.flush()
    subprocess.run(["echo", "child"], stdout=f, check=True); f.write("again\n")
d = tempfile.mkdtemp(dir="py"); open(d + "/t", "w").write("t"); shutil.rmtree(d)
shutil.copytree("core/moved", "py/tree", symlinks=True)
fd = os.open("py/unlinked", os.O_RDWR | os.O_CREAT); os.unlink("py/unlinked"); os.write(fd, b"gone"); os.lseek(fd, 0, 0)
assert os.read(fd, 9) == b"gone" and os.fstat(fd).st_nlink == 0; os.close(fd)
PY
node -e '
const fs = require("fs"), cp = require("child_process");
fs.mkdirSync("node/a/b", { recursive: true });
fs.writeFileSync("node/a/f", "x".repeat(100000)); fs.appendFileSync("node/a/f", "tail");
fs.copyFileSync("node/a/f", "node/a/g"); fs.renameSync("node/a/g", "node/a/b/h");
const out = fs.openSync("node/child", "w");
fs.writeSync(out, "before\n"); cp.spawnSync("echo", ["from child"], { stdio: ["ignore", out, out] }); fs.writeSync(out, "after\n"); fs.closeSync(out);
(async () => { const h = await fs.promises.open("node/async", "w+"); await Promise.all([h.write("abc", 0), h.write("def", 3)]);
await h.truncate(5); await h.close(); fs.createReadStream("node/a/f").pipe(fs.createWriteStream("node/stream")); })();'
