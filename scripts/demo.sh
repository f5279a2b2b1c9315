#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job, shown: two tenants with a filesystem service each, and ordinary programs on their files.
#
#   scripts/demo.sh [--ceph]      --ceph: and a tenant's files in a Ceph cluster, which is made for that on this machine
set -eu -o pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "run as root: sudo scripts/demo.sh" >&2; exit 1; }

bold=$(tput bold 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true)
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '   %s\n' "$*"; }

title "Packages"
scripts/install-deps.sh demo
ceph=
case "${1:-}" in
"") ;;
--ceph) ceph=1 && scripts/install-deps.sh ceph ;;
*) echo "usage: scripts/demo.sh [--ceph]" >&2 && exit 2 ;;
esac
note "all there"

title "Build"
build=${BUILD:-build}
[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=false >/dev/null
ninja -C "$build" | tail -n 1
polytropon=$PWD/$build/engine/polytropon

work=$(mktemp -d /tmp/polytropon-demo.XXXXXX)
finish() {
  "$polytropon" down >/dev/null 2>&1 || true
  [ -z "$ceph" ] || scripts/ceph-dev.sh down "$work/ceph"
  rm -rf "$work"
}
trap finish EXIT

archive=$(scripts/source-package.sh lua5.4 "$work/archive")
cat >"$work/read.c" <<'C'
#include <stdio.h>
int main(int argc, char **argv)
{
	char line[256];
	FILE *f = fopen(argv[1], "r");

	if (!f || !fgets(line, sizeof(line), f))
		return 1;
	printf("static musl program reads: %s", line);
	return 0;
}
C
musl-gcc -static -O2 -o "$work/read-static" "$work/read.c"

title "Two pools, alice and bob: own storage, own settings, own cgroup, own service"
cat >"$work/pools.yaml" <<YAML
pools:
  alice:
    cpus: 0
    memory: 1G
    flush: {interval: 1s}
    mounts:
      /data: {volume: {image: $work/alice.img, size: 1G}}
  bob:
    cpu_weight: 50
    memory: 512M
    flush: {interval: 30s}
    mounts:
      /data: {volume: {image: $work/bob.img, size: 512M}}
YAML
sed 's/^/   /' "$work/pools.yaml"
"$polytropon" up "$work/pools.yaml"
"$polytropon" ps

for pool in alice bob; do
  in_pool() { "$polytropon" run "$pool" -- "$@"; }
  in_pool cp "$archive" "$work/read-static" /data/

  title "$pool: unpack and build Lua with tar, make and gcc (through the preload door)"
  in_pool sh -ec '
    cd /data
    mkdir lua && tar -xf *.orig.tar.* -C lua --strip-components=1
    make -s -j2 -C lua/src posix 2>&1 | tail -n 2
    lua/src/lua -e "print(\"   \" .. _VERSION .. \" was built here and runs: 6*7 = \" .. 6*7)"'

  title "$pool: a git repository"
  in_pool sh -ec '
    cd /data/lua
    git -c init.defaultBranch=main init -q
    git add . && git -c user.name=demo -c user.email=demo@localhost commit -qm "Import Lua"
    git log --oneline --stat | tail -n 3
    git fsck --strict && echo "   git fsck: clean"'

  title "$pool: an SQLite database"
  in_pool sqlite3 /data/tenant.db "
    PRAGMA journal_mode=WAL;
    CREATE TABLE t(pool TEXT, n INTEGER);
    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 10000)
      INSERT INTO t SELECT '$pool', n FROM c;
    SELECT pool, count(*), sum(n) FROM t;
    PRAGMA integrity_check;"

  title "$pool: a Python script"
  in_pool python3 -c '
import os, pathlib
root = pathlib.Path("/data/lua")
files = [p for p in root.rglob("*") if p.is_file() and ".git" not in p.parts]
print("   %d files, %d bytes of source" % (len(files), sum(p.stat().st_size for p in files)))
pathlib.Path("/data/greeting").write_text("hello from python\n")'

  title "$pool: static programs see the same files, through FUSE"
  in_pool /data/read-static /data/greeting
  in_pool busybox cat /data/greeting
  in_pool python3 -c '
import subprocess
before = open("/data/greeting").read()
subprocess.run(["busybox", "sh", "-c", "echo changed by a static busybox > /data/greeting"], check=True)
after = open("/data/greeting").read()
assert before != after, (before, after)
print("   a preloaded python3, that had read it before, now reads: " + after, end="")'

  title "$pool: figures"
  "$polytropon" stats "$pool"
done

title "Settings are live, and each tenant has its own"
"$polytropon" set bob flush.interval=2s
"$polytropon" dump bob | sed 's/^/   /'
note "alice has not seen bob's files: $("$polytropon" run alice -- sh -c 'sqlite3 /data/tenant.db "SELECT DISTINCT pool FROM t"')"

title "Each has what its own volume holds, and may have more"
"$polytropon" set bob volume.size=768M
"$polytropon" df

title "A clean stop"
"$polytropon" down
if grep polytropon /proc/self/mounts; then
  echo "something is still mounted" >&2
  exit 1
fi
note "nothing is left: no process, no mount, no cgroup"

title "The volumes, in their images"
"$polytropon" fsck -n "$work/alice.img"
"$polytropon" fsck -n "$work/bob.img"
note "and there the next time: $("$polytropon" run --image "$work/bob.img" --at /data -- \
  sqlite3 /data/tenant.db "SELECT count(*) || ' rows of ' || pool FROM t GROUP BY pool")"

[ -n "$ceph" ] || exit 0
title "A Ceph cluster on this machine, and carol's files in it"
scripts/ceph-dev.sh up "$work/ceph"
scripts/ceph-dev.sh tenant carol "$work/ceph" --quota 1G
scripts/ceph-dev.sh status "$work/ceph"
cat >"$work/ceph.yaml" <<YAML
pools:
  carol:
    mounts:
      /data:
        ceph:
          conf: $work/ceph/ceph.conf
          name: client.carol
          keyring: $work/ceph/client.carol.keyring
          path: /carol
          exclusive: true
YAML
sed 's/^/   /' "$work/ceph.yaml"
"$polytropon" up "$work/ceph.yaml"
"$polytropon" run carol -- sh -ec '
  cd /data
  sqlite3 t.db "CREATE TABLE t(n); INSERT INTO t VALUES (42);" && sync
  mkdir .snap/before && sqlite3 t.db "DELETE FROM t" && sync
  echo "   now $(sqlite3 t.db "SELECT count(*) FROM t") rows; in the snapshot $(sqlite3 "file:.snap/before/t.db?immutable=1" "SELECT count(*) FROM t")"
  rmdir .snap/before'
"$polytropon" df carol
"$polytropon" down
