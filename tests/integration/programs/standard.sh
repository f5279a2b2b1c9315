#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What programs and shells do with standard descriptors that are files of the current directory: shared with children that are
# preloaded and with static ones, over forks and execs, by number, by /dev and by /proc. Says what it sees.
(echo a; busybox echo b; echo c) > f1; cat f1
{ echo 1; cat; echo 3; } < f1 > f2; cat f2
exec 5<f1; read -r x <&5; cat <&5; echo "read $x"
sh -c 'exec > f3; echo one; busybox echo two; /bin/echo three; exec 1>&-; echo lost' 2>/dev/null; cat f3
python3 - <<'P'
import os,subprocess,sys
fd=os.open("f4",os.O_RDWR|os.O_CREAT|os.O_TRUNC)
s=os.dup(1); os.dup2(fd,1); os.close(fd)
os.write(1,b"own\n"); subprocess.run(["busybox","echo","child"]); os.system("echo shell"); os.write(1,b"last\n")
os.lseek(1,0,0); d=os.read(1,100); os.dup2(s,1); print(d)
i=os.open("f4",os.O_RDONLY); s0=os.dup(0); os.dup2(i,0); print(os.read(0,4)); subprocess.run(["busybox","head","-n","1"]) ; print(os.read(0,100)); os.dup2(s0,0)
P
dd if=f4 bs=4 skip=1 2>/dev/null | od -c | head -2
dd if=f4 of=f5 bs=3 seek=2 conv=notrunc 2>/dev/null; od -c f5 | head -3
sort -o f4 f4; cat f4; sort -r f4 -o f4.r; cat f4.r
while read -r l; do echo "<$l>"; done < f4
bash -c 'while IFS= read -r -n1 c; do printf "%s." "$c"; done < f4; echo; mapfile -t a < f4; echo "${a[1]}"; printf "%s\n" x y z > f6; read -r a < f6; echo $a; echo app >> f6; cat f6; exec 3<>f6; read -r l <&3; echo over >&3; cat f6; coproc cat; echo q >&${COPROC[1]}; read -r z <&${COPROC[0]}; echo $z'
perl -e 'open(STDOUT,">","f7"); print "perl\n"; system("echo sys"); close STDOUT; open(STDIN,"<","f7"); print STDERR scalar(<STDIN>);' 2>&1; cat f7
(sleep 0.1; echo late) > f8 & echo early > f9; wait; cat f8 f9
sh -c 'kill -STOP $$ ' & sleep 0.1; kill -CONT $!; wait
tail -n 2 < f2; head -c 3 < f2; wc -l < f2; cat - f1 < f2 | wc -l
ls -l /proc/self/fd/0 < f1 | sed 's/.*-> //;s|.*/||'
readlink /proc/self/fd/1 > f10; sed 's|.*/||' f10
cat /dev/stdin < f1 | wc -c; echo to > /dev/stdout | cat; sh -c 'cat /dev/fd/0' < f1 | wc -l
xargs -n1 echo < f1 | wc -l; awk '{print > "f11"} END {close("f11")}' f1; cat f11
