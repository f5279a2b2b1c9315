#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The dependency rules of docs/architecture.md, checked against every #include "...".
set -eu
cd "$(dirname "$0")/.."

failed=0

# allow FOLDER PATTERN...: the files of FOLDER may include what matches a pattern, and nothing else of ours.
allow() {
  folder=$1
  shift
  grep -rn --include='*.[chS]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$folder" | while IFS= read -r line; do
    file=${line%%:*}
    name=$(printf '%s' "$line" | sed 's/.*"\(.*\)".*/\1/')
    ok=
    for pattern in "$folder/*" "$@"; do
      case "$pattern" in
      *=*) # only in one file: FILE=PATTERN
        # shellcheck disable=SC2254
        case "$file" in ${pattern%%=*}) case "$name" in ${pattern#*=}) ok=1 ;; esac ;; esac
        ;;
      *)
        # shellcheck disable=SC2254
        case "$name" in $pattern) ok=1 ;; esac
        ;;
      esac
    done
    [ -n "$ok" ] || echo "$file may not include \"$name\""
  done
}

out=$(
  allow ipc
  allow service 'ipc/*' libservices/libservice.h libservices/stage.h libservices/rules.h libservices/wait.h 'service/main.c=fuse/door.h'
  allow fuse 'service/*' ipc/wire.h libservices/libservice.h
  allow libfs 'ipc/*'
  allow preload 'libfs/*' 'ipc/*'
  allow engine ipc/wire.h service/boot.h service/meter.h preload/overlay.h libservices/libservice.h libservices/area.h \
    'libservices/volume/*'
  # A layer never uses another layer. What all may use:
  all='libservices/libservice.h libservices/rules.h libservices/lock.h libservices/wait.h libservices/mix.h'
  for layer in libservices/*/; do
    layer=${layer%/}
    # shellcheck disable=SC2086
    case $layer in
    libservices/area) allow "$layer" $all libservices/area.h libservices/crc32c.h libservices/object.h libservices/cluster.h ;;
    libservices/ceph) allow "$layer" $all libservices/object.h libservices/cluster.h ;;
    libservices/volume) allow "$layer" $all libservices/area.h libservices/crc32c.h ;;
    libservices/cache) allow "$layer" $all ipc/wire-share.h ;;
    *) allow "$layer" $all ;;
    esac
  done
)
if [ -n "$out" ]; then
  echo "$out"
  failed=1
fi
exit $failed
