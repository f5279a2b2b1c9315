#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A volume on a block image of a cluster: made, checked, in use once at a time, there again after its service was killed, and with a
# bounded wait where the cluster is away. For with-cluster.sh.
set -eu -o pipefail
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-rbd.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run"
trap 'status=$?; set +e; "$polytropon" down >/dev/null 2>&1; [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT
# shellcheck source=tests/common.sh
. "$source/tests/common.sh"
run() { "$polytropon" run alice -- "$@"; }

"$dev" image alice disk 256M "$ceph_dir" >/dev/null
area() { # [OPTION]
  echo '{"rbd": {"monitors": "'"$ceph_monitors"'", "name": "client.alice", "keyring": "'"$ceph_keyring"'", "image": "rbd/alice/'"${1:-disk}"'", "timeout": "5s"}}'
}
cat >"$work/pool.yaml" <<POOL
pools:
  alice:
    mounts:
      /data: {volume: $(area)}
POOL

echo "== an image that holds no volume is not taken, and not made one"
! "$polytropon" up "$work/pool.yaml" 2>"$work/said" || fail "a pool is up on nothing"
cat "$work/said"
echo "== mkfs, fsck"
"$polytropon" mkfs "$(area)"
"$polytropon" fsck -n "$(area)"
! "$polytropon" mkfs "$(area)" 2>"$work/said" || fail "mkfs overwrites a volume"
grep -q -- --force "$work/said" || fail "no word of --force: $(cat "$work/said")"
! "$polytropon" fsck -n "$(area none)" 2>"$work/said" || fail "an image that is not there is checked"
grep -q "rbd/alice/none" "$work/said" || fail "no name: $(cat "$work/said")"

echo "== a pool on it"
"$polytropon" up "$work/pool.yaml"
run sh -c 'cp -r /etc/ssl /usr/include/linux /data/ && sync'
run diff -r /usr/include/linux /data/linux
shows "rbd/alice/disk" "$polytropon" dump alice || fail "dump does not name the image"

echo "== nobody else has it meanwhile"
! "$polytropon" fsck -n "$(area)" 2>"$work/said" || fail "a volume in use is checked"
grep -q "in use" "$work/said" || fail "not said to be in use: $(cat "$work/said")"

echo "== its service is killed"
run sh -c 'echo kept >/data/kept && sync'
kill -9 "$(pgrep -f "^polytropon-service --boot alice" -n)"
[ "$(run cat /data/kept)" = kept ] || fail "what was synced is gone"
"$polytropon" down
"$polytropon" fsck -n "$(area)"

echo "== it grows"
/usr/bin/python3 - "$ceph_dir/ceph.conf" <<'PY'
import rados, rbd, sys
with rados.Rados(conffile=sys.argv[1], name="client.admin") as cluster, cluster.open_ioctx("rbd") as io:
    io.set_namespace("alice")
    with rbd.Image(io, "disk") as image:
        image.create_snap("before")
        image.resize(512 << 20)
PY
"$polytropon" up "$work/pool.yaml"
"$polytropon" down

echo "== no answer from the cluster"
"$dev" stop mon "$ceph_dir"
! timeout 30 "$polytropon" up "$work/pool.yaml" 2>"$work/said" || fail "it is up without a monitor"
"$dev" cont mon "$ceph_dir"
cat "$work/said"
grep -q "no answer" "$work/said" || fail "no word of the cluster"
