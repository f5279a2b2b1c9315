# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# The program has the descriptors that the command was given, closed ones and many too, no others, and all of its words.
for door in lazy off; do
  export POLYTROPON_MODE=$door
  # Which of 0, 1, 2 and 9 are open, said by the exit status: a closed one stays closed.
  count='s=0; for n in 0 1 2 9; do [ ! -e /proc/self/fd/$n ] || s=$((s + 1)); done; echo in >/data/f && exit $s'
  expect 3 mem sh -c "$count"
  expect 4 mem sh -c "$count" 9</dev/null
  expect 2 mem sh -c "$count" <&-
  expect 2 mem sh -c "$count" >&-
  expect 2 mem sh -c "$count" 2>&-
  expect 1 mem sh -c "$count" <&- >&-
  expect 0 mem sh -c "$count" <&- >&- 2>&-
  # With stderr closed a sentence of ours goes nowhere, and above all not into a socket.
  expect 127 mem /no/such/program 2>&-
  expect 127 mem /no/such/program <&- >&- 2>&-
  expect 2 "$polytropon" run --mem 2>&-
  # Nothing of ours: what a shell has without us.
  same "$(sh -c 'echo $(ls /proc/self/fd)')" mem sh -c 'echo $(ls /proc/self/fd)'
  same "$(printf 'one\ntwo')" mem sh -c 'cat; echo two' <<<one
  same "$(seq 100000 | md5sum)" mem sh -c 'cat >/data/f; md5sum </data/f' < <(seq 100000)
  same 'through 9' mem sh -c 'cat <&9' 9<<<'through 9'
done
unset POLYTROPON_MODE
yes >/dev/full 2>/dev/null || true
# The reader of our output goes away.
set +o pipefail
same y sh -c '"$0" run --mem --at /data -- yes | head -n 1' "$polytropon"
set -o pipefail

# Words: empty, with line breaks, with every byte but NUL, long, many.
bytes=$(python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(1, 256)) + b".")'; echo .)
same "$(printf '%s' "$bytes" | md5sum)" mem sh -c 'printf %s "$1" | md5sum' sh "$bytes"
same '[][ ][a b][]' mem sh -c 'printf "[%s]" "$@"' sh '' ' ' 'a b' ''
long=$(head -c 131000 /dev/zero | tr '\0' x)
same 131000 mem sh -c 'printf %s "$1" | wc -c' sh "$long"
# shellcheck disable=SC2046
same 40000 mem sh -c 'echo $#' sh $(seq 40000)
same 131000 env LONG="$long" "$polytropon" run --mem --at /data -- sh -c 'printf %s "$LONG" | wc -c'
same 'x y' env -i X='x y' "$polytropon" run --mem --at /data -- sh -c 'echo "$X"'
# An environment of the caller's own preloads is kept.
same "/run/polytropon/preload.so:$work/mine.so" env LD_PRELOAD="$work/mine.so" "$polytropon" run --mem --at /data -- \
  sh -c 'echo "$LD_PRELOAD"' 2>/dev/null
# Limits and habits go with the program.
same '100 022 7' sh -c 'ulimit -n 100; umask 022; nice -n 7 "$0" run --mem --at /data -- sh -c "echo \$(ulimit -n) \$(umask | tail -c 4) \$(nice)"' "$polytropon"
