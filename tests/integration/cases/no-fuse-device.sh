# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Without /dev/fuse the preload door still works, and the command says what is missing.
unshare -m sh -ec '
  mount --bind /dev/null /dev/fuse
  '"$polytropon"' run --mem --at /data -- sh -c "echo hello > /data/f; cat /data/f" >out 2>err'
same hello cat out
grep -q fuse err || fail "it does not say what is missing: $(cat err)"
