# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A service keeps no descriptor for what is not open: more files than it may have descriptors are listed, written and removed.
ulimit -n 512
cat >many.py <<'PYTHON'
import os

def write(path, text):
    with open(path, "w") as f:
        f.write(text)

os.mkdir("/data/d")
for n in range(2000):
    write("/data/d/f%d" % n, str(n))
assert len(os.listdir("/data/d")) == 2000
assert sum(e.stat().st_size for e in os.scandir("/data/d")) == sum(len(str(n)) for n in range(2000))
for n in range(2000):
    write("/data/f", str(n))
    os.rename("/data/f", "/data/g")
    os.remove("/data/g")
assert open("/data/d/f1999").read() == "1999"
for n in range(2000):
    os.remove("/data/d/f%d" % n)
os.rmdir("/data/d")
PYTHON
for door in lazy off; do
  POLYTROPON_MODE=$door host python3 "$work/many.py" || fail "mode $door"
done
