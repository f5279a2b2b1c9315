#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits on a host that has version 2 of control groups alone: in a virtual machine with Debian's kernel, whose root is this
# machine's, read-only, with memory over it. Without KVM it takes some twenty seconds.
#
#   scripts/cgroup-v2-test.sh BUILD_DIR
#
# It needs qemu-system-x86_64 (QEMU: another command for it) and downloads the kernel's package, unless KERNEL_ROOT is a
# directory with its boot/ and lib/modules/. ACCEL=kvm where that works.
set -eu -o pipefail
build=$(realpath "$1")
source=$(realpath "$(dirname "$0")/..")
qemu=${QEMU:-qemu-system-x86_64}
work=$(mktemp -d /tmp/polytropon-cgroup-v2.XXXXXX)
trap 'rm -rf "$work"' EXIT

# What runs in the machine, as its only program: it ends the machine, too.
inside() {
  cat <<EOF
set -eu
trap 'sync; echo o > /proc/sysrq-trigger; sleep 60' EXIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin POLYTROPON_RUN=/run/v2
p=$build/engine/polytropon
cd /run
fail() { echo "FAILED: \$*"; }
is() { [ "\$(cat "\$1")" = "\$2" ] || fail "\$1: \$(cat "\$1"), not \$2"; }
uname -r
stat -f -c %T /sys/fs/cgroup
$build/tests/unit/engine/test-engine-cgroup || fail "unit test"
printf '%s\n' 'pools:' '  v2:' '    cpus: 0' '    cpu_weight: 50' '    memory: 300M' '    io: {iops: 100, burst: 10ms}' \\
  '    cache: {size: 0}' '    mounts:' '      /data: {mem: 16M}' > pools.yaml
\$p up pools.yaml 2> said
cat said
[ ! -s said ] || fail "a limit is not enforced"
group=\$(echo /sys/fs/cgroup/polytropon/v2*)
is \$group/memory.max 314572800
is \$group/cpu.weight 50
is \$group/cpuset.cpus 0
\$p set v2 memory=256M cpu_weight=200
is \$group/memory.max 268435456
is \$group/cpu.weight 200
\$p run v2 -- sh -c 'head -c 1M /dev/zero > /data/f; cat /proc/self/cgroup' > cgroup
grep -q '^0::/polytropon/v2' cgroup || fail "not in its group: \$(cat cgroup)"
\$p run v2 -- busybox dd if=/data/f of=/dev/null bs=4096 count=30 iflag=direct 2> /dev/null || fail "read"
\$p stats v2 | grep -q throttled || fail "no figures of limits"
\$p run v2 -- busybox dd if=/dev/zero of=/dev/null bs=400M count=1 > /dev/null 2>&1 && fail "memory is not limited"
\$p ps | grep -q 'v2 *up' || fail "the pool did not stay: \$(\$p ps)"
\$p down
[ ! -e \$group ] || fail "\$group is left"
echo "END OF CHECKS"
EOF
}

kernel=${KERNEL_ROOT:-$work/kernel}
if [ ! -d "$kernel" ]; then
  for try in 1 2 3; do
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)/\1/p' | sed -n 1p) || true
    [ -n "$package" ] && (cd "$work" && apt-get -q download "$package" > /dev/null) && break
    [ "$try" -lt 3 ] || { echo "the kernel's package '$package' cannot be downloaded" >&2; exit 1; }
    apt-get update -qq || sleep 5 # there are no lists, or old ones
  done
  dpkg-deb -x "$work/$package"_*.deb "$kernel"
fi
modules=$(echo "$kernel"/lib/modules/*/kernel)

mkdir -p "$work"/ird/{bin,proc,sys,dev,host,rw,new,mod}
cp "$(command -v busybox)" "$work/ird/bin/"
for module in drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev \
  drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci fs/netfs/netfs fs/fscache/fscache net/9p/9pnet \
  net/9p/9pnet_virtio fs/9p/9p fs/fuse/fuse fs/overlayfs/overlay; do
  cp "$modules/$module.ko" "$work/ird/mod/"
  echo "${module##*/}.ko" >> "$work/ird/mod/list"
done
inside > "$work/ird/inside"
cat > "$work/ird/init" <<EOF
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
while read -r m; do insmod /mod/\$m; done < /mod/list
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose host /host
mount -t tmpfs tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /new
mount --move /dev /new/dev
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t cgroup2 none /new/sys/fs/cgroup
for d in tmp run dev/shm; do mkdir -p /new/\$d; mount -t tmpfs tmpfs /new/\$d; done
mkdir -p /new/dev/pts /new$build /new$source
mount -t devpts devpts /new/dev/pts
mount --bind /host$build /new$build
mount --bind /host$source /new$source
cp /inside /new/run/inside
ip link set lo up
exec switch_root /new /bin/bash /run/inside
EOF
chmod 755 "$work/ird/init"
(cd "$work/ird" && find . | busybox cpio -o -H newc 2> /dev/null | gzip -1) > "$work/initrd.gz"

# shellcheck disable=SC2086
timeout "${TIMEOUT:-900}" $qemu -accel "${ACCEL:-tcg}" -cpu max -smp 2 -m 1500 -nographic -no-reboot \
  -kernel "$kernel"/boot/vmlinuz-* -initrd "$work/initrd.gz" -append "console=ttyS0 quiet panic=-1" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap < /dev/null | tee "$work/log" | cat -v
if grep -q FAILED "$work/log" || ! grep -q "END OF CHECKS" "$work/log"; then
  echo "limits by version 2 of control groups: FAILED" >&2
  exit 1
fi
