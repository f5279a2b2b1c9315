# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Mount, IPC and PID namespaces of its own, user and network if asked for, control groups that the service lives in too.
cat >pools.yaml <<YAML
pools:
  plain: {cpus: "0", cpu_weight: 50, memory: 256M, mounts: {/data: {mem: }}}
  apart: {user: true, network: true, mounts: {/data: {mem: }}}
YAML
"$polytropon" up pools.yaml
in_plain() { "$polytropon" run plain -- "$@"; }
in_apart() { "$polytropon" run apart -- "$@"; }
pid_of() { "$polytropon" ps | awk -v pool="$1" -v column="$2" '$1 == pool { print $column }'; }

# Namespaces.
for n in mnt ipc pid uts; do
  outside=$(readlink /proc/self/ns/$n) plain=$(in_plain readlink /proc/self/ns/$n) apart=$(in_apart readlink /proc/self/ns/$n)
  [ "$outside" != "$plain" ] && [ "$outside" != "$apart" ] && [ "$plain" != "$apart" ] || fail "$n: $outside $plain $apart"
  same "$plain" in_plain readlink /proc/self/ns/$n # the pool's, not the program's
done
for n in user net; do
  same "$(readlink /proc/self/ns/$n)" in_plain readlink /proc/self/ns/$n
  [ "$(readlink /proc/self/ns/$n)" != "$(in_apart readlink /proc/self/ns/$n)" ] || fail "$n: not its own"
done
same plain in_plain hostname
# Processes: the host's are not seen, nor signalled; the pool's init and the program are.
same 1 in_plain sh -c 'ls -d /proc/1 | wc -l'
[ "$(in_plain sh -c 'ls -d /proc/[0-9]* | wc -l')" -lt 10 ] || fail 'a pool sees processes of the host'
in_plain sh -c 'kill -0 1' && in_plain sh -c 'kill -9 1; kill -TERM 1; sleep 0.2'
in_plain true || fail 'a program of the pool ended its init'
# IPC: System V and POSIX.
in_plain sh -c 'ipcmk -M 64 >/dev/null; echo x >/dev/shm/plain'
same 0 sh -c 'ipcs -m | grep -c "^0x.*64 " || true'
[ ! -e /dev/shm/plain ] || fail "the host sees the pool's shared memory"
in_apart sh -c '[ ! -e /dev/shm/plain ]' || fail "a pool sees another's shared memory"
same x in_plain cat /dev/shm/plain
# Mounts: the pool's do not come out.
in_plain mount -t tmpfs none /mnt
! grep -q ' /mnt ' /proc/self/mounts || fail 'a mount of the pool is on the host'
! grep -q ' /data ' /proc/self/mounts || fail 'a mount of the pool is on the host'
in_apart sh -c '! mount -t tmpfs none /mnt' 2>/dev/null || fail 'a pool with a user namespace mounts'
# With a user namespace, root keeps its number and loses its power; the files are its own nevertheless.
same '0 0' in_apart sh -c 'echo x >/data/f; stat -c "%u %g" /data/f'
same 'x x' in_apart sh -c 'chown 1000:1000 /data/f; echo $(cat /data/f) $(busybox cat /data/f)'
name=$(hostname)
in_plain hostname changed
same "$name" hostname
# With a network of its own: its loopback, and no other interface.
same 'lo' in_apart sh -c 'ls /sys/class/net >/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "'
same pong in_apart python3 -c '
import socket, threading
s = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: s.accept()[0].sendall(b"pong")).start()
print(socket.create_connection(s.getsockname()).recv(9).decode())'

# Control groups: the program's are the service's and init's, and say what the file says.
groups_of() { grep -o '[^:]*:/polytropon/[^:]*' "/proc/$1/cgroup" | sort; }
"$polytropon" run plain -- sleep 1000 &
command=$!
for _ in $(seq 100); do program=$(pgrep -P $command sleep) && break || sleep 0.1; done
same "$(groups_of "$program")" groups_of "$(pid_of plain 3)"
same "$(groups_of "$program")" groups_of "$(pid_of plain 4)"
[ -n "$(groups_of "$program")" ] || echo 'no control groups on this host'
value() { # CONTROLLER V1-FILE V2-FILE
  local name
  name=$(grep "[:,]$1[:,]" "/proc/$program/cgroup" | cut -d: -f3)
  [ -n "$name" ] && cat "/sys/fs/cgroup/$1$name/$2" 2>/dev/null || cat "/sys/fs/cgroup$(grep '^0::' "/proc/$program/cgroup" | cut -d: -f3)/$3" 2>/dev/null || echo none
}
case "$(value cpu cpu.shares cpu.weight)" in 512 | 50 | none) ;; *) fail "cpu_weight: $(value cpu cpu.shares cpu.weight)" ;; esac
case "$(value memory memory.limit_in_bytes memory.max)" in 268435456 | none) ;; *) fail "memory: $(value memory memory.limit_in_bytes memory.max)" ;; esac
"$polytropon" set plain memory=300M cpu_weight=200
case "$(value cpu cpu.shares cpu.weight)" in 2048 | 200 | none) ;; *) fail "cpu_weight: $(value cpu cpu.shares cpu.weight)" ;; esac
case "$(value memory memory.limit_in_bytes memory.max)" in 314572800 | none) ;; *) fail "memory: $(value memory memory.limit_in_bytes memory.max)" ;; esac
same '0' sh -c "grep Cpus_allowed_list /proc/$program/status | cut -f2"
same '0' sh -c "grep Cpus_allowed_list /proc/$(pid_of plain 3)/status | cut -f2"
limited=$(value memory memory.limit_in_bytes memory.max)
kill $command
wait $command || true

# Who takes more memory than there is loses a program, not the pool.
if [ "$limited" != none ]; then
  "$polytropon" set plain memory=64M
  expect 137 "$polytropon" run plain -- python3 -c 'x = bytearray(200 << 20)'
  same after in_plain sh -c 'echo after >/data/f; cat /data/f'
fi
"$polytropon" down
