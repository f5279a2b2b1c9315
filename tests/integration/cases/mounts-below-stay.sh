# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What is mounted on a pool's directories stays there whatever programs do to other names through the preload door, the
# kernel learns of those, and both doors lead to what is mounted while it is there.
cat > stay.sh <<'EOT'
set -eu
not() { if "$@" 2> /dev/null; then echo "should fail: $*" >&2; exit 1; fi; }
kernel() { env POLYTROPON_MODE=off "$@"; }
mounted() { grep -c ' /data/' /proc/self/mountinfo; }
cd /data
mkdir -p m x/y
echo under > m/under
mount -t tmpfs none /data/m
mount -t tmpfs none /data/x/y
kernel touch m/in x/y/in
for i in 1 2 3; do
  kernel ls -d /data/m /data/x/y > /dev/null
  not kernel stat new$i
  not kernel stat x/new$i
  touch new$i x/new$i
  kernel stat new$i x/new$i > /dev/null
  mv new$i x/other$i
  not kernel stat new$i
  kernel stat x/other$i > /dev/null
  [ "$(mounted)" = 2 ]
  kernel stat m/in x/y/in > /dev/null
  stat m/in x/../m/in /data/x/y/in > /dev/null
  not stat m/under
  touch m/made$i x/y/made$i
  kernel stat m/made$i x/y/made$i > /dev/null
done
not mv -T m elsewhere
[ "$(mounted)" = 2 ]
umount m x/y
cat m/under > /dev/null
not stat m/in
[ "$(ls m)" = under ]
# a file that the kernel is given as a device
truncate -s 8M device
mkfs.ext4 -q -F device
mount -o loop device m
echo inside > m/f
[ "$(kernel cat m/f)" = inside ]
umount m
[ "$(ls m)" = under ]
EOT
for kind in mem image; do
  case $kind in mem) stack=(--mem) ;; image) stack=(--image "$work/i" --size 64M) ;; esac
  "$polytropon" run "${stack[@]}" --at /data -- bash "$work/stay.sh" || fail "mounts on a $kind"
done

# and so it is for what is mounted in a container, whose root is on a volume
mkdir -p tree/{usr,proc,etc}
for link in bin sbin lib lib64; do ln -s usr/$link tree/$link; done
cat > pools.yaml <<EOT
pools:
  staying:
    mounts:
      /vol: {mem: {size: 16M}}
    roots: {volume: {image: $work/roots, size: 64M}}
EOT
"$polytropon" up pools.yaml
"$polytropon" image import tree tree > /dev/null
same '1 1 2' "$polytropon" run --root tree --volume /usr:/usr staying -- sh -c 'for i in 1 2 3; do
    mkdir /d$i; echo a > /d$i/f; mv /d$i/f /f$i; env POLYTROPON_MODE=off cat /proc/self/status > /dev/null || exit; done
  echo "$(grep -c " /usr " /proc/self/mountinfo) $(grep -c " /proc " /proc/self/mountinfo) $(ls -d /d2 /f3 | wc -l)"'
