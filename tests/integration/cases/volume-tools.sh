# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# mkfs, fsck, df and dump: their statuses, their sentences, and what they say.
wrong() { # STATUS TEXT COMMAND...
  local wanted=$1 text=$2 status=0
  shift 2
  "$@" >out 2>err || status=$?
  [ $status = "$wanted" ] || fail "status $status, '$(cat err)': $*"
  [ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err): $*"
  grep -qF -- "$text" err || fail "no '$text' in '$(cat err)': $*"
}
wrong 2 'it takes one image' "$polytropon" mkfs
wrong 2 'it takes one image' "$polytropon" mkfs a b
wrong 2 "'4X' is not a size" "$polytropon" mkfs --size 4X a
wrong 125 'with --size it is made' "$polytropon" mkfs absent.img
wrong 125 'too small for a volume' "$polytropon" mkfs --size 1M small.img
[ ! -e small.img ] || fail 'it left an image'
wrong 2 'is not JSON' "$polytropon" mkfs '{"mirror"'
wrong 2 "did you mean 'mirror'?" "$polytropon" mkfs '{"miror": []}'
wrong 16 'it takes one image' "$polytropon" fsck
wrong 16 'exclude each other' "$polytropon" fsck -n -y disk.img
wrong 16 "unknown option '-z'" "$polytropon" fsck -z disk.img
wrong 8 'No such file' "$polytropon" fsck -n absent.img
wrong 2 "did you mean 'super'?" "$polytropon" dump --image disk.img supper

"$polytropon" mkfs --size 64M disk.img
wrong 125 'holds a volume' "$polytropon" mkfs disk.img
printf x | dd of=other.img bs=1 seek=1000 status=none
truncate -s 64M other.img
wrong 125 'holds something' "$polytropon" mkfs other.img
"$polytropon" mkfs --force other.img
"$polytropon" mkfs disk.img --force --size 128M
[ "$(stat -c %s disk.img)" = $((128 << 20)) ] || fail 'mkfs --size did not let it grow'
if command -v mkfs.ext4 >/dev/null; then
  rm other.img
  truncate -s 64M other.img
  mkfs.ext4 -q other.img
  wrong 125 'ext4' "$polytropon" mkfs other.img
  wrong 8 'not a volume; it holds an ext2' "$polytropon" fsck -n other.img
fi

"$polytropon" run --image disk.img --at /data -- sh -c '
  mkdir /data/dir; for i in $(seq 500); do echo $i > /data/dir/$i; done
  dd if=/dev/zero of=/data/big bs=1M count=10 status=none; setfattr -n user.x -v y /data/big 2>/dev/null; true'
"$polytropon" fsck -n disk.img >out && grep -q 'clean: 503 inodes, 502 names' out || fail "$(cat out)"
"$polytropon" fsck disk.img --json >report
python3 - <<'PY'
import json
r = json.load(open("report"))
assert r["status"] == "clean" and r["found"]["inodes"] == 503 and r["problems"] == [], r
PY
"$polytropon" fsck -n --progress disk.img 2>err >out
"$polytropon" dump --image disk.img >out && grep -q '^inodes: 503' out || fail 'dump of super'
"$polytropon" dump --image disk.img inode /big >out && grep -q 'size: 10485760' out || fail 'dump of inode'
"$polytropon" dump --image disk.img extents /big --json >out && grep -q file_block out || fail 'dump of extents'
"$polytropon" dump --image disk.img directory /dir >out && grep -q 'name: "\?499"\?,' out || fail 'dump of directory'
"$polytropon" dump --image disk.img journal >out && grep -q '^seq:' out || fail 'dump of journal'
"$polytropon" dump --image disk.img groups >out && grep -q 'group: 0,' out || fail 'dump of groups'
wrong 125 "there is no 'absent'" "$polytropon" dump --image disk.img inode /dir/absent
wrong 125 'there is no inode 99999' "$polytropon" dump --image disk.img inode 99999

# A leaf of the tree is lost: what it had goes, the rest stays, and is whole.
root=$("$polytropon" dump --image disk.img | awk '/^root_block/ { print $2 }')
cp disk.img bad.img
dd if=/dev/urandom of=bad.img bs=4096 seek=$((root - 1)) count=1 conv=notrunc status=none
dd if=/dev/urandom of=bad.img bs=4096 seek=$((root + 1)) count=1 conv=notrunc status=none
expect 4 "$polytropon" fsck -n bad.img >out
expect 1 "$polytropon" fsck -y bad.img >out
expect 0 "$polytropon" fsck -n bad.img >out
"$polytropon" run --image bad.img --at /data -- find /data >out

# Pools.
cat >pools.yaml <<YAML
pools:
  tools:
    mounts:
      /plain: {volume: {image: $work/disk.img}}
      /safe: {volume: {mirror: [{image: $work/m1.img}, {image: $work/m2.img}], size: 64M}}
      /fast: {volume: {stripe: {chunk: 64K, below: [{image: $work/s1.img}, {image: $work/s2.img}]}, size: 64M}}
      /brief: {volume: {size: 32M}}
YAML
"$polytropon" up pools.yaml
"$polytropon" df tools >out
for mount in /plain /safe /fast /brief; do grep -q "^tools  *$mount " out || fail "df: $(cat out)"; done
"$polytropon" df --json | python3 -c 'import json, sys; r = json.load(sys.stdin); assert len(r) == 4 and all(m["size"] > 0 for m in r), r'
"$polytropon" dump tools >dumped.yaml
grep -q "volume: {image: $work/disk.img}" dumped.yaml || fail "$(cat dumped.yaml)"
"$polytropon" run tools -- sh -c 'for m in plain safe fast brief; do cp -r /etc/ssl /$m/; done; sync'
before=$("$polytropon" run tools -- stat -f -c %b /safe)
"$polytropon" set tools mounts./safe.volume.size=128M
[ "$("$polytropon" run tools -- stat -f -c %b /safe)" -gt $((before + 12000)) ] || fail 'it did not grow'
wrong 125 'does not shrink' "$polytropon" set tools mounts./plain.volume.size=32M
"$polytropon" down
sed -i 's/64M/128M/; /\/brief:/,$d' dumped.yaml # it comes last, and its volume is gone
"$polytropon" up dumped.yaml
"$polytropon" run tools -- sh -c 'for m in plain safe fast; do diff -r /etc/ssl /$m/ssl; done'
"$polytropon" down
"$polytropon" fsck -n "{\"mirror\": [{\"image\": \"$work/m2.img\"}, {\"image\": \"$work/m1.img\"}]}"
wrong 8 'it holds a part of a mirror' "$polytropon" fsck -n m1.img
wrong 2 "did you mean 'image'?" "$polytropon" up /dev/stdin <<<'pools: {a: {mounts: {/data: {volume: {imag: /x}}}}}'
wrong 2 "'/x/y'" "$polytropon" up /dev/stdin <<<'pools: {a: {mounts: {/data: {volume: {image: x/y}}}}}'
