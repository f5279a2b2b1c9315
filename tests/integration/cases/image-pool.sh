# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# --image makes, keeps and grows a volume; without --host, --mem and --image the pool has a throw-away one.
image() { "$polytropon" run --image disk.img "$@"; }
export TMPDIR=$work/dir

image --size 64M --at /data -- sh -c 'mkdir /data/d && echo kept > /data/d/f && ln /data/d/f /data/g'
same kept image --at /data -- cat /data/d/f
same kept image --at /data -- busybox cat /data/g
same 2 image --at /data -- stat -c %h /data/g
before=$(image --at /data -- stat -f -c %b /data)
after=$(image --size 128M --at /data -- stat -f -c %b /data)
[ "$after" -gt $((before + 12000)) ] || fail "it did not grow: $before, $after"
[ "$(stat -c %s disk.img)" = $((128 << 20)) ] || fail "the image has $(stat -c %s disk.img) bytes"
[ "$(stat -c %a disk.img)" = 600 ] || fail 'others may read the image'
"$polytropon" fsck -n disk.img
: >empty.img
same made "$polytropon" run --image empty.img --size 64M --at /data -- sh -c 'echo made > /data/f; cat /data/f'

same new "$polytropon" run --image new.img --at /data -- sh -c 'echo new > /data/f; cat /data/f'
[ "$(stat -c %s new.img)" = $((4 << 30)) ] || fail "the default image has $(stat -c %s new.img) bytes"

same temporary "$polytropon" run --at /data -- sh -c 'echo temporary > /data/f; cat /data/f'
same temporary "$polytropon" run --size 32M --at /data -- busybox sh -c 'echo temporary > /data/f; cat /data/f'
expect 7 "$polytropon" run --at /data -- sh -c 'exit 7'
[ -z "$(ls -A dir)" ] || fail "left behind: $(ls -A dir)"
# What does not fit says so, and can be removed.
"$polytropon" run --size 32M --at /data -- sh -c '
  ! dd if=/dev/zero of=/data/f bs=1M count=64 2>/tmp/err.$$ || exit 1
  grep -q "No space left" /tmp/err.$$; e=$?; rm /tmp/err.$$; rm /data/f && echo again > /data/g && exit $e'

# What cannot be made leaves nothing.
expect 2 "$polytropon" run --image absent.img --size 1M --at /data -- true 2>err
grep -q 'too small' err || fail "$(cat err)"
expect 2 "$polytropon" run --image dir --at /data -- true 2>err
grep -q 'neither a file nor a block device' err || fail "$(cat err)"
[ ! -e absent.img ] || fail 'a failure made an image'
