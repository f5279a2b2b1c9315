# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Everyday programs leave the same tree in every mode, on each kind of storage, as on the plain kernel.
everyday=$source/tests/integration/programs/everyday.sh
tree=$source/tests/integration/programs/tree.sh

mkdir plain
unshare -m sh -ec 'mkdir -p /data 2>/dev/null; mount --bind plain /data; cd /data; '"$everyday"'; cd /; '"$tree"' /data' >tree.plain
[ "$(wc -l <tree.plain)" -gt 100 ] || fail "the plain run made too little: $(wc -l <tree.plain)"
rmdir /data 2>/dev/null || true

cat >union.yaml <<EOF
pools:
  u:
    mounts:
      /data: {union: {below: [{host: {path: $work/dir, exclusive: true}}, {mem: {}}]}}
EOF
union() {
  local status=0
  "$polytropon" up union.yaml >/dev/null && "$polytropon" run u -- "$@" || status=$?
  "$polytropon" down >/dev/null
  return $status
}

for storage in mem host union; do
  for mode in off real lazy strict; do
    rm -rf dir && mkdir dir
    $storage env POLYTROPON_MODE=$mode sh -ec 'cd /data; '"$everyday"'; '"$tree"' /data' >tree.$storage.$mode 2>err || { tail err; fail "$storage $mode"; }
    diff tree.plain tree.$storage.$mode >difference || { head -20 difference; fail "$storage, mode $mode: the trees differ"; }
    echo "$storage $mode: $(wc -l <tree.$storage.$mode) lines, the same"
  done
done
