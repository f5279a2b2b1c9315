#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A createRuntime hook for crun, runc and their like: binds what the annotations io.polytropon.mount.<path> name, paths of
# the pool that io.polytropon.pool names, into the container's root. See docs/oci.md.
set -eu

exec python3 -c '
import json, os, subprocess, sys

state = json.load(sys.stdin)
config = json.load(open(os.path.join(state["bundle"], "config.json")))
notes = state.get("annotations") or config.get("annotations") or {}
pool = notes.get("io.polytropon.pool")
if not pool:
    sys.exit(0)
pools = {p["pool"]: p for p in json.loads(subprocess.check_output(["polytropon", "ps", "--json"]))}
if pool not in pools:
    sys.exit("polytropon: no pool \x27%s\x27 runs" % pool)
init = pools[pool]["init"]
root = config["root"]["path"]
if not root.startswith("/"):
    root = os.path.join(state["bundle"], root)

# open_tree and move_mount take what one namespace shows into another.
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, CLONE, RECURSIVE, EMPTY = 428, 429, 1, 0x8000, 4

def call(*args):
    r = libc.syscall(*args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r

def enter(pid):
    fd = os.open("/proc/%d/ns/mnt" % pid, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(fd, 0x20000) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

container = os.open("/proc/%d/ns/mnt" % state["pid"], os.O_RDONLY | os.O_CLOEXEC)
enter(init)
trees = {}
for key, path in notes.items():
    if key.startswith("io.polytropon.mount."):
        trees[key[len("io.polytropon.mount."):]] = call(OPEN_TREE, -100, path.encode(), CLONE | RECURSIVE | os.O_CLOEXEC)
if libc.setns(container, 0x20000) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.chroot(root)
os.chdir("/")
for where, tree in trees.items():
    os.makedirs(where, exist_ok=True)
    call(MOVE_MOUNT, tree, b"", -100, where.encode(), EMPTY)
'
