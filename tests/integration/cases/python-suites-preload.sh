# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Python's own tests of files and processes, through the preload door.
mem sh -c 'mkdir /data/t && cd /data/t && exec env TMPDIR=/data/t /usr/bin/python3 -m test -j1 --tempdir /data/t \
  test_os test_io test_fcntl test_mmap test_subprocess test_shutil test_tempfile test_tarfile' >out 2>&1 || { tail -40 out; fail python; }
tail -n 3 out
