# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What `meson install` puts somewhere runs from there alone, with its service, preload library and manual pages.
prefix=$(python3 -c 'import json, sys
for o in json.load(open(sys.argv[1])):
    if o["name"] == "prefix": print(o["value"])' "$build/meson-info/intro-buildoptions.json")
meson install -C "$build" --no-rebuild --destdir "$work/root" >log 2>&1 || fail "meson install: $(tail -5 log)"
there=$work/root$prefix
mkdir build
for text in bin/polytropon share/bash-completion/completions/polytropon; do
  [ -e "$there/$text" ] || fail "not installed: $text: $(find root -type f)"
done
! command -v scdoc >/dev/null || [ -e "$there/share/man/man1/polytropon.1" ] || fail 'no manual page'
# It stands where it will stand, and the build tree is out of reach.
unshare -m sh -ec '
  mount --bind "$1" "$2"
  mount --bind "$3" "$4"
  cd /
  [ ! -e "$4/engine/polytropon" ]
  PATH=$2/bin:/usr/bin:/bin
  polytropon run --mem --at /data -- sh -c "echo preload >/data/f; cat /data/f; busybox cat /data/f; echo \$LD_PRELOAD; ls /run/polytropon"
  printf "pools:\n  alice: {mounts: {/data: {mem: }}}\n" >/tmp/pools.$$
  polytropon up /tmp/pools.$$
  rm /tmp/pools.$$
  polytropon run alice -- sh -c "echo pool >/data/f; cat /data/f"
  polytropon stats alice --json
  polytropon down' sh "$there" "$prefix" "$work/build" "$build" >out 2>err || fail "$(cat err out)"
[ ! -s err ] || fail "it complains: $(cat err)"
same "$(printf 'preload\npreload\n/run/polytropon/preload.so')" head -n 3 out
grep -q '^preload.so$' out && grep -q '^pool$' out && grep -q '"preload"' out || fail "$(cat out)"
