# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# What a process remembers of files is never out of date, through whichever door they change: in memory, and on a host
# directory that nobody else changes.
claim=$build/tests/integration/preload/claims-remembered
run=$source/tests/integration/preload/in-a-directory.sh
for mode in lazy strict real; do
  POLYTROPON_MODE=$mode mem "$run" -C /data "$claim"
done
cat >pools.yaml <<EOF
pools:
  own:
    mounts:
      /data: {host: {path: $work/dir, exclusive: true}}
EOF
"$polytropon" up pools.yaml
"$polytropon" run own -- "$run" -C /data "$claim"

# A file that was read and closed, and may be opened again at no cost, takes no space once it is removed.
mem python3 -c '
import os, subprocess, sys, time
def free(): return os.statvfs("/data").f_bfree * os.statvfs("/data").f_frsize
before = free()
with open("/data/big", "wb") as f:
    f.write(b"x" * (8 << 20))
    os.fsync(f.fileno())
if free() > before - (8 << 20): sys.exit("it takes no space")
for _ in range(10):
    fd = os.open("/data/big", os.O_RDONLY); os.read(fd, 100); os.close(fd)
subprocess.run(["rm", "/data/big"], check=True)
for _ in range(100): # what is not written back yet has some seconds
    if free() >= before: sys.exit(0)
    time.sleep(0.1)
sys.exit("removed, and still there")'
