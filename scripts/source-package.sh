#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the original source archive of a Debian package: scripts/source-package.sh lua5.4 DIR
# Prints the archive's path. Uses the package sources that the machine has, read as source entries.
set -eu
package=$1
dir=$2

found() { find "$dir" -maxdepth 1 -name "${package}_*.orig.tar.*" ! -name '*.asc' | head -n 1; }

mkdir -p "$dir"
if [ -z "$(found)" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/parts"
  [ -f /etc/apt/sources.list ] && sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$work/parts/main.list"
  [ -f /etc/apt/sources.list.d/debian.sources ] &&
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/parts/debian.sources"
  cd "$dir"
  for command in update "source --download-only $package"; do
    # shellcheck disable=SC2086
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
      -o Dir::State::lists="$work/lists" -o APT::Sandbox::User=root $command >&2
  done
fi
found
