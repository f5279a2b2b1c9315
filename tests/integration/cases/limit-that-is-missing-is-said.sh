# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Where a cgroup controller is missing the command says which limit is not enforced, and the pool runs.
all='--cpus 0 --cpu-weight 50 --memory 64M'
said() { # LIMIT...: exactly these are said, on a line each
  [ "$(wc -l <err)" = $# ] || fail "not $# lines: $(cat err)"
  for limit; do grep -qF "the limit $limit is not enforced: " err || fail "nothing about $limit: $(cat err)"; done
}
# shellcheck disable=SC2086
unshare -m sh -c 'umount -R /sys/fs/cgroup; exec "$0" run --mem --at /data '"$all"' -- sh -c "grep Cpus_allowed_list /proc/self/status; echo in >/data/f; cat /data/f"' "$polytropon" >out 2>err
said cpus=0 cpu_weight=50 memory=64M
same "$(printf 'Cpus_allowed_list:\t0\nin')" cat out
unshare -m sh -c 'umount -R /sys/fs/cgroup; exec "$0" run --mem --at /data -- true' "$polytropon" 2>err
said
# An empty cgroup2 hierarchy.
unshare -m sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec "$0" run --mem --at /data '"$all"' -- true' "$polytropon" 2>err
case $(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null) in *memory*) said ;; *) said cpus=0 cpu_weight=50 memory=64M ;; esac
# One is missing, the others are there.
if [ -d /sys/fs/cgroup/memory ]; then
  unshare -m sh -c 'umount /sys/fs/cgroup/memory; exec "$0" run --mem --at /data '"$all"' -- true' "$polytropon" 2>err
  said memory=64M
  # And for a pool that stays, `ps --json` knows it.
  printf 'pools:\n  alice: {memory: 64M, mounts: {/data: {mem: }}}\n' >pools.yaml
  unshare -m sh -c 'umount /sys/fs/cgroup/memory; exec "$0" up pools.yaml' "$polytropon" >out 2>err
  said memory=64M
  grep -q "pool 'alice'" err || fail "whose limit? $(cat err)"
  "$polytropon" ps --json | python3 -c 'import json, sys; assert "memory" in json.load(sys.stdin)[0]["warnings"][0]'
  status=0
  "$polytropon" set alice memory=128M 2>err || status=$?
  [ $status = 125 ] && grep -q "'memory' cannot be set" err || fail "set: $status, $(cat err)"
  "$polytropon" down
fi
# A controller's directory that may not be written.
if [ -d /sys/fs/cgroup/cpu ]; then
  unshare -m sh -c 'mount -o remount,bind,ro /sys/fs/cgroup/cpu; exec "$0" run --mem --at /data '"$all"' -- true' "$polytropon" 2>err
  said cpu_weight=50
  grep -q '/sys/fs/cgroup/cpu' err || fail "no path: $(cat err)"
fi
