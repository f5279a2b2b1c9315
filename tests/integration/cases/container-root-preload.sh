# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A container's / through the preload door: the same files as by FUSE, and what the kernel has mounted on them is the
# kernel's, whichever way one comes to it.
mkdir -p store tree/etc tree/proc tree/dev tree/sys tree/run tree/tmp tree/usr tree/claims tree/musl tree/vol tree/below/deep
ln -s usr/bin tree/bin
ln -s usr/sbin tree/sbin
ln -s usr/lib tree/lib
ln -s usr/lib64 tree/lib64
cp -a /etc/alternatives /etc/passwd /etc/group /etc/ld.so.cache /etc/nsswitch.conf tree/etc/
chmod 1777 tree/tmp
ln -s /proc/self/status tree/status
ln -s ../proc tree/etc/proc
ln -s /etc/passwd tree/users
ln -s /run/polytropon/root/tree/etc tree/poolpath
echo below > tree/vol/hidden
echo deep > tree/below/deep/f
mkdir musl
for claim in mappings places processes remembered; do
  musl-gcc -w -D_GNU_SOURCE -I"$source" -o "musl/$claim" "$source/tests/integration/preload/$claim.c"
done
cat > pools.yaml <<EOT
pools:
  fast:
    roots: {host: {path: $work/store}}
    mounts:
      /vol: {mem: {size: 16M}}
      /other: {mem: {size: 16M}}
EOT
"$polytropon" up pools.yaml
"$polytropon" image import tree tree > /dev/null
"$polytropon" exec fast -- sh -c 'echo volume > /vol/f; echo other > /other/f'
requests() { "$polytropon" stats fast --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doors"]["preload"]["requests"])'; }
run() {
  "$polytropon" run --root tree --volume /usr:/usr --volume "$source/tests/integration:/claims" \
    --volume "$build/tests/integration/preload:/below" --volume "$work/musl:/musl" --volume /vol:/vol --volume /other:/mnt fast -- "$@"
}

before=$(requests)
same deep run sh -c 'mkdir /t && echo deep > /t/f && cat /t/f'
[ "$(requests)" -gt $((before + 4)) ] || fail "not through the preload door"

# Ways to what is mounted, and away from it.
cat > ways.sh <<'EOT'
cd /
for f in /proc/self/status /status proc/self/status ./proc/../proc/self/status /usr/../proc/self/status /etc/proc/self/status \
  /etc/../etc/proc/self/status /proc/self/root/proc/self/status; do
  grep -c '^Name:' $f
done
for f in /users etc/../users /proc/self/root/etc/passwd /tmp/../etc/passwd; do head -n 1 $f; done
stat -c '%d %h %s %F %n' / /etc /etc/passwd /users etc usr/.. | sed 's/^[0-9]*/'$([ "$(stat -c %d /)" = "$(stat -c %d /etc)" ] && echo same)'/'
[ "$(stat -c %d:%i /)" = "$(stat -c %d:%i /usr/..)" ] && echo up
[ "$(stat -c %d /)" != "$(stat -c %d /proc)" ] && echo apart
cat /vol/f /mnt/f vol/../vol/f; cat /vol/hidden 2> /dev/null || echo covered
cat /below/deep/f 2> /dev/null || echo covered
cat /poolpath/passwd 2> /dev/null || echo nowhere
(cd /etc && cat ../vol/f && pwd && ls -d ../proc/self/status)
(cd /vol && ls -di .. | grep -c . && cat ../etc/passwd | head -n 1)
ls / | sort | tr '\n' ' '
echo x > /dev/null && echo null
cat /etc/resolv.conf | cmp - /etc/resolv.conf && echo resolv
mv /etc/resolv.conf /etc/r 2> /dev/null || echo busy
rm /etc/resolv.conf 2> /dev/null || echo busy
rmdir /proc 2> /dev/null || echo busy
mkdir /proc 2> /dev/null || echo there
ln /etc/resolv.conf /tmp/l 2> /dev/null || echo cross
mkdir -p /a/b && mv /a /c && cd /c/b && pwd && cd ../.. && pwd && rmdir c/b c
readlink /proc/self/cwd /etc/proc /proc/self/exe
mv /etc /etc2; ls -d /etc2/resolv.conf; wc -l < /proc/self/mountinfo; cat /etc2/resolv.conf | cmp - /etc2/resolv.conf; mv /etc2 /etc
df --output=target /etc/passwd /vol /mnt /usr | tail -n +2
touch /tmp/u && exec 5<> /tmp/u && rm /tmp/u && echo u >&5 && [ "$(stat -Lc %h /proc/self/fd/5)" = 0 ] && echo unlinked
EOT
echo over > musl/over
cp ways.sh musl/
run env POLYTROPON_MODE=off sh /musl/ways.sh > ways.off 2>&1
for mode in lazy strict real; do
  run env POLYTROPON_MODE=$mode sh /musl/ways.sh > ways.$mode 2>&1
  diff ways.off ways.$mode || fail "mode $mode sees other things"
done
grep -q apart ways.off || fail "$(cat ways.off)"

# A program that goes elsewhere by chroot.
cat > chroot.py <<'EOT'
import os
os.mkdir("/jail"); os.mkdir("/jail/etc"); open("/jail/etc/passwd", "w").write("jailed\n")
os.symlink("/etc/passwd", "/jail/link"); os.symlink("../../etc/passwd", "/jail/up")
inside = os.open("/jail/etc", os.O_RDONLY)
os.chroot("/jail"); os.chdir("/etc")
for name in "/etc/passwd", "passwd", "/link", "/up", "../etc/passwd", "../../../etc/passwd":
    assert open(name).read() == "jailed\n", name
assert os.stat("passwd", dir_fd=inside).st_size == 7
assert os.stat("../../etc/passwd", dir_fd=inside).st_size == 7
print("jailed")
EOT
cp chroot.py musl/
same jailed run python3 /musl/chroot.py

# A mount that appears while a program runs is seen by it.
cat > spot.sh <<'EOT'
mkdir /spot
echo under > /spot/f
echo ready > /vol/ready
until [ "$x" = over ]; do
  read x < /spot/f
  [ "$x" = $last ] || echo $x
  last=$x
done 2> /dev/null
EOT
cp spot.sh musl/
run timeout 60 sh /musl/spot.sh > spot &
until "$polytropon" exec fast -- cat /vol/ready > /dev/null 2>&1; do sleep 0.1; done
pid=$("$polytropon" ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["containers"][0]["pid"])')
nsenter -t "$pid" -m -- sh -c 'mount --bind /musl/over /spot/f'
wait $!
same "under
over" cat spot

# What the mount refuses the fast door does not do.
expect 2 "$polytropon" run --root tree --read-only --volume /usr:/usr fast -- sh -c 'echo x > /x' 2> /dev/null

# Who may mount is left to the kernel.
before=$(requests)
"$polytropon" run --root tree --cap CAP_SYS_ADMIN --volume /usr:/usr fast -- sh -c 'mkdir /m; echo 1 > /m/f; cat /m/f' > admin
same 1 cat admin
[ "$(requests)" = "$before" ] || fail "a program that may mount went through the preload door"

# Root without the capability may not do what takes it.
cat > musl/refused.py <<'EOT'
import os
open("/tmp/x", "w").close()
for name in "security.mark", "trusted.mark", "security.capability", "user.mark":
    try:
        os.setxattr("/tmp/x", name, bytes.fromhex("0100000202040000000000000000000000000000"))
        print(name, os.listxattr("/tmp/x"))
    except OSError as e:
        print(name, e.errno)
EOT
run env POLYTROPON_MODE=off python3 /musl/refused.py > refused
[ "$(grep -c ' 1$' refused)" -ge 2 ] || fail "$(cat refused)"
run env POLYTROPON_MODE=lazy python3 /musl/refused.py | diff refused - || fail "not as the kernel says"

# What POSIX and Linux promise, to programs of glibc and of musl.
for mode in lazy strict; do
  run env POLYTROPON_MODE=$mode sh /claims/preload/in-a-directory.sh /below/claims-names /below/claims-attributes \
    /below/claims-descriptors /below/claims-mappings /below/claims-offsets /below/claims-processes /below/claims-remembered
done
run sh /claims/preload/in-a-directory.sh /musl/mappings /musl/places /musl/processes /musl/remembered

# Everyday programs.
for mode in off lazy; do
  run env POLYTROPON_MODE=$mode bash -c 'mkdir /data; cd /data; . /claims/programs/everyday.sh; sh /claims/programs/tree.sh /data' > tree.$mode 2> err ||
    { tail err; fail "everyday programs, $mode"; }
done
[ "$(wc -l < tree.off)" -gt 100 ] || fail "they made too little"
diff tree.off tree.lazy > difference || { head -20 difference; fail "the trees differ"; }
