/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container lives: on the host as any other, or in a pool, if its annotations say so. In a pool it is nested in
 * the pool's namespaces and groups, and its root shows the pool's own directory, by which its programs reach the
 * pool's service.
 *
 * What a container gets of the pool's view is cloned in that view, before a user namespace is entered that could not.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "engine/oci/bundle.h"

enum { PLACE_VOLUMES_MAX = 32 };

struct place {
	const struct bundle *bundle;
	const char *pool; /* NULL: none; the bundle's */
	const char *name; /* of the pool's container whose root it is; NULL: the bundle has one */
	char root[PATH_MAX];
	char group[128];     /* the pool's; "": none */
	int connection;      /* its end lets go of the root */
	int init;            /* pidfd of the pool's */
	int namespaces;      /* CLONE_NEW* that the pool has, but for its mounts */
	bool preload;
	char *env[3];        /* for programs */
	/* Mounts without a place, made by place_fetch. */
	int tree, directory;
	struct {
		const char *path;
		int mount;
	} volume[PLACE_VOLUMES_MAX];
	unsigned volume_count;
};

int place_find(const struct bundle *bundle, struct place *ret, struct error *error);
/* In a process that has the pool's mounts before its eyes. */
int place_fetch(struct place *place, struct error *error);
/* In the container, before its root is entered. */
int place_furnish(struct place *place, int root, struct error *error);
void place_fini(struct place *place);
