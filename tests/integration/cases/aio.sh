# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Asynchronous I/O on a pool's files keeps POSIX's promises, with glibc and musl, and needs none of the kernel's files.
programs=("$build"/tests/integration/aio/aio-{requests,events,stress}{,-musl})
run=$source/tests/integration/preload/in-a-directory.sh
export AIO AIO_SECONDS=3
for mode in lazy strict real off; do
  case $mode in
  real) AIO=pool ;;
  off) AIO=preload ;;
  *) AIO=lazy ;;
  esac
  for program in "${programs[@]}"; do
    [ ! -e "$program" ] || POLYTROPON_MODE=$mode host "$run" -C /data "$program"
  done
done
AIO=lazy POLYTROPON_MODE=lazy mem "$run" -C /data "${programs[@]:0:5}"
