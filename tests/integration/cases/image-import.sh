# SPDX-License-Identifier: Apache-2.0
# Images come into a pool's store from every form, their layers once; hostile ones are refused in one sentence and
# leave nothing.
python3 "$source/tests/integration/images/make-images.py" "$work"
mkdir "$work/store"
cat > pools.yaml <<EOF
pools:
  images:
    roots: {host: {path: $work/store}}
EOF
"$polytropon" up pools.yaml
image() { "$polytropon" image "$@"; }

shows '2 layers, of which 0 were there' image import one "$work/layout" || fail "import of a layout"
shows '2 layers, of which 2 were there' image import two "$work/layout.tar" || fail "import of an archive of a layout"
shows '2 layers, of which 2 were there' image import three - < "$work/docker.tar" || fail "import of docker's archive"
[ "$(ls store/layers | wc -l)" = 2 ] || fail "layers are not shared"
upper=store/layers/$(head -1 store/images/one/layers)
lower=store/layers/$(tail -1 store/images/one/layers)
same "upper" cat "$upper/etc/a"
[ "$(stat -c '%F %t:%T' "$upper/etc/b")" = "character special file 0:0" ] || fail "no whiteout of a file"
[ "$(stat -c '%F %t:%T' "$upper/gone")" = "character special file 0:0" ] || fail "no whiteout of a directory"
[ ! -e "$upper/etc/.wh.b" ] || fail "a whiteout was extracted as it was"
same y getfattr --only-values -n trusted.overlay.opaque "$upper/hidden"
[ "$(stat -c %i "$lower/etc/b")" = "$(stat -c %i "$lower/etc/c")" ] || fail "a hard link became a copy"

# The kernel's overlay understands it.
mkdir mnt
mount -t overlay overlay -o "lowerdir=$upper:$lower" mnt
seen=$(cd mnt && echo etc/* gone hidden/* 2>/dev/null; ls -d mnt/gone 2>/dev/null || true)
umount mnt
[ "$seen" = "etc/a etc/c gone hidden/new" ] || fail "the kernel's overlay shows '$seen'"

# A directory twice is one layer.
mkdir -p tree/etc
echo x > tree/etc/x
truncate -s 1M tree/sparse
image import tree tree
shows '1 layers, of which 1 were there' image import tree2 tree || fail "the same directory is another layer"
expect 1 image import tree tree 2> error
grep -q "is there already" error || fail "an image was replaced without being asked: $(cat error)"
image import --replace tree tree > /dev/null
same '["one","three","tree","tree2","two"]' python3 -c 'import json, subprocess, sys
print(json.dumps([i["image"] for i in json.loads(subprocess.check_output([sys.argv[1], "image", "ls", "--json"]))], separators=(",", ":")))' "$polytropon"

# What is hostile.
before=$(ls store/layers | sort)
refused() {
  local wanted=$1 archive=$2 status=0
  shift 2
  image import "$@" hostile "$archive" > out 2> error || status=$?
  [ $status = 1 ] || fail "status $status: $*: $(cat out error)"
  [ "$(wc -l < error)" = 1 ] || fail "not one sentence: $(cat error)"
  grep -q "$wanted" error || fail "expected '$wanted': $(cat error)"
}
refused "does not match its digest" bad-digest
refused "does not match its diff id" bad-diff-id
refused "leads outside" up.tar
refused "leads outside" hardlink.tar
refused "has no name" whiteout.tar
refused "the limit" bomb.tar.gz --max-size 1M
refused "more than the limit of 3 entries" layout.tar --max-entries 3
refused "compressed more than once" twice.tar.gz
refused "." cut.tar.gz
expect 1 image import ../evil tree 2> error
grep -q "cannot be an image's name" error || fail "$(cat error)"
[ "$(ls store/layers | sort)" = "$before" ] || fail "a refused import left a layer"
[ ! -e store/images/hostile ] || fail "a refused import left an image"
find "$work" / -maxdepth 1 -name escaped | grep . && fail "something escaped"

# What is left out, or stays inside.
image import absolute absolute.tar > /dev/null
same inside cat "store/layers/$(cat store/images/absolute/layers)/etc/absolute"
image import link link.tar > /dev/null
[ -f "store/layers/$(cat store/images/link/layers)/escaped" ] || fail "a link led elsewhere than to the layer's own root"
image import mark mark.tar > /dev/null
same 'user.kept="yes"' sh -c "getfattr -d -m - store/layers/$(cat store/images/mark/layers)/d | grep -v '^#' | grep ."
shows "left out: 2" image import device device.tar || fail "devices were not left out"
same file ls "store/layers/$(cat store/images/device/layers)"

# Layers go with the last image that names them.
image rm one > /dev/null
image rm two > /dev/null
[ -d "$upper" ] || fail "a layer of another image is gone"
shows "2 layers with it" image rm three || fail "layers that nothing names are left"
expect 1 image rm three 2> /dev/null
expect 2 image imprt x y 2> error
grep -q "did you mean 'import'" error || fail "$(cat error)"
[ -z "$(ls store/tmp)" ] || fail "left in tmp: $(ls store/tmp)"
