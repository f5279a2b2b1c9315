#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, builds in every way that we promise, and runs all tests.
#
#   scripts/test.sh [--quick]     --quick: one build, no sanitizers
#
# The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
[ "$(id -u)" = 0 ] || { echo "run as root: sudo scripts/test.sh" >&2; exit 1; }

quick=
[ "${1:-}" = --quick ] && quick=1
build=${BUILD:-build-test}
passed=0 failed=0 skipped=0
failures=

say() { printf '\n== %s\n' "$*"; }

# One step that is a test by itself.
step() {
  local name=$1
  shift
  say "$name"
  if "$@" >"$build.step.log" 2>&1; then
    passed=$((passed + 1))
    tail -n 3 "$build.step.log"
  else
    failed=$((failed + 1))
    failures="$failures\n  $name"
    tail -n 60 "$build.step.log"
  fi
}

# The tests of a build directory, counted from meson's log.
suite() {
  local dir=$1
  shift
  say "tests in $dir: $*"
  meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes 2 "$@" || true
  local counts
  counts=$(python3 - "$dir/meson-logs/testlog.json" <<'PY'
import json, sys
count = {"p": 0, "f": 0, "s": 0}
names = []
for line in open(sys.argv[1]):
    test = json.loads(line)
    kind = {"OK": "p", "EXPECTEDFAIL": "p", "SKIP": "s"}.get(test["result"], "f")
    count[kind] += 1
    if kind != "p":
        names.append(test["name"].replace(" ", "_") + ":" + test["result"])
print(count["p"], count["f"], count["s"], *names)
PY
  )
  local p f s names
  read -r p f s names <<<"$counts"
  passed=$((passed + ${p:-0}))
  failed=$((failed + ${f:-1}))
  skipped=$((skipped + ${s:-0}))
  local name
  for name in $names; do failures="$failures\n  $dir: $name"; done
}

configure() { # DIR OPTIONS...
  local dir=$1
  shift
  rm -rf "$dir"
  meson setup "$dir" "$@" && ninja -C "$dir"
}

scripts/install-deps.sh all || { echo "the packages could not be installed"; exit 1; }

step "include rules" scripts/check-includes.sh
step "build with gcc, warnings are errors" configure "$build" -Dwerror=true
suite "$build"
if [ -z "$quick" ]; then
  CC=clang step "build with clang, warnings are errors" configure "$build-clang" -Dwerror=true
  suite "$build-clang" --suite unit
  step "build with address and undefined-behaviour sanitizers" \
    configure "$build-asan" --native-file build-dev.ini
  suite "$build-asan" --suite unit --suite service --suite fuzz --suite crash --timeout-multiplier 4
  step "build with thread sanitizer" configure "$build-tsan" -Db_sanitize=thread -Db_lundef=false
  suite "$build-tsan" --suite threads --timeout-multiplier 6
fi
rm -f "$build.step.log"

[ -z "$failures" ] || printf '\nnot passed:%b\n' "$failures"
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
