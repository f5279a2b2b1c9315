#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a test with a Ceph cluster of its own, which is gone afterwards.
#
#   with-cluster.sh BUILD_DIR memstore|bluestore TEST [ARGUMENT...]
#
# TEST finds $ceph_dir (the cluster's directory), $ceph_monitors, and the tenant "alice": $ceph_name, $ceph_keyring, $ceph_path.
# The cluster listens on CEPH_TEST_ADDRESS, if that is set.
# Where CEPH_TEST_DIR names a cluster that runs, that one is used, and left.
set -u
build=$(realpath "$1")
store=$2
shift 2
source=$(realpath "$(dirname "$0")/../..")
dev=$source/scripts/ceph-dev.sh

command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null && command -v ceph-mds >/dev/null ||
  { echo "Ceph is not installed: scripts/install-deps.sh ceph"; exit 77; }

ceph_dir=${CEPH_TEST_DIR:-}
if [ -z "$ceph_dir" ]; then
  ceph_dir=$(mktemp -d /tmp/polytropon-ceph.XXXXXX)
  trap '"$dev" down "$ceph_dir"' EXIT
  rmdir "$ceph_dir"
fi
"$dev" up "$ceph_dir" --store "$store" --address "${CEPH_TEST_ADDRESS:-127.0.0.1}" >/dev/null || exit 1
eval "$("$dev" tenant alice "$ceph_dir" --quota 2G | tr ' ' '\n' | sed 's/^/ceph_/')"
# shellcheck disable=SC2154
export build source dev ceph_dir ceph_monitors ceph_name ceph_keyring ceph_path
export POLYTROPON_LAYERS=$build/libservices
timeout -k 5 "${CEPH_TEST_TIME:-500}" "$@"
status=$?
if [ $status != 0 ]; then
  tail -n 3 "$ceph_dir"/log/*.log >&2
  ulimit -c 0
fi
exit $status
