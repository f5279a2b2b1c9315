# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# kill -9 of a service: its programs get an error or go on within 5 s, never hang; the engine restarts it; new opens work.
cat >pools.yaml <<YAML
pools:
  killed:
    mounts:
      /data: {host: $work/dir}
YAML
"$polytropon" up pools.yaml
for door in preload fuse; do
  mode=lazy
  [ $door = fuse ] && mode=off
  "$polytropon" run killed -- env POLYTROPON_MODE=$mode python3 -c '
import os, sys, time
f = open("/data/log", "w+")
worst, end = 0, time.time() + 6
print("ready", flush=True)
while time.time() < end:
    start = time.time()
    try:
        os.pwrite(f.fileno(), b"x" * 100, 0)
        os.stat("/data/log")
    except OSError:
        try:
            f = open("/data/log", "w+")
        except OSError:
            time.sleep(0.05)
    worst = max(worst, time.time() - start)
print("worst", worst)
assert worst < 5, worst
os.pwrite(f.fileno(), b"end", 0)
' >"out.$door" &
  reader=$!
  while ! grep -q ready "out.$door"; do sleep 0.1; done
  sleep 1
  service=$("$polytropon" ps | awk '$1 == "killed" { print $3 }')
  kill -9 "$service"
  wait $reader || fail "the program at the $door door did not survive"
  same end head -c 3 dir/log
done
same new "$polytropon" run killed -- sh -c 'echo new > /data/new; cat /data/new'
same new "$polytropon" run killed -- busybox cat /data/new
[ "$("$polytropon" ps | awk '$1 == "killed" { print $5 }')" = 2 ] || fail "two restarts: $("$polytropon" ps)"
