# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# What POSIX and Linux promise of files holds in every mode, on a host directory and in memory.
claims=()
for claim in "$source"/tests/integration/preload/*.c; do
  claims+=("$build/tests/integration/preload/claims-$(basename "$claim" .c)")
done
run=$source/tests/integration/preload/in-a-directory.sh
for mode in lazy strict real; do
  POLYTROPON_MODE=$mode host "$run" -C /data "${claims[@]}"
done
POLYTROPON_MODE=strict mem "$run" -C /data "${claims[@]}"
# What the kernel keeps of what it was told.
POLYTROPON_MODE=off mem "$run" -C /data "$build/tests/integration/preload/claims-attributes" \
  "$build/tests/integration/preload/claims-watches"
