#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs programs, each with an empty directory below PARENT (/tmp) as its argument; fails if one fails.
#
#   in-a-directory.sh PROGRAM
#   in-a-directory.sh -C PARENT PROGRAM...
parent=/tmp
if [ "$1" = -C ]; then
  parent=$2
  shift 2
fi
status=0
for program; do
  dir=$(mktemp -d "$parent/claims.XXXXXX") || exit 1
  chmod 755 "$dir"
  "$program" "$dir" || { echo "FAILED: $program in $parent" >&2; status=1; }
  rm -rf "$dir"
done
exit $status
