#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures everything on this machine and writes docs/results.md, with its pictures in docs/results/.
#
#   results.sh [--quick] [--again] [BUILD] [NAME...]
#
# BUILD is the build directory (build); without names all benchmarks run, with a cluster that is there for as long. --again
# measures nothing, and writes the document from what docs/results/results.jsonl says. Needs root, and a machine that does
# nothing else: an hour, or a quarter of one with --quick.
set -eu

source=$(realpath "$(dirname "$0")/..")
quick=() again='' build=''
while [ $# -gt 0 ]; do
  case $1 in
  --quick) quick=(--quick) ;;
  --again) again=1 ;;
  --*) sed -n '5s/^# *//p' "$0" >&2 && exit 2 ;;
  *) break ;;
  esac
  shift
done
build=$(realpath "${1:-$source/build}")
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- all
report=$source/docs/results

cluster() {
  command -v ceph-mon >/dev/null || return 0
  place=$(mktemp -u /tmp/results-ceph.XXXXXX)
  trap '"$source/scripts/ceph-dev.sh" down "$place"' EXIT
  "$source/scripts/ceph-dev.sh" up "$place" --store memstore >/dev/null
  eval "$("$source/scripts/ceph-dev.sh" tenant bench "$place" | tr ' ' '\n' | sed 's/^/export ceph_/')"
}

if [ -z "$again" ]; then
  rm -rf "$report"
  export POLYTROPON_LAYERS=$build/libservices
  case " $* " in *' all '* | *' ceph '*) cluster ;; esac
  "$build/engine/polytropon" bench "$@" "${quick[@]}" --report "$report" || echo 'results.sh: not all could be measured' >&2
fi
"$build/bench/bench-report" --markdown "$report" >"$source/docs/results.md"
rm -f "$report/index.html"
echo "$source/docs/results.md"
