#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One program runs in a pool while the cluster below has one trouble after the other. It must neither hang nor be restarted,
# see ETIMEDOUT or EIO at worst, and find every line that an fsync acknowledged. For with-cluster.sh, with a bluestore.
set -eu -o pipefail
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-faults.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run"
limit=20 # s, for what should take a few
trap 'status=$?; set +e; "$dev" cont osd "$ceph_dir" 2>/dev/null; "$dev" cont mds "$ceph_dir" 2>/dev/null; "$dev" cont mon "$ceph_dir" 2>/dev/null
  "$polytropon" down >/dev/null 2>&1; [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT

say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; tail -n 20 "$work/report" >&2; exit 1; }
pool() { # NAME KEYRING EXTRA...
  cat <<POOL
pools:
  $1:
    mounts:
      /data: {ceph: {monitors: "$ceph_monitors", name: $3, keyring: $2, path: $ceph_path, timeout: 4s, exclusive: ${4:-true}}}
POOL
}
# shellcheck source=tests/ceph/outage.sh
. "$source/tests/ceph/outage.sh"
failures() { grep -c "^failed $1" "$work/report" || true; }
forget_failures() { failures_before=$(failures ETIMEDOUT); }
has_timed_out() { [ "$(failures ETIMEDOUT)" -gt "$failures_before" ]; }

# ---- what is wrong at the start ---------------------------------------------------------------------------------------
say "a wrong key"
sed 's/key = .*/key = AQAAAAAAAAAAABAAdGhpc2lzbm90YWtleWF0YWxs/' "$ceph_keyring" >"$work/wrong"
pool wrong "$work/wrong" client.alice >"$work/wrong.yaml"
! timeout $limit "$polytropon" up "$work/wrong.yaml" 2>"$work/said" || fail "a wrong key is good enough"
cat "$work/said"
grep -q "ceph: " "$work/said" || fail "no word of the key: $(cat "$work/said")"

say "a client that there is not"
sed 's/client.alice/client.nobody/' "$ceph_keyring" >"$work/nobody"
pool nobody "$work/nobody" client.nobody >"$work/nobody.yaml"
! timeout $limit "$polytropon" up "$work/nobody.yaml" 2>"$work/said" || fail "a client that is not known is let in"
cat "$work/said"

say "no monitor"
"$dev" stop mon "$ceph_dir"
pool late "$ceph_keyring" client.alice >"$work/late.yaml"
! timeout $limit "$polytropon" up "$work/late.yaml" 2>"$work/said" || fail "it is up without a monitor"
cat "$work/said"
grep -q "no answer from the cluster" "$work/said" || fail "no word of the cluster: $(cat "$work/said")"
"$dev" cont mon "$ceph_dir"

# ---- what goes wrong later --------------------------------------------------------------------------------------------
for exclusive in true false; do
  say "a program starts, exclusive: $exclusive"
  pool alice "$ceph_keyring" client.alice $exclusive >"$work/pool.yaml"
  "$polytropon" up "$work/pool.yaml"
  rm -f "$work"/report*
  "$polytropon" run alice -- python3 "$source/tests/ceph/worker.py" /data "$work/report" &
  worker=$!
  wait_for "the first line" test -s "$work/report"
  goes_on "before any trouble"

  say "the MDS is killed and started"
  "$dev" kill mds "$ceph_dir"
  "$dev" up "$ceph_dir" >/dev/null
  goes_on "after the MDS"

  say "the MDS is stopped for longer than the pool waits"
  forget_failures
  "$dev" stop mds "$ceph_dir"
  wait_for "a timeout" has_timed_out
  "$dev" cont mds "$ceph_dir"
  goes_on "after the MDS was stopped"

  say "the OSD is killed and started"
  "$dev" kill osd "$ceph_dir"
  "$dev" up "$ceph_dir" >/dev/null
  goes_on "after the OSD"

  say "the OSD is stopped for longer than the pool waits"
  forget_failures
  "$dev" stop osd "$ceph_dir"
  wait_for "a timeout" has_timed_out
  "$dev" cont osd "$ceph_dir"
  goes_on "after the OSD was stopped"

  say "all of it is away, as if the network were cut"
  for d in mon osd mds; do "$dev" stop $d "$ceph_dir"; done
  forget_failures
  wait_for "a timeout" has_timed_out
  for d in mds osd mon; do "$dev" cont $d "$ceph_dir"; done
  goes_on "after the network"

  say "the client is thrown out"
  "$dev" evict "$ceph_dir" alice
  goes_on "after the eviction"

  say "it is full"
  full_before=$(failures ENOSPC)
  "$dev" full "$ceph_dir"
  # shellcheck disable=SC2317
  is_full() { [ "$(failures ENOSPC)" -gt "$full_before" ]; }
  wait_for "ENOSPC" is_full
  "$dev" roomy "$ceph_dir"
  goes_on "after there was room again"

  say "the end"
  touch "$work/report.stop"
  wait "$worker" || fail "the program ended with status $?"
  tail -n 1 "$work/report"
  grep -E '^failed' "$work/report" | sort | uniq -c | sort -rn | head -n 8
  ! grep '^failed' "$work/report" | grep -vE ' (ETIMEDOUT|EIO|ENOSPC|EEXIST|ENOENT) ' || fail "an error that nobody expects"
  "$polytropon" run alice -- cat /data/log | tr -d '\0' >"$work/log" # a write that failed may leave a hole
  sed -n 's/^acked /line /p' "$work/report" | sort >"$work/wanted"
  [ -z "$(comm -23 "$work/wanted" <(sort -u "$work/log"))" ] ||
    fail "lines that were acknowledged are lost: $(comm -23 "$work/wanted" <(sort -u "$work/log") | wc -l)"
  echo "$(wc -l <"$work/wanted") lines were acknowledged, and are there"
  "$polytropon" run alice -- rm -f /data/log /data/made /data/moved
  timeout $limit "$polytropon" down
done
