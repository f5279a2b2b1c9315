# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# stress-ng's filesystem class, one second each, with its own verification, through both doors.
for mode in lazy off; do
  host env POLYTROPON_MODE=$mode sh -c 'mkdir /data/s && cd /data/s && exec stress-ng --class filesystem --sequential 1 \
    --exclude binderfs --timeout 1s --temp-path /data/s --verify' >out 2>&1 || { grep -iE "fail|error" out | head -20; tail -5 out; fail "$mode"; }
  rm -rf dir/s
  tail -n 1 out
done
