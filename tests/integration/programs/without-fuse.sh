#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs at work in the current directory that leave open files and the working directory to each other, and need
# nothing of the kernel's that a pool without FUSE does not have: no program is run from there, nothing is a FIFO.
# shellcheck disable=SC2094,SC2238
set -eu
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 HOME=$PWD GIT_CONFIG_NOSYSTEM=1 PYTHONDONTWRITEBYTECODE=1
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@localhost GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@localhost
top=$PWD

# redirections of every kind, over exec, fork and both
mkdir shell && cd shell
for i in 1 2 3 4 5; do echo "line $i" >>log; done
{ echo a; /bin/echo b; } >group
(echo sub; exec echo replaced) >sub
cat >here <<TEXT
$(cat group)
$(<group)
TEXT
exec 7>seven && echo one >&7 && (echo two >&7) && /bin/echo three >&7 && exec 7>&-
exec 8<>rw && echo abcdef >&8 && exec 8>&- && exec 8<rw && read -r -n 3 x <&8 && read -r y <&8 && echo "$x/$y" >halves && exec 8<&-
set -o noclobber; { echo no >log; } 2>/dev/null && exit 1; set +o noclobber
seq 1 2000 | tee copy | sort -rn | uniq >sorted
while read -r l; do /bin/echo "<$l>" | tr "[:lower:]" "[:upper:]"; done <here >wrapped
{ read -r l; cat; echo "then $l"; } <log >one-offset
(exec <log; read -r l; exec cat) >one-offset-over-exec
(exec <log; read -r l; sh -c 'read -r l; cat') >two-readers
cat - /dev/stdin <group >again
sh -c 'cat; cat <&3; echo error >&2' <group 3<sub >three 2>errors
(for i in 1 2 3; do (for _ in $(seq 100); do echo "$i"; done) & done; wait) >appended-to && sort appended-to | uniq -c >shared-offset && rm appended-to
for i in 1 2 3; do (for _ in $(seq 100); do /bin/echo "$i" >>log3; done) & done; wait; sort log3 | uniq -c >appended && rm log3
diff <(sort copy) <(sort sorted) >samediff || true
exec 9>lock; flock 9; flock -n lock true && exit 1; (flock -u 9); flock -n lock true; exec 9>&-
cd ..

# the working directory, over fork and exec, and out of the mount and back
mkdir -p places/a/b && cd places/a
echo in-a >f && sh -c 'pwd; cat f; cd b; /bin/pwd; cat ../f' | sed "s,$top,TOP," >../where
env -C b sh -c 'cd -P ..; cat f' >>../where
(cd b && rmdir ../b && ! pwd -P 2>/dev/null && ! ls nothing 2>/dev/null); mkdir b
cd / && cat "${top#/}/places/a/f" >>"$top/places/where" && cd "${top#/}/places" && ls a >>where
cat ../../../../../../../../../../etc/hostname >/dev/null
perl -e 'chdir "a"; chdir "b"; open(F, "<", "../f"); print <F>; system "cat ../f"; print `cat ../../a/f`' >>where
find . -type d -execdir sh -c 'pwd' \; | sed "s,$top,TOP," | sort >dirs
cd ..

# coreutils
mkdir core && cd core
seq 1000 >s && split -l 100 s part. && cat part.* | cmp - s
cp -a ../shell shellcopy && cp -r --preserve=mode shellcopy again && mv again moved && ln -s moved link && ln s hard
install -m 751 s installed && truncate -s 12345 big && dd if=s of=big bs=100 seek=7 count=5 conv=notrunc status=none
touch -d @1600000000.123456789 stamp && touch -r stamp stamped && stat -c '%Y' stamped >when
rm -rf shellcopy && mkdir -p deep/er/and/deeper && rmdir -p deep/er/and/deeper && tail -n 3 s >tail && head -c 10 s >head
sha256sum s hard >sums && sha256sum -c --quiet sums && shuf --random-source=s s >shuffled && tac s | rev >rev
find . -type f -name 'part.*' -size -2 | sort | xargs wc -l >wc
sed -i 's/^1/one/' part.aa && sed -n '5p' part.aa >fifth && grep -rn one . | sort >grep && awk '{ n += $1 } END { print n }' s >sum
cd ..

# git
mkdir git && cd git
git init -q -b main one && cd one
cp ../../core/s a && mkdir d && cp ../../shell/log d/b && git add . && git commit -qm first
echo more >>a && git commit -qam second && git branch side && git checkout -q side && echo s >side && git add side && git commit -qm side
git checkout -q main && git merge -q --no-ff -m merge side && git tag v1 && git log --format=%H%n%s >../log
git mv a renamed && git commit -qm rename && git gc -q && git fsck --strict 2>/dev/null
cd .. && git clone -q one two && cd two && git log --oneline | cat >../clonelog && git diff --stat HEAD~1 >../diffstat
cd .. && git -C one log -1 --format=%T >tree && rm -rf one/.git two/.git
cd ..

# tar, rsync
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf all.tar shell core
mkdir untar && tar -C untar -xpf all.tar && tar -tf all.tar | sort >tarlist && gzip -n -k all.tar && zcat all.tar.gz | cmp - all.tar
rsync -a --delete shell/ synced/ && echo changed >>shell/log && rsync -ac --itemize-changes shell/ synced/ | awk '{ print $2 }' | sort >rsynclog
rm -f all.tar

# gcc, make; what they made is run from elsewhere
mkdir build && cd build
printf 'int twice(int x) { return 2 * x; }\n' >twice.c
printf '#include <stdio.h>\nint twice(int);\nint main(void) { printf("%%d\\n", twice(21)); return 0; }\n' >main.c
printf 'prog: main.o libtwice.a\n\tgcc -o $@ main.o -L. -ltwice\nlibtwice.a: twice.o\n\tar rcsD $@ $^\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' >Makefile
make -s -j3 && make -n >uptodate && elsewhere=$(mktemp) && cat prog >"$elsewhere" && chmod 755 "$elsewhere" && "$elsewhere" >out && rm "$elsewhere"
cd ..

# sqlite3, vim, perl, python3, node
mkdir sql && cd sql
sqlite3 a.db 'PRAGMA journal_mode=delete; CREATE TABLE t(a PRIMARY KEY, b); BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<3000) INSERT INTO t SELECT n, hex(n*n) FROM c; COMMIT;' >/dev/null
sqlite3 a.db 'DELETE FROM t WHERE a % 3 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*), max(b) FROM t;' >check
sqlite3 a.db .dump | sort | sha256sum >dump && rm -f -- *.db
cd ..
printf 'hello world\nsecond\n' >vim.txt && vim -es -u NONE -c '%s/world/vim/' -c 'normal Goadded' -c 'wq' vim.txt
perl -e 'open(F, "+>", "perl.txt"); print F "a$_\n" for 1..500; seek(F,0,0); my @l = <F>; close F; open(G, ">>", "perl.txt"); print G scalar(@l), "\n"; close G; rename "perl.txt", "perl2.txt"; utime 1, 2, "perl2.txt";'
python3 - <<'PY'
import fcntl, mmap, os, pathlib, select, shutil, socket, subprocess, tempfile
p = pathlib.Path("py"); p.mkdir()
(p / "j").write_text("".join("%d\n" % n for n in range(1000)))
with open(p / "m", "w+b") as f:
    f.truncate(8192); f.write(b"hello"); f.flush()
    with mmap.mmap(f.fileno(), 8192, access=mmap.ACCESS_READ) as m:
        assert m[:5] == b"hello" and m[8191] == 0
    with mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_COPY) as m:
        m[:5] = b"world"
subprocess.run(["cat"], stdin=open(p / "j"), stdout=open(p / "cat", "w"), check=True)
with open(p / "shared", "w") as f:
    f.write("parent "); f.flush()
    subprocess.run(["echo", "child"], stdout=f, check=True); f.write("again\n")
with open(p / "shared") as f: # the child reads on where we are, and we where it was
    os.read(f.fileno(), 3)
    assert subprocess.run(["head", "-c", "4"], stdin=f, capture_output=True).stdout == b"ent "
    assert os.lseek(f.fileno(), 0, os.SEEK_CUR) in (7, 19)
assert subprocess.run(["cat", "shared"], cwd=p, capture_output=True).stdout == b"parent child\nagain\n"
assert subprocess.run("pwd", shell=True, cwd=p, capture_output=True).stdout.decode() == os.getcwd() + "/py\n"
a, b = socket.socketpair()
with open(p / "j") as f: # to another process, by SCM_RIGHTS
    if os.fork() == 0:
        a.close(); fd = socket.recv_fds(b, 1, 1)[1][0]
        os.lseek(fd, 10, 0); os._exit(0)
    b.close(); socket.send_fds(a, [b"x"], [f.fileno()]); os.wait()
    assert os.lseek(f.fileno(), 0, os.SEEK_CUR) == 10
    r, w, e = select.select([f, a], [f], [], 5); assert f in r and w == [f]
    poll = select.poll(); poll.register(f, select.POLLIN); assert poll.poll(5000) == [(f.fileno(), 1)]
    os.set_inheritable(f.fileno(), False)
    assert subprocess.run(["sh", "-c", "read x <&%d" % f.fileno()], close_fds=False, stderr=subprocess.DEVNULL).returncode != 0
with open(p / "locked", "w") as f: # locks of the process stay over a failed exec, and are seen by its child
    fcntl.lockf(f, fcntl.LOCK_EX)
    try: os.execv("/nonexistent", ["x"])
    except OSError: pass
    if os.fork() == 0:
        try: fcntl.lockf(open(p / "locked", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB); os._exit(1)
        except OSError: os._exit(0)
    assert os.wait()[1] == 0
d = tempfile.mkdtemp(dir="py"); open(d + "/t", "w").write("t"); shutil.rmtree(d)
fd = os.open("py/unlinked", os.O_RDWR | os.O_CREAT); os.unlink("py/unlinked"); os.write(fd, b"gone")
if os.fork() == 0:
    os.lseek(fd, 0, 0); os._exit(os.read(fd, 9) != b"gone")
assert os.wait()[1] == 0 and os.fstat(fd).st_nlink == 0; os.close(fd)
PY
node -e '
const fs = require("fs"), cp = require("child_process");
fs.mkdirSync("node/a/b", { recursive: true });
fs.writeFileSync("node/a/f", "x".repeat(100000)); fs.appendFileSync("node/a/f", "tail");
fs.copyFileSync("node/a/f", "node/a/g"); fs.renameSync("node/a/g", "node/a/b/h");
const out = fs.openSync("node/child", "w");
fs.writeSync(out, "before\n"); cp.execSync("echo from child", { stdio: ["ignore", out, out], cwd: "/" }); fs.writeSync(out, "after\n"); fs.closeSync(out);'
