# SPDX-License-Identifier: Apache-2.0
# podman runs its containers by `polytropon oci`: on the host, and in a pool with a root and a volume of the pool's.
python3 "$source/tests/integration/images/make-images.py" "$work"
cat > runtime <<EOF
#!/bin/sh
export POLYTROPON_RUN=$POLYTROPON_RUN
exec $polytropon oci --root $work/state "\$@"
EOF
chmod 755 runtime
pod() { podman --root "$work/pod" --runroot "$work/podrun" --storage-driver vfs --cgroup-manager cgroupfs --runtime "$work/runtime" "$@"; }
options="--network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024"
# What podman leaves on a machine that had none.
mountpoint -q /run/netns && netns=there || netns=
[ -e /dev/shm/libpod_lock ] && lock=there || lock=
clean() {
  pod rm --all --force > /dev/null 2>&1 || true
  pod rmi --all --force > /dev/null 2>&1 || true
  umount -q "$work/pod" "$work/podrun" 2> /dev/null || true
  find /sys/fs/cgroup -depth -path '*/libpod_parent*' -type d -exec rmdir {} \; 2> /dev/null || true
  [ -n "$netns" ] || umount -q /run/netns 2> /dev/null || true
  [ -n "$lock" ] || rm -f /dev/shm/libpod_lock
}
trap clean EXIT
pod load -q -i docker.tar > /dev/null
image=$(pod images -q | head -1)
# shellcheck disable=SC2086
run() { pod run --rm $options "$@"; }

same upper run "$image" cat /etc/a
expect 7 run "$image" sh -c 'exit 7'
same yes run "$image" sh -c 'echo $FROM_IMAGE'
same 1000 run --user 1000:1000 --cap-drop all "$image" id -u
same /dev/pts/0 sh -c "echo | podman --root $work/pod --runroot $work/podrun --storage-driver vfs --cgroup-manager cgroupfs --runtime $work/runtime run --rm -t $options $image readlink /proc/self/fd/0 | tr -d '\r'"
expect 1 run --read-only "$image" touch /x 2> /dev/null
run --read-only "$image" touch /tmp/x
# shellcheck disable=SC2086
container=$(pod run -d $options --memory 64m "$image" sleep 1000)
same sleep pod exec "$container" cat /proc/1/comm
pod pause "$container" > /dev/null
pod unpause "$container" > /dev/null
pod kill "$container" > /dev/null
same 137 pod wait "$container"
pod rm "$container" > /dev/null
[ -z "$(ls state)" ] || fail "left behind: $(ls state)"

mkdir store
cat > pools.yaml <<EOF
pools:
  pod:
    roots: {host: {path: $work/store}}
    mounts: {/data: {mem: {size: 16M}}}
EOF
"$polytropon" up pools.yaml
"$polytropon" image import busy layout > /dev/null
"$polytropon" clone pod busy web
"$polytropon" exec pod -- sh -c 'echo shared > /data/f'
in_pool() { run --annotation io.polytropon.pool=pod --annotation io.polytropon.root=web --annotation io.polytropon.mount./mnt=/data "$@"; }
same shared in_pool "$image" cat /mnt/f
in_pool "$image" sh -c 'echo podman > /etc/a'
same podman "$polytropon" run --root web pod -- cat /etc/a
same upper run "$image" cat /etc/a
clean
trap - EXIT
