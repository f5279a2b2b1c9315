# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What is made in directories with default ACLs, and who may do what with it, is as on the kernel's file system: on each
# kind of storage, at each door, for glibc and musl. ACL_SEED and ACL_ROUNDS may be set.
seed=${ACL_SEED:-22016} # this one has a member of two groups who may do each of two things, and not both
rounds=${ACL_ROUNDS:-12}
program=$build/tests/integration/acl/acl-default

truncate -s 100M ext4.img
mkfs.ext4 -q -b 4096 -I 1024 ext4.img
mkdir ext4
# kernel FILE ARG...: the same in a directory of that file system, whose root has an ACL.
kernel() {
  local log=$1
  shift
  unshare -m sh -ec 'mount -o loop ext4.img ext4; mkdir ext4/root; setfacl -m u:4242:rx ext4/root; "$@"; rm -r ext4/root' - "$@" >"$log"
}
kernel all "$program" ext4/root "$seed" "$rounds"
[ "$(grep -c ' [0-9]*:[0-9]' all)" -gt 100 ] || fail "the kernel's run made too few ACLs"
kernel made "$program" ext4/root "$seed" "$rounds" made
rm ext4.img

# compared KERNEL WHAT COMMAND...: it must print what the kernel's did.
compared() {
  local kernel=$1 what=$2
  shift 2
  "$@" >seen || fail "$what, seed $seed: status $?"
  diff "$kernel" seen >difference || { head -20 difference; fail "$what, seed $seed: not as on the kernel"; }
  echo "$what: $(wc -l <seen) lines, the same"
}

# At the FUSE door the kernel knows of ACLs only where the root has one: what others may do there is compared there.
for mode in strict off; do
  export POLYTROPON_MODE=$mode
  kernel=all only=()
  [ $mode = strict ] || { kernel=made; only=(made); }
  mkdir "at.$mode"
  compared $kernel "mem $mode" mem "$program" /data "$seed" "$rounds" "${only[@]}"
  compared $kernel "host $mode" "$polytropon" run --host "$work/at.$mode" --at /data -- "$program" /data "$seed" "$rounds" "${only[@]}"
  setfacl -m u:4242:rx "$work/at.$mode"
  find "$work/at.$mode" -mindepth 1 -delete
  compared all "host with ACLs $mode" "$polytropon" run --host "$work/at.$mode" --at /data -- "$program" /data "$seed" "$rounds"
  "$polytropon" run --image "$work/v.$mode" --size 200M --at /data -- setfacl -m u:4242:rx /data
  compared all "volume with ACLs $mode" "$polytropon" run --image "$work/v.$mode" --at /data -- "$program" /data "$seed" "$rounds"
done
POLYTROPON_MODE=lazy compared all "mem lazy" mem "$program" /data "$seed" "$rounds"
[ ! -e "$program-musl" ] || POLYTROPON_MODE=strict compared all "mem musl" mem "$program-musl" /data "$seed" "$rounds"

# The work directory of a union is made in the writable branch's root: what is copied up has not got that one's ACL.
mkdir upper lower lower/d
setfacl -d -m u:1005:rwx upper
echo data >lower/d/f
chmod 640 lower/d/f
cat >pools.yaml <<YAML
pools:
  u:
    mounts:
      /data: {union: {below: [{host: {path: $work/upper, exclusive: true}}, {host: $work/lower}]}}
      /other: {union: {below: [{mem: {}}, {host: $work/dir}]}}
YAML
"$polytropon" up pools.yaml >/dev/null
for mode in strict off; do
  POLYTROPON_MODE=$mode compared made "union $mode" "$polytropon" run u -- sh -ec 'mkdir "/other/$4"; "$1" "/other/$4" "$2" "$3" made' - \
    "$program" "$seed" "$rounds" "$mode"
done
"$polytropon" run u -- bash -ec '
  echo more >>/data/d/f
  [ "$(getfacl -cp /data/d/f /data/d)" = "$(printf "user::rw-\ngroup::r--\nother::---\n\nuser::rwx\ngroup::r-x\nother::r-x\n")" ]
  rm /data/d/f
  setfacl -d -m u:1006:rw /data/d
  umask 077
  touch /data/d/f /data/d/new # one of them over a whiteout
  getfacl -cp /data/d/f | diff - <(getfacl -cp /data/d/new)
  [ "$(getfacl -cp /data/d/f | grep 1006)" = "user:1006:rw-" ]
  [ "$(stat -c %a /data/d/f)" = 664 ]'

# Where the root has an ACL, what the kernel keeps of others is dropped when it changes through the other door.
find at.off -mindepth 1 -delete
"$polytropon" run --host "$work/at.off" --at /data -- bash -ec '
  may() {
    local got= how
    for how in "busybox cat f" "cat f" "busybox stat d/g" "stat d/g"; do
      setpriv --reuid 1000 --regid 1000 --clear-groups $how >/dev/null 2>&1 && got+=y || got+=n
    done
    [ "$got" = "$1" ] || fail "$2: $got, not $1"
  }
  cd /data
  mkdir d
  touch f d/g
  chmod 640 f
  chmod 750 d
  may nnnn "by the mode"
  setfacl -m u:1000:rx f d
  may yyyy "by an ACL"
  setfacl -x u:1000 f d
  may nnnn "without its entry"
  setfacl -m u:1000:rx f d
  chmod g= f d
  may nnnn "by the mask"
  busybox chmod g=rx f d
  may yyyy "by the mask that the other door set"
  busybox chmod g= f d
  may nnnn "by the mask that it took"'
