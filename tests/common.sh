# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What cases assert with. A script that also wants to show a log when it fails defines its own fail after it.

fail() { echo "FAILED: $*" >&2; exit 1; }

# expect STATUS COMMAND...: the command must end with that status.
expect() {
  local wanted=$1 status=0
  shift
  "$@" || status=$?
  [ "$status" = "$wanted" ] || fail "expected status $wanted, got $status: $*"
}

# same TEXT COMMAND...: the command must succeed and print exactly that.
same() {
  local wanted=$1 got
  shift
  got=$("$@") || fail "status $?: $*"
  [ "$got" = "$wanted" ] || fail "expected '$wanted', got '$got': $*"
}

# shows PATTERN COMMAND...: is there a line that matches in what the command, which must succeed, prints?
# Not `COMMAND | grep -q`: that ends as it finds, and what still writes dies by SIGPIPE, at times.
shows() {
  local pattern=$1 got
  shift
  got=$("$@") || fail "status $?: $*"
  grep -q -- "$pattern" <<<"$got"
}
export -f fail expect same shows
