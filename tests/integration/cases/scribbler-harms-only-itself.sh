# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Clients that write random bytes over every shared page that they can reach, for a minute (POLYTROPON_QUICK: some
# seconds): the service does not crash, and answers others, at both doors, and right.
seconds=60
[ -z "${POLYTROPON_QUICK:-}" ] || seconds=8
programs=$build/tests/integration/scribble
cat >pools.yaml <<YAML
pools:
  victim: {flush: {interval: 1s}, mounts: {/data: {host: $work/dir}, /mem: {mem: }}}
YAML
"$polytropon" up pools.yaml
service=$("$polytropon" ps | awk '$1 == "victim" { print $3 }')
start() { # MODE COMMAND...
  local mode=$1
  shift
  "$polytropon" run victim -- env "POLYTROPON_MODE=$mode" "$@" &
  pids+=" $!"
}
start off "$programs/scribbler" session $seconds -
start off "$programs/scribbler" session $seconds -
start lazy "$programs/scribbler" maps $seconds /data/scribbled
start lazy "$programs/scribbler" maps $seconds /mem/scribbled
start lazy "$programs/verifier" /data/lazy $seconds
start lazy "$programs/verifier" /mem/lazy $seconds
start off "$programs/verifier" /data/fuse $seconds
for pid in $pids; do wait "$pid" || fail "one of them failed: status $?; $(tail -3 run/engine.log)"; done
same "$service" sh -c '"$0" ps | awk "\$1 == \"victim\" { print \$3 }"' "$polytropon"
"$polytropon" run victim -- "$programs/verifier" /data/after 1
"$polytropon" down
