# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# An idle pool uses no CPU: service, init and engine together, over 10 s, after some work.
cat >pools.yaml <<YAML
pools:
  idle: {mounts: {/data: {host: $work/dir}}}
YAML
"$polytropon" up pools.yaml
"$polytropon" run idle -- sh -c 'for i in 1 2 3 4 5 6 7 8; do echo $i > /data/f$i; done; ls /data' >/dev/null
service=$("$polytropon" ps | awk '$1 == "idle" { print $3 }')
init=$("$polytropon" ps | awk '$1 == "idle" { print $4 }')
engine=$(awk '/^PPid:/ { print $2 }' "/proc/$service/status")
ticks() { cat "/proc/$service/stat" "/proc/$init/stat" "/proc/$engine/stat" | awk '{ n += $14 + $15 } END { print n }'; }
sleep 2
before=$(ticks)
sleep 10
after=$(ticks)
echo "ticks in 10 s: $((after - before))"
[ $((after - before)) -le 0 ] || fail "an idle pool used $((after - before)) ticks"
