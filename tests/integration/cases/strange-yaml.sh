# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Files that are hardly YAML, or too much of it, end in one sentence; anchors and all of YAML's styles work.

# wrong TEXT: the file strange.yaml is refused with this.
wrong() {
  local status=0
  timeout 60 "$polytropon" up strange.yaml >out 2>err || status=$?
  [ $status = 2 ] || fail "status $status, not '$1': $(head -c 500 err)"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(head -c 500 err)"
  [ "$(wc -c <err)" -lt 700 ] || fail "a long sentence: $(wc -c <err)"
  ! grep -q '[[:cntrl:]]' err || fail "control characters: $(cat -v err)"
  grep -q '^strange.yaml:' err || fail "no file: $(cat err)"
  grep -qF -- "$1" err || fail "no '$1' in '$(cat err)'"
  [ ! -e run/engine.sock ] || fail 'an engine was started'
}
repeat() { local i; for ((i = 0; i < $1; i++)); do printf '%s' "$2"; done; }

: >strange.yaml; wrong ':1: the file is empty'
printf '\n\n# nothing\n' >strange.yaml; wrong 'the file is empty'
printf -- '---\n' >strange.yaml; wrong "begins with 'pools:'"
printf 'pools:\n\talice: 1\n' >strange.yaml; wrong ':2: a tab cannot indent YAML'
printf 'pools:\n  alice:\n\t mounts: {}\n' >strange.yaml; wrong ':3: a tab cannot indent YAML'
head -c 4096 /dev/urandom >strange.yaml; wrong 'not valid YAML'
head -c 1000000 "$polytropon" >strange.yaml; wrong 'YAML'
printf '\xff\xfe\x00\x00' >strange.yaml; wrong 'strange.yaml'
printf 'pools:\n  a\0b: {}\n' >strange.yaml; wrong 'control characters'
printf 'pools: "\\uD800"\n' >strange.yaml; wrong ':1: not valid YAML'
printf '%%YAML 9.9\n---\npools: {}\n' >strange.yaml; wrong 'not valid YAML'
printf '%%TAG ! tag:x:\n---\npools: !<tag:x> {}\n' >strange.yaml; wrong ':3: '
printf 'pools: {}\n---\npools: {}\n' >strange.yaml; wrong ':3: a second document'
printf 'pools: &x {a: *x}\n' >strange.yaml; wrong ':1: '
printf 'pools: &x [*x]\n' >strange.yaml; wrong ':1: '
head -c 10485760 /dev/zero | tr '\0' '#' >strange.yaml; wrong 'too large'
head -c 10485760 /dev/zero >strange.yaml; wrong 'too large'
head -c 4000000 /dev/zero | tr '\0' '[' >strange.yaml; wrong 'strange.yaml'
head -c 4000000 /dev/zero | tr '\0' '{' >strange.yaml; wrong 'strange.yaml'
head -c 2000000 /dev/zero | sed 's/\x00/- /g' >strange.yaml; wrong 'strange.yaml'
head -c 4000000 /dev/zero | tr '\0' '"' >strange.yaml; wrong 'strange.yaml'
head -c 4000000 /dev/zero | tr '\0' '&' >strange.yaml; wrong 'strange.yaml'
head -c 1300000 /dev/zero | sed 's/\x00/? /g' >strange.yaml; wrong 'strange.yaml'
seq -f 'a: {b: %.0f}' 10000 >strange.yaml; wrong ":2: 'a' is here twice"
seq -f 'a%.0f: {b: c}' 60000 >strange.yaml; wrong 'too many values'
seq 60000 | sed 's/.*/a&: \&b&/' >strange.yaml; wrong 'too many anchors'
{ echo 'pools:'; seq -f '  a%.0f: {b: c}' 15000; } >strange.yaml; wrong ":2: unknown key 'b'"
{ echo 'a: &a [x,x,x,x,x,x,x,x,x]'; p=a; for n in b c d e f g h i; do echo "$n: &$n [*$p,*$p,*$p,*$p,*$p,*$p,*$p,*$p,*$p]"; p=$n; done; } >strange.yaml
wrong 'strange.yaml:'
{ printf 'pools: '; repeat 100 '{a: '; repeat 100 '}'; } >strange.yaml; wrong 'nested too deeply'
rm strange.yaml; mkfifo strange.yaml
(head -c 10 /dev/urandom >strange.yaml) & wrong 'strange.yaml'
wait
rm strange.yaml; mkdir strange.yaml; wrong 'Is a directory'
rmdir strange.yaml; ln -s strange.yaml strange.yaml; wrong 'Too many levels of symbolic links'
rm strange.yaml; wrong 'No such file or directory'

# What is right, however it is written.
right() {
  "$polytropon" up right.yaml >out 2>err || fail "$(cat err): $(cat right.yaml)"
  same "$1" "$polytropon" run alice -- stat -c %n "$1"
  "$polytropon" down
}
printf '\xef\xbb\xbfpools:\r\n  alice:\r\n    mounts: {/data: {mem: {}}}\r\n' >right.yaml; right /data
printf '{"pools": {"alice": {"mounts": {"/data": {"mem": {"size": "4M"}}}}}}' >right.yaml; right /data
printf '%%YAML 1.1\n---\npools: !!map {alice: {mounts: &m {/data: {mem: ~}}}, bob: {mounts: *m}}\n...\n' >right.yaml; right /data
printf 'pools:\n  ? alice\n  : mounts:\n      "/d\\x61ta with \\u00fcml\xc3\xa4uts: and # more":\n        mem:\n' >right.yaml
right '/data with ümläuts: and # more'
