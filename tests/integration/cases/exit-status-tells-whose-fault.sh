# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# The status is the program's; 126 and 127 as a shell's; 125 a failure of ours; 2 a wrong command line, in one sentence.

# wrong STATUS TEXT COMMAND...: one line on stderr, with that text, nothing on stdout.
wrong() {
  local wanted=$1 text=$2 status=0
  shift 2
  "$@" >out 2>err || status=$?
  [ $status = "$wanted" ] || fail "status $status, '$(cat err)': $*"
  [ ! -s out ] || fail "it prints: $(cat out): $*"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err): $*"
  grep -qF -- "$text" err || fail "no '$text' in '$(cat err)': $*"
}

for status in 0 1 2 42 125 126 127 255; do
  expect $status mem sh -c "exit $status"
done
for signal in HUP INT KILL TERM; do
  expect $((128 + $(kill -l $signal))) mem sh -c "kill -$signal \$\$"
done
wrong 127 /no/such/program mem /no/such/program
wrong 127 no-such-program-in-path mem no-such-program-in-path
wrong 127 "''" mem ''
wrong 126 /etc/passwd mem /etc/passwd
wrong 126 "'/etc'" mem /etc
wrong 126 'Argument list too long' mem true "$(head -c 200000 /dev/zero | tr '\0' x)"
# Programs of the pool's own files, through the FUSE door.
expect 126 mem sh -c 'echo "exit 3" >/data/script; exec /data/script' 2>/dev/null
expect 3 mem sh -c 'echo "exit 3" >/data/script; chmod +x /data/script; /data/script'
expect 4 mem sh -c 'printf "#!/bin/sh\nexit 4\n" >/data/script; chmod +x /data/script; exec /data/script'

for command in run exec; do
  wrong 125 "no pool 'nobody' runs" "$polytropon" $command nobody -- true
  wrong 2 'no pool is given' "$polytropon" $command
  wrong 2 'no program is given' "$polytropon" $command nobody --
  wrong 2 "unknown option '--no-such'" "$polytropon" $command --no-such
done
run() { "$polytropon" run "$@"; }
wrong 2 "unknown command 'runn'; did you mean 'run'?" "$polytropon" runn
wrong 2 "did you mean '--host'?" run --hots dir --at /data -- true
wrong 2 "unknown option '-v'" run -v
wrong 2 "'--host' needs DIR" run --host
wrong 2 "'--mem' takes no value" run --mem=1G --at /data -- true
wrong 2 'say with --at' run --mem -- true
wrong 2 'say with --at' run --host dir -- true
wrong 2 'needs --at PATH' run --cpus 0 -- true
wrong 2 'needs its own --at' run --mem --mem --at /data -- true
wrong 2 'is there twice' run --mem --at /data --mem --at /data -- true
wrong 2 'is in use already' run --mem --at /data --mem --at /data/ -- true
wrong 2 'no program is given' run --mem --at /data
wrong 2 'no program is given' run --mem --at /data --
wrong 2 "directory '/no/such' of pool" run --host /no/such --at /data -- true
wrong 2 'is not a directory' run --host /etc/passwd --at /data -- true
wrong 2 "'1Q' is not a size" run --mem --size 1Q --at /data -- true
wrong 2 "'1Q' is not a size" run --mem --at /data --memory 1Q -- true
wrong 2 'follows --mem' run --host dir --size 1M --at /data -- true
wrong 2 'the machine has no cores' run --mem --at /data --cpus 4000 -- true
wrong 2 'the machine has no cores' run --mem --at /data --cpus 99999999999999999999 -- true
wrong 2 "'0' is less than 1" run --mem --at /data --cpu-weight 0 -- true
wrong 2 "did you mean 'flush.interval'?" run --mem --at /data --set flush.intervall=1s -- true
wrong 2 'is not KEY=VALUE' run --mem --at /data --set flush.interval -- true
wrong 2 'it takes one pool file' "$polytropon" up
wrong 2 'it takes one pool file' "$polytropon" up a b
wrong 2 'no-such-file: No such file or directory' "$polytropon" up no-such-file
wrong 2 'dir: Is a directory' "$polytropon" up dir
wrong 2 'no pool is given' "$polytropon" stats
wrong 2 'it takes a pool and one or more KEY=VALUE' "$polytropon" set nobody
wrong 2 "'cache' is not KEY=VALUE" "$polytropon" set nobody cache
wrong 125 "no pool 'nobody' runs" "$polytropon" stats nobody
wrong 125 "no pool 'nobody' runs" "$polytropon" set nobody flush.interval=1s
wrong 125 "no pool 'nobody' runs" "$polytropon" dump nobody
wrong 125 "no pool 'nobody' runs" "$polytropon" down nobody
wrong 2 "it takes no 'nobody'" "$polytropon" ps nobody
wrong 2 "unknown option '--jsno'; did you mean '--json'?" "$polytropon" ps --jsno
"$polytropon" down # of nothing: nothing is left

for command in up ps run exec set stats dump down version help; do
  "$polytropon" $command --help >out
  grep -q "^Usage: polytropon $command" out || fail "no help of $command: $(cat out)"
done
same "$("$polytropon" version)" "$polytropon" --version
[ ! -e run/engine.sock ] || fail 'a wrong command line started an engine'
