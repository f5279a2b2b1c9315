/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive becomes a tree. A process of its own does it, with that tree as its root directory: whatever an archive
 * makes of its reader, there is nothing else within its reach.
 */
#pragma once

#include <stdint.h>

#include "engine/store/digest.h"
#include "engine/util.h"

struct layer_limits {
	uint64_t bytes;   /* unpacked */
	uint64_t entries;
	uint64_t ratio;   /* unpacked to packed, from LAYER_RATIO_FROM bytes on */
	unsigned depth;
	bool devices;
};

enum { LAYER_RATIO_FROM = 256 << 20 };

/* What became of it. */
struct layer_result {
	int status; /* 0, 1: so far, -errno */
	char packed[DIGEST_HEX], plain[DIGEST_HEX];
	uint64_t packed_bytes, bytes, entries, left_out;
	char error[400];
};

/* Called now and then. */
typedef void layer_watch(void *arg, const struct layer_result *so_far);

/*
 * Extracts what can be read from `archive` into the empty directory `tree`. 0, or -errno with a sentence; what is in
 * the tree then is to be removed.
 */
int layer_extract(int archive, int tree, const struct layer_limits *limits, layer_watch *watch, void *arg,
		  struct layer_result *ret, struct error *error);

/* The same in this process, below its working directory, for layer_extract and for tests. */
int layer_extract_here(int archive, const struct layer_limits *limits, layer_watch *watch, void *arg,
		       struct layer_result *ret, struct error *error);

/* Writes the tree below a directory as an archive, in a child; its pid, and the end to read from in *ret_archive. */
int layer_pack(int dir, int *ret_archive, struct error *error);
