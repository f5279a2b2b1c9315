# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# stats, top, trace and metrics say what programs did: through which door, without a message, why materialised, what was slow.
json() { python3 -c "import json, sys; d = json.loads(sys.stdin.buffer.read()); assert $1, d"; }

mkdir slow
for i in 1 2 3 4; do echo slow >"slow/f$i"; done
cat >pools.yaml <<YAML
pools:
  alice:
    io: {iops: 1000000}
    mounts:
      /data: {mem: {}}
      /slow: {delay: {read: 30ms, below: {host: $work/slow}}}
  bob:
    mounts:
      /data: {mem: {}}
      /slow: {delay: {read: 30ms, below: {host: $work/slow}}}
YAML
"$polytropon" up pools.yaml

# A program that reads 5000 times, and waits for us.
mkfifo go
cat >reads.py <<'PY'
import os, sys
fd = os.open("/data/f", os.O_RDWR | os.O_CREAT)
os.write(fd, b"x" * 100000)
for i in range(5000):
    os.pread(fd, 4096, i % 20 * 4096)
    os.stat("/data/f")
os.dup2(fd, 2)
open(sys.argv[1] + "/ready", "w").close()
open(sys.argv[1] + "/go").read()
PY
"$polytropon" run alice -- python3 "$work/reads.py" "$work" &
program=$!
until [ -e ready ]; do sleep 0.05; done

"$polytropon" stats alice --json | json 'd["spared"]["direct_reads"] + d["spared"]["kept"] > 4000 and d["spared"]["lease_hits"] > 4900'
"$polytropon" stats alice --json | json 'd["doors"]["preload"]["requests"] < 500'
"$polytropon" stats alice --json | json 'all(o["p50_ns"] <= o["p99_ns"] <= o["p999_ns"] and o["count"] > 0 for door in d["doors"].values() for o in door["ops"].values())'
"$polytropon" stats alice --json | json 'any("python3" in name and c["direct_reads"] > 4000 for name, c in d["containers"].items())'
"$polytropon" stats alice --processes --json | json 'len(d) == 1 and d[0]["name"] == "python3" and d[0]["served"]["pread64"] == 5000 and d[0]["counts"]["real_standard"] == 1 and d[0]["kernel"]["openat"] > 0'
"$polytropon" stats alice --processes >out
grep -q 'materialised for: *standard 1' out || fail 'no reason in the report'
"$polytropon" stats bob --processes --json | json 'd == []'

# What each operation of a container takes, and in which stage.
"$polytropon" stats alice --json | json 'any("python3" in name and c["doors"]["preload"]["ops"]["open"]["p50_ns"] <= c["doors"]["preload"]["ops"]["open"]["p99_ns"] for name, c in d["containers"].items())'
"$polytropon" stats alice --json | json '0 < d["histograms"]["used"] < d["histograms"]["limit"] and d["histograms"]["missed"] == 0'
"$polytropon" stats alice --container python3 --json | json 'len(d) == 1 and list(d)[0].endswith(" python3") and list(d.values())[0]["doors"]["preload"]["ops"]["open"]["count"] > 0'
"$polytropon" stats alice --container python3 >out
grep -q '^CONTAINER [0-9]* python3$' out || fail "$(cat out)"
grep -q '^preload  *open  *[0-9]* ' out || fail "no operation of the container: $(cat out)"
expect 125 "$polytropon" stats alice --container python4 2>err
grep -q "has no container 'python4'" err || fail "$(cat err)"
expect 2 "$polytropon" stats alice --container python3 --slow 2>err

# Of a process that has ended the pool keeps the counts.
echo >go
wait $program
"$polytropon" stats alice --json | json 'd["spared"]["lease_hits"] > 4900 and d["sessions"] == 0'

# What is slow says where: the device, here a delay. The other pool was idle.
"$polytropon" run alice -- cat /slow/f1 /slow/f2 >/dev/null
"$polytropon" stats alice --slow --json | json 'len(d) >= 2 and d[0]["lost_in"] == "device" and d[0]["ns"] >= 30000000 and d[0]["op"] in ("read", "open") and "neighbour" not in d[0]'
"$polytropon" stats alice --slow >out
grep -q device out || fail 'slow operations as a table'
"$polytropon" stats alice --slow --json | json 'any(o.get("path", "").endswith("f2") and o["container"] > 0 for o in d)'
"$polytropon" stats bob --slow --json | json 'd == []'

# Two at once on one device: each is the other's neighbour.
for pool in alice bob; do "$polytropon" run $pool -- sh -c 'for i in 1 2 3 4; do cat /slow/f3 /slow/f4; done' >/dev/null & done
wait %+ %-
"$polytropon" stats alice --slow --json | json 'any(o.get("neighbour") == "bob" and o["shared"] == "device" for o in d)'
"$polytropon" stats bob --slow >out
grep -q 'alice, on the same device' out || fail 'no neighbour in the table'

# A trace sees what comes, and only what it was asked for.
"$polytropon" trace alice --json --op getattr --errors --path missing --count 2 >trace &
tracer=$!
sleep 0.5
"$polytropon" run alice -- sh -c 'for i in 1 2; do python3 -c "import os; os.listdir(\"/data\"); os.path.exists(\"/data/missing$1\")" $i; python3 -c "
import os, sys
os.path.exists(\"/data/missing\" + sys.argv[1])" $i; done' sh
wait $tracer
python3 -c 'import json; d = [json.loads(l) for l in open("trace")]; assert len(d) == 2 and all(e["op"] == "getattr" and e["result"] == -2 and e["path"].startswith("missing") and e["door"] == "preload" for e in d), d'

# By way of the kernel, too; there a name is one in its directory.
"$polytropon" trace alice --json --door fuse --path unheard --count 1 >trace &
tracer=$!
sleep 0.5
"$polytropon" run alice -- busybox sh -c '[ ! -e /data/unheard ]'
wait $tracer
json 'd["door"] == "fuse" and d["op"] == "lookup" and d["result"] == -2 and d["path"] == "unheard"' <trace

# For tools of the host's there is a probe.
readelf -n "$build/service/polytropon-service" >notes
shows 'Name: operation' grep -A1 'Provider: polytropon' notes || fail "no probe: $(cat notes)"

# What comes by way of the kernel belongs to its container, too.
"$polytropon" run alice -- busybox sh -c 'cd /data; for i in $(busybox seq 50); do echo $i >static$i; done; >$0/done; read -r line <$0/go' "$work" &
program=$!
until [ -e done ]; do sleep 0.05; done
"$polytropon" stats alice --json | json 'any("busybox" in name and c["requests"] >= 100 for name, c in d["containers"].items())'

# top, without a terminal, in 80 columns.
"$polytropon" top --once --sort p99 >top
grep -q '^alice  *up  *[0-9]*% ' top || fail "top: $(cat top)"
grep -q '^  [0-9]* busybox  *[0-9]' top || fail "no container of the kernel's door: $(cat top)"
"$polytropon" top --once --containers >top2
grep -q '^alice/[0-9]* busybox  *fuse  *lookup  *[0-9]' top2 || fail "no operations of the container: $(cat top2)"
[ "$(wc -L <top2)" -le 80 ] || fail "top is wider than 80 columns: $(cat top2)"
echo >go
wait $program
[ "$(wc -L <top)" -le 80 ] || fail "top is wider than 80 columns: $(cat top)"
expect 2 "$polytropon" top </dev/null 2>err
expect 2 "$polytropon" top --once --sort p98 2>err
grep -q "did you mean 'p99'" err || fail "$(cat err)"

# OpenMetrics: printed, on a socket, on the loopback and nowhere else.
"$polytropon" metrics >metrics
[ "$(tail -1 metrics)" = '# EOF' ] || fail 'metrics do not end'
# (The parser is Debian's.)
/usr/bin/python3 - metrics <<'PY'
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1]).read())}
assert families["polytropon_io_limit"].samples[0].value == 1000000, families["polytropon_io_limit"]
assert families["polytropon_latency_seconds"].type == "histogram" and "polytropon_cache_dirty_bytes" in families, families
for family in families.values():
    seen = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
    assert len(seen) == len(set(seen)) > 0, family.name
    assert all(s.labels.get("pool") in ("alice", "bob") for s in family.samples), family.name
assert any("busybox" in s.labels["container"] and s.value >= 100 for s in families["polytropon_container_operations"].samples)
latencies = families["polytropon_container_latency_seconds"]
assert latencies.type == "histogram" and any("busybox" in s.labels["container"] and s.labels["op"] == "lookup" and s.value >= 50 for s in latencies.samples)
assert not any(s.labels["container"].endswith(" +") for s in latencies.samples)
PY
# The dashboard asks for nothing that there is not.
python3 - metrics "$source/docs/grafana.json" <<'PY'
import json, re, sys
text = open(sys.argv[1]).read()
names = {n for p in json.load(open(sys.argv[2]))["panels"] for t in p["targets"] for n in re.findall(r"polytropon_\w+", t["expr"])}
assert len(names) >= 10
for name in names:
    family = re.sub("_(total|count|bucket)$", "", name)
    assert "# TYPE %s " % family in text, name
PY
"$polytropon" metrics --socket "$work/metrics.sock" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until [ -S metrics.sock ]; do sleep 0.05; done
[ "$(stat -c %a metrics.sock)" = 600 ] || fail 'the socket is not root'"'"'s alone'
curl -sS --unix-socket metrics.sock http://localhost/metrics >out
grep -q 'polytropon_up{pool="bob"} 1' out || fail 'no answer on the socket'
same 404 curl -s -o /dev/null -w '%{http_code}' --unix-socket metrics.sock http://localhost/etc/passwd
python3 -c 'import socket
s = socket.socket(socket.AF_UNIX)
s.connect("metrics.sock")
try:
    s.sendall(b"\0" * 100000)
except OSError:
    pass'
curl -sS --unix-socket metrics.sock http://localhost/metrics >out
grep -q '# EOF' out || fail 'it did not survive nonsense'
kill $server
wait $server
[ ! -e metrics.sock ] || fail 'the socket stays'
for address in 0.0.0.0:9464 10.0.0.1:9464 127.0.0.1 127.0.0.1:0 127.0.0.1:99999 :9464 '[::]:9464'; do
  expect 2 "$polytropon" metrics --listen "$address" 2>err
done

# The figures need no service: one that hangs is read all the same.
service=$("$polytropon" ps --json | python3 -c 'import json, sys; print([p["service"] for p in json.load(sys.stdin) if p["pool"] == "alice"][0])')
kill -STOP "$service"
"$polytropon" stats alice --slow --json | json 'len(d) >= 2'
"$polytropon" stats alice --json | json '"has not answered" in d["note"] and d["doors"]["preload"]["requests"] > 0'
"$polytropon" stats alice --json | json 'any("busybox" in name and c["doors"]["fuse"]["ops"]["lookup"]["count"] >= 50 for name, c in d["containers"].items())'
"$polytropon" top --once >top
grep -q '^alice ' top || fail 'top waits for a service that hangs'
kill -CONT "$service"

# And they outlive it.
before=$("$polytropon" stats alice --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doors"]["preload"]["requests"])')
kill -KILL "$service"
for _ in $(seq 100); do
  after=$("$polytropon" stats alice --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doors"]["preload"]["requests"])')
  [ "$after" -lt "$before" ] || break
done
[ "$after" -ge "$before" ] || fail "before the service died $before requests, then $after"

# A trace ends with its pool, and says so.
"$polytropon" trace bob --path nothing >trace 2>err &
tracer=$!
until grep -q '^TIME ' trace; do sleep 0.05; done
"$polytropon" down bob
status=0
wait $tracer || status=$?
[ "$status" = 125 ] || fail "a trace of a pool that ended: status $status"
grep -q "no pool 'bob'" err || fail "$(cat err)"
