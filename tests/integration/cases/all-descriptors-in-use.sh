# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Programs that open all the files that a service can have open are told so, and keep nobody from it: others still come in,
# and go on when there is room again.
ulimit -n 512
cat >hold.py <<'PYTHON'
import errno, os, subprocess, sys

held = []
for n in range(300):
    try:
        held.append(os.open("/data/%s-%d" % (sys.argv[1], n), os.O_RDWR | os.O_CREAT))
    except OSError as e:
        assert e.errno in (errno.EMFILE, errno.ENFILE), e
        break
for fd in held:
    assert os.write(fd, b"held") == 4 and os.pread(fd, 8, 0) == b"held"
if len(sys.argv) > 2:
    subprocess.check_call([sys.executable] + sys.argv[:1] + sys.argv[2:])
else:
    # Who comes last, and who comes now.
    assert subprocess.check_output(["ls", "-d", "/data/"], timeout=60) == b"/data/\n"
    if os.fork() == 0:
        assert not held or os.pread(held[0], 8, 0) == b"held"
        os._exit(0)
    assert os.wait()[1] == 0
for fd in held:
    os.close(fd)
if held:
    fd = os.open("/data/again-" + sys.argv[1], os.O_RDWR | os.O_CREAT)
    assert os.write(fd, b"again") == 5
PYTHON
for door in lazy off; do
  POLYTROPON_MODE=$door host timeout 300 python3 "$work/hold.py" a b c d || fail "mode $door"
  rm -f dir/*
done
