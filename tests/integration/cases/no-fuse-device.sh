# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Without /dev/fuse the preload door still works, and the command says what is missing. Programs leave their open files
# and working directories to each other as ever: they leave the same tree as on the plain kernel.
without_fuse() { unshare -m sh -ec 'mount --bind /dev/null /dev/fuse; exec "$@"' sh "$@"; }

without_fuse "$polytropon" run --mem --at /data -- sh -c 'echo hello > /data/f; cat /data/f' >out 2>err
same hello cat out
grep -q fuse err || fail "it does not say what is missing: $(cat err)"

work_in=$source/tests/integration/programs/without-fuse.sh
tree=$source/tests/integration/programs/tree.sh
mkdir plain
unshare -m sh -ec 'mkdir -p /data 2>/dev/null; mount --bind plain /data; cd /data; '"$work_in"'; cd /; '"$tree"' /data' >tree.plain
[ "$(wc -l <tree.plain)" -gt 100 ] || fail "the plain run made too little: $(wc -l <tree.plain)"
rmdir /data 2>/dev/null || true
for storage in "--mem" "--host $work/dir"; do
  # shellcheck disable=SC2086
  without_fuse "$polytropon" run $storage --at /data -- sh -ec 'cd /data; '"$work_in"'; cd /; '"$tree"' /data' >tree.pool 2>err || { tail err; fail "$storage"; }
  echo "$storage: $(wc -l <tree.pool) lines"
  diff tree.plain tree.pool >difference || { head -20 difference; fail "$storage: the trees differ"; }
done
