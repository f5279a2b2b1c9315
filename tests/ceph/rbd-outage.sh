#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# The OSD stops under a volume on a block image. For less than the image's timeout: programs wait, and notice nothing. For longer: they
# get an errno in bounded time, the log says one line, all can be killed, what was cached can still be read; and when the OSD is
# back and the pool was started again, every line that an fsync acknowledged is there. For with-cluster.sh.
set -eu -o pipefail
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-rbd-outage.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run"
limit=30 # s, for what ends after the timeout of 4
trap 'status=$?; set +e; "$dev" cont osd "$ceph_dir" 2>/dev/null; "$polytropon" down >/dev/null 2>&1
  [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT
fail() { echo "FAILED: $*" >&2; tail -n 5 "$work"/report "$work/run/engine.log" >&2; exit 1; }
run() { timeout -k 5 $limit "$polytropon" run alice -- "$@"; }
# shellcheck source=tests/ceph/outage.sh
. "$source/tests/ceph/outage.sh"
failures() { grep -c "^failed" "$work/report" || true; }
said() { grep -c "it is read-only from now on" "$work/run/engine.log" || true; }
begin() {
  rm -f "$work/report.stop"
  "$polytropon" run alice -- python3 "$source/tests/ceph/worker.py" /data "$work/report" &
  worker=$!
}

"$dev" image alice disk 256M "$ceph_dir" >/dev/null
area='{"rbd": {"monitors": "'"$ceph_monitors"'", "name": "client.alice", "keyring": "'"$ceph_keyring"'", "image": "rbd/alice/disk", "timeout": "4s"}}'
cat >"$work/pool.yaml" <<POOL
pools:
  alice:
    mounts:
      /data: {volume: $area}
POOL
"$polytropon" mkfs "$area"
"$polytropon" up "$work/pool.yaml"
run sh -c 'echo cached >/data/cached && sync'
touch "$work/report"
begin
goes_on "before any trouble"

echo "== stopped for less than the timeout"
before=$(failures)
"$dev" stop osd "$ceph_dir"
sleep 2
"$dev" cont osd "$ceph_dir"
goes_on "after a moment without the OSD"
[ "$(failures)" = "$before" ] || fail "calls failed, though the OSD was back in time"

echo "== stopped for longer"
"$dev" stop osd "$ceph_dir"
# shellcheck disable=SC2317
has_failed() { [ "$(failures)" -gt "$before" ]; }
wait_for "an errno" has_failed
# shellcheck disable=SC2317
has_said() { [ "$(said)" -gt 0 ]; }
wait_for "a line in the log" has_said
grep "it is read-only from now on" "$work/run/engine.log"
[ "$(said)" = 1 ] || fail "the log says it $(said) times"
[ "$(run cat /data/cached)" = cached ] || fail "what is cached cannot be read"
# shellcheck disable=SC2016
run sh -c 'echo x >/data/new' 2>"$work/said" && fail "a volume without its image takes what is written"
cat "$work/said"
grep -Eq "Read-only file system|Input/output error|timed out" "$work/said" || fail "another errno: $(cat "$work/said")"
! grep '^failed' "$work/report" | grep -vE ' (EIO|EROFS|ETIMEDOUT) ' || fail "an error that nobody expects"
grep '^failed' "$work/report" | sort | uniq -c | sort -rn | head -n 4

echo "== nobody is unkillable meanwhile"
"$polytropon" run alice -- sh -c 'while :; do cat /data/log; echo y >>/data/log; done' >/dev/null 2>&1 &
stuck=$!
sleep 1
kill -9 "$stuck" "$worker"
# shellcheck disable=SC2317
ended() { ! kill -0 "$1" 2>/dev/null; }
wait_for "the end of a program" ended "$stuck"
wait_for "the end of the worker" ended "$worker"
wait "$worker" "$stuck" 2>/dev/null || true
timeout -k 5 60 "$polytropon" down || fail "a pool whose image is away does not end"

echo "== the OSD is back"
"$dev" cont osd "$ceph_dir"
"$polytropon" fsck "$area"
"$polytropon" up "$work/pool.yaml"
run cat /data/log | tr -d '\0' >"$work/log"
sed -n 's/^acked /line /p' "$work/report" | sort >"$work/wanted"
lost=$(comm -23 "$work/wanted" <(sort -u "$work/log") | wc -l)
[ "$lost" = 0 ] || fail "$lost of $(wc -l <"$work/wanted") acknowledged lines are lost"
echo "$(wc -l <"$work/wanted") lines were acknowledged, and are there"
: >"$work/report"
begin
goes_on "after all that"
touch "$work/report.stop"
wait "$worker" || fail "the program ended with status $?"
"$polytropon" down
