# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# fio writes and verifies, with each engine, through both doors.
for mode in lazy off; do
  for engine in psync sync posixaio mmap io_uring; do
    mem env POLYTROPON_MODE=$mode sh -c 'cd /data && exec fio --name=v --size=24m --bs=4k --rw=randrw --verify=crc32c \
      --verify_fatal=1 --do_verify=1 --iodepth=8 --minimal --ioengine='$engine >out 2>&1 || { tail -5 out; fail "$mode $engine"; }
    echo "$mode $engine: verified"
  done
done
