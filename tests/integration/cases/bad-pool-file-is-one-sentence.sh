# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Each mistake in a pool file is one sentence with file, line and the nearest right word; exit 2; nothing is started.

# wrong LINE TEXT: the file on stdin is refused with `bad.yaml:LINE: ... TEXT`.
wrong() {
  local status=0
  cat >bad.yaml
  "$polytropon" up bad.yaml >out 2>err || status=$?
  [ $status = 2 ] || fail "status $status, '$(cat err)' for: $(cat bad.yaml)"
  [ ! -s out ] || fail "it prints: $(cat out)"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err)"
  ! grep -q '[[:cntrl:]]' err || fail "control characters: $(cat -v err)"
  grep -qF -- "$2" err || fail "no '$2' in '$(cat err)'"
  case "$(cat err)" in
  "bad.yaml:$1: "*) ;;
  *) fail "not line $1: $(cat err)" ;;
  esac
  [ ! -e run/engine.sock ] || fail "an engine was started for: $(cat bad.yaml)"
}
# in_pool LINE TEXT KEYS...: the same of a pool with a good mount and these lines, of which the first is line 3.
in_pool() {
  local line=$1 text=$2
  shift 2
  { printf 'pools:\n  alice:\n'; printf '    %s\n' "$@"; printf '    mounts: {/data: {mem: {}}}\n'; } | wrong "$line" "$text"
}
mounted() { # LINE TEXT MOUNTS...
  local line=$1 text=$2
  shift 2
  { printf 'pools:\n  alice:\n    mounts:\n'; printf '      %s\n' "$@"; } | wrong "$line" "$text"
}

in_pool 3 "unknown key 'memroy' in pool 'alice'; did you mean 'memory'?" 'memroy: 1G'
in_pool 4 "unknown key 'sise' in pool 'alice'; did you mean 'size'?" 'cache:' '  sise: 1G'
in_pool 3 "'1Q' is not a size such as 256M; did you mean '1G'?" 'memory: 1Q'
in_pool 3 "'memory' in pool 'alice' must be a size" 'memory: [1G]'
in_pool 3 "must be a mapping" 'cache: 5'
in_pool 3 "'5 s' is not a time" 'flush: {interval: 5 s}'
in_pool 3 "'-5s' is not a time" 'timeout: -5s'
in_pool 3 "'99999999999999999999' is not a number" 'cpu_weight: 99999999999999999999'
in_pool 3 "is not a size" 'memory: 99999999999T'
in_pool 3 "'0x10' is not" 'cpu_weight: 0x10'
in_pool 3 "the machine has no cores '0-4000'" 'cpus: 0-4000'
in_pool 3 "did you mean 'false'?" 'user: flase'
in_pool 4 "'memory' is here twice; it is on line 3 already" 'memory: 1G' 'memory: 2G'
mounted 4 "unknown" '/data: {hots: dir}'
mounted 4 "did you mean 'host'?" '/data: {hots: dir}'
mounted 6 "did you mean 'size'?" '/data:' '  mem:' '    sze: 1G'
mounted 6 "'1Q'" '/data:' '  mem:' '    size: 1Q'
mounted 5 "No such file or directory" '/data:' '  {host: /no/such/directory}'
mounted 4 "did you mean '/dir'?" '/data: {host: dir}'
mounted 4 "is not a directory" '/data: {host: /etc/passwd}'
mounted 5 "is in use already" '/data: {mem: }' '/data//: {mem: }'
mounted 4 "cannot mount at '/'" '/: {mem: }'
mounted 4 "which the pool itself needs" '/proc/sys: {mem: }'
mounted 4 "which the pool itself needs" '/run/polytropon: {mem: }'
mounted 4 "which the pool itself needs" '/dev: {mem: }'
mounted 4 "must not contain '..'" '/data/../x: {mem: }'
mounted 4 "mount point '/etc/passwd' in pool 'alice' is not a directory" '/etc/passwd: {mem: }'
mounted 4 "mount point '/etc/passwd/x' in pool 'alice' is not a directory" '/etc/passwd/x: {mem: }'
mounted 4 "longer than" "/$(head -c 500 /dev/zero | tr '\0' a): {mem: }"
mounted 4 "File name too long" "/$(head -c 256 /dev/zero | tr '\0' a): {mem: }"
mounted 4 "must be a layer" '/data: mem'
mounted 4 "must be a layer" '/data: [mem]'
mounted 4 "" '/data: {}'
mounted 4 "" '/data: {mem: , host: /tmp}'
mounted 4 "below" '/data: {delay: {read: 1ms}}'
mounted 4 "more than 8 layers" "/data: $(printf '{delay: {below: %.0s' 1 2 3 4 5 6 7 8 9){mem: }$(printf '}}%.0s' 1 2 3 4 5 6 7 8 9)"
{ echo 'pools:'; echo '  alice:'; echo '    mounts:'; for i in $(seq 25); do echo "      /m$i: {mem: }"; done; } | wrong 3 'more than 24 mounts'
printf 'pools:\n  alice:\n    cpus: 0\n' | wrong 2 "pool 'alice' has no 'mounts'"
printf 'pools:\n  good: {mounts: {/data: {mem: }}}\n  bad: {mounts: {/data: {men: }}}\n' | wrong 3 "did you mean 'mem'?"
printf 'polls: {}\n' | wrong 1 "did you mean 'pools'?"
printf 'pools: {a: {mounts: {/data: {mem: }}}}\nversion: 1\n' | wrong 2 "unknown key 'version'"

# Names.
for name in '' . .. -x a/b 'a b' 'ä' 'a.b' '*' "$(head -c 64 /dev/zero | tr '\0' a)" '"a\nb"' '"\e[31mred"'; do
  case $name in \"*) quoted=$name ;; *) quoted="'$name'" ;; esac
  printf 'pools:\n  %s: {mounts: {/data: {mem: }}}\n' "$quoted" | wrong 2 "cannot be a pool's name"
done
# Keys that a terminal would act on.
in_pool 3 'unknown key' '"\e[2Jx\r\ny": 1'
in_pool 3 'is not a size' 'memory: "\e[2J\x07"'
