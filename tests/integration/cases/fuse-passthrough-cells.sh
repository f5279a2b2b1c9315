# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Writers at both doors, of which some pass through the kernel, write neighbouring bytes all at once, while the file is
# flushed and synced: nothing is lost, on the storage neither.
seconds=${COHERENCE_SECONDS:-15}
cat >pools.yaml <<YAML
pools:
  cells:
    fuse: {passthrough: always}
    flush: {interval: 20ms}
    mounts:
      /data: {volume: {image: $work/disk.img, size: 48M}}
YAML
"$build/tests/integration/coherence/coherence-cells" "$work/dir/cells" 1
"$polytropon" up pools.yaml
"$polytropon" run cells -- "$build/tests/integration/coherence/coherence-cells" /data/cells "$seconds"
"$polytropon" down cells
"$polytropon" fsck -n disk.img
"$polytropon" up pools.yaml
"$polytropon" run cells -- "$build/tests/integration/coherence/coherence-cells" /data/cells
