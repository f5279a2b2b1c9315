/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a transfer in pieces that are contiguous in the area. */
#pragma once

#include "libservices/area.h"

struct area_cursor {
	const struct area_io *io;
	unsigned range, iov;           /* the ones to go on in */
	uint64_t range_done, iov_done; /* bytes of them behind */
};

/* What is left of the range, from *ret_offset on. 0: the walk is over. */
uint64_t area_cursor_left(const struct area_cursor *c, uint64_t *ret_offset);
/*
 * Steps over at most `max` bytes of the range, and no more than `iov_max` pieces of memory, which are put
 * into `iov`, *ret_count of them. Returns the bytes.
 */
uint64_t area_cursor_next(struct area_cursor *c, uint64_t max, struct iovec *iov, unsigned iov_max,
			  unsigned *ret_count);
/* Steps over bytes that have no memory. */
void area_cursor_skip(struct area_cursor *c, uint64_t bytes);
