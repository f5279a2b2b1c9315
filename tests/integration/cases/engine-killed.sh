# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# kill -9 of the engine: its pools end, nothing stays mounted.
cat >pools.yaml <<YAML
pools:
  orphan: {mounts: {/data: {mem: {}}}}
YAML
"$polytropon" up pools.yaml
"$polytropon" run orphan -- sleep 1000 &
program=$!
sleep 0.5
service=$("$polytropon" ps | awk '$1 == "orphan" { print $3 }')
engine=$(awk '/^PPid:/ { print $2 }' "/proc/$service/status")
kill -9 "$engine"
for _ in $(seq 50); do
  [ -d "/proc/$service" ] && ! grep -q '^State:.Z' "/proc/$service/status" || break
  sleep 0.1
done
status=0
wait $program || status=$?
[ $status != 0 ] || fail "the program outlived its pool"
