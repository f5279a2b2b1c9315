# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Files of a host directory, seen from both sides.
echo from-host > dir/a
same from-host host cat /data/a
host sh -c 'mkdir /data/d && echo from-pool > /data/d/b && ln -s b /data/d/l && ln /data/d/b /data/d/h'
same from-pool cat dir/d/b
same b readlink dir/d/l
[ "$(stat -c %h dir/d/b)" = 2 ] || fail "hard link"
