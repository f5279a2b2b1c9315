/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the place where a pool lives: mount namespace, mount points, pool directory, FUSE mounts, init.
 *
 * It is a process of its own, so that a slow disk delays its pool alone, and a failure leaves nothing: what
 * it made goes with its namespaces. It stays in the host's PID and user namespaces, since a FUSE connection
 * speaks of the pids and uids of whoever mounted it, and the service wants the host's.
 *
 * It answers with one parcel:
 *
 *   {"ok": true, "init": pid, "mounts": [{"path": "/data", "dev": 51, "fuse": true}], "warnings": []}
 *   with the descriptors: pidfd of init, write end of init's hold, the pool's directory, its table, its
 *   socket, then the directories of the stacks' host layers, the images of their volumes and the files of their clusters in stack_walk's
 *   order, then a /dev/fuse for each mount that has one
 *
 * or {"ok": false, "error": sentence}. Then it waits until the service is up (one byte on its socket),
 * attaches the mounts that stand inside other mounts, whose mount points only the service can show, and
 * answers {"ok": true} once more.
 */
#pragma once

#include "engine/cgroup.h"
#include "engine/util.h"

enum build_fd { BUILD_INIT, BUILD_HOLD, BUILD_DIR, BUILD_TABLE, BUILD_LISTEN, BUILD_FDS };

/* Runs in the child. Never returns. */
void build_run(int socket, const char *pool, struct json_object *spec, const struct group *group)
	__attribute__((noreturn));
