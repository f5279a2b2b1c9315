#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts on one directory of a cluster: two engines, each with a pool, in network namespaces of their own. What a program of
# one host has closed, a program of the other sees when it opens it, by whatever doors.
#
#   hosts.sh BUILD_DIR
# shellcheck disable=SC1010,SC2154
set -eu -o pipefail
here=$(realpath "$0")
n=$(($$ % 250)) # of this run: two at once do not meet
east=pte$n west=ptw$n
net=10.213.$n

if [ -z "${HOSTS_INSIDE:-}" ]; then
  [ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
  trap 'for h in $east $west; do ip netns del $h || true; ip link del $h-0 2>/dev/null || true; done' EXIT
  host() { # NAME, its own address, ours
    ip netns add "$1"
    ip link add "$1-0" type veth peer name "$1-1" netns "$1"
    ip addr add "$3/30" dev "$1-0"
    ip link set "$1-0" up
    ip -n "$1" addr add "$2/30" dev "$1-1"
    ip -n "$1" link set "$1-1" up
    ip -n "$1" link set lo up
    ip -n "$1" route add default via "$3"
  }
  host $east $net.2 $net.1
  host $west $net.6 $net.5
  CEPH_TEST_DIR='' CEPH_TEST_ADDRESS=$net.1 HOSTS_INSIDE="$east $west" "$(dirname "$here")/with-cluster.sh" "$1" memstore bash "$here"
  exit
fi

read -r east west <<<"$HOSTS_INSIDE"
polytropon=$build/engine/polytropon
work=$(mktemp -d /tmp/polytropon-hosts.XXXXXX)
# shellcheck source=tests/common.sh
. "$source/tests/common.sh"
on() { # HOST COMMAND...: of that host's engine
  local host=$1
  shift
  POLYTROPON_RUN=$work/$host ip netns exec "$host" "$polytropon" "$@"
}
trap 'status=$?; set +e; on $east down >/dev/null 2>&1; on $west down >/dev/null 2>&1
  [ $status = 0 ] && rm -rf "$work" || echo "kept: $work" >&2' EXIT
for h in $east $west; do
  mkdir "$work/$h"
  cat >"$work/$h.yaml" <<POOL
pools:
  p$h: {mounts: {/data: {ceph: {monitors: "$ceph_monitors", name: client.alice, keyring: $ceph_keyring, path: $ceph_path}}}}
POOL
  on "$h" up "$work/$h.yaml"
done
e() { on "$east" run "p$east" -- "$@"; }
w() { on "$west" run "p$west" -- "$@"; }
calls() { # HOST: of libcephfs, and those that others took back
  on "$1" stats "p$1" --json | python3 -c 'import json, sys
def find(o, key):
    if isinstance(o, dict):
        for k, v in o.items():
            if k == key and not isinstance(v, (dict, list)): yield v
            yield from find(v, key)
    elif isinstance(o, list):
        for v in o: yield from find(v, key)
print(sum(find(json.load(sys.stdin), sys.argv[1])))' "$2"
}
e sh -c 'rm -rf /data/*'

echo "== the hosts are two"
[ "$(ip netns exec "$east" readlink /proc/self/ns/net)" != "$(ip netns exec "$west" readlink /proc/self/ns/net)" ]
service=$(POLYTROPON_RUN=$work/$east pgrep -f "^polytropon-service --boot p$east" -n)
[ "$(readlink "/proc/$service/ns/net")" = "$(ip netns exec "$east" readlink /proc/self/ns/net)" ] || fail "the service is on no host of its own"

echo "== what one has closed, the other sees: programs of both doors"
for i in 1 2 3; do
  e sh -c "echo $i >/data/f"
  same $i w cat /data/f
  same $i w busybox cat /data/f
  w sh -c "echo more$i >>/data/f"
  same "$i
more$i" e cat /data/f
  same "$i
more$i" e busybox cat /data/f
  w busybox sh -c "echo static$i >/data/f"
  same static$i e cat /data/f
  e sh -c "echo new$i >/data/g; mv /data/g /data/f"
  same new$i w cat /data/f
  w sh -c "truncate -s 2 /data/f"
  same 2 e stat -c %s /data/f
  e chmod 600 /data/f
  same 600 w stat -c %a /data/f
done

echo "== programs that stay: a file that is open on one host while the other changes it"
cat >"$work/stays.py" <<'PY'
import mmap, os, sys
def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
path, size = sys.argv[1], 1 << 20
files = {}
say("ready")
for line in sys.stdin:
    word, *rest = line.split()
    if word == "open":
        files[rest[0]] = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    elif word == "close":
        os.close(files.pop(rest[0]))
    elif word == "write":
        os.pwrite(files[rest[0]], rest[1].encode() * 512, int(rest[2]))
    elif word == "read":
        data = os.pread(files[rest[0]], 4096, int(rest[1]))
        say(data[:8].decode() + " %d" % len(data))
        continue
    elif word == "map":
        files["map"] = mmap.mmap(files[rest[0]], 0)
    elif word == "store":
        files["map"][int(rest[1]):int(rest[1]) + 8] = rest[0].encode()
    elif word == "load":
        say(files["map"][int(rest[0]):int(rest[0]) + 8].decode())
        continue
    elif word == "unmap":
        files.pop("map").close()
    elif word == "spin": # reads that need nobody
        for i in range(int(rest[1])):
            assert len(os.pread(files[rest[0]], 4096, 0)) == 4096
            os.fstat(files[rest[0]])
    elif word == "stores":
        for i in range(int(rest[1])):
            os.pwrite(files[rest[0]], b"x" * 4096, 4096 * (i % 200))
    say("done")
PY
declare -A to from
begin() { # NAME COMMAND...: a program that is told what to do
  local name=$1 fd
  shift
  mkfifo "$work/$name.in" "$work/$name.out"
  "$@" <"$work/$name.in" >"$work/$name.out" &
  exec {fd}>"$work/$name.in"
  to[$name]=$fd
  exec {fd}<"$work/$name.out"
  from[$name]=$fd
  hears "$name" ready
}
hears() { # NAME WANTED
  local got
  read -r -t 60 got <&"${from[$1]}" || fail "$1 says nothing"
  [ "$got" = "$2" ] || fail "$1: expected '$2', got '$got'"
}
tells() { # NAME WORDS...
  local fd=${to[$1]}
  shift
  echo "$*" >&"$fd"
}
tell() { # NAME WANTED WORDS...
  local name=$1 wanted=$2
  shift 2
  tells "$name" "$@"
  hears "$name" "$wanted"
}
ends() { # NAME
  local fd=${to[$1]}
  exec {fd}>&-
}
begin EAST e python3 "$work/stays.py" /data/open
begin WEST w python3 "$work/stays.py" /data/open
tell EAST done open a
tell EAST done write a eastern1 0
tell EAST done write a eastern2 4096
tell EAST done spin a 100 # it has a delegation by then
before=$(calls "$east" calls)
tell EAST done spin a 20000
tell EAST done stores a 20000
after=$(calls "$east" calls)
[ $((after - before)) -lt 200 ] || fail "$((after - before)) calls of libcephfs for what is kept"
recalled=$(calls "$east" recalled)
tell WEST done open b
[ "$(calls "$east" recalled)" -gt "$recalled" ] || fail "nothing was recalled"
tell EAST done write a eastern3 0
tell WEST "eastern3 4096" read b 0
tell WEST done write b western1 0
tell EAST "western1 4096" read a 0
tell EAST done write a eastern4 8192
tell WEST "eastern4 4096" read b 8192

echo "== mappings: what is closed is seen"
tell WEST done close b
tell EAST done map a
tell EAST western1 load 0
tell EAST done store mapped01 4096
tell EAST done unmap
tell EAST done close a
tell WEST done open b
tell WEST "mapped01 4096" read b 4096
tell WEST done map b
tell WEST mapped01 load 4096
tell EAST done open a
tell EAST done write a eastern5 4096
tell EAST done close a
tell WEST done unmap
tell WEST done close b
tell WEST done open b
tell WEST "eastern5 4096" read b 4096
tell WEST done close b
ends EAST
ends WEST
wait

echo "== FUSE passthrough: the kernel has what is delegated, and a copy of what is not"
messages() { # HOST: reads and writes that have come by FUSE
  on "$1" stats "p$1" --json | python3 -c '
import json, sys
ops = json.load(sys.stdin)["doors"]["fuse"]["ops"]
print(sum(ops.get(name, {}).get("count", 0) for name in ("read", "write")))'
}
for h in $east $west; do on "$h" set "p$h" fuse.passthrough=always; done
e sh -c 'head -c 4194304 /dev/zero | tr "\\0" z >/data/passes.new; mv /data/passes.new /data/passes'
rm -f "$work"/EAST.* "$work"/WEST.*
begin EAST e env POLYTROPON_MODE=off python3 "$work/stays.py" /data/passes
begin WEST w env POLYTROPON_MODE=off python3 "$work/stays.py" /data/passes
tell EAST done open a
before=$(messages "$east")
tell EAST done spin a 200
tell EAST done stores a 200
tell EAST done write a eastern6 0
[ $(($(messages "$east") - before)) -lt 50 ] || fail "$(($(messages "$east") - before)) messages, though it should pass"
tell EAST done map a
tell EAST done store mapped02 8192
tell EAST done unmap
tell EAST done close a
tell WEST done open b
tell WEST "eastern6 4096" read b 0
tell WEST "mapped02 4096" read b 8192
tell WEST "xxxxxxxx 4096" read b 4096
tell WEST done write b western6 0
tell EAST done open a # while it is open there
tell WEST done write b western7 4096
tell WEST done close b
tell EAST done open c # sees what was closed, and so does the file that was open
tell EAST "western6 4096" read c 0
tell EAST "western7 4096" read c 4096
tell EAST "western7 4096" read a 4096
tell EAST done write a eastern7 12288 # by the kernel, while nothing is delegated
tell WEST done open b
tell EAST done write a eastern8 16384
tell EAST done close c
tell EAST done close a
tell WEST done open d
tell WEST "eastern7 4096" read d 12288
tell WEST "eastern8 4096" read d 16384
tell WEST "western6 4096" read d 0
same eastern8 w sh -c 'dd if=/data/passes bs=8 skip=2048 count=1 2>/dev/null' # by the other door
w sh -c 'printf otherdoor | dd of=/data/passes bs=1 seek=20480 conv=notrunc 2>/dev/null'
tell WEST "otherdoo 4096" read d 20480
ends EAST
ends WEST
wait
for h in $east $west; do on "$h" set "p$h" fuse.passthrough=auto; done

echo "== trees"
e cp -r /usr/include/linux /data/linux
w diff -r /usr/include/linux /data/linux
w busybox diff -r /usr/include/linux /data/linux
w sh -c 'find /data/linux -name "*.h" | head -n 50 | while read -r f; do echo changed >>"$f"; done'
same 50 e sh -c 'grep -rlx changed /data/linux | wc -l'
same 50 e busybox sh -c 'grep -rlx changed /data/linux | wc -l'
e rm -r /data/linux
same "" w sh -c 'ls /data | grep linux || true'

echo "== locks stand between hosts"
cat >"$work/locks.py" <<'PY'
import errno, fcntl, os, struct, sys
def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
kinds = {"posix": (fcntl.F_SETLK, fcntl.F_SETLKW), "ofd": (fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW)}
types = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK, "un": fcntl.F_UNLCK}
say("ready")
for line in sys.stdin:
    word, *rest = line.split()
    try:
        if word == "flock":
            fcntl.flock(fd, {"read": fcntl.LOCK_SH, "write": fcntl.LOCK_EX, "un": fcntl.LOCK_UN}[rest[0]] | (fcntl.LOCK_NB if rest[1] == "now" else 0))
        elif word in kinds:
            kind, when, start, length = types[rest[0]], rest[1], int(rest[2]), int(rest[3])
            fcntl.fcntl(fd, kinds[word][when == "wait"], struct.pack("hhqqi4x", kind, 0, start, length, 0))
        elif word == "who":
            get = fcntl.F_OFD_GETLK if rest[0] == "ofd" else fcntl.F_GETLK
            r = fcntl.fcntl(fd, get, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, int(rest[1]), int(rest[2]), 0))
            kind, _, start, length, pid = struct.unpack("hhqqi4x", r)
            say("%d %d %d" % (kind, start, length) if kind != fcntl.F_UNLCK else "nobody")
            continue
        elif word == "count": # each host in turn, as the lock lets them
            for i in range(int(rest[0])):
                fcntl.lockf(fd, fcntl.LOCK_EX)
                n = int(os.pread(fd, 16, 0) or b"0")
                os.pwrite(fd, b"%16d" % (n + 1), 0)
                fcntl.lockf(fd, fcntl.LOCK_UN)
        elif word == "value":
            say(os.pread(fd, 16, 0).decode().strip())
            continue
        say("done")
    except OSError as e:
        say(errno.errorcode[e.errno])
PY
for doors in "python3 python3" "python3 busybox"; do
  rm -f "$work"/E.* "$work"/W.*
  read -r _ second <<<"$doors"
  mode=
  [ "$second" = python3 ] || mode="env POLYTROPON_MODE=off" # by FUSE
  begin E e python3 "$work/locks.py" /data/lock east
  # shellcheck disable=SC2086
  begin W w $mode python3 "$work/locks.py" /data/lock
  for kind in posix ofd; do
    tell E done $kind write now 0 10
    tell W EAGAIN $kind write now 5 1
    tell W EAGAIN $kind read now 9 100
    tell W done $kind write now 10 10
    tell E EAGAIN $kind read now 0 0
    tell W "1 0 10" who $kind 0 0
    tells W $kind write wait 0 20
    tell E done $kind un now 0 10
    hears W done
    tell E "1 0 20" who $kind 0 0
    tell W done $kind un now 0 0
    tell E nobody who $kind 0 0
  done
  tell E done flock read now
  tell W done flock read now
  tell W EAGAIN flock write now
  tell W done posix write now 0 0 # another name space
  tell W done posix un now 0 0
  tell E done flock un now
  tell W done flock write now
  tells E flock write wait
  tell W done flock un now
  hears E done
  tell E done flock un now

  # What a process has goes with it; what it waits for, too.
  tell E done posix write now 0 0
  tell E done flock write now
  tells W posix write wait 0 0
  kill -9 "$(pgrep -nf "python3 $work/locks.py /data/lock east$")"
  ends E
  hears W done
  tell W done flock write now
  ends W
  wait || true
done

echo "== what is written under a lock is read under it"
rm -f "$work"/E.* "$work"/W.*
e sh -c ': >/data/count'
begin E e python3 "$work/locks.py" /data/count
begin W w python3 "$work/locks.py" /data/count
tells E count 100
tells W count 100
hears E done
hears W done
tell E 200 value
tell W 200 value
ends E
ends W
wait
