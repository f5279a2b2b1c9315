/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of volumes: regular files and block devices, opened so that nobody else has them.
 *
 * The claim is a lock on the opening (of a device an exclusive opening besides), so it lives as long as
 * anybody holds a descriptor of it: the engine, while the pool's service dies and is started again.
 */
#pragma once

#include "engine/util.h"

#define IMAGE_NAMELESS "a nameless image"

enum image_how {
	IMAGE_READ = 1 << 0, /* to read; others may, too */
	IMAGE_MAKE = 1 << 1, /* make the file if it is not there */
};

struct image {
	int fd;
	uint64_t size;
	bool device, made;
	bool empty; /* a file that holds nothing, whatever its size */
	char *path;
};

/* -errno with a sentence, which names the pool that has the image. The path is copied. */
int image_open(const char *path, unsigned how, struct image *ret, struct error *error);
/* One without a name, in the directory for large temporary files: it ends with its last descriptor. */
int image_open_nameless(struct image *ret, struct error *error);
/* Claims it again: an area lets go of a descriptor's claim when it is closed. */
int image_claim(struct image *image, struct error *error);
/* At least so large, if it is a file. */
int image_grow(struct image *image, uint64_t size, struct error *error);
/* What is on it already, in a few words ("an ext4 file system"), or NULL. */
const char *image_holds(const struct image *image);
void image_fini(struct image *image);
