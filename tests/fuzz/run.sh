#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks for inputs that a fuzz target does not survive, with what was saved to begin with. Needs clang.
#
#   tests/fuzz/run.sh TARGET SECONDS [OPTION-OF-LIBFUZZER...]     TARGET: a .c file here, without the .c
#
# New inputs that reach more go to $BUILD/corpus/TARGET; those worth keeping go from there to tests/fuzz/corpus with
# `fuzzer-TARGET -merge=1`. An input that crashes is left in the current directory.
set -eu
here=$(realpath "$(dirname "$0")")
build=${BUILD:-$here/../../build-fuzz}
target=$1
seconds=$2
shift 2
[ -e "$build/build.ninja" ] || CC=clang meson setup "$build" "$here/../.." -Dfuzzers=true -Db_sanitize=address,undefined \
  -Db_lundef=false -Dbuildtype=debugoptimized -Dc_args=-fsanitize=fuzzer-no-link
ninja -C "$build" "tests/fuzz/fuzzer-$target"
mkdir -p "$build/corpus/$target"
dictionary=$here/$target.dict
[ ! -e "$dictionary" ] || set -- "-dict=$dictionary" "$@"
export UBSAN_OPTIONS=halt_on_error=1
exec "$build/tests/fuzz/fuzzer-$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 "$@" \
  "$build/corpus/$target" "$here/corpus/$target"
