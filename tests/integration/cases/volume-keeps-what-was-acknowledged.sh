# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# kill -9 of the service under load: every fsync that was acknowledged is there, and fsck finds nothing wrong.
cat >pools.yaml <<YAML
pools:
  loaded:
    mounts: {/data: {volume: {image: $work/disk.img, size: 256M}}}
YAML
cat >writer.py <<'PY'
import os, sys
who = int(sys.argv[1])
n = 0
log = open(sys.argv[2], "w")
while True:
    n += 1
    name = "/data/%d-%d" % (who, n % 50)
    text = ("%d %d\n" % (who, n)) * (1 + n * 37 % 400)
    try:
        with open(name + ".new", "w") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.rename(name + ".new", name)
        d = os.open("/data", os.O_RDONLY)
        os.fsync(d)
        os.close(d)
    except OSError:
        break
    log.write("%s %d\n" % (name, n))
    log.flush()
PY
for round in 1 2 3; do
  "$polytropon" up pools.yaml
  for who in 1 2 3; do
    "$polytropon" run loaded -- python3 "$work/writer.py" "$who" "$work/log.$who" &
  done
  for who in 1 2 3; do
    until [ "$(wc -l 2>/dev/null <"log.$who")" -gt 30 ]; do sleep 0.1; done
  done
  # The engine first, so that nobody starts another service, then the service: as if the machine had stopped.
  service=$("$polytropon" ps | awk '$1 == "loaded" { print $3 }')
  kill -9 "$service"
  sleep 0.2
  "$polytropon" down
  wait
  status=0
  "$polytropon" fsck -n disk.img >out 2>&1 || status=$?
  [ $status = 0 ] || fail "round $round: fsck: $(cat out)"
  "$polytropon" run --image disk.img --at /data -- python3 - "$work"/log.* <<'PY' || fail "round $round"
import sys
last = {}
for path in sys.argv[1:]:
    for line in open(path):
        name, n = line.split()
        last[name] = int(n)
assert len(last) > 20, len(last)
for name, n in last.items():
    lines = open(name).read().split("\n")
    found = int(lines[0].split()[1])
    assert found >= n, (name, n, found)
    assert set(lines[:-1]) == {lines[0]} and len(lines) - 1 == 1 + found * 37 % 400, name
PY
  rm -f log.*
done
