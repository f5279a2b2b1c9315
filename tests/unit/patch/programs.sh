#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# programs.sh LIBRARY: real programs do the same with every system call redirected and passed on as without.
# What is not installed is left out; at least half must be there.
set -u
library=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
ran=0 missing=0 failed=0

# Runs the shell text in a fresh directory, twice, and compares output, status and the tree that it leaves.
same()
{
	need=$1 text=$2
	for tool in $need; do
		if ! command -v "$tool" >/dev/null; then
			echo "SKIP $need: no $tool"
			missing=$((missing + 1))
			return
		fi
	done
	for side in native redirected; do
		rm -rf "$work/dir"
		mkdir "$work/dir"
		preload=
		[ $side = redirected ] && preload=$library
		(cd "$work/dir" && LD_PRELOAD=$preload HOME=$work/dir LC_ALL=C TZ=UTC timeout 120 \
			bash -c "$text") >"$work/$side.out" 2>&1 </dev/null
		echo "status $?" >>"$work/$side.out"
		(cd "$work/dir" && find . -type f ! -name '*.pyc' -printf '%P %s %m\n' -o -printf '%P %m %l\n' |
			sort; find . -type f ! -path './.git/*' ! -name '*.pyc' -exec cksum {} + | sort) >>"$work/$side.out"
	done
	ran=$((ran + 1))
	if ! grep -q 'status 0$' "$work/native.out"; then
		echo "FAIL $need: natively"
		head -20 "$work/native.out"
		failed=$((failed + 1))
	elif ! cmp -s "$work/native.out" "$work/redirected.out"; then
		echo "FAIL $need"
		diff "$work/native.out" "$work/redirected.out" | head -20
		failed=$((failed + 1))
	else
		echo "ok   $need"
	fi
}

same bash 'for i in 1 2 3; do echo $i > f$i; done; cat f* | sort -r; exec 9>g; echo x >&9; exec 9>&-; echo $(<g)
	while read -r a; do echo "[$a]"; done < <(printf "%s\n" one two); (exit 3); echo $?; cat <<< here; trap "echo t" EXIT'
same 'cp ls sort' 'mkdir -p a/b; seq 1 2000 > a/n; cp -a a c; mv c/n c/m; ln c/m c/l; ln -s m c/s; ls -lR --time-style=+ a | wc
	chmod 600 a/n; touch -d @1000 a/n; stat -c %s:%a:%Y a/n; du -s --apparent-size c; dd if=a/n of=z bs=7 count=90 2>/dev/null
	sort -rn a/n | head -2; md5sum a/n; truncate -s 5 z; tail -c 3 z; rm -r c; rmdir x; df . >/dev/null; true; tee t < z; wc -l a/n'
same 'find grep sed awk' 'mkdir -p x/{1..20}; for i in x/*; do echo "line $i" > $i/f; done; find x -type f | sort | xargs cat | wc
	grep -r "line x/1" x | sort; sed -i s/line/LINE/ x/1/f; awk "{print \$2}" x/1/f; find x -name f -newer x/1/f -delete'
same git 'export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z; git init -q -b main . && git config user.email a@b
	git config user.name n; for i in 1 2 3 4; do echo $i > f$i; git add .; git commit -qm c$i; done; git log --format=%H%s
	git rm -q f2; git commit -qm d; git checkout -q -b b HEAD~2; git merge -q main; git status -s; git diff main --stat
	git clone -q . k; git -C k log --oneline; git fsck; rm -rf .git k/.git'
same gcc 'printf "#include <stdio.h>\nint main(void){puts(\"built\");return 0;}\n" > m.c; gcc -O1 -o m m.c && ./m; gcc -c m.c
	ar rcs l.a m.o; ar t l.a; nm m.o | sort; strip m.o; gcc -E m.c | wc -l; rm m m.o l.a'
same make 'printf "all: a b\na b:\n\techo \$@ > \$@\nclean:\n\trm -f a b\n" > Makefile; make -s -j2; make -s; cat a b; make clean'
same python3 'cat > t.py <<E
import os, subprocess, tempfile, sqlite3, threading, shutil, mmap, select, json
os.makedirs("d/e"); open("d/f", "w").write("x" * 100000); print(os.stat("d/f").st_size, sorted(os.listdir("d")))
print(subprocess.run(["cat", "d/f"], capture_output=True).stdout.__len__(), subprocess.check_output("echo hi", shell=True))
with open("d/f", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0); m[0:3] = b"abc"; m.close(); f.seek(0); print(f.read(5)); os.posix_fallocate(f.fileno(), 0, 9)
ts = [threading.Thread(target=lambda n=n: open(f"t{n}", "w").write(str(n) * 9)) for n in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sorted(os.listdir(".")))
r, w = os.pipe(); pid = os.fork()
if pid == 0: os.write(w, b"child"); os._exit(7)
print(os.read(r, 9), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); shutil.copytree("d", "c"); shutil.rmtree("d")
print(select.select([r], [], [], 0), json.dumps({"a": os.path.exists("c/f")}), [e.name for e in os.scandir("c")].sort())
E
python3 t.py'
same perl 'perl -e "open F,\">f\"; print F \"a\\n\" x 1000; close F; open F,\"<f\"; @a=<F>; print scalar(@a),qq(\n); print qx(echo q);
	mkdir q(d); opendir D,q(.); print join q(,), sort readdir D; rename q(f),q(g); print -s q(g); unlink q(g)"'
same sqlite3 'sqlite3 t.db "create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<3000)
	insert into t select x, x*x from c; select count(*),sum(b) from t; pragma journal_mode=wal; update t set b=b+1;
	select sum(b) from t; pragma integrity_check; vacuum;" && sqlite3 t.db "select max(a) from t"; rm -f t.db*'
same 'tar gzip' 'mkdir -p s/t; seq 1 5000 > s/a; ln -s a s/b; touch -h -d @5 s/a s/b s/t s; tar --sort=name --owner=0 --group=0 -cf a.tar s
	tar tvf a.tar --utc; tar czf a.tgz s; mkdir o; tar xzf a.tgz -C o; ls -R o; gzip -dc a.tgz | wc -c; rm a.tgz; diff -r s o/s'
same node 'node -e "const fs=require(\"fs\"),c=require(\"child_process\");fs.mkdirSync(\"d\");fs.writeFileSync(\"d/a\",\"x\".repeat(5000));
	fs.readFile(\"d/a\",(e,b)=>{console.log(b.length);fs.rename(\"d/a\",\"d/b\",()=>console.log(fs.readdirSync(\"d\")))});
	console.log(c.execSync(\"echo sub\").toString())"'
same 'vim' 'printf "b\na\n" > f; vim -es -u NONE -c "%sort" -c "wq" f; cat f'
same 'rsync' 'mkdir s; seq 1 900 > s/a; rsync -a s/ d/; echo more >> s/a; rsync -ac s/ d/; cmp s/a d/a && ls d'
same 'gdb' 'gdb -q -batch -ex "print 6*7" 2>&1 | tail -1'

echo "$ran ran, $missing missing, $failed failed"
[ $failed -eq 0 ] && [ $ran -gt $missing ]
