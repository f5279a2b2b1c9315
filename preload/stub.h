/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirecting the sites of one library's text to stubs. Pure: works on memory that the caller prepared, be it
 * libc itself (preload/patch.c) or a copy of its text in a file (preload/overlay.c).
 *
 * All positions are offsets from the library's base, so the result does not depend on where it is loaded.
 */
#pragma once

#include <stdint.h>

/* Which of entry.S's doors a stub calls: an array of their addresses at the slots. By enum site_kind. */
enum { STUB_SLOTS = 4 };

struct stub_job {
	uint8_t *text; /* writable; holds what lies at text_at */
	uint32_t text_at, text_size;
	uint8_t *stubs; /* writable; will be executed at stubs_at */
	int64_t stubs_at;
	int64_t slots_at;
	uint32_t room; /* bytes at stubs */
	uint32_t used;
	uint32_t sites;    /* out: redirected */
	uint32_t skipped;  /* out: not as expected, or no room left */
	uint32_t coverage; /* out: enum preload_coverage */
};

/* Redirects every site of interest. Uses the library's table, or the scan. */
void stub_library(struct stub_job *job, const uint8_t *build_id, uint32_t build_id_size);
