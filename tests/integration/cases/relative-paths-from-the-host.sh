# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# A path that leads from a directory of the host's into a mount is served like one that begins with a slash, and means the same as
# by the kernel.

mkdir -p srv/data srv/beside
cat >pools.yaml <<YAML
pools:
  alice:
    mounts:
      $work/srv/data: {mem: {}}
YAML
"$polytropon" up pools.yaml
"$polytropon" run alice -- sh -c 'cd srv && mkdir data/d && echo one >data/f && echo two >data/d/f && ln -s d data/l && echo beside >beside/f'
fuse() { "$polytropon" stats alice --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doors"]["fuse"]["requests"])'; }

cat >read.py <<'PY'
import os, sys
def read(path):
    try:
        with open(path) as f: return f.read().strip()
    except OSError as e: return e.strerror
above, beside = sys.argv[1] + "/srv", sys.argv[1] + "/srv/beside"
os.chdir(above)
print([read(p) for p in ("data/f", "./data//f", "data/d/f", "data/l/f", "data/../data/f", "data/d/../f", "beside/f", "data/none", "data", "f")])
os.chdir(beside)
print([read(p) for p in ("../data/f", "../../srv/data/f", "../beside/../data/l/../f", "../data/../beside/f", "f", "../f")])
os.rename("../data/f", "../data/g")
print(read("../data/f"), read("../data/g"), os.path.exists("../data/g"), os.stat("../data").st_ino == os.stat(above + "/data").st_ino)
os.rename("../data/g", "../data/f")
os.chdir("/")
print(read(above[1:] + "/data/f"))
PY
"$polytropon" run alice -- env POLYTROPON_MODE=off python3 read.py "$work" >kernel
cat kernel
before=$(fuse)
"$polytropon" run alice -- python3 "$work/read.py" "$work" >ours
diff kernel ours
after=$(fuse)
[ $((after - before)) -le 8 ] || fail "$((after - before)) messages by FUSE"

# Who may not pass a directory on the way does not get there by another text.
nobody() { "$polytropon" run alice -- setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "cd / && cat ${work#/}/srv/data/f" 2>err; }
chmod 700 srv
expect 1 nobody
chmod 755 . srv
[ "$(nobody)" = one ] || fail "$(cat err)"
