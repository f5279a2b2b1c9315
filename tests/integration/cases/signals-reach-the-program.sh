# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A terminal's Ctrl-C, Ctrl-Z and hang-up, and kill of the command at any moment: the program gets it, and nothing is left.
none_left() {
  for _ in $(seq 100); do
    [ "$(grep -lsa "CASE_MARK=$work" /proc/[0-9]*/environ | wc -l)" != 0 ] || return 0
    sleep 0.1
  done
  grep -lsa "CASE_MARK=$work" /proc/[0-9]*/environ | while read -r p; do tr '\0' ' ' <"${p%environ}cmdline"; echo; done
  fail "$1: something is left"
}

# Signals that are forwarded; the program may handle them.
for signal in TERM INT HUP USR1 QUIT; do
  : >out
  CASE_MARK=$work "$polytropon" run --mem --at /data -- sh -c 'trap "echo got >/data/f; cat /data/f; exit 9" '$signal'; echo ready; while :; do sleep 0.1; done' >out &
  command=$!
  until grep -q ready out; do sleep 0.05; done
  # Of a background job of a script, bash ignores INT and QUIT for its children: the trap above cannot be set then.
  case $signal in INT | QUIT) kill -TERM $command; wanted=143 ;; *) kill -$signal $command; wanted=9 ;; esac
  status=0
  wait $command || status=$?
  [ $status = $wanted ] || fail "$signal: status $status"
  none_left "$signal"
done
: >out
# One that does not care is killed for good; its children too.
CASE_MARK=$work "$polytropon" run --mem --at /data -- sh -c 'trap "" TERM; (trap "" TERM; exec sleep 1000) & echo ready; exec sleep 1000' >out &
command=$!
until grep -q ready out; do sleep 0.05; done
kill -9 $command
wait $command 2>/dev/null || true
none_left 'kill -9 of the command'

# At any moment of the start.
for signal in TERM INT KILL; do
  for delay in 0 0.001 0.003 0.005 0.01 0.015 0.02 0.03 0.04 0.05; do
    CASE_MARK=$work python3 -c '
import os, signal, subprocess, sys, time
p = subprocess.Popen(sys.argv[3:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(float(sys.argv[2]))
p.send_signal(int(sys.argv[1]))
sys.exit(0 if p.wait(20) != 0 else 1)' "$(kill -l $signal)" $delay "$polytropon" run --mem --at /data -- sleep 1000 ||
      fail "$signal after $delay s: it went on"
  done
  none_left "$signal during the start"
done

# A terminal.
cat >terminal.py <<'PYTHON'
import os, pty, select, signal, sys, time

rest = b""

def read_until(fd, text, seconds=20):
    global rest
    got, end = rest, time.time() + seconds
    while text not in got:
        if time.time() > end:
            sys.exit("no %r in %r" % (text, got))
        if select.select([fd], [], [], 1)[0]:
            try:
                piece = os.read(fd, 4096)
            except OSError:
                piece = b""
            if not piece:
                sys.exit("the terminal closed: no %r in %r" % (text, got))
            got += piece
    at = got.index(text) + len(text)
    rest = got[at:]
    return got[:at]

def start(words):
    global rest
    rest = b""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    return pid, fd

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

run = sys.argv[1:] + ["run", "--mem", "--at", "/data", "--"]
pid, fd = start(run + ["sh", "-c", "tty </dev/tty; echo ready; exec sleep 1000"])
read_until(fd, b"ready")
os.write(fd, b"\x03")
assert status(pid) == 130, "Ctrl-C"

pid, fd = start(run + ["sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done"])
read_until(fd, b"ready")
os.write(fd, b"\x03")
read_until(fd, b"caught")
assert status(pid) == 5, "Ctrl-C, handled once"

pid, fd = start(run + ["sh", "-c", "trap 'echo caught' INT; echo ready; sleep 2; sleep 1; echo end"])
read_until(fd, b"ready")
os.write(fd, b"\x03")
assert read_until(fd, b"end").count(b"caught") == 1, "the signal came twice"
status(pid)

pid, fd = start(run + ["sh", "-c", "echo ready; exec sleep 1000"])
read_until(fd, b"ready")
os.close(fd)
assert status(pid) == 129, "the terminal hung up"

# A shell with job control in the pool, in a shell with job control outside.
os.environ.update(TERM="dumb", PS1="out> ")
pid, fd = start(["/bin/bash", "--norc", "--noediting", "-i"])
read_until(fd, b"out> ")
os.write(fd, (" ".join("'%s'" % w for w in run) + " env PS1='i''n> ' bash --norc --noediting -i\n").encode())
read_until(fd, b"in> ")
os.write(fd, b"sleep 1000\n")
time.sleep(0.5)
os.write(fd, b"\x1a")
read_until(fd, b"Stopped")
read_until(fd, b"in> ")
os.write(fd, b"fg\n")
time.sleep(0.3)
os.write(fd, b"\x03")
read_until(fd, b"in> ")
os.write(fd, b"suspend -f\n")
read_until(fd, b"out> ")
os.write(fd, b"fg\n")
time.sleep(0.3)
os.write(fd, b"echo back $((1 + 1))\n")
read_until(fd, b"back 2")
os.write(fd, b"exit 6\n")
read_until(fd, b"out> ")
os.write(fd, b"echo status $?\n")
read_until(fd, b"status 6")
os.write(fd, b"exit\n")
status(pid)
PYTHON
CASE_MARK=$work timeout 120 python3 terminal.py "$polytropon" || fail 'the terminal'
none_left 'a terminal'
