# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What was appended is there once, whole and in order, although its writers, at both doors, are stopped and killed, and
# others read and cut the file meanwhile.
seconds=${COHERENCE_SECONDS:-20}
seed=${COHERENCE_SEED:-$RANDOM}
cat >pools.yaml <<YAML
pools:
  append:
    cache: {size: 3M}
    mounts:
      /data: {mem: {}}
YAML
"$polytropon" up pools.yaml
for how in '' cut; do
  "$polytropon" run append -- "$build/tests/integration/coherence/coherence-append" /data "$seed" "$seconds" $how ||
    fail "seed $seed $how"
done
