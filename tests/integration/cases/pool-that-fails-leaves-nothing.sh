# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Pools start at the same time; one that fails does not keep the others from starting, says why, and leaves nothing.
mkdir dir/there
cat >pools.yaml <<YAML
pools:
  good: {mounts: {/data: {mem: }}}
  nested: {memory: 64M, mounts: {/data: {host: $work/dir}, /data/there: {mem: }, /data/missing: {mem: }}}
  twice: {mounts: {$work/link: {mem: }, $work/dir: {mem: }}}
YAML
ln -s dir link
expect 125 "$polytropon" up pools.yaml >out 2>err
same 'good: up' cat out
[ "$(wc -l <err)" = 2 ] || fail "not a line for each: $(cat err)"
grep -q "pool 'nested' did not start: .*/data/missing" err && grep -q "pool 'twice' did not start: .*one directory" err || fail "$(cat err)"
same good sh -c '"$0" ps --json | python3 -c "import json, sys; print(*[p[\"pool\"] for p in json.load(sys.stdin)])"' "$polytropon"
[ "$(find /sys/fs/cgroup -path '*polytropon/*' \( -name 'nested*' -o -name 'twice*' \) -type d | wc -l)" = 0 ] || fail 'groups are left'
same in "$polytropon" run good -- sh -c 'echo in >/data/f; cat /data/f'
"$polytropon" down
# The only pool fails: no engine stays.
printf 'pools:\n  twice: {mounts: {%s/link: {mem: }, %s/dir: {mem: }}}\n' "$work" "$work" >pools.yaml
expect 125 "$polytropon" up pools.yaml 2>err
for _ in $(seq 50); do [ -z "$(ls run 2>/dev/null)" ] && break || sleep 0.1; done
[ -z "$(ls run 2>/dev/null)" ] || fail "an engine without pools: $(ls run)"

# A service that does not start, dies at its start, says nonsense, or is not there.
printf 'pools:\n  one: {mounts: {/data: {mem: }}}\n  two: {mounts: {/data: {mem: }}}\n' >pools.yaml
try() { # TEXT SERVICE
  expect 125 env POLYTROPON_SERVICE="$2" "$polytropon" up pools.yaml >out 2>err
  [ "$(wc -l <err)" = 2 ] && [ "$(grep -c "$1" err)" = 2 ] || fail "no '$1' twice: $(cat err)"
  expect 125 env POLYTROPON_SERVICE="$2" "$polytropon" run --mem --at /data -- true 2>err
  grep -q "$1" err || fail "no '$1': $(cat err)"
  [ -z "$(ls run 2>/dev/null)" ] || sleep 0.5
}
service() { printf '#!/bin/bash\n%s\n' "$1" >service; chmod +x service; }
try 'no-such-service' "$work/no-such-service"
service 'exit 3'; try 'status 3' "$work/service"
service 'kill -9 $$'; try 'signal 9' "$work/service"
service 'exec python3 -c "import socket; s = socket.socket(fileno=3); s.recv(1 << 17); s.send(b\"nonsense\")"'; try 'did not start' "$work/service"
service 'exec python3 -c "import socket; s = socket.socket(fileno=3); s.recv(1 << 17); s.send(b\"{\\\"ok\\\":false,\\\"error\\\":\\\"out of luck\\\"}\")"'
try 'out of luck' "$work/service"
: >service; try 'Exec format error' "$work/service"

# At the same time: each of these services waits until three are under way.
service 'touch "$CASE/started.$$"; while [ "$(ls "$CASE" | grep -c "^started\.")" -lt 3 ]; do sleep 0.05; done; exec "$REAL" "$@"'
printf 'pools:\n  a: {mounts: {/data: {mem: }}}\n  b: {mounts: {/data: {mem: }}}\n  c: {mounts: {/data: {mem: }}}\n' >pools.yaml
CASE=$work REAL=$build/service/polytropon-service POLYTROPON_SERVICE=$work/service timeout 30 "$polytropon" up pools.yaml >out || fail 'pools wait for each other'
same "$(printf 'a: up\nb: up\nc: up')" sort out
"$polytropon" down
