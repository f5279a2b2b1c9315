# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# up, ps, run, exec, set, stats, dump and down of running pools, as a stranger tries them; JSON is JSON.
wrong() { # STATUS TEXT COMMAND...
  local wanted=$1 text=$2 status=0
  shift 2
  "$@" >out 2>err || status=$?
  [ $status = "$wanted" ] || fail "status $status, '$(cat err)': $*"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err): $*"
  grep -qF -- "$text" err || fail "no '$text' in '$(cat err)': $*"
}
json() { python3 -c "import json, sys; d = json.loads(sys.stdin.buffer.read()); assert $1, d"; }

"$polytropon" ps --json | json 'd == []'
wrong 125 'no pools run' "$polytropon" dump
"$polytropon" down

cat >pools.yaml <<YAML
pools:
  alice:
    cpus: "0"
    cpu_weight: 50
    memory: 256M
    cache: {flush_interval: 500ms}
    mounts:
      /data: {host: $work/dir}
      /data/slow: {delay: {read: 1ms, below: {mem: {size: 8M}}}}
      "/with space": {mem: {}}
  bob-2_x:
    user: true
    network: true
    mounts: {/data: {mem: }}
YAML
mkdir dir/slow
"$polytropon" up pools.yaml >out 2>err
same "$(printf 'alice: up\nbob-2_x: up')" sort out
[ ! -s err ] || fail "warnings: $(cat err)"

# Again, and beside: nothing changes.
wrong 2 "pools.yaml:2: pool 'alice' runs already" "$polytropon" up pools.yaml
printf 'pools:\n  carol: {mounts: {/data: {mem: }}}\n  alice: {mounts: {/data: {mem: }}}\n' >more.yaml
wrong 2 "more.yaml:3: pool 'alice' runs already" "$polytropon" up more.yaml
same 2 sh -c '"$0" ps --json | python3 -c "import json, sys; print(len(json.load(sys.stdin)))"' "$polytropon"
printf 'pools:\n  carol: {mounts: {/data: {mem: }}}\n' >more.yaml
same 'carol: up' "$polytropon" up more.yaml
"$polytropon" down carol
wrong 125 "no pool 'carol' runs" "$polytropon" down carol
wrong 125 "no pool 'alcie' runs; did you mean 'alice'?" "$polytropon" run alcie -- true

# ps.
: >ready
"$polytropon" run alice -- sh -c 'printf "\377\303" >/dev/null; echo ready; exec sleep 1000' "$(printf 'odd \377 \303 \033 "\n')" "$(head -c 300 /dev/zero | tr '\0' x)" >ready &
program=$!
"$polytropon" exec alice -- sleep 1000 &
unlisted=$!
until grep -q ready ready; do sleep 0.05; done
"$polytropon" ps --json | json '[p["pool"] for p in d] == ["alice", "bob-2_x"]'
"$polytropon" ps --json | json 'd[0]["state"] == "up" and len(d[0]["containers"]) == 1 and d[0]["containers"][0]["command"].startswith("sh -c printf") and [m["path"] for m in d[0]["mounts"]] == ["/data", "/data/slow", "/with space"]'
"$polytropon" ps --json | json 'all(m["fuse"] for p in d for m in p["mounts"]) and d[0]["mounts"][1]["stack"] == "delay on mem"'
"$polytropon" ps >out
grep -q '^alice  *up ' out && grep -q "$(printf 'sh -c printf')" out || fail "ps: $(cat out)"
! grep -q '[[:cntrl:]]' out || fail 'ps lets a program act on the terminal'
kill $program $unlisted
wait $program $unlisted || true
for _ in $(seq 50); do
  "$polytropon" ps --json | json 'd[0]["containers"] == []' 2>/dev/null && break
  sleep 0.1
done
"$polytropon" ps --json | json 'd[0]["containers"] == []'

# stats.
"$polytropon" run alice -- sh -c 'echo x >/data/f; cat /data/f; busybox cat /data/f' >/dev/null
"$polytropon" stats alice --json | json 'd["pool"] == "alice" and d["queues"]["requests"] > 0'
"$polytropon" stats --json alice | json 'd["pool"] == "alice"'
shows '^pool  *alice' "$polytropon" stats alice || fail 'stats as a table'

# dump makes the same pools again, and a dump of those is the same.
"$polytropon" dump >dump.yaml
shows alice "$polytropon" dump bob-2_x && fail 'dump of one pool'
"$polytropon" set alice memory=300M flush.interval=2s delay.read=3ms mounts./data/slow.delay.read=2ms
"$polytropon" dump >changed.yaml
diff dump.yaml changed.yaml >difference && fail 'set changed nothing'
for text in 'memory: 300M' 'interval: 2s' 'read: 2ms'; do
  grep -qF "$text" changed.yaml || fail "no '$text' in $(cat changed.yaml)"
done
"$polytropon" stats alice --json | json '"2s" in str(d["settings"]) or 2000000000 in d["settings"].values()'
"$polytropon" down
[ ! -e run/engine.sock ] || fail 'an engine without pools'
"$polytropon" up changed.yaml >/dev/null
same "$(cat changed.yaml)" "$polytropon" dump
same "$(cat changed.yaml)" sh -c '"$0" dump bob-2_x alice >x; "$0" dump alice bob-2_x' "$polytropon"
"$polytropon" down
"$polytropon" dump 2>/dev/null && fail 'dump of nothing'
"$polytropon" up changed.yaml >/dev/null

# set: unknown keys, ranges, keys that do not live, values of the wrong kind; all or nothing.
for bad in "cahce.size=1M|did you mean 'cache.size'?" "cache.sice=1M|did you mean 'cache.size'?" 'nothing=1|unknown key' '=1|unknown key' \
  'cpu_weight=0|less than 1' 'cpu_weight=10001|more than 10000' 'cpu_weight=x|not a number' 'memory=1Q|not a size' 'memory=1|less than' \
  'cpus=0|cannot be changed' 'user=true|cannot be changed' 'network=true|cannot be changed' 'mounts=x|' 'flush=x|' 'cache=|' \
  'flush.dirty_ratio=101|more than 100' 'flush.interval=5|not a time' 'flush.interval=|not a time' 'mem.size=1G|' \
  'mounts./nowhere.delay.read=1ms|' 'mounts./data/slow.delay.raed=1ms|read' 'mounts./data/slow.delay.read=1Q|1Q' \
  'delay.read=-1ms|' 'host.path=/tmp|cannot be changed' 'null.x=1|' "$(head -c 3000 /dev/zero | tr '\0' x)=1|too long" \
  "flush.interval=$(head -c 3000 /dev/zero | tr '\0' 1)s|too long"; do
  wrong 2 "${bad#*|}" "$polytropon" set alice "${bad%%|*}"
  wrong 2 "${bad#*|}" "$polytropon" set alice memory=400M "${bad%%|*}"
done
same "$(cat changed.yaml)" "$polytropon" dump
wrong 125 "no pool 'nobody' runs" "$polytropon" set nobody memory=1G
# A setting through `run --set` too.
mem true
same in "$polytropon" run --mem --at /data --set flush.interval=1s --set memory=64M --memory 128M -- sh -c 'echo in >/data/f; cat /data/f'

# down: the programs end, and then nothing is left of one pool, and of all.
: >ready
"$polytropon" run alice -- sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done' >ready &
program=$!
until grep -q ready ready; do sleep 0.05; done
"$polytropon" down alice
status=0
wait $program || status=$?
[ $status = 137 ] || fail "a program that ignores SIGTERM: status $status"
"$polytropon" ps --json | json '[p["pool"] for p in d] == ["bob-2_x"]'
"$polytropon" down alice bob-2_x 2>/dev/null && fail 'down of a pool that is gone'
"$polytropon" down bob-2_x bob-2_x
[ "$(ls run 2>/dev/null)" = '' ] || fail "left in the engine's directory: $(ls run)"
