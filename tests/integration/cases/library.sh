# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A program that links the library reads a pool's files without a system call on them, with and without preload.
printf '1\n2\n3\n' >dir/three
: >dir/none
mkdir dir/directory
for mode in off lazy; do
  same '        3 three' bash -c "POLYTROPON_MODE=$mode '$polytropon' run --host '$work/dir' --at /data -- '$build/examples/count-lines' /data | grep three"
done
expect 1 "$build/examples/count-lines" "$work/dir" # in no pool
