# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What a removed file took is free once nobody has it open, though the kernel opened it for a child meanwhile.
cat >removed.py <<'PYTHON'
import os, time

def used():
    s = os.statvfs("/data")
    return (s.f_blocks - s.f_bfree) * s.f_frsize

def through_another_name():
    fd = os.open("/data/f", os.O_RDWR | os.O_CREAT)
    assert os.write(fd, bytes(16 << 20)) == 16 << 20
    if os.fork() == 0:
        os._exit(0)
    assert os.wait()[1] == 0
    os.close(fd)
    os.rename("/data/f", "/data/g")
    os.unlink("/data/g")

def shared_with_a_child(remove_first):
    fd = os.open("/data/f", os.O_RDWR | os.O_CREAT)
    assert os.write(fd, bytes(16 << 20)) == 16 << 20
    os.fsync(fd)
    if remove_first:
        os.unlink("/data/f")
    if os.fork() == 0:
        os._exit(0 if os.pread(fd, 1, 0) == b"\0" else 1)
    assert os.wait()[1] == 0
    assert used() >= before + (16 << 20)
    os.close(fd)
    if not remove_first:
        os.unlink("/data/f")

before = used()
for what in lambda: shared_with_a_child(True), lambda: shared_with_a_child(False), through_another_name:
    what()
    for wait in range(300):  # the kernel says a moment later that it has closed it
        if used() < before + (8 << 20):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("still used: %d" % (used() - before))
PYTHON
of_the_host() { unshare -m sh -ec 'mount -t tmpfs -o size=256M tmpfs "$1"; shift; exec "$@"' sh "$work/dir" "$@"; }
for door in lazy real off; do
  POLYTROPON_MODE=$door mem python3 "$work/removed.py" || fail "mem, mode $door"
  POLYTROPON_MODE=$door "$polytropon" run --image "$work/v.img" --size 256M --at /data -- python3 "$work/removed.py" || fail "volume, mode $door"
  POLYTROPON_MODE=$door of_the_host "$polytropon" run --host "$work/dir" --at /data -- python3 "$work/removed.py" || fail "host, mode $door"
done
