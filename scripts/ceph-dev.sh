#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Ceph cluster on this machine alone, for tests and for trying things: a monitor, an OSD and an MDS as plain processes that
# listen on one address only, the loopback interface's if nothing else is said, keep everything in one directory, and know nobody without a cephx key.
#
#   ceph-dev.sh up [DIR] [--store memstore|bluestore] [--size SIZE] [--mgr] [--address ADDRESS]
#                                        starts what does not run; says where it is. ADDRESS, an IPv4 address of this
#                                        machine, is where it listens in place of 127.0.0.1
#   ceph-dev.sh tenant NAME [DIR] [--quota BYTES]
#                                        a client with a key and a directory of its own; prints both
#   ceph-dev.sh status [DIR]             what runs; fails if something does not
#   ceph-dev.sh kill|stop|cont DAEMON [DIR]
#                                        SIGKILL, SIGSTOP or SIGCONT for mon, osd, mds or mgr
#   ceph-dev.sh image TENANT NAME SIZE [DIR]
#                                        a block image of the tenant's, rbd/TENANT/NAME
#   ceph-dev.sh evict [DIR] [NAME]       ends the sessions of all clients, or of that one, and blocks them
#   ceph-dev.sh full|roomy [DIR]         makes it believe that it is full, or no longer
#   ceph-dev.sh down [DIR]               ends it and removes the directory
#
# DIR is /var/tmp/polytropon-ceph, or CEPH_DEV_DIR. A memstore loses its data with its process; a bluestore, in a sparse
# file, does not. Nothing waits longer than CEPH_DEV_WAIT seconds (60). Needs the packages ceph-mon, ceph-osd and ceph-mds.
set -eu

die() { echo "ceph-dev.sh: $*" >&2; exit 1; }
usage() { sed -n '6,22s/^# \{0,1\}//p' "$0" >&2; exit 2; }

dir=${CEPH_DEV_DIR:-/var/tmp/polytropon-ceph}
wait=${CEPH_DEV_WAIT:-60}
store=memstore size=4294967296 mgr=0 quota= address=127.0.0.1
verb=${1:-}
[ -n "$verb" ] || usage
shift
words=()
while [ $# -gt 0 ]; do
  case $1 in
  --store) store=${2:?}; shift 2 ;;
  --size) size=$(numfmt --from=iec "${2:?}"); shift 2 ;;
  --quota) quota=$(numfmt --from=iec "${2:?}"); shift 2 ;;
  --mgr) mgr=1; shift ;;
  --address) address=${2:?}; shift 2 ;;
  -*) usage ;;
  *) words+=("$1"); shift ;;
  esac
done
case $store in memstore | bluestore) ;; *) die "--store is memstore or bluestore" ;; esac
[[ $address =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || die "--address is an IPv4 address"

# ---- what is there --------------------------------------------------------------------------------------------------

# A process that was killed stays a zombie until somebody asks for it; and while its first thread is one already, it has its
# files and locks until the last has ended.
alive() { # NAME, like osd.0
  local pid
  pid=$(cat "$dir/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  grep -qs "^ceph-" "/proc/$pid/comm" && grep -Eqs "^State:.[^ZX]|^Threads:.([2-9]|[1-9][0-9])" "/proc/$pid/status"
}
gone() { # NAME: waits until it is
  local i
  for ((i = 0; i < wait * 20; i++)); do
    alive "$1" || return 0
    sleep 0.05
  done
  die "$1 does not end"
}
daemons() { echo mon.a osd.0 mds.a; [ "$mgr" = 0 ] || echo mgr.x; }
name_of() {
  case $1 in mon) echo mon.a ;; osd) echo osd.0 ;; mds) echo mds.a ;; mgr) echo mgr.x ;; *) die "'$1' is none of mon, osd, mds, mgr" ;; esac
}
settings_load() { # those that it was made with win
  [ -f "$dir/settings" ] || die "no cluster in '$dir': ceph-dev.sh up"
  # shellcheck disable=SC1091
  . "$dir/settings"
}

# ---- making ---------------------------------------------------------------------------------------------------------

port_find() {
  local p
  for p in $(seq 3300 100 9900); do
    python3 - "$p" "$address" <<'PY' && { echo "$p"; return; }
import socket, sys
for port in range(int(sys.argv[1]), int(sys.argv[1]) + 20):
    with socket.socket() as s:
        s.bind((sys.argv[2], port))
PY
  done 2>/dev/null
  die "no hundred ports are free on $address between 3300 and 9999"
}

conf_write() {
  cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon_host = [v2:$address:$port/0,v1:$address:$((port + 1))/0]
mon_initial_members = a
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
public_addr = $address
cluster_addr = $address
ms_bind_ipv4 = true
ms_bind_ipv6 = false
ms_bind_port_min = $((port + 2))
ms_bind_port_max = $((port + 99))
ms_async_op_threads = 2
keyring = $dir/keyring
run_dir = $dir/run
pid_file = $dir/run/\$name.pid
admin_socket = $dir/run/\$name.asok
log_file = $dir/log/\$name.log
log_to_stderr = false
err_to_stderr = true
crash_dir = $dir/crash
max_open_files = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_pg_warn_min_per_osd = 0
mon_max_pg_per_osd = 2000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_osd_nearfull_ratio = 0.98
mon_osd_backfillfull_ratio = 0.99
mon_osd_full_ratio = 0.995
osd_failsafe_full_ratio = 0.999
[mon.a]
mon_data = $dir/mon
# maps change at once, not by timers
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_tick_interval = 1
mon_cluster_log_file = $dir/log/cluster.log
mon_memory_autotune = false
mon_osd_cache_size_min = 16777216
rocksdb_cache_size = 33554432
[osd]
osd_data = $dir/osd.\$id
osd_objectstore = $store
memstore_device_bytes = $size
memstore_page_size = 65536
bluestore_block_create = true
bluestore_block_path =
bluestore_block_size = $size
bluestore_block_db_create = false
bluestore_block_wal_create = false
bluestore_block_preallocate_file = false
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
osd_memory_target = 939524096
osd_fast_shutdown = $([ "$store" = memstore ] && echo false || echo true)
osd_class_update_on_start = false
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 1
# with one replica, nobody wakes a group whose lease ran out while the OSD was stopped
osd_pool_default_read_lease_ratio = 50
bluefs_buffered_io = true
[mds]
mds_data = $dir/mds
mds_cache_memory_limit = 268435456
mds_beacon_interval = 1
mds_beacon_grace = 15
mds_reconnect_timeout = 5
mds_log_max_segments = 16
mds_session_blocklist_on_evict = true
[mgr]
mgr_data = $dir/mgr
mgr_initial_modules =
mgr_stats_period = 1
[client]
admin_socket =
pid_file =
log_file =
err_to_stderr = false
objecter_tick_interval = 0.5
objecter_timeout = 1
CONF
}

# All keys are the monitor's from its first moment: nothing needs to ask for them.
keys_write() {
  local k=$dir/keyring
  {
    ceph-authtool --create-keyring "$k" --gen-key -n client.admin \
      --cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *'
    ceph-authtool "$k" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$k" --gen-key -n mds.a --cap mon 'allow profile mds' --cap osd 'allow *' --cap mds allow --cap mgr 'allow profile mds'
    ceph-authtool "$k" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
    ceph-authtool "$k" --gen-key -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *' --cap mds 'allow *'
  } >/dev/null
  chmod 600 "$k"
}

cluster_make() {
  case $dir in /*) ;; *) die "'$dir' must be an absolute path" ;; esac
  [ ${#dir} -le 70 ] || die "'$dir' is too long for sockets in it: at most 70 letters"
  if [ -e "$dir" ] && [ -n "$(ls -A "$dir")" ]; then die "'$dir' is there and holds no cluster"; fi
  mkdir -p "$dir"
  chmod 700 "$dir"
  mkdir "$dir/run" "$dir/log" "$dir/crash" "$dir/mon" "$dir/osd.0" "$dir/mds" "$dir/mgr"
  fsid=$(cat /proc/sys/kernel/random/uuid)
  port=$(port_find)
  conf_write
  keys_write
  monmaptool --create --clobber --addv a "[v2:$address:$port,v1:$address:$((port + 1))]" --fsid "$fsid" "$dir/monmap" >/dev/null
  ceph-mon -c "$dir/ceph.conf" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
  printf 'fsid=%s address=%s port=%s store=%s size=%s mgr=%s\n' "$fsid" "$address" "$port" "$store" "$size" "$mgr" >"$dir/settings"
}

# Runs Debian's Python, which has the bindings, with a connection to the cluster as the administrator: `command(prefix, ...)` asks the monitors.
admin() {
  local status=0
  timeout -k 1 "$wait" /usr/bin/python3 - "$dir/ceph.conf" "$@" || status=$?
  case $status in 0) ;; 124 | 137) die "no answer from the cluster in '$dir' within $wait s; see '$dir/log'" ;; *) exit "$status" ;; esac
}
prelude=$(
  cat <<'PY'
import json, sys, time, rados, cephfs
conf, words = sys.argv[1], sys.argv[2:]
cluster = rados.Rados(conffile=conf, name="client.admin")
cluster.connect(timeout=30)
def command(prefix, **arguments):
    r, out, text = cluster.mon_command(json.dumps(dict(arguments, prefix=prefix, format="json")), b"")
    if r < 0:
        sys.exit("ceph-dev.sh: %s: %s" % (prefix, text))
    return json.loads(out) if out.strip() else None
def filesystem():
    fs = cephfs.LibCephFS(conffile=conf, auth_id="admin")
    fs.mount(filesystem_name=b"cephfs")
    return fs
PY
)

# ---- the verbs ------------------------------------------------------------------------------------------------------

start() { # NAME: unless it runs
  alive "$1" && return
  rm -f "$dir/run/$1.pid" "$dir/run/$1.asok"
  timeout "$wait" "ceph-${1%%.*}" -c "$dir/ceph.conf" -i "${1#*.}" </dev/null >>"$dir/log/$1.out" 2>&1 9>&- ||
    die "$1 does not start: $(tail -n 1 "$dir/log/$1.out")"
}

up() {
  local tool
  for tool in ceph-mon ceph-osd ceph-mds; do
    command -v $tool >/dev/null || die "'$tool' is not installed: scripts/install-deps.sh ceph"
  done
  mkdir -p "$(dirname "$dir")"
  exec 9>"$dir.lock"
  flock -w "$wait" 9 || die "another ceph-dev.sh has been busy with '$dir' for $wait s"
  if [ -f "$dir/settings" ]; then settings_load; else cluster_make; fi
  start mon.a
  if [ ! -e "$dir/osd.0/ready" ]; then
    { echo "$prelude"; echo 'command("osd new", uuid=words[0])'; } | admin "$fsid"
    ceph-osd -c "$dir/ceph.conf" -i 0 --mkfs --osd-uuid "$fsid" >>"$dir/log/osd.0.out" 2>&1 ||
      die "the OSD's store cannot be made: $(tail -n 1 "$dir/log/osd.0.out")"
    touch "$dir/osd.0/ready"
  fi
  start osd.0
  start mds.a
  [ "$mgr" = 0 ] || start mgr.x
  # A map that says "active" may be an old one: it is up when bytes come back.
  { echo "$prelude"; cat <<'PY'; } | admin
pools = command("osd pool ls")
for name, use in (("cephfs_metadata", None), ("cephfs_data", None), ("rbd", "rbd")):
    if name not in pools:
        command("osd pool create", pool=name, pg_num=8)
        if use:
            command("osd pool application enable", pool=name, app=use)
if not command("fs ls"):
    command("fs new", fs_name="cephfs", metadata="cephfs_metadata", data="cephfs_data")
while not any(m["state"] == "up:active" for m in command("fs dump")["filesystems"][0]["mdsmap"]["info"].values()):
    time.sleep(0.05)
fs = filesystem()
fd = fs.open("/.ceph-dev", "w+", 0o600)
fs.write(fd, b"up", 0)
fs.fsync(fd, 0)
assert fs.read(fd, 0, 2) == b"up"
fs.close(fd)
fs.unlink("/.ceph-dev")
fs.shutdown()
PY
  echo "conf=$dir/ceph.conf monitors=$address:$port"
}

tenant() {
  local name=${words[0]:-}
  [[ $name =~ ^[a-z0-9][a-z0-9_-]{0,62}$ ]] || die "tenant NAME: lower-case letters, digits, - and _"
  dir=${words[1]:-$dir}
  settings_load
  { echo "$prelude"; cat <<'PY'; } | admin "$name" "$dir/client.$name.keyring" "$quota"
import os, rbd
name, keyring, quota = words
key = command("auth get-or-create", entity="client." + name, caps=[
    "mon", "allow r, profile rbd",
    "mds", "allow rwps path=/" + name,
    "osd", "allow rw tag cephfs data=cephfs, profile rbd pool=rbd namespace=" + name])[0]["key"]
with open(os.open(keyring, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
    f.write("[client.%s]\n\tkey = %s\n" % (name, key))
fs = filesystem()
try:
    fs.mkdir("/" + name, 0o755)
except cephfs.ObjectExists:
    pass
if quota:
    fs.setxattr("/" + name, "ceph.quota.max_bytes", quota.encode(), 0)
fs.shutdown()
io = cluster.open_ioctx("rbd")
if not rbd.RBD().namespace_exists(io, name):
    rbd.RBD().namespace_create(io, name)
PY
  echo "name=$name keyring=$dir/client.$name.keyring path=/$name monitors=$address:$port"
}

image() {
  [ ${#words[@]} -ge 3 ] || usage
  dir=${words[3]:-$dir}
  settings_load
  { echo "$prelude"; cat <<'PY'; } | admin "${words[0]}" "${words[1]}" "$(numfmt --from=iec "${words[2]}")"
import rbd
tenant, name, size = words
io = cluster.open_ioctx("rbd")
io.set_namespace(tenant)
if name not in rbd.RBD().list(io):
    rbd.RBD().create(io, name, int(size), old_format=False, features=rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK)
PY
  echo "image=rbd/${words[0]}/${words[1]}"
}

status() {
  local d bad=0
  settings_load
  for d in $(daemons); do
    if alive "$d"; then
      echo "$d: runs, process $(cat "$dir/run/$d.pid"), $(awk '/^VmRSS/ {printf "%d MiB", $2 / 1024}' "/proc/$(cat "$dir/run/$d.pid")/status")"
    else
      echo "$d: does not run" && bad=1
    fi
  done
  echo "conf=$dir/ceph.conf monitors=$address:$port store=$store"
  return $bad
}

signal() { # SIGNAL
  local d
  d=$(name_of "${words[0]:-}")
  dir=${words[1]:-$dir}
  settings_load
  alive "$d" || die "$d does not run"
  kill "-$1" "$(cat "$dir/run/$d.pid")"
  [ "$1" != KILL ] || gone "$d"
}

evict() {
  dir=${words[0]:-$dir}
  settings_load
  { echo "$prelude"; cat <<'PY'; } | admin "${words[1]:-}"
fs = cephfs.LibCephFS(conffile=conf, auth_id="admin")
fs.init()
def mds(**arguments):
    r, out, text = fs.mds_command("*", json.dumps(arguments), "")
    if r < 0:
        sys.exit("ceph-dev.sh: %s: %s" % (arguments["prefix"], text))
    return json.loads(out) if out.strip() else None
evicted = 0
for session in mds(prefix="session ls", format="json"):
    name = session["client_metadata"].get("entity_id")
    if words[0] in ("", name):
        mds(prefix="session evict", filters=["id=%d" % session["id"]])
        print("client.%s (%d) is evicted" % (name, session["id"]))
        evicted += 1
fs.shutdown()
sys.exit(0 if evicted else "ceph-dev.sh: no client%s has a session" % (words[0] and " " + words[0]))
PY
}

full() { # RATIO...: nearfull, backfillfull, full
  settings_load
  { echo "$prelude"; cat <<'PY'; } | admin "$@"
for what, ratio in zip(("nearfull", "backfillfull", "full"), words):
    command("osd set-%s-ratio" % what, ratio=float(ratio))
is_full = float(words[2]) < 0.1
while any(("full" in p["flags_names"]) != is_full for p in command("osd dump")["pools"]):
    time.sleep(0.1)
PY
}

down() {
  local f
  [ -d "$dir" ] || { rm -f "$dir.lock"; return 0; }
  [ -f "$dir/ceph.conf" ] || die "'$dir' is no cluster"
  for f in "$dir"/run/*.pid; do
    [ -e "$f" ] && alive "$(basename "$f" .pid)" && kill -KILL "$(cat "$f")"
  done
  for f in "$dir"/run/*.pid; do
    [ ! -e "$f" ] || gone "$(basename "$f" .pid)"
  done
  rm -rf "$dir" "$dir.lock"
}

case $verb in
up) dir=${words[0]:-$dir}; up ;;
tenant) tenant ;;
image) image ;;
status) dir=${words[0]:-$dir}; status ;;
kill) signal KILL ;;
stop) signal STOP ;;
cont) signal CONT ;;
evict) evict ;;
full) dir=${words[0]:-$dir}; full 0.00001 0.00002 0.00003 ;;
roomy) dir=${words[0]:-$dir}; full 0.98 0.99 0.995 ;;
down) dir=${words[0]:-$dir}; down ;;
*) usage ;;
esac
