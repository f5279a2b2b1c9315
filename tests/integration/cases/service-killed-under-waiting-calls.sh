# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# kill -9 of a service under calls that wait, at both doors: each ends, with an error or an answer; killed too often, the
# pool has failed, its files answer with errors, and `down` ends it.
mkdir slow
cat >pools.yaml <<YAML
pools:
  killed: {mounts: {/data: {host: $work/dir}, /slow: {delay: {read: 1s, write: 1s, below: {host: $work/slow}}}}}
YAML
cat >wait.py <<'PYTHON'
import fcntl, mmap, os, sys, threading, time

# One holds a lock that another waits for; others read and write slowly; one maps; one makes and lists; one goes fast.
end = time.time() + 8
def until_end(f):
    def run():
        fd = None
        while time.time() < end:
            try:
                if fd is None:
                    fd = os.open(os.path.join(f.__defaults__[0], f.__name__), os.O_RDWR | os.O_CREAT)
                f(fd)
            except OSError:
                if fd is not None:
                    try:
                        os.close(fd)
                    except OSError:
                        pass
                fd = None
                time.sleep(0.01)
    return threading.Thread(target=run)

def read(fd, d="/slow"): os.pread(fd, 10, 0)
def write(fd, d="/slow"): os.pwrite(fd, b"x" * 10000, 0)
def fast(fd, d="/data"): os.pwrite(fd, b"x", 0); os.pread(fd, 1, 0); os.fstat(fd)
def sync(fd, d="/data"): os.pwrite(fd, b"x" * 300000, 0); os.fsync(fd)
def names(fd, d="/data"): os.mkdir("/data/n"); os.listdir("/data"); os.rename("/data/n", "/data/m"); os.rmdir("/data/m")
def lock(fd, d="/data"):
    fcntl.flock(fd, fcntl.LOCK_EX)
    time.sleep(0.05)
    fcntl.flock(fd, fcntl.LOCK_UN)
def wait(fd, d="/data"):
    with open("/data/lock", "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
def posix(fd, d="/data"):
    fcntl.lockf(fd, fcntl.LOCK_EX)
    fcntl.lockf(fd, fcntl.LOCK_UN)
def append(fd, d="/data"):
    with open("/data/appended", "a") as f:
        f.write("x")
threads = [until_end(f) for f in (read, write, fast, sync, names, lock, wait, posix, append)]
open("/data/lock", "a").close()
for t in threads:
    t.start()
print("ready", flush=True)
for t in threads:
    t.join(30)
    if t.is_alive():
        os._exit(5)
PYTHON
service_of() { "$polytropon" ps | awk '$1 == "killed" { print $3 }'; }
"$polytropon" up pools.yaml
for door in lazy off; do
  "$polytropon" run killed -- env POLYTROPON_MODE=$door timeout -s KILL 60 python3 "$work/wait.py" >out.$door 2>err.$door &
  pids+=" $!"
done
for door in lazy off; do : >>out.$door; until grep -q ready out.$door; do sleep 0.1; done; done
sleep 1
for _ in 1 2; do
  kill -9 "$(service_of)"
  sleep 2.5
done
for pid in $pids; do
  status=0
  wait "$pid" || status=$?
  [ $status = 0 ] || fail "a program hangs or failed: status $status: $(tail -5 err.lazy err.off)"
done
same new "$polytropon" run killed -- sh -c 'echo new >/data/new; cat /data/new'
same new "$polytropon" run killed -- busybox cat /data/new

# Too often.
sleep 10
: >again
"$polytropon" run killed -- sh -c 'exec 3</data/new; echo ready; while busybox sleep 0.1; do cat <&3 >/dev/null || echo "an error"; done' >again 2>&1 &
program=$!
until grep -q ready again; do sleep 0.1; done
for _ in 1 2 3 4 5 6 7 8; do
  pid=$(service_of)
  [ "$pid" = - ] || kill -9 "$pid" || true
  for _ in $(seq 30); do [ "$(service_of)" = "$pid" ] && sleep 0.1 || break; done
  for _ in $(seq 30); do [ "$(service_of)" = - ] && sleep 0.1 || break; done
  shows '"failed"' "$polytropon" ps --json && break
done
shows '"failed"' "$polytropon" ps --json || fail "not failed: $("$polytropon" ps)"
for _ in $(seq 100); do grep -q 'an error' again && break || sleep 0.1; done
grep -q 'an error' again || fail "a file of a failed pool gives no error: $(tail -3 again)"
expect 125 "$polytropon" run killed -- true 2>err
grep -q 'failed' err || fail "run in a failed pool: $(cat err)"
timeout 60 "$polytropon" down || fail "down of a failed pool: $?"
wait $program && fail 'its program outlived it'

# The engine, its reaper, and the command of a throw-away pool.
: >out
"$polytropon" run --mem --at /data -- sh -c 'echo ready; exec sleep 1000' >out &
command=$!
until grep -q ready out; do sleep 0.1; done
engine=$(pgrep -P $command -f 'polytropon engine')
kill -9 "$engine"
status=0
wait $command || status=$?
[ $status != 0 ] || fail 'a throw-away pool outlived its engine'
: >out
"$polytropon" run --mem --at /data -- sh -c 'echo ready; until [ -e '"$work"'/go ]; do sleep 0.1; done; echo in >/data/f; cat /data/f' >out &
command=$!
until grep -q ready out; do sleep 0.1; done
kill -9 "$(pgrep -P "$(pgrep -P $command -f 'polytropon engine')" -f 'polytropon reaper')"
touch go
wait $command || fail "a throw-away pool without its reaper: status $?"
same "$(printf 'ready\nin')" cat out
