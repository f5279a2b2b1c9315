/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roots of containers: filesystems that come and go while the service runs, each a union over directories of one
 * store (clone.h). The store's stack, with its cache, is open once; so a page that several containers have in common is
 * in memory once. It is mounted itself, too, as WIRE_ROOTS: there files are made and read by requests alone, and nobody
 * remembers anything of them, since the unions change the same files.
 *
 * A root has a place in the mount table behind those of the pool file, for as long as anybody has anything of it in
 * hand: a session may outlive the container's mount. A container that is opened anew meanwhile gets another place, and
 * stands on the same union.
 *
 * All but roots_fini runs in the socket thread.
 */
#pragma once

#include "service/service.h"

struct root_wish {
	const char *name, *path; /* of the container; where it will be mounted, in the pool */
	uint64_t dev;
	int fuse, root; /* descriptors, which are taken over, also on failure */
	int slot;       /* -1: any; else the one that it had in the service before this */
	bool live;      /* INIT was answered by an earlier service */
};

/* How a door to a filesystem is opened and closed; service/main.c knows, for it knows the door. */
struct root_door {
	int (*open)(struct service *s, struct instance *fs, int fd, bool live, struct fuse_door **ret);
	void (*stop)(struct fuse_door *door); /* no request is being served any more, nor will be */
	struct fuse_door *(*close)(struct fuse_door *door);
};

/* The store is that stack, which is taken over, also on failure. ret_mount: the stack to mount at WIRE_ROOTS. */
int roots_new(struct service *s, struct ls *store, struct ls **ret_mount, char *error, size_t size);
/* Removes what an earlier service left, in the background. When privileges have been dropped. */
void roots_begin(struct service *s);
void roots_fini(struct service *s);

/* 0 with the place, or -errno with a sentence. */
int root_open(struct service *s, const struct root_wish *wish, unsigned *ret_slot, char *error, size_t size);
int root_close(struct service *s, unsigned slot);
/* One of the engine's methods about containers; NULL: it is none of those. */
struct json_object *roots_control(struct service *s, const char *method, struct json_object *message);
struct ls *roots_store(const struct service *s);
