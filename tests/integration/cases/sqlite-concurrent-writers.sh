# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Several writers to one database, through both doors at once; nothing is lost and the file is sound.
for journal in wal delete; do
  mem sh -ec '
    sqlite3 /data/db "PRAGMA journal_mode='$journal'; CREATE TABLE t(w, n);" >/dev/null
    for w in 1 2 3 4; do
      mode=lazy; [ $((w % 2)) = 0 ] && mode=off
      POLYTROPON_MODE=$mode python3 -c "
import sqlite3, sys
db = sqlite3.connect(\"/data/db\", timeout=120, isolation_level=None)
for n in range(150):
    db.execute(\"INSERT INTO t VALUES (?, ?)\", (int(sys.argv[1]), n))
" $w &
      pids="$pids $!"
    done
    for p in $pids; do wait $p; done
    sqlite3 /data/db "SELECT count(*) FROM t; PRAGMA integrity_check;"' >out
  same "600 ok" sh -c 'tr "\n" " " <out | sed "s/ $//"'
done
