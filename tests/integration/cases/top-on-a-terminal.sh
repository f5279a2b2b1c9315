# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# top on a terminal: it fits whatever the size, follows keys and sizes, and leaves the terminal as it was.
{
  echo 'pools:'
  for i in $(seq 9); do printf '  p%s: {mounts: {/data: {mem: {}}}}\n' "$i"; done
} >pools.yaml
"$polytropon" up pools.yaml
mkfifo go
exec 9<>go # so that nobody finds its end when one of them has been told
for i in $(seq 12); do
  # (A container is what has a process of its own: each waits for us.)
  "$polytropon" run p1 -- busybox sh -c "echo x >/data/f$i; >$work/ready$i; read -r line <$work/go" &
done
for i in $(seq 12); do until [ -e "ready$i" ]; do sleep 0.05; done; done

cat >terminal.py <<'PY'
import fcntl, os, pty, re, select, signal, struct, sys, termios

def screens(data):
    """What was shown from one home to the next, without the sequences."""
    return [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", s) for s in data.split("\x1b[H\x1b[J")[1:]]

class Top:
    def __init__(self, lines, columns, *options):
        self.master, slave = pty.openpty()
        self.resize(lines, columns, False)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(slave, fd)
            os.execv(sys.argv[1], [sys.argv[1], "top", "--interval", "100s", *options])
        self.data = ""

    def resize(self, lines, columns, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            os.kill(self.pid, signal.SIGWINCH)

    def until(self, good, what):
        """Reads until the latest screen is as wanted."""
        while True:
            shown = screens(self.data)
            if shown and good(shown[-1]):
                return shown[-1]
            if not select.select([self.master], [], [], 60)[0]:
                sys.exit("%s: the screen is %r" % (what, shown[-1:]))
            try:
                self.data += os.read(self.master, 65536).decode()
            except OSError:
                sys.exit("%s: it ended: %r" % (what, self.data))

    def ends(self, how):
        while True:
            try:
                more = os.read(self.master, 65536).decode() if select.select([self.master], [], [], 0.2)[0] else ""
            except OSError:
                break
            self.data += more
            if not more and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                break
        status = os.waitpid(self.pid, 0)[1]
        assert os.waitstatus_to_exitcode(status) == 0, (how, status)
        assert self.data.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l"), (how, self.data[-60:])
        assert termios.tcgetattr(self.slave) == self.before, how

def fits(screen, lines, columns):
    rows = screen.replace("\r", "").split("\n")
    assert len(rows) <= lines and max(map(len, rows)) <= columns, (len(rows), screen)

whole = lambda s: s.rstrip("\r\n").count("\n") >= 20
top = Top(24, 80, "--sort", "ops")
screen = top.until(whole, "at first")
fits(screen, 24, 80)
for pool in range(1, 10):
    assert "\np%d " % pool in screen, screen
assert re.search(r"\n  \d+ more", screen) and re.search(r"\n  \d+ busybox", screen), screen
assert re.search(r"\np\d +fuse +\w+ +\d+", screen), screen
os.write(top.master, b"c")
screen = top.until(lambda s: re.search(r"\np1/\d+ busybox +fuse +\w+", s), "key c")
fits(screen, 24, 80)
os.write(top.master, b"s")
top.until(lambda s: "by spared" in s, "key s")
top.resize(50, 80)
screen = top.until(lambda s: s.count(" busybox ") >= 12, "50 lines")
fits(screen, 50, 80)
top.resize(8, 80)
fits(top.until(lambda s: s.count("\n") < 9, "8 lines"), 8, 80)
os.write(top.master, b"q")
top.ends("q")

top = Top(24, 80)
top.until(whole, "another")
os.write(top.master, b"\x03")
top.ends("ctrl-C")

top = Top(24, 80)
top.until(whole, "one that is stopped")
os.write(top.master, b"\x1a")
assert os.WIFSTOPPED(os.waitpid(top.pid, os.WUNTRACED)[1])
assert termios.tcgetattr(top.slave) == top.before
os.kill(top.pid, signal.SIGCONT)
top.data = ""
top.until(whole, "continued")
os.write(top.master, b"q")
top.ends("q after a stop")
PY
python3 terminal.py "$polytropon"
for _ in $(seq 12); do echo >&9; done
wait
