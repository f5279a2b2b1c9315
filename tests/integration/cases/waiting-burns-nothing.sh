# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Who waits uses no CPU: clients of a slow service, for locks, and attached ones with nothing to do; with one core and with all.
# In a pool of one core nobody spins even for a quick answer.
cat >pools.yaml <<YAML
pools:
  one: {cpus: "0", mounts: {/data: {mem: }, /slow: {delay: {read: 4s, below: {mem: }}}, /brief: {delay: {read: 1ms, below: {mem: }}}}}
  all: {mounts: {/data: {mem: }, /slow: {delay: {read: 4s, below: {mem: }}}}}
YAML
"$polytropon" up pools.yaml
cat >wait.py <<'PYTHON'
import fcntl, os, sys, threading, time

def read():
    fd = os.open("/slow/f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 100)
    os.pread(fd, 100, 0)
def lock():
    with open("/data/lock") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
def posix():
    with open("/data/lock", "r+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
def idle():
    with open("/data/lock") as f:
        f.read()
        time.sleep(3)

holder = open("/data/lock", "w+")
fcntl.flock(holder, fcntl.LOCK_EX)
if os.fork() == 0:
    other = open("/data/lock", "r+")
    fcntl.lockf(other, fcntl.LOCK_EX)
    time.sleep(5)
    os._exit(0)
threads = [threading.Thread(target=f) for f in (read, read, lock, lock, posix, idle)]
for t in threads:
    t.start()
time.sleep(1)
before = time.process_time_ns()
print("waiting", flush=True)
time.sleep(2.5)
used = time.process_time_ns() - before
print("used", used // 1000000, flush=True)
fcntl.flock(holder, fcntl.LOCK_UN)
for t in threads:
    t.join()
sys.exit(0 if used < 50000000 else "the program used %d ms while it waited" % (used // 1000000))
PYTHON
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
for pool in one all; do
  service=$("$polytropon" ps | awk -v p=$pool '$1 == p { print $3 }')
  for door in lazy off; do
    : >out
    "$polytropon" run $pool -- env POLYTROPON_MODE=$door python3 "$work/wait.py" >out &
    program=$!
    until grep -q waiting out; do sleep 0.1; done
    before=$(ticks "$service")
    until grep -q used out; do sleep 0.1; done
    after=$(ticks "$service")
    [ $((after - before)) -le 3 ] || fail "$pool, $door: the service used $((after - before)) ticks while all waited"
    wait $program || fail "$pool, $door: $(cat out)"
  done
done
# One core, and answers that take a millisecond: who spins for them uses a second, who sleeps a fraction.
"$polytropon" run one -- python3 -c '
import os, time
fd = os.open("/brief/f", os.O_RDWR | os.O_CREAT)
before = time.process_time_ns()
for n in range(1000):
    os.pread(fd, 1, 0)
used = (time.process_time_ns() - before) // 1000000
assert used < 300, "used %d ms for 1000 requests" % used'
"$polytropon" down
