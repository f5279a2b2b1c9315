/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's directory: a small tmpfs that only the pool sees, read-only, at WIRE_POOL_DIR; what is in it
 * says ipc/wire.h. The engine writes through a second mount of it that has no place in any namespace.
 */
#pragma once

#include "engine/util.h"

struct pool_dir {
	int dir;    /* the engine's mount, writable */
	int listen; /* the socket, listening */
	int table;  /* read-write, filled but for the mounts */
};

/*
 * Makes it at `path`, an existing directory of the caller's mount namespace. 0, or -errno with a sentence.
 * What the pool can do without (the preload library) is a sentence in warnings instead.
 */
int pool_dir_make(const char *path, const char *pool, bool one_core, struct pool_dir *ret,
		  struct json_object *warnings, struct error *error);
