# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Standard descriptors that are files of ours are shared by whoever inherits them as the kernel's are, in every mode.
standard=$source/tests/integration/programs/standard.sh
mkdir plain
(cd plain && bash "$standard") </dev/null >plain.said 2>&1
[ "$(wc -l <plain.said)" -gt 50 ] || fail "the plain run says little: $(cat plain.said)"
for storage in mem host; do
  for mode in off real lazy strict; do
    rm -rf dir && mkdir dir
    $storage env POLYTROPON_MODE=$mode sh -c "cd /data && bash $standard" </dev/null >said 2>&1
    diff plain.said said >difference || { head -20 difference; fail "$storage, mode $mode"; }
  done
done
