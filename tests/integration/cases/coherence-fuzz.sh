# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Whatever a process does to a file, at whichever door, and by calls, maps or AIO, the next operation of everybody sees
# it; with a cache much smaller than the files, and processes that are killed. COHERENCE_SECONDS and _SEED may be set.
seconds=${COHERENCE_SECONDS:-30}
seed=${COHERENCE_SEED:-$RANDOM}
cat >pools.yaml <<YAML
pools:
  small:
    cache: {size: 3M}
    mounts:
      /data: {mem: {}}
  passes:
    fuse: {passthrough: always}
    mounts:
      /data: {mem: {}}
  large:
    mounts:
      /data: {host: $work/dir}
YAML
"$polytropon" up pools.yaml
for pool in small passes large; do
  for n in 1 2; do
    "$polytropon" run $pool -- "$build/tests/integration/coherence/coherence-fuzz" /data $((seed + n)) "$seconds" ||
      fail "pool $pool, seed $((seed + n))"
  done
done
# what was left is what the storage has
"$polytropon" run large -- sh -c 'cd /data && md5sum file*' >seen
"$polytropon" down large
(cd dir && md5sum file*) | diff seen -
