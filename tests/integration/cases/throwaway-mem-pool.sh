# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A pool without a pool file: the program's output and status are the command's.
same hello mem sh -c 'echo hello > /data/f; cat /data/f'
expect 7 mem sh -c 'exit 7'
expect 143 mem sh -c 'kill -TERM $$'
expect 127 mem /no/such/program
expect 126 mem /etc/passwd
[ ! -e /data ] || fail "the mount point is on the host"
