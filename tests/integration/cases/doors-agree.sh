# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# The same file through the preload door, and through FUSE by a static program: same bytes, same inode, same device.
host sh -ec '
  echo one > /data/f
  [ "$(busybox cat /data/f)" = one ]
  busybox sh -c "echo two > /data/f"
  [ "$(cat /data/f)" = two ]
  [ "$(stat -c "%d %i %h %s %a %u %g %Y" /data/f)" = "$(busybox stat -c "%d %i %h %s %a %u %g %Y" /data/f)" ]
  mkdir /data/d
  busybox test -d /data/d
  [ "$(stat -c "%d %i" /data/d)" = "$(busybox stat -c "%d %i" /data/d)" ]
  mv /data/f /data/g
  ! busybox test -e /data/f
  [ "$(busybox cat /data/g)" = two ]
  busybox rm /data/g
  [ ! -e /data/g ]
  [ "$(df --output=fstype /data | tail -n 1)" = "$(POLYTROPON_MODE=off df --output=fstype /data | tail -n 1)" ]'
