# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A small file that programs of both doors have mapped to write is one memory, whoever was first, whether the kernel may
# pass files through or not: counters in it lose nothing, and neither does a database whose index is such a file.
cat >pools.yaml <<YAML
pools:
  alice:
    mounts:
      /data: {mem: {}}
      /disk: {host: $work/dir}
      /image: {volume: {image: $work/alice.img, size: 256M}}
  bob:
    fuse: {passthrough: off}
    mounts: {/data: {mem: {}}}
YAML
"$polytropon" up pools.yaml

cat >count.py <<'PY'
# Adds to a counter in mapped memory, a turn at a time: count.py FILE TURNS HOW
import fcntl, mmap, os, struct, sys, time
name, turns, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
flags = {"plain": 0, "sync": os.O_SYNC, "append": os.O_APPEND}[how]
fd = os.open(name, os.O_RDWR | flags)
m = mmap.mmap(fd, 32768)
print("mapped", flush=True)
sys.stdin.readline()
for turn in range(turns):
    fcntl.lockf(fd, fcntl.LOCK_EX, 8, 1 << 40)
    n, = struct.unpack_from("Q", m, 16384)
    if turn % 16 == 0:
        time.sleep(0.0001)
    struct.pack_into("Q", m, 16384, n + 1)
    fcntl.lockf(fd, fcntl.LOCK_UN, 8, 1 << 40)
assert int.from_bytes(os.pread(fd, 8, 16384), "little") > n
PY
cat >doors.py <<'PY'
# Begins programs of the doors named, one after the other, and lets them go together: doors.py FILE HOW DOOR...
import os, subprocess, struct, sys
name, how, doors = sys.argv[1], sys.argv[2], sys.argv[3:]
with open(name, "wb") as f:
    f.truncate(32768)
programs = []
for door in doors:
    p = subprocess.Popen([sys.executable, os.environ["COUNT"], name, "200", how], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env={**os.environ, "POLYTROPON_MODE": door})
    assert p.stdout.readline() == b"mapped\n", door
    programs.append(p)
for p in programs:
    p.stdin.write(b"\n")
    p.stdin.flush()
for p in programs:
    assert p.wait() == 0
for door in "lazy", "off":
    got = subprocess.run([sys.executable, "-c", "import sys; print(int.from_bytes(open(sys.argv[1], 'rb').read()[16384:16392], 'little'))", name],
                         env={**os.environ, "POLYTROPON_MODE": door}, stdout=subprocess.PIPE, check=True).stdout
    assert int(got) == 200 * len(doors), (name, how, doors, door, int(got))
os.unlink(name)
PY
count() { COUNT="$work/count.py" "$polytropon" run "$1" -- python3 "$work/doors.py" "${@:2}"; }
for how in plain sync append; do
  count alice /data/file $how lazy off
  count alice /data/file $how off lazy
done
for where in "alice /data" "alice /disk" "alice /image" "bob /data"; do
  # shellcheck disable=SC2086
  {
    count $where/file plain lazy off lazy off
    count $where/file plain off lazy lazy off
    count $where/file plain lazy lazy off off
  }
done
