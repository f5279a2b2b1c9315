#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools on a cluster: both doors, snapshots, quotas, two pools as two hosts on one directory, the death of a service, and programs'
# own suites. For with-cluster.sh.
set -eu -o pipefail
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-ceph-pool.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run"
trap 'status=$?; set +e; "$polytropon" down >/dev/null 2>&1; [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT
# shellcheck source=tests/common.sh
. "$source/tests/common.sh"
mount() { # EXCLUSIVE
  echo "{ceph: {monitors: \"$ceph_monitors\", name: client.alice, keyring: $ceph_keyring, path: $ceph_path, exclusive: $1}}"
}
cat >"$work/pools.yaml" <<POOL
pools:
  one: {mounts: {/data: $(mount false)}}
  two: {mounts: {/data: $(mount false)}}
POOL
one() { "$polytropon" run one -- "$@"; }
two() { "$polytropon" run two -- "$@"; }
"$polytropon" up "$work/pools.yaml"

one sh -c "rm -rf /data/*"
echo "== what one host writes and closes, the other sees"
one sh -c 'echo first >/data/f'
same first two cat /data/f
two sh -c 'echo second >>/data/f'
same "first
second" one cat /data/f
same "first
second" one busybox cat /data/f
for i in $(seq 4); do # the MDS may keep who looks waiting until it has written down what the other did: seconds
  one sh -c "echo $i >/data/f"
  same "$i" two cat /data/f
  two sh -c "echo more >/data/f$i; rm /data/f; echo x$i >/data/g; mv /data/g /data/f"
  same "x$i" one cat /data/f
done
same 5 one sh -c 'ls /data | wc -l'
one sh -c 'rm /data/f*'
same "" two ls /data

echo "== snapshots"
one sh -c 'mkdir /data/d; echo old >/data/d/f; sync; mkdir /data/d/.snap/s; echo new >/data/d/f'
same old one cat /data/d/.snap/s/f
same new two cat /data/d/f
same old two busybox cat /data/d/.snap/s/f
! one sh -c 'echo x >/data/d/.snap/s/f' 2>/dev/null || fail "a snapshot is written to"
[ "$(one stat -c %i /data/d/f)" != "$(one stat -c %i /data/d/.snap/s/f)" ] || fail "a file and its snapshot have one number"
! one rmdir /data/d/.snap/none 2>/dev/null || fail "a snapshot that is not there is removed"
one rmdir /data/d/.snap/s

echo "== quotas and layouts"
same 2147483648 one sh -c 'df -B1 --output=size /data | tail -n 1 | tr -d " "'
one setfattr -n ceph.quota.max_files -v 5 /data/d
same 5 two getfattr --only-values -n ceph.quota.max_files /data/d
! one sh -c 'for i in $(seq 100); do echo >/data/d/q$i || exit 1; sleep 0.05; done' 2>"$work/said" || fail "a quota is nobody's concern"
grep -q "quota" "$work/said" || fail "not for its quota: $(cat "$work/said")"
one setfattr -n ceph.quota.max_files -v 0 /data/d
shows object_size=8388608 one sh -c ': >/data/l; setfattr -n ceph.file.layout.object_size -v 8388608 /data/l; getfattr --only-values -n ceph.file.layout /data/l' ||
  fail "a layout is not set"
one sh -c 'rm -r /data/d /data/l'

echo "== an unknown key is explained"
sed 's/exclusive/exclusiv/' "$work/pools.yaml" >"$work/wrong.yaml"
! "$polytropon" up "$work/wrong.yaml" 2>"$work/said" || fail "any key will do"
grep -q "did you mean 'exclusive'" "$work/said" || fail "$(cat "$work/said")"
sed 's|keyring: [^,]*|keyring: /nowhere|' "$work/pools.yaml" >"$work/wrong.yaml"
! "$polytropon" up "$work/wrong.yaml" 2>"$work/said" || fail "any keyring will do"
grep -q "keyring '/nowhere'" "$work/said" || fail "$(cat "$work/said")"
"$polytropon" set one mounts./data.ceph.timeout=10s mounts./data.ceph.cache_size=8M mounts./data.ceph.dirty_size=0 mounts./data.ceph.readahead=0
"$polytropon" down

echo "== alone on the directory: with the pool's cache, direct access and a killed service"
printf 'pools:\n  one: {mounts: {/data: %s}}\n' "$(mount true)" >"$work/alone.yaml"
"$polytropon" up "$work/alone.yaml"
one sh -c 'cp -r /usr/include/linux /data/ && diff -r /usr/include/linux /data/linux && sync'
# What is under way when the service dies may fail, and what it has not synced is lost; what comes next does neither.
one sh -c 'i=0; end=-1
while [ $i != $end ]; do
  i=$((i + 1)); echo $i >/data/n$i || { sleep 5; echo $i >/data/n$i; } || exit 1
  if [ $end = -1 ] && [ -e "$0" ]; then end=$((i + 100)); fi
done; cat /data/n$i' "$work/killed" >"$work/out" &
program=$!
sleep 0.3
kill -9 "$(pgrep -f "^polytropon-service --boot one" -n)"
touch "$work/killed"
wait $program || fail "the program did not outlive its service"
last=$(cat "$work/out")
[ "$last" -gt 100 ] || fail "the program wrote '$last'"
same "$last" one sh -c 'cat /data/n* | sort -n | tail -n 1'
one sh -c 'rm /data/n*'
one busybox diff -r /usr/include/linux /data/linux
one python3 -m test -q test_posixpath test_shutil test_tempfile test_fileio test_glob --tempdir /data >"$work/python" 2>&1 ||
  { tail -n 30 "$work/python"; fail "Python's suites"; }
tail -n 2 "$work/python"
"$polytropon" down
"$polytropon" up "$work/alone.yaml"
one diff -r /usr/include/linux /data/linux
"$polytropon" down
