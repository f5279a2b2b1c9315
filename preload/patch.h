/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirecting a loaded library's system calls. Freestanding; for the constructor, while one thread runs.
 */
#pragma once

#include "preload/image.h"

/*
 * The format of the files in WIRE_PATCH_DIR, named by a library's build-id in hex: this header, stubs, and from
 * PATCH_STUBS on the library's whole text, to be mapped over the original. The header's page is mapped privately
 * PATCH_DISTANCE below the library's base, for the slots in it, and the stubs behind it; that is where their
 * jumps and the text's jumps expect them. Made by preload/overlay.c.
 *
 * The whole text rather than the 25 pages that differ: those lie in 14 places, and 14 mmaps and 28 more VMAs cost
 * some 60 us more a start than one mmap and the page faults for what was there already; merging the nearest of
 * them makes it equal at best. The file wants large folios (a tmpfs with huge=within_size): they save half of
 * those faults.
 */

struct patch_header {
	uint64_t slots[4]; /* in a process: addresses in entry.S, by enum site_kind */
	uint32_t magic;
	uint32_t version;
	uint32_t text_at;   /* of the library, from its base */
	uint32_t text_size; /* not rounded */
	uint32_t sites, skipped;
	uint32_t coverage; /* enum preload_coverage */
	uint32_t build_id_size;
	uint8_t build_id[IMAGE_BUILD_ID_MAX];
	uint8_t pad[4096 - 96];
};

_Static_assert(sizeof(struct patch_header) == 4096, "a page");

enum {
	PATCH_MAGIC = 0x50594c50, /* "PLYP" */
	PATCH_VERSION = 1,
	PATCH_PAGE = 4096,
	PATCH_STUBS = 4 * PATCH_PAGE, /* header and stubs */
	PATCH_DISTANCE = 1 << 30,     /* from the library's base down to the header */
};

/*
 * Redirect one library's sites and add them to preload_status. Return enum preload_coverage, or -errno and the
 * library is as it was. The overlay may be put on while other threads run: what they execute is replaced at once.
 */
int patch_overlay(const struct image *image);
int patch_in_place(const struct image *image);
