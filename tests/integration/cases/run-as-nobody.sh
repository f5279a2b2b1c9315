# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Who is not root gets one sentence and no engine; who may not read a pool's files may not through either door.
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 .
refused() { # COMMAND...: 125, a sentence that says so
  local status=0
  "$@" >out 2>err || status=$?
  [ $status = 125 ] && [ "$(wc -l <err)" = 1 ] && grep -q 'needs root' err || fail "status $status, $(cat err): $*"
}
printf 'pools:\n  alice: {mounts: {/data: {host: %s}}}\n' "$work/dir" >pools.yaml
refused as_nobody "$polytropon" run --mem --at /data -- true
refused as_nobody "$polytropon" run --host "$work/dir" --at /data -- true
for command in 'up pools.yaml' 'ps' 'ps --json' 'run alice -- true' 'exec alice -- true' 'stats alice' 'dump' 'down' \
  'set alice flush.interval=1s'; do
  # shellcheck disable=SC2086
  refused as_nobody "$polytropon" $command
done
[ "$(ls run)" = '' ] || fail "an engine: $(ls run)"

"$polytropon" up pools.yaml
for command in 'ps' 'down' 'run alice -- true'; do
  # shellcheck disable=SC2086
  refused as_nobody "$polytropon" $command
done
[ "$(stat -c %a run)" = 700 ] || fail "the engine's directory is for others: $(stat -c %a run)"
! as_nobody python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("run/engine.sock")' 2>/dev/null || fail "nobody reaches the engine"
# In the pool, as nobody: what the modes say, through both doors.
install -m 600 /dev/null dir/secret
echo secret >dir/secret
install -d -m 1777 dir/tmp
for door in lazy off; do
  "$polytropon" run alice -- env POLYTROPON_MODE=$door setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '
    ! cat /data/secret 2>/dev/null || exit 1
    ! echo x 2>/dev/null >/data/new || exit 2
    ! rm -f /data/secret 2>/dev/null || exit 3
    ! mv /data/tmp /data/tmq 2>/dev/null || exit 4
    echo mine >/data/tmp/mine && [ "$(stat -c "%u %g" /data/tmp/mine)" = "65534 65534" ] || exit 5
    ! chown 0 /data/tmp/mine 2>/dev/null || exit 6
    rm /data/tmp/mine' || fail "mode $door: $?"
done
"$polytropon" down
