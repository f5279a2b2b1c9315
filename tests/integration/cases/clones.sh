# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Containers in a pool's store: clones of images and of each other, their roots, and what the kernel's overlay makes of them.
mkdir store
cat > pools.yaml <<EOF
pools:
  c:
    roots: {host: {path: $work/store, exclusive: true}}
EOF
trap '"$polytropon" down >down.log || true' EXIT
"$polytropon" up pools.yaml >/dev/null
clone() { "$polytropon" clone "$@"; }
list() { clone --list --json c | python3 -c 'import json,sys
for c in json.load(sys.stdin): print(c["name"], c["layers"], c["changed"])'; }

# Mounts roots of the pool (a,b) while a command runs in it.
cat > root.py <<'EOF'
import json, os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["POLYTROPON_RUN"] + "/engine.sock")
for name in sys.argv[1].split(","):
    s.sendall(json.dumps({"method": "io.polytropon.Root", "parameters": {"pool": "c", "name": name}}).encode() + b"\0")
    b = b""
    while not b.endswith(b"\0"):
        b += s.recv(65536)
    reply = json.loads(b[:-1])
    if "error" in reply:
        sys.exit(reply["parameters"]["message"])
sys.exit(subprocess.run([os.environ["P"], "run", "c", "--"] + sys.argv[2:]).returncode)
EOF
export P=$polytropon
in_root() { local roots=$1; shift; python3 root.py "$roots" "$@"; }
R=/run/polytropon/root

# An image of two layers, made through the store's own mount.
"$polytropon" run c -- sh -c '
  cd /run/polytropon-roots && mkdir -p layers/aa/etc layers/bb/etc images/base &&
  echo base >layers/aa/etc/name && echo gone >layers/aa/etc/gone && seq 300000 >layers/aa/big &&
  mknod layers/bb/etc/gone c 0 0 && echo top >layers/bb/etc/name && chmod 1777 layers/bb && printf "bb\nsha256:aa\n" >images/base/layers'

clone c base one two
same 'one 2 False
two 2 False' list
[ -z "$(ls -A store/containers/one/upper)" ] || fail 'a clone takes space'
same "top
1777
big
etc
name" in_root one sh -c "cat $R/one/etc/name; stat -c %a $R/one; ls $R/one $R/one/etc | grep -v : | grep ."

# Each has its own changes, through both doors; the image has none.
in_root one,two sh -c "echo 1 >$R/one/etc/own; busybox sh -c 'echo 2 >$R/two/etc/own'; echo tail >>$R/one/big; rm $R/two/etc/name
  test \$(cat $R/one/etc/own)\$(busybox cat $R/one/etc/own)\$(cat $R/two/etc/own) = 112 || exit 1
  test ! -e $R/two/etc/name && test \$(busybox tail -n 1 $R/one/big) = tail && test \$(tail -n 1 $R/two/big) = 300000"
[ ! -e store/layers/bb/etc/own ] || fail 'a layer was changed'

# A clone of a container has its changes, and later ones are apart. One that is empty freezes nothing.

clone c one three
same 'one 3 False
three 3 False
two 2 True' list
[ "$(find store/frozen -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] || fail 'not one frozen layer'
clone c one four
[ "$(find store/frozen -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] || fail 'an empty upper was frozen'
in_root one,three sh -c "test \$(cat $R/one/etc/own)\$(cat $R/three/etc/own) = 11 && echo 3 >$R/three/etc/own &&
  test \$(tail -n 1 $R/three/big) = tail && echo more >>$R/three/big && test \$(busybox tail -n 1 $R/one/big) = tail &&
  test \$(busybox tail -n 1 $R/three/big) = more && test \$(cat $R/one/etc/own) = 1"

# Of what clones have in common there is one copy in memory.
used() { "$polytropon" stats c --json | python3 -c 'import json,sys; d=json.load(sys.stdin); d=d.get("stats",d); print(d["cache"]["/run/polytropon-roots"]["pool_used"])'; }
clone c base $(seq -f 's%g' 20)
"$polytropon" run c -- sh -c 'head -c 8M /dev/zero >/run/polytropon-roots/layers/aa/common && sync -f /run/polytropon-roots'
before=$(used)
in_root "$(seq -s, -f 's%g' 20)" sh -c "for i in \$(seq 20); do cat $R/s\$i/common; done | wc -c" >read.txt
same $((20 * 8 << 20)) cat read.txt
[ $(($(used) - before)) -lt $((10 << 20)) ] || fail "20 readers took the cache from $before to $(used) bytes"
clone --rm c $(seq -f 's%g' 20)

# While it runs it is neither cloned nor removed.
mkfifo hold
(in_root one sh -c 'echo up; read x' <hold >up.txt || true) &
exec 9>hold
until [ -s up.txt ]; do sleep 0.05; done
expect 125 clone c one five 2>err
grep -q "container 'one' runs" err || fail "$(cat err)"
expect 125 clone --rm c one 2>err
grep -q "container 'one' runs" err || fail "$(cat err)"
exec 9>&-
wait

# What is wrong is one sentence.
expect 125 clone c base one 2>err; grep -q "there is a container 'one' already" err || fail "$(cat err)"
expect 125 clone c nothing x 2>err; grep -q "there is no image and no container 'nothing'" err || fail "$(cat err)"
expect 125 clone c base ../x 2>err; grep -q "cannot be a container's name" err || fail "$(cat err)"
expect 125 clone --rm c nobody 2>err; grep -q "there is no container 'nobody'" err || fail "$(cat err)"
expect 2 clone c base 2>err
# Lists that were tampered with lead nowhere.
ln -s /etc store/layers/link
n=0
for lower in ../../../etc frozen/../../.. layers/link; do
  mkdir -p store/containers/evil$((++n))/upper
  echo "$lower" >store/containers/evil$n/lowers
  expect 1 in_root evil$n true 2>err
  grep -q "its layer '$lower'" err || fail "$(cat err)"
done
"$polytropon" clone --rm c evil1 evil2 evil3

# A thousand, and away with them, with what they froze.
clone c three $(seq -f 'n%g' 1000)
[ "$(list | wc -l)" = 1004 ] || fail "$(list | wc -l) containers"
in_root n1,n1000 sh -c "cmp $R/n1/big $R/n1000/big"
clone --rm c $(seq -f 'n%g' 1000) three one four
until [ -z "$(find store/trash store/frozen -mindepth 1 2>/dev/null)" ]; do sleep 0.1; done
same 'two 2 True' list

# The service may die meanwhile: the roots stay. (The kernel may find once that a name's number is stale.)
(in_root two sh -c "cat $R/two/etc/own; echo up; read x; 
  busybox cat $R/two/etc/own || busybox cat $R/two/etc/own; cat $R/two/etc/own; echo late >$R/two/etc/own; sync -f /run/polytropon-roots" \
  <hold >up2.txt || true) &
exec 9>hold
until grep -q up up2.txt; do sleep 0.05; done
"$polytropon" run c -- sync -f /run/polytropon-roots
kill -9 "$("$polytropon" ps --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print((d if isinstance(d,list) else d["pools"])[0]["service"])')"
exec 9>&-
wait
same '2
up
2
2' cat up2.txt
same late cat store/containers/two/upper/etc/own

# The file that a clone stands on comes back with `dump`, and the kernel's overlay reads what was written.
"$polytropon" dump c >again.yaml
grep -q 'roots:' again.yaml || fail "$(cat again.yaml)"
"$polytropon" down >/dev/null
"$polytropon" up again.yaml >/dev/null
same late in_root two busybox cat $R/two/etc/own
"$polytropon" down >/dev/null
unshare -m sh -c '
  mkdir m && mount -t overlay o -o lowerdir=store/layers/bb:store/layers/aa,upperdir=store/containers/two/upper,workdir=store/containers/two/work m &&
  cat m/etc/own && ls m/etc && echo kernel >m/etc/kernel && rm m/etc/own' >kernel.txt
same 'late
own' cat kernel.txt
rm -rf store/containers/two/work/work
"$polytropon" up again.yaml >/dev/null
same 'kernel' in_root two sh -c "ls $R/two/etc"

# A process in a mount namespace of its own reaches by the fast door what is mounted there, and nothing else.
"$polytropon" run c -- sh -c 'ls -A /run/polytropon-roots | wc -l' >seen.txt
[ "$(cat seen.txt)" -ge 5 ] || fail "the pool does not see its store: $(cat seen.txt)"
same 0 "$polytropon" run c -- unshare -m sh -c 'umount /run/polytropon-roots; ls -A /run/polytropon-roots | wc -l'
