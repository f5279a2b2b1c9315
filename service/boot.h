/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine and a filesystem service say to each other.
 *
 * The engine starts `polytropon-service --boot POOL` with a SOCK_SEQPACKET socket as descriptor BOOT_FD, in the
 * pool's cgroup, and sends one message: a JSON object with the descriptors that it names by their place
 * in SCM_RIGHTS (several messages if there are more than BOOT_FDS_MAX: the rest come in messages
 * {"more": true} before it is complete; "fds" in the first says how many there are in all).
 *
 *   {
 *     "method": "boot",
 *     "pool": "alice",
 *     "generation": 3,               written into the table by the service when it is up
 *     "fds": 6,
 *     "listen": 0,                   the pool's socket, bound to WIRE_SOCKET and listening
 *     "table": 1,                    the file WIRE_TABLE, read-write; the engine has filled in pool,
 *                                    mounts (dev and flags too), one_core and the placeholder
 *     "proc": 2,                     a directory descriptor of the host's /proc
 *     "mnt_ns": 4026532841,          the number of the pool's mount namespace; absent: sessions are not looked at
 *     "init": 1234,                  a process in it that stays; absent: what is mounted in it is not looked at
 *     "meter": 4,                    memory for its figures (service/meter.h); absent: they are its own
 *     "cpus": [0, 1],                the pool's cores; one queue each
 *     "settings": {"flush.interval": "5s", ...},      flat, as `polytropon set` names them
 *     "mounts": [
 *       {"path": "/data", "fuse": 3, "fuse_live": false, "stack": {"host": {"path": "/srv/a", "fd": 4}}}
 *     ]                              "fuse": a /dev/fuse descriptor, mounted; absent: no FUSE door.
 *                                    "root": a descriptor of that mount's root
 *                                    "fuse_live": INIT was answered by an earlier service
 *                                  A mount at WIRE_ROOTS is the store of the pool's containers
 *     "roots": [                     of containers, that were open in the service before this
 *       {"name": "web1", "path": "/run/polytropon/root/web1", "slot": 3, "dev": 57, "fuse": 9, "root": 10}
 *     ]
 *     "limits": [                    of containers, as {"method": "limit"} gives them
 *       {"pid": "4711", "settings": {"io.iops": "500"}}
 *     ]
 *   }
 *
 * The service answers {"ok": true} when every instance is mounted and its doors are open, or
 * {"ok": false, "error": "a sentence"} and exits. Then the engine may send, and gets one answer each:
 *
 *   {"method": "stats"}              -> {"ok": true, "stats": {...}}  (see service/stats.c)
 *   {"method": "processes", "after": 0}  -> {"ok": true, "stats": [{"pid": ..}, ..]}: some, with greater pids
 *   {"method": "set", "key": "flush.interval", "value": "1s"}  -> {"ok": true} or {"ok": false, "error"}
 *   {"method": "limit", "pid": "4711", "name": "web1", "settings": {"io.iops": "500"}}  of the container that this process is in
 *   {"method": "root-open", "name": "web1", "path": "/run/polytropon/root/web1", "dev": 57}, with two descriptors, the
 *       FUSE device and the mount's root -> {"ok": true, "slot": 3}: its place in the mount table
 *   {"method": "root-close", "slot": 3}        when it is not mounted any more
 *   {"method": "clone", "source": "debian", "name": "web1"}, {"method": "clone-remove", "name": "web1"},
 *   {"method": "clone-list"}         -> {"ok": true, "containers": [{"name", "layers", "changed"}]}
 *   {"method": "stop"}               -> {"ok": true} after everything is written back; then it exits 0
 *
 * End of file on BOOT_FD means that the engine died: the service writes back and exits.
 */
#pragma once

enum {
	BOOT_FD = 3,
	BOOT_FDS_MAX = 200,
	BOOT_MESSAGE_MAX = 128 * 1024,
};
