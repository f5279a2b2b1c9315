# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Limits of I/O hold at both doors, for the pool and for one container, live; a client that waits can be killed; and what
# waited is counted. Only the least time is checked: a limit that does not hold is far below it.
command -v python3 > /dev/null || exit 77
cat > pools.yaml <<'EOF'
pools:
  slow:
    cache: {size: 0}
    io: {iops: 100, burst: 10ms}
    mounts:
      /data: {mem: 64M}
    roots: {mem: 64M}
  cached:
    cache: {size: 64M}
    io: {write_bps: 4M, burst: 10ms}
    mounts:
      /data: {mem: 64M}
EOF
"$polytropon" up pools.yaml
trap '"$polytropon" down' EXIT
run() { "$polytropon" run "$@"; }
# at_least MS COMMAND...
at_least() {
  local ms=$1 from
  shift
  from=$(date +%s%N)
  "$@" || fail "status $?: $*"
  from=$((($(date +%s%N) - from) / 1000000))
  [ "$from" -ge "$ms" ] || fail "only $from ms, not $ms: $*"
}
figure() { "$polytropon" stats --json "$1" | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"; }
throttled='sum(c["throttled"] for c in s["containers"].values())'

cat > read.py <<'EOF'
import os, sys
f = os.open("/data/f", os.O_RDONLY)
for i in range(int(sys.argv[1])):
    assert len(os.pread(f, 4096, i * 7 % 1000 * 4096)) == 4096
EOF
"$polytropon" set slow io.iops=0
run slow -- sh -c 'head -c 4096000 /dev/zero > /data/f'
cp read.py "$work/dir/"

# 200 reads, at 100 a second, by messages and by the kernel; live.
same 0 figure slow "$throttled"
"$polytropon" set slow io.iops=100
at_least 1500 run slow -- python3 "$work/dir/read.py" 200
at_least 1500 run slow -- busybox dd if=/data/f of=/dev/null bs=4096 count=200 iflag=direct 2> /dev/null
[ "$(figure slow "$throttled")" -ge 300 ] || fail "$(figure slow "$throttled") waited"
same 100 figure slow 's["settings"]["io"]["iops"]'

# waiting N: so many wait, soon.
waiting() {
  for _ in $(seq 100); do
    [ "$(figure slow 's["settings"]["io"]["waiting"]')" = "$1" ] && break
    sleep 0.1
  done
  same "$1" figure slow 's["settings"]["io"]["waiting"]'
}

# A limit that is taken away lets go who waits: at 1 a second this would take days.
"$polytropon" set slow io.iops=1
run slow -- python3 "$work/dir/read.py" 100000 &
waiting 1
"$polytropon" set slow io.iops=0
wait $!

# Killed while they wait, at both doors: by SIGKILL, by a signal that ends them. One that has a handler for it goes on.
"$polytropon" set slow io.iops=1 io.meta_ops=0
for program in "python3 $work/dir/read.py 1000000" "busybox dd if=/data/f of=/dev/null bs=4096 iflag=direct"; do
  for signal in KILL TERM; do
    timeout --foreground -s $signal 60 "$polytropon" run slow -- sh -c "$program & p=\$!; sleep 1; kill -$signal \$p; wait \$p" \
      2> /dev/null && fail "$program was not killed" || [ $? -ge 128 ] || fail "status $?"
  done
done
waiting 0
"$polytropon" set slow io.iops=10
at_least 1500 run slow -- python3 -c '
import os, signal
caught = []
signal.signal(signal.SIGALRM, lambda *a: caught.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
f = os.open("/data/f", os.O_RDONLY)
for i in range(20):
    assert len(os.pread(f, 4096, i * 4096)) == 4096
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(caught) > 5'

# Names; one container of two; its figures have its limits.
"$polytropon" set slow io.iops=0 io.meta_ops=100
at_least 1500 run slow -- busybox sh -c 'i=0; while [ $i -lt 200 ]; do [ -e /data/no$i ]; i=$((i + 1)); done; true'
"$polytropon" set slow io.meta_ops=0
at_least 1500 run --io-iops 100 --io-burst 10ms slow -- python3 "$work/dir/read.py" 200
run slow -- sh -c "while [ ! -e $work/dir/stop ]; do sleep 0.1; done; true" & fast=$!
pid=
for _ in $(seq 100); do
  pid=$("$polytropon" ps --json | python3 -c 'import json, sys
for pool in json.load(sys.stdin):
    for c in pool["containers"]:
        print(c["pid"])')
  [ -z "$pid" ] || break
  sleep 0.1
done
"$polytropon" set --container "$pid" slow io.iops=7
[ "$(figure slow "[c['io'].get('iops') for n, c in s['containers'].items() if n.startswith('$pid ')]")" = '[7]' ] ||
  fail "$("$polytropon" stats slow)"
# A new service is told, too.
old=$("$polytropon" ps --json | python3 -c 'import json, sys; print([p["service"] for p in json.load(sys.stdin) if p["pool"] == "slow"][0])')
kill -9 "$old"
for _ in $(seq 200); do
  [ "$(figure slow "[c['io'].get('iops') for n, c in s['containers'].items() if n.startswith('$pid ')]" 2> /dev/null)" = '[7]' ] && break
  sleep 0.1
done
[ "$(figure slow "[c['io'].get('iops') for n, c in s['containers'].items() if n.startswith('$pid ')]")" = '[7]' ] ||
  fail "$("$polytropon" stats slow)"
"$polytropon" set --container "$pid" slow io.iops=0
touch "$work/dir/stop"
wait $fast

# A container, and whoever enters it later.
python3 "$source/tests/integration/images/make-images.py" "$work"
"$polytropon" image import --pool slow busy layout > /dev/null
run slow -- sh -c 'head -c 1M /dev/zero > /data/f'
run --root busy --name web --io-iops 100 --io-burst 10ms --volume /data:/data --detach slow -- sh -c 'while :; do sleep 0.1; done'
at_least 1500 "$polytropon" exec --in web slow -- sh -c 'dd if=/data/f of=/dev/null bs=4096 count=200 iflag=direct' 2> err
[ "$(figure slow "[c['throttled'] > 100 for n, c in s['containers'].items() if n.endswith(' web')]")" = '[True]' ] ||
  fail "$("$polytropon" stats slow)"
"$polytropon" set slow --container web io.iops=0
"$polytropon" kill slow web KILL
expect 125 run --root busy --io-burst 2h slow -- true 2> err
grep -q "io.burst" err || fail "$(cat err)"

# Bytes: 8M at 4M a second, whichever way they are written; what is cached is read as fast as ever.
at_least 1500 run cached -- python3 -c '
import os
f = os.open("/data/a", os.O_RDWR | os.O_CREAT)
for i in range(2):
    os.lseek(f, 0, 0)
    for k in range(64):
        os.write(f, b"x" * 65536)'
at_least 1500 run cached -- busybox dd if=/dev/zero of=/data/b bs=65536 count=128 2> /dev/null
run cached -- sh -c 'for i in 1 2 3 4 5 6 7 8; do cat /data/a /data/b > /dev/null; done'

# Words.
expect 2 "$polytropon" set slow io.iosp=1 2> err
grep -q "did you mean 'io.iops'" err || fail "$(cat err)"
expect 2 "$polytropon" set slow io.read_bps=fast 2> err
grep -q "is not a size" err || fail "$(cat err)"
expect 2 "$polytropon" set --container 1 slow io.iops=1 2> err
grep -q "no container '1'" err || fail "$(cat err)"
expect 125 run --io-iops many slow -- true 2> err
grep -q "'many' is not a number" err || fail "$(cat err)"
shows 'io: {write_bps: 4M, burst: 10ms}' "$polytropon" dump cached || fail "$("$polytropon" dump cached)"
at_least 1000 run --mem --io-write-bps 1M --io-burst 10ms --at /data -- sh -c 'head -c 2M /dev/zero > /data/f'
