# SPDX-License-Identifier: Apache-2.0
# A container of a pool has the image as its root, its own namespaces, and not much power; what it writes is its own.
python3 "$source/tests/integration/images/make-images.py" "$work"
mkdir "$work/store"
cat > pools.yaml <<EOF
pools:
  box:
    roots: {host: {path: $work/store}}
    mounts:
      /shared: {mem: {size: 16M}}
EOF
"$polytropon" up pools.yaml
"$polytropon" image import busy layout > /dev/null
run() { "$polytropon" run --root "$@"; }

# The image: its files, its environment, its program.
same upper run busy box
same yes run busy box -- sh -c 'echo $FROM_IMAGE'
same /etc run busy box -- sh -c pwd
same "a c" run busy box -- sh -c 'cd /etc; for f in a b c; do [ -e $f ] && echo $f; done | { read x; read y; echo $x $y; }'
[ -z "$("$polytropon" clone --list --json box | grep name)" ] || fail "a throw-away container is left"

# The exit status.
expect 7 run busy box -- sh -c 'exit 7'
expect 127 run busy box -- no-such-program 2> error
grep -q "not found" error || fail "$(cat error)"
expect 125 run no-such-image box -- sh 2> error
grep -q "no-such-image" error || fail "$(cat error)"
expect 2 run busy --detach --nmae x box -- sh 2> error
grep -q "did you mean '--name'" error || fail "$(cat error)"

# Alone.
same 1 run busy box -- sh -c 'echo $$'
same own "$polytropon" run --root busy --hostname own box -- hostname
before=$(hostname)
run busy box -- sh -c 'hostname evil' 2> /dev/null || true
same "$before" hostname
run busy box -- sh -c 'cat /proc/self/status' > status
grep -q '^NoNewPrivs:.*1' status || fail "no_new_privs is not set"
grep -q '^Seccomp:.*2' status || fail "no filter"
[ $((0x$(sed -n 's/^CapEff:\t//p' status) & 1 << 21)) = 0 ] || fail "it has CAP_SYS_ADMIN"
[ "$(run busy box -- readlink /proc/self/ns/user)" != "$(readlink /proc/self/ns/user)" ] || fail "no user namespace"
expect 1 run busy box -- mount -t tmpfs none /tmp 2> /dev/null
[ -z "$(run busy box -- sh -c 'cat /proc/keys /proc/timer_list; ls /sys/firmware')" ] || fail "paths are not masked"
expect 1 run busy box -- sh -c 'echo 1 > /proc/sys/kernel/sysrq' 2> /dev/null
expect 1 run busy box -- ls "$work" 2> /dev/null
[ -z "$(run busy box -- sh -c 'cd /run/polytropon/root; for d in */; do echo "$d"; done' | grep -v '\*')" ] || fail "it sees other containers"

# Its own writes, a kept container, and what the pool shares with it.
run busy --name kept box -- sh -c 'echo mine > /etc/a; echo new > /new'
same mine run kept box -- cat /etc/a
same upper run busy box -- cat /etc/a
"$polytropon" exec box -- sh -c 'echo together > /shared/f'
same together "$polytropon" run --root busy --volume /shared:/mnt box -- cat /mnt/f
expect 1 "$polytropon" run --root busy --read-only box -- touch /x 2> /dev/null
same 1000 "$polytropon" run --root busy --uid 1000:1000 box -- id -u

# In the background.
run busy --name web --detach box -- sh -c 'echo begun; trap "echo ended; exit 0" TERM; while :; do sleep 0.1; done'
shows 'web: sh' "$polytropon" ps || fail "ps does not list it"
expect 125 run web box -- id 2> /dev/null
same sh "$polytropon" exec --in web box -- cat /proc/1/comm
expect 3 "$polytropon" exec --in web box -- sh -c 'exit 3'
expect 125 "$polytropon" clone box web copy 2> /dev/null
"$polytropon" kill box web TERM
"$polytropon" logs --follow box web > log
same "begun
ended" cat log
for _ in $(seq 50); do
  shows 'web: sh' "$polytropon" ps || break
  sleep 0.1
done
expect 125 "$polytropon" kill box web 2> error
"$polytropon" clone --rm box web kept

# In a pool with users of its own the layers' marks are the same.
mkdir "$work/store2"
cat > pools2.yaml <<EOF
pools:
  own:
    user: true
    network: true
    roots: {host: {path: $work/store2}}
EOF
"$polytropon" up pools2.yaml
"$polytropon" image import --pool own busy layout > /dev/null
same "new" run busy own -- ls /hidden
expect 1 run busy own -- test -e /gone
same own run busy --network --hostname own own -- hostname

# Limits: forks end at the number of processes.
"$polytropon" run --root busy --pids 8 box -- sh -c 'i=0; while [ $i -lt 20 ]; do sleep 1 & i=$((i + 1)); done; wait' 2> error || true
grep -q "fork" error || fail "more processes than allowed: $(cat error)"
[ -z "$(find /sys/fs/cgroup -path "*polytropon/box*" -name 'run-*' -type d)" ] || fail "cgroups are left"

# All at once.
pids=
for i in $(seq 20); do
  run busy box -- sh -c "echo $i > /etc/a; cat /etc/a" > "out.$i" &
  pids="$pids $!"
done
for p in $pids; do wait "$p" || fail "one of many failed"; done
for i in $(seq 20); do same "$i" cat "out.$i"; done
