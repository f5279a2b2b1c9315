# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A union through both doors: whoever has a file of a lower branch open, or its pages, sees what is changed.
mkdir up low
seq 200000 > low/file
head -c 20M /dev/urandom > low/large
cp low/large want
cat > pools.yaml <<EOF
pools:
  u:
    mounts:
      /data: {union: {below: [{host: {path: $work/up, exclusive: true}}, {host: {path: $work/low, exclusive: true}}]}}
EOF
trap '"$polytropon" down >down.log || true' EXIT
"$polytropon" up pools.yaml >/dev/null
run() { "$polytropon" run u -- "$@"; }

cat > readers.py <<'EOF'
import mmap, os, subprocess, sys
readers = [os.open("/data/" + n, os.O_RDONLY) for n in ("file", "large")]
for f in readers:                       # often enough to be given the pages
    for i in range(500): assert len(os.pread(f, 4096, i * 4096 % 400000)) == 4096
mine = mmap.mmap(readers[0], 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
assert mine[:2] == b"1\n"
other = ["busybox", "dd"] if sys.argv[1] == "static" else ["dd"]
for i, (n, f) in enumerate(zip(("file", "large"), readers)):
    for at in (0, 5000, 100000):
        subprocess.run(other + ["of=/data/" + n, "bs=1", "conv=notrunc", "seek=%d" % at], input=b"CHANGED", check=True,
                       stderr=subprocess.DEVNULL)
        got = os.pread(f, 7, at)
        assert got == b"CHANGED", (n, at, got)
    with open("/data/" + n, "ab") as a: a.write(b"the end")
    assert os.pread(f, 100, os.fstat(f).st_size - 7) == b"the end", n
    for i in range(500): os.pread(f, 4096, i * 4096 % 400000)
    with open("/data/" + n, "r+b") as a: a.write(b"AGAIN")
    assert os.pread(f, 5, 0) == b"AGAIN"
EOF
cp readers.py low/
for door in dynamic static; do
  run python3 /data/readers.py $door
  # Both doors, and the branches, agree.
  run cmp /data/large <(run busybox cat /data/large) || fail "the doors differ"
  same "$(run sha256sum /data/large)" run busybox sha256sum /data/large
  cmp low/large want || fail 'the lower branch has changed'
  "$polytropon" down >/dev/null
  [ "$(du -k up/large | cut -f1)" -lt 1000 ] || fail "more was copied than was changed: $(du -k up/large)"
  "$polytropon" up pools.yaml >/dev/null
  run sh -c 'head -c 5 /data/large; tail -c 7 /data/large' >got
  same 'AGAINthe end' cat got
  "$polytropon" down >/dev/null
  rm -rf up/* up/.union-work
  "$polytropon" up pools.yaml >/dev/null
done
