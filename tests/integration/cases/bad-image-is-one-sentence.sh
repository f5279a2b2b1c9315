# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What is no volume, is damaged, cut off or of another version: one sentence, exit 125, and nothing is written.
"$polytropon" mkfs --size 64M good.img
"$polytropon" run --image good.img --at /data -- cp -r /etc/ssl /data/
# wrong TEXT: bad.img cannot be used.
wrong() {
  local sum status=0
  sum=$(md5sum <bad.img)
  "$polytropon" run --image bad.img --at /data -- true >out 2>err || status=$?
  [ $status = 125 ] || fail "status $status, not 125: $(cat err)"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err)"
  grep -qF -- "$1" err || fail "no '$1' in '$(cat err)'"
  grep -qF -- bad.img err || fail "it does not say which: $(cat err)"
  [ "$(md5sum <bad.img)" = "$sum" ] || fail "it was written to: $(cat err)"
  "$polytropon" fsck -n bad.img >out 2>err && fail "fsck finds nothing: $1"
  "$polytropon" dump --image bad.img >out 2>err && fail "dump finds nothing: $1"
  [ "$(md5sum <bad.img)" = "$sum" ] || fail 'fsck -n or dump wrote to it'
}
put() { printf "$2" | dd of=bad.img bs=1 seek="$1" conv=notrunc status=none; }
supers() { # OFFSET BYTES: in both copies
  cp good.img bad.img
  put "$1" "$2"
  put $((61440 + $1)) "$2"
}
head -c 64M /dev/zero | tr '\0' y >bad.img
wrong 'not a volume'
cp /bin/sh bad.img
wrong 'not a volume'
head -c 30M good.img >bad.img
wrong ''
head -c 4096 good.img >bad.img
wrong ''
supers 0 'x'
wrong 'not a volume'
supers 12 '\002'
wrong 'version'
supers 100 '\377\377'
wrong 'checksum'

# A flipped bit in any structure is found by fsck, and no mount makes it worse.
for block in $(seq 4112 4 4180); do
  cp good.img bad.img
  put $((block * 4096 + 200)) '\125\252'
  cmp -s good.img bad.img && continue
  status=0
  "$polytropon" fsck -n bad.img >out 2>err || status=$?
  case $status in 0 | 4) ;; *) fail "fsck ends with $status: $(cat err)" ;; esac
  [ $status = 4 ] || continue # bytes of a file: nobody's business but the file's
  sum=$(md5sum <bad.img)
  "$polytropon" run --image bad.img --at /data -- sh -c 'find /data >/dev/null; cat /data/ssl/* >/dev/null' >out 2>err || true
  cp bad.img repaired.img
  status=0
  "$polytropon" fsck -y repaired.img >out 2>err || status=$?
  [ $status = 1 ] || fail "repair of block $block ends with $status: $(cat out err)"
  expect 0 "$polytropon" fsck -n repaired.img >out
  "$polytropon" run --image repaired.img --at /data -- find /data >out || fail 'a repaired volume cannot be mounted'
done
