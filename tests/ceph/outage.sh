# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# For scripts that take the cluster away from under worker.py: it is $worker and writes to $work/report; $limit s is how long
# anything may take; fail says what was wrong.
wait_for() { # WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < limit * 10; i++)); do "$@" && return; sleep 0.1; done
  fail "$what: not within $limit s"
}
acked() { grep -c '^acked' "$work/report" || true; }
goes_on() { # more lines are acknowledged than were
  local before
  before=$(acked)
  # shellcheck disable=SC2317
  more() { [ "$(acked)" -gt $((before + 2)) ]; }
  wait_for "$1" more
  kill -0 "$worker" || fail "$1: the program has ended"
}
