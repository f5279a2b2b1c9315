/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's store of images and container roots, seen as a directory which is the root of the caller:
 *
 *   /layers/<digest>/       a read-only layer's tree in overlayfs' on-disk convention, named by its diff id
 *   /images/<name>/         config.json (the OCI image configuration) and layers (lines of digests, top-most first)
 *   /containers/<name>/     upper/, work/, lowers: a container's root (see polytropon-containers(7))
 *   /tmp/                   what is being made; whoever holds the store's lock may empty it
 *
 * What is in layers/ and images/ is complete: it came there by rename(2). One process at a time changes them: the one
 * that holds the lock, a flock(2) of /images.
 */
#pragma once

#include <stdint.h>

#include "engine/store/layer.h"
#include "engine/util.h"

enum {
	STORE_LAYERS_MAX = 500,
	STORE_JSON_MAX = 8 << 20, /* of an index, a manifest, a configuration */
};

/* Makes its directories, takes the lock (held until the descriptor in *ret is closed) and empties /tmp. */
int store_lock(int *ret, struct error *error);
bool store_has_layer(const char *digest);
/* Removes a tree, without following links. */
int store_remove(const char *path);
/* An empty directory in /tmp, opened. */
int store_temporary(const char *name, int *ret, struct error *error);
int store_write_file(int dir, const char *name, const char *text, size_t size);

/* A name that images and containers may have. */
bool store_name_is_good(const char *name);

/* ---- import.c, list.c: what the program does; each prints JSON to stdout ------------------------------ */

struct import {
	const char *name;
	int source; /* a directory, or something to read an archive from */
	bool replace, progress;
	struct layer_limits limits;
};

int store_import(const struct import *import, struct json_object **ret, struct error *error);
int store_list(struct json_object **ret, struct error *error);
int store_forget(const char *name, struct json_object **ret, struct error *error);
