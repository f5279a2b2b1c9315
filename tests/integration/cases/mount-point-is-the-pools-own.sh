# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A mount point that the host lacks is made for the pool's view and is gone afterwards; what is there is covered, not changed.
before() { find "$work/there" /mnt /srv -maxdepth 1 -type d -printf '%p %i %m %T@\n'; }
mkdir -p "there/with space/deep" 'there/ümlaut' there/empty
echo host >there/file
echo host >there/empty/file
ln -s there/empty link
run() { "$polytropon" run "$@"; }
wrong() { # TEXT ARGUMENT...
  local text=$1 status=0
  shift
  run "$@" >out 2>err || status=$?
  [ $status = 2 ] || fail "status $status, '$(cat err)': $*"
  grep -qF -- "$text" err || fail "no '$text' in '$(cat err)': $*"
}

before >before
here=$work/there
# One that exists, one that does not, below another that does not, with spaces, with dots and slashes.
for at in "$here/empty" "$here/new" "$here/new/and/deeper" "$here/with space/deep" "$here/with space/new one" "$here/ümlaut" \
  "$here/$(printf 'line\nbreak')" "$here/a'b\"c\$d*" "$here//./empty/." /no-such-on-the-host /mnt /srv/a "$work-not"/x; do
  same "$(printf 'in\n')" run --mem --at "$at" -- sh -c 'echo in >"$1/f"; cat "$1/f"; busybox cat "$1/f" >&2' sh "$at" 2>err
  same in cat err
done
# What was beside it is still there, and the host's files are the host's.
same 'host' run --mem --at "$here/new" -- cat "$here/file"
run --mem --at "$here/new" -- sh -c "echo changed >>'$here/file'"
same "$(printf 'host\nchanged')" cat there/file
echo host >there/file
run --mem --at "$here/empty" -- sh -c "[ ! -e '$here/empty/file' ] && echo pool >'$here/empty/file'"
same host cat there/empty/file
# Through a symbolic link it is the directory that the link names.
same in run --mem --at "$work/link" -- sh -c "echo in >'$here/empty/f'; cat '$work/link/f'"
# Several, and one in another: it is a directory of that one.
mkdir dir/inner
same 'mem host' run --host dir --at /data --mem --at /data/inner --mem --at /more -- \
  sh -c 'echo mem >/data/inner/f; echo host >/data/f; echo x >/more/f; echo $(cat /data/inner/f /data/f)'
same host cat dir/f
[ ! -e dir/inner/f ] || fail 'the inner mount wrote to the outer'
# df(1) and others believe the last mount that is listed at a place.
same fuse.polytropon run --mem --at "$here/empty" --mem --at /no-such-on-the-host -- \
  awk -v at="$here/empty" '$2 == at { type = $3 } END { print type }' /proc/mounts
same fuse.polytropon run --mem --at /mnt --mem --at /no-such-on-the-host -- \
  awk '$2 == "/mnt" { type = $3 } END { print type }' /proc/mounts
# The working directory, where the pool has it; below a mount too.
(cd there || exit; same "$work/there" run --mem --at /data -- sh -c pwd)
(cd there/empty || exit; same "$here/empty" run --mem --at "$here/empty" -- pwd)
(cd dir/inner || exit; same / run --mem --at "$work/dir" -- sh -c pwd)

wrong "must be an absolute path; did you mean '/data'?" --mem --at data -- true
wrong 'must be an absolute path' --mem --at ./there/empty -- true
wrong 'must be an absolute path' --mem --at '' -- true
wrong "cannot mount at '/'" --mem --at / -- true
wrong "cannot mount at '/'" --mem --at /.//. -- true
wrong "must not contain '..'" --mem --at "$here/../there" -- true
wrong 'is not a directory' --mem --at "$here/file" -- true
wrong 'is not a directory' --mem --at "$here/file/below" -- true
wrong 'which the pool itself needs' --mem --at /run -- true
wrong 'which the pool itself needs' --mem --at /proc/1 -- true
for two in "$here/empty $work/link" "$here/new $work/there/new/"; do
  status=0
  # shellcheck disable=SC2086
  set -- $two
  run --mem --at "$1" --mem --at "$2" -- true 2>err || status=$?
  [ $status != 0 ] && [ "$(wc -l <err)" = 1 ] || fail "two mounts at one place: status $status, $(cat err)"
done
expect 125 run --mem --at /data --mem --at /data/inner -- true 2>err
grep -q 'a directory of that mount' err || fail "no reason: $(cat err)"

before >after
diff before after || fail 'the host is not as it was'
[ ! -e /no-such-on-the-host ] && [ ! -e /data ] && [ ! -e /more ] || fail 'a mount point is on the host'
