/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of volumes as inputs of a fuzzer: pieces of bytes (block, offset, length, all little-endian),
 * zeros between them. So an image of 32 MiB is some kilobytes, and a fuzzer meets structures, not zeros.
 */
#pragma once

#include "tests/crash/pages.h"

enum { VOLUME_BLOCKS = 8192, VOLUME_TOUCHED = 512 };

struct volume_image {
	struct pages pages;
	uint32_t touched[VOLUME_TOUCHED]; /* blocks that have something; ascending */
	unsigned count;
};

void volume_image_init(struct volume_image *v);
void volume_image_fini(struct volume_image *v);
/* What cannot be understood is left out. */
void volume_image_decode(struct volume_image *v, const uint8_t *data, size_t size);
/* Returns how many bytes it is; what has no room is left out. */
size_t volume_image_encode(struct volume_image *v, uint8_t *data, size_t max);
/* Makes all checksums right, so that what they protect is reached. */
void volume_image_seal(struct volume_image *v);
