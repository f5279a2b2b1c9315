/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that describes an image: an OCI image layout, or what `docker save` writes. Its files are a stranger's:
 * they are opened below that directory only, are regular, and match their digests before they are believed.
 */
#pragma once

#include "engine/store/store.h"

struct source_layer {
	char diff_id[DIGEST_HEX];
	char packed[DIGEST_HEX]; /* "": not given */
	char path[200];          /* below the directory */
};

struct source {
	int dir;
	char *config; /* the image's configuration, as it is */
	size_t config_size;
	size_t layer_count;
	struct source_layer *layer; /* the lowest first */
};

enum source_kind {
	SOURCE_TREE, /* nothing of the kind: a root file system itself */
	SOURCE_LAYOUT,
	SOURCE_DOCKER,
};

enum source_kind source_kind(int dir);
/* Reads what describes the image. `dir` stays the caller's. */
int source_open(int dir, enum source_kind kind, struct source *ret, struct error *error);
void source_fini(struct source *source);
/* The blob of a layer, to read. */
int source_layer_open(const struct source *source, size_t i, struct error *error);
