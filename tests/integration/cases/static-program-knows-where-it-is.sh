# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2094
# getcwd(2) of a static program never fails while others change names in its directory and around it, by both doors; and
# what they change is seen at once through the kernel.
cat > pools.yaml <<'EOF'
pools:
  box:
    mounts:
      /data: {mem: 64M}
EOF
"$polytropon" up pools.yaml
trap 'touch "$work/dir/stop"; wait; "$polytropon" down' EXIT
run() { "$polytropon" run box -- "$@"; }
stop=$work/dir/stop
cwd=$build/tests/integration/coherence/coherence-cwd
run mkdir -p /data/d/e
run "$cwd" /data/d/e "$stop" > cwd 2>&1 & inside=$!
run busybox sh -c "while [ ! -e $stop ]; do [ -e /data/d/e/no ]; [ -e /data/d/no ]; echo > /data/d/e/mine; done" & walker=$!

cat > change.py <<'EOF'
import os, subprocess
fast = "/data/d/e/f%d"
for i in range(1500):
    name = fast % (i % 7)
    os.close(os.open(name, os.O_CREAT | os.O_RDWR))
    os.utime(name)
    os.chmod("/data/d/e", 0o755 if i % 2 else 0o700)
    os.rename(name, name + "x")
    os.unlink(name + "x")
    os.utime("/data/d")
    os.mkdir("/data/d/g") if i % 2 else i and os.rmdir("/data/d/g")
    if i % 100 == 0:
        # By the kernel: a static program sees each change that was acknowledged.
        os.mkdir("/data/d/e/new")
        assert subprocess.call(["busybox", "test", "-d", "/data/d/e/new"]) == 0, i
        os.rmdir("/data/d/e/new")
        assert subprocess.call(["busybox", "test", "-d", "/data/d/e/new"]) == 1, i
EOF
cp change.py "$work/dir/"
run python3 "$work/dir/change.py"
touch "$stop"
wait $inside || fail "$(cat cwd)"
wait $walker
