#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs one case in a directory of its own and looks for what it left behind.
#
#   run-case.sh BUILD_DIR CASE.sh
#
# A case is sourced with: $polytropon (the command), $work (an empty directory), $build, $source, and the
# functions below and of tests/common.sh. It passes if every command in it succeeds.
set -u
# Whatever started this may ignore signals, SIGHUP for one; shells cannot trap what they were born to ignore.
[ -n "${CASE_SIGNALS:-}" ] || CASE_SIGNALS=default exec env --default-signal "$0" "$@"
build=$(realpath "$1")
case_file=$(realpath "$2")
source=$(realpath "$(dirname "$0")/../..")
polytropon=$build/engine/polytropon

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }

work=$(mktemp -d /tmp/polytropon-case.XXXXXX)
export POLYTROPON_RUN=$work/run
mkdir "$work/run" "$work/dir"

# shellcheck source=tests/common.sh
. "$source/tests/common.sh"
# throwaway pools
mem() { "$polytropon" run --mem --at /data -- "$@"; }
host() { "$polytropon" run --host "$work/dir" --at /data -- "$@"; }

# The command's, engine's, init's and service's processes of this run: they carry its POLYTROPON_RUN.
processes() {
  local p
  for p in $(grep -lsa "POLYTROPON_RUN=$work/run" /proc/[0-9]*/environ | cut -d/ -f3); do
    case "$(cat "/proc/$p/comm" 2>/dev/null)" in polytropon*) echo "$p" ;; esac
  done
}
mounts() { grep -c "$work" /proc/self/mountinfo; }
groups() { find /sys/fs/cgroup -type d -path '*polytropon/*' 2>/dev/null | sort; }

before_groups=$(groups)

(
  set -eu -o pipefail
  cd "$work"
  # shellcheck disable=SC1090
  . "$case_file"
)
status=$?

"$polytropon" down >/dev/null 2>&1
for _ in $(seq 50); do # what dies by a signal takes a moment
  left=$(processes)
  [ -n "${POLYTROPON_SHARED_MACHINE:-}" ] || left="$left $(comm -13 <(echo "$before_groups") <(groups))"
  [ "$(mounts)" = 0 ] || left="$left mounts"
  left=$(echo $left)
  [ -n "$left" ] || break
  sleep 0.1
done
if [ -n "$left" ]; then
  echo "left behind: $left" >&2
  [ $status = 0 ] && status=1
fi
[ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2
exit $status
