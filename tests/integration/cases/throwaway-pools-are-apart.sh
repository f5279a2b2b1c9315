# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Throw-away pools at the same time, at the same place: each has its own files, all end, nothing is left.
before=$(ls -a /)
for i in 1 2 3 4 5 6 7 8; do
  mem sh -c 'echo '$i' >/data/who; until [ -e "$1/go" ]; do sleep 0.05; done; [ "$(cat /data/who)" = '$i' ] && [ "$(busybox ls /data)" = who ]' sh "$work" &
  pids+=" $!"
done
sleep 0.5
touch go
for pid in $pids; do wait "$pid" || fail "one of them: status $?"; done
# On one directory: one set of files through two services.
rm go
for i in 1 2 3 4; do
  host sh -c 'echo '$i' >/data/f'$i'; until [ "$(busybox cat /data/f? | wc -l)" = 4 ]; do sleep 0.05; done; cat /data/f?' >out.$i &
  pids2+=" $!"
done
for pid in $pids2; do wait "$pid" || fail "on one directory: status $?"; done
for i in 1 2 3 4; do same '1 2 3 4' sh -c "echo \$(cat out.$i)"; done
# One in another: a pool sees the files of the pool around it, and so may the command.
same 'inner outer' mem sh -c 'echo outer >/data/f; "$1" run --mem --at /more -- sh -c "echo inner >/more/f; echo \$(cat /more/f /data/f)"' sh "$polytropon"
[ "$(ls -a /)" = "$before" ] || fail 'the host has other files'
