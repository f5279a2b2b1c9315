/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roots of a pool's containers: mounted while somebody uses them.
 *
 * `roots: STACK` in a pool file is the store in which containers are (service/clone.h says what is in it). The engine
 * has it as the mount WIRE_ROOTS. A container's root is a FUSE mount of its own, at WIRE_ROOT_DIR/NAME in the pool's
 * mount namespace, made by the first who asks for it and taken away when the connections of all who asked are closed.
 * It has all that a new service needs, so it survives the service's death as other mounts do.
 */
#pragma once

#include <sys/queue.h>

#include "engine/mounts.h"
#include "engine/pool.h"
#include "ipc/wire.h"

enum { ROOT_NAME_MAX = 63 };

struct root_user {
	TAILQ_ENTRY(root_user) link;
	struct client *client;
	bool waits; /* for the answer */
};

struct root {
	TAILQ_ENTRY(root) link;
	struct pool *pool;
	char name[ROOT_NAME_MAX + 1], path[sizeof(WIRE_ROOT_DIR) + ROOT_NAME_MAX + 1];
	struct fuse_mount fuse;
	bool open;
	int slot;
	TAILQ_HEAD(root_users, root_user) users;
};

/* `roots` becomes a mount, and the other way round. */
void roots_lower(struct json_object *spec);
void roots_raise(struct json_object *spec);
bool roots_are_there(const struct pool *pool);

/* The client wants the root, and is answered by root_answer() when it is there or cannot be. */
void root_want(struct pool *pool, const char *name, struct client *client);
/* The client is gone. */
void roots_release(struct pool *pool, const struct client *client);
/* For the boot message: what a new service has to open, whose descriptors it appends at *fds, from number `next` on. */
struct json_object *roots_boot(const struct pool *pool, int *fds, int next, size_t *ret_count);
size_t roots_count(const struct pool *pool);
/* Lets go of all. */
void roots_fini(struct pool *pool);

/* control-roots.c: error is NULL if it is there. */
void root_answer(struct client *client, const struct root *root, const char *error);
