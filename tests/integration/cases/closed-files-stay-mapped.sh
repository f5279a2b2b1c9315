# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What a process has read directly it finds mapped when it opens the file again, and whatever takes the file's place is
# seen; what is removed, cut or renewed has no memory, though a process that closed it has it mapped still.
cat >closed.py <<'PYTHON'
import os, subprocess, sys, time

SIZE, PIECE = 16 << 20, 128 << 10
path = "/data/f"

def make(byte, size=SIZE):
    subprocess.run([sys.executable, "-c", "import sys; open(sys.argv[1], 'wb').write(sys.argv[2].encode() * int(sys.argv[3]))",
                    path, byte, str(size)], check=True)

def mapped():
    """MiB of files in memory that this process has mapped to read."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssShmem")) >> 10

def read_all():
    total, fd = set(), os.open(path, os.O_RDONLY)
    n = 0
    while piece := os.read(fd, PIECE):
        total |= set(piece[::4096])
        n += len(piece)
    os.close(fd)
    return n, {chr(byte) for byte in total}

def goes(what):
    for _ in range(300):
        if mapped() < 4:
            return
        time.sleep(0.1)
    raise AssertionError(f"{what}: {mapped()} MiB are mapped still")

def reads(want, size=SIZE):
    for _ in range(3):
        got = read_all()
        assert got == (size, {want}), (got, want)

make("a")
reads("a")
if sys.argv[1] == "direct":
    assert mapped() >= 12, f"{mapped()} MiB are mapped"
make("b")  # the same file
reads("b")
subprocess.run(["rm", path], check=True)
goes("removed")
make("c")  # another
reads("c")
make("d", 1 << 20)
reads("d", 1 << 20)
goes("cut")
make("e")
reads("e")
# Who maps it gets other memory, and the old goes.
subprocess.run([sys.executable, "-c", "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); m[5] = ord('f'); m.flush()", path], check=True)
goes("renewed")
assert read_all() == (SIZE, {"e"}) and os.pread(os.open(path, os.O_RDONLY), 1, 5) == b"f"
PYTHON
image() { "$polytropon" run --image "$work/v.img" --size 256M --at /data -- "$@"; }
POLYTROPON_MODE=lazy image python3 "$work/closed.py" direct || fail 'lazy'
POLYTROPON_MODE=off image python3 "$work/closed.py" fuse || fail 'off'
