# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A file that is cut while a program at the FUSE door looks at it for the first time has its new size for everybody afterwards.
seconds=${COHERENCE_SECONDS:-10}
seed=${COHERENCE_SEED:-$RANDOM}
mem "$build/tests/integration/coherence/coherence-first-look" /data "$seed" "$seconds" || fail "mem, seed $seed"
"$polytropon" run --at /data -- "$build/tests/integration/coherence/coherence-first-look" /data "$seed" "$seconds" ||
  fail "volume, seed $seed"
