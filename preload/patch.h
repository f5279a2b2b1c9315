/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirecting a loaded library's system calls. Freestanding; for the constructor, while one thread runs.
 */
#pragma once

#include "preload/image.h"

/*
 * The format of the files in WIRE_PATCH_DIR, named by a library's build-id in hex: this header, stubs, and from
 * text_offset on the library's text as it is to be mapped over the original. The stubs are mapped with the
 * header PATCH_DISTANCE below the library's base, which is where their jumps and the text's jumps expect it, and
 * a page of entry.S's addresses ("slots") below them. Made by preload/overlay.c.
 */
struct patch_header {
	uint32_t magic;
	uint32_t version;
	uint32_t text_at;     /* of the library, from its base */
	uint32_t text_size;   /* not rounded */
	uint32_t text_offset; /* in the file */
	uint32_t sites, skipped;
	uint32_t coverage; /* enum preload_coverage */
	uint32_t build_id_size;
	uint8_t build_id[IMAGE_BUILD_ID_MAX];
	uint8_t pad[60];
};

_Static_assert(sizeof(struct patch_header) == 128, "layout");

enum {
	PATCH_MAGIC = 0x50594c50, /* "PLYP" */
	PATCH_VERSION = 1,
	PATCH_PAGE = 4096,
	PATCH_STUBS = 4 * PATCH_PAGE, /* header and stubs */
	PATCH_DISTANCE = 1 << 30,     /* from the base down to the slots */
};

/* Redirects one library's sites and adds them to preload_status. Returns enum preload_coverage or -errno. */
int patch_image(const struct image *image);
