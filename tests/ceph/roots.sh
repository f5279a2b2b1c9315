#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers whose root is in Ceph: image layers and what containers change in one client of the cluster. For with-cluster.sh.
# shellcheck disable=SC2154
set -eu -o pipefail
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-ceph-roots.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run"
trap 'status=$?; set +e; "$polytropon" down >/dev/null 2>&1; [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT
# shellcheck source=tests/common.sh
. "$source/tests/common.sh"
up() { # EXCLUSIVE
  cat >"$work/pool.yaml" <<POOL
pools:
  c: {roots: {ceph: {monitors: "$ceph_monitors", name: client.alice, keyring: $ceph_keyring, path: $ceph_path, exclusive: $1}}}
POOL
  "$polytropon" up "$work/pool.yaml" >/dev/null
}
root() { local name=$1; shift; "$polytropon" run --root "$name" c -- "$@"; }
layers() { # a small system, and a layer on it that changes it
  "$polytropon" run c -- sh -c '
    cd /run/polytropon-roots && rm -rf layers images &&
    mkdir -p layers/aa/bin layers/aa/etc layers/aa/proc layers/aa/dev layers/aa/tmp layers/bb/etc images/base &&
    cp /bin/busybox layers/aa/bin/ && for p in sh cat echo ls rm seq tail mv; do ln -s busybox layers/aa/bin/$p; done &&
    echo base >layers/aa/etc/name && echo gone >layers/aa/etc/gone && seq 30000 >layers/aa/big &&
    mknod layers/bb/etc/gone c 0 0 && echo top >layers/bb/etc/name && printf "bb\nsha256:aa\n" >images/base/layers && sync'
}

for exclusive in true false; do
  echo "== exclusive: $exclusive"
  up $exclusive
  "$polytropon" clone --rm c one two three 2>/dev/null || true
  layers
  "$polytropon" clone c base one two
  same top root one /bin/cat /etc/name
  ! root one /bin/cat /etc/gone 2>/dev/null || fail "a layer does not cover what is below"
  root one /bin/sh -c 'echo 1 >/etc/own; echo tail >>/big; rm /etc/name; mv /etc/own /etc/mine'
  same "1
tail" root one /bin/sh -c 'cat /etc/mine; tail -n 1 /big'
  same "top
30000" root two /bin/sh -c 'cat /etc/name; tail -n 1 /big'
  ! root one /bin/cat /etc/name 2>/dev/null || fail "what was removed is there"

  "$polytropon" clone c one three
  same "1
tail" root three /bin/sh -c 'cat /etc/mine; tail -n 1 /big'
  root three /bin/sh -c 'echo 3 >/etc/mine'
  same 1 root one /bin/cat /etc/mine
  "$polytropon" down
  up $exclusive
  same "3
1" sh -c "$(declare -f root); polytropon=$polytropon; root three /bin/cat /etc/mine; root one /bin/cat /etc/mine"
  "$polytropon" clone --rm c three
  ! root three /bin/cat /etc/mine 2>/dev/null || fail "a container that was removed is there"
  same 30000 root two /bin/tail -n 1 /big
  "$polytropon" clone --rm c one two
  "$polytropon" down
done
