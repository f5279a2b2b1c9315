# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A program that links the library reads a pool's files without a system call on them, with and without preload.
printf '1\n2\n3\n' >dir/three
: >dir/none
mkdir dir/directory
for mode in off lazy; do
  same '        3 three' bash -c "POLYTROPON_MODE=$mode '$polytropon' run --host '$work/dir' --at /data -- '$build/examples/count-lines' /data | grep three"
done
expect 1 "$build/examples/count-lines" "$work/dir" # in no pool

# What others watch with inotify it changes all the same, having no kernel to leave that to.
cat >watched.py <<'PY'
import ctypes, os
me = ctypes.CDLL(None)
os.mkdir('/data/w')
assert me.inotify_add_watch(me.inotify_init(), b'/data/w', 0xfff) > 0
assert me.polytropon_mkdir(b'/data/w/a', 0o755) == 0
f = me.polytropon_open(b'/data/w/f', os.O_CREAT | os.O_RDWR, 0o644)
assert f >= 0, f
assert me.inotify_add_watch(me.inotify_init(), b'/data/w/f', 0xfff) > 0
assert me.polytropon_write(f, b'text', 4) == 4
assert me.polytropon_ftruncate(f, ctypes.c_long(3)) == 0
assert me.polytropon_fallocate(f, 0, ctypes.c_long(0), ctypes.c_long(4096)) == 0
assert me.polytropon_close(f) == 0
assert me.polytropon_rename(b'/data/w/f', b'/data/w/g') == 0
assert open('/data/w/g').read(3) == 'tex'
PY
host /usr/bin/python3 "$work/watched.py"
