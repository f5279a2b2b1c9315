# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Files that are cached as a whole pass through the kernel, and nobody sees a difference but by counting messages.
cat >pools.yaml <<YAML
pools:
  passes:
    mounts:
      /data: {mem: {}}
  plain:
    fuse: {passthrough: off}
    mounts:
      /data: {mem: {}}
YAML
cat >disk.yaml <<YAML
pools:
  disk:
    fuse: {passthrough: always}
    mounts:
      /data: {volume: {image: $work/disk.img, size: 48M}}
YAML
"$polytropon" up pools.yaml
"$polytropon" up disk.yaml
kernel() { local pool=$1; shift; "$polytropon" run "$pool" -- env POLYTROPON_MODE=off python3 "$@"; }
# reads and writes that have come as messages
messages() {
  "$polytropon" stats "$1" --json | python3 -c '
import json, sys
ops = json.load(sys.stdin)["doors"]["fuse"]["ops"]
print(sum(ops.get(name, {}).get("count", 0) for name in ("read", "write")))'
}
cat >moves.py <<'PY'
import os, random
f = os.open("/data/f", os.O_RDWR)
model = bytearray(os.pread(f, 2 << 20, 0))
for i in range(500):
    at, text = random.randrange(len(model) - 4096), random.randbytes(4096)
    os.pwrite(f, text, at)
    model[at:at + 4096] = text
    at = random.randrange(len(model) - 4096)
    assert os.pread(f, 4096, at) == model[at:at + 4096]
open("/data/model", "wb").write(model)
PY
# moves POOL: how many messages it took
moves() {
  local before
  "$polytropon" run "$1" -- sh -c 'head -c 2097152 /dev/urandom >/data/f.new && mv /data/f.new /data/f'
  before=$(messages "$1")
  kernel "$1" "$work/moves.py"
  "$polytropon" run "$1" -- cmp /data/f /data/model
  "$polytropon" run "$1" -- busybox cmp /data/f /data/model
  echo $(($(messages "$1") - before))
}
n=$(moves passes)
[ "$n" -lt 100 ] || fail "$n messages, though it should pass"
n=$(moves plain)
[ "$n" -ge 1000 ] || fail "only $n messages, though nothing should pass"
"$polytropon" set passes fuse.passthrough=off
n=$(moves passes)
[ "$n" -ge 1000 ] || fail "only $n messages, though nothing should pass any more"
"$polytropon" set passes fuse.passthrough=always
"$polytropon" set passes fuse.passthrough=sometimes 2>err && fail 'it passes sometimes'
grep -q 'neither auto, always nor off' err || fail "$(cat err)"

# One program has the file passed, others are preloaded.
cat >meets.py <<'PY'
import errno, mmap, os, subprocess
def other(command):
    return subprocess.run(command, shell=True, env=dict(os.environ, POLYTROPON_MODE="lazy"), capture_output=True)
def says(command, wanted):
    got = other(command).stdout
    assert got == wanted, (command, got[:100], wanted[:100])
def size(n):
    assert os.fstat(f).st_size == n, (os.fstat(f).st_size, n)
    assert os.lseek(f, 0, os.SEEK_END) == n
    says("stat -c %s /data/m", b"%d\n" % n)
    says("wc -c </data/m", b"%d\n" % n)
open("/data/m", "wb").write(b"." * 100000)
f = os.open("/data/m", os.O_RDWR)
m = mmap.mmap(f, 100000)
os.pwrite(f, b"by the kernel", 5000)
says("tail -c +5001 /data/m | head -c 13", b"by the kernel")
m[6000:6003] = b"MAP"
says("tail -c +6001 /data/m | head -c 3", b"MAP")
assert other("printf preloaded | dd of=/data/m bs=1 seek=7000 conv=notrunc").returncode == 0
assert os.pread(f, 9, 7000) == m[7000:7009] == b"preloaded"
size(100000)
os.pwrite(f, b"end", 120000)
size(120003)
says("tail -c 5 /data/m", b"\0\0end")
other("printf more >>/data/m")
size(120007)
assert os.pread(f, 100, 120000) == b"endmore"
other("truncate -s 90000 /data/m")
size(90000)
assert os.pread(f, 10, 89995) == b"....."
os.ftruncate(f, 95000)
size(95000)
says("tail -c 3 /data/m", b"\0\0\0")
os.pwrite(f, b"x", 0)
says("stat -c %.9Y /data/m", b"%d.%09d\n" % divmod(os.fstat(f).st_mtime_ns, 10**9))
other("touch -d @1000000000 /data/m")
assert os.fstat(f).st_mtime == 1000000000
os.pwrite(f, b"y", 0)
assert os.fstat(f).st_mtime > 1000000000
# Whoever writes is not seen: no set-id bits now.
assert b"Text file busy" in other("chmod u+s /data/m").stderr
assert os.fstat(f).st_mode & 0o7777 == 0o644
m.close()
os.close(f)
assert other("chmod u+s /data/m").returncode == 0
PY
kernel passes "$work/meets.py"

# What is below has it, and says when there is no room for what the file has grown by.
cat >grows.py <<'PY'
import errno, os
open("/data/g", "wb").write(b"a" * 1000000)
f = os.open("/data/g", os.O_RDWR)
os.pwrite(f, b"b" * 5000, 2000000)
os.pwrite(f, b"c" * 5000, 500000)
os.fsync(f)
g = os.open("/data/h", os.O_RDWR | os.O_CREAT)
os.write(g, b"h")
os.close(g)
g = os.open("/data/h", os.O_RDWR)
try:
    for i in range(64):
        os.pwrite(g, os.urandom(1 << 20), i << 20)
    os.fsync(g)
    raise SystemExit("64 MiB fit into 48")
except OSError as e:
    assert e.errno == errno.ENOSPC, e
os.ftruncate(g, 0)
os.unlink("/data/h")
PY
kernel disk "$work/grows.py"
"$polytropon" run disk -- md5sum /data/g >seen
"$polytropon" down disk
"$polytropon" fsck -n disk.img
"$polytropon" up disk.yaml
"$polytropon" run disk -- md5sum /data/g | diff seen -

# The service dies. What was written since is lost: the program is told, at the latest when it closes the file.
cat >outlives.py <<'PY'
import errno, os, sys
f = os.open("/data/g", os.O_RDWR)
os.pwrite(f, b"before", 0)
os.fsync(f)
print("ready", flush=True)
sys.stdin.readline()
try:
    os.pwrite(f, b"after!", 0)
    os.close(f)
    raise SystemExit("nothing was said")
except OSError as e:
    assert e.errno == errno.EIO, e
f = os.open("/data/g", os.O_RDWR)
assert os.pread(f, 6, 0) == b"before"
os.pwrite(f, b"again!", 0)
os.close(f)
PY
mkfifo go
kernel disk "$work/outlives.py" <go >out &
program=$!
exec 9>go
until grep -q ready out; do sleep 0.1; done
kill -9 "$("$polytropon" ps | awk '$1 == "disk" { print $3 }')"
until [ "$("$polytropon" ps | awk '$1 == "disk" { print $2, $5 }')" = "up 1" ]; do sleep 0.1; done
echo >&9
wait $program || fail 'the program that outlived the service'
same again! "$polytropon" run disk -- head -c 6 /data/g
same again! "$polytropon" run disk -- busybox head -c 6 /data/g

# What is mapped stays mapped when the descriptor is closed, and is the file, whoever looks.
cat >stays.py <<'PY'
import ctypes, mmap, os, subprocess, sys
libc = ctypes.CDLL(None) # Python's own mapping keeps a descriptor
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def others(command):
    done = subprocess.run(command, shell=True, env=dict(os.environ, POLYTROPON_MODE="lazy"), capture_output=True)
    assert done.returncode == 0, done
    return done.stdout
size, page = 4 << 20, 4096
text = os.urandom(size)
open("/data/s", "wb").write(text)
def mapped(flags, prot):
    f = os.open("/data/s", flags)
    at = libc.mmap(None, size, prot, mmap.MAP_SHARED, f, 0)
    os.close(f)
    return at, memoryview((ctypes.c_char * size).from_address(at)).cast("B")
at, m = mapped(os.O_RDWR, mmap.PROT_READ | mmap.PROT_WRITE)
m[5000:5006] = b"stored"
assert others("dd if=/data/s bs=1 skip=5000 count=6 2>/dev/null") == b"stored"
others("printf written | dd of=/data/s bs=1 seek=70000 conv=notrunc 2>/dev/null")
assert m[70000:70007] == b"written", bytes(m[70000:70007])
m[9000:9005] = b"later"
libc.munmap(at, size)
assert others("dd if=/data/s bs=1 skip=9000 count=5 2>/dev/null") == b"later"
text = text[:5000] + b"stored" + text[5006:9000] + b"later" + text[9005:70000] + b"written" + text[70007:]
# a program that is run is such a mapping: what it has not looked at yet must not be evicted
at, m = mapped(os.O_RDONLY, mmap.PROT_READ)
print("mapped", flush=True)
sys.stdin.readline()
others("head -c 20000000 /dev/zero >/data/big; sync /data/big; cat /data/big >/dev/null; rm /data/big")
assert m[:] == text, "it is not there any more"
PY
cat >small.yaml <<YAML
pools:
  small:
    cache: {size: 24M}
    fuse: {passthrough: always}
    mounts:
      /data: {volume: {image: $work/small.img, size: 96M}}
YAML
"$polytropon" up small.yaml
kernel small "$work/stays.py" <go >out &
program=$!
exec 9>go
until grep -q mapped out; do kill -0 $program 2>/dev/null || fail 'what was mapped is not the file'; sleep 0.1; done
"$polytropon" set small cache.size=5M
echo >&9
wait $program || fail 'what was mapped was evicted'
"$polytropon" down small
