/* SPDX-License-Identifier: Apache-2.0 */
#include "libservices/area/cursor.h"

uint64_t area_cursor_left(const struct area_cursor *c, uint64_t *ret_offset)
{
	const struct area_range *r;

	if (c->range >= c->io->range_count)
		return 0;
	r = &c->io->ranges[c->range];
	*ret_offset = r->offset + c->range_done;
	return r->length - c->range_done;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Takes memory for up to `want` bytes. Returns for how many it did. */
static uint64_t memory_take(struct area_cursor *c, uint64_t want, struct iovec *iov, unsigned iov_max,
			    unsigned *ret_count)
{
	uint64_t taken = 0;

	for (*ret_count = 0; taken < want && *ret_count < iov_max; ++*ret_count) {
		const struct iovec *from = &c->io->iov[c->iov];
		uint64_t n = min(from->iov_len - c->iov_done, want - taken);

		iov[*ret_count] = (struct iovec){(char *)from->iov_base + c->iov_done, n};
		taken += n;
		c->iov_done += n;
		if (c->iov_done == from->iov_len) {
			c->iov++;
			c->iov_done = 0;
		}
	}
	return taken;
}

void area_cursor_skip(struct area_cursor *c, uint64_t bytes)
{
	c->range_done += bytes;
	if (c->range_done == c->io->ranges[c->range].length) {
		c->range++;
		c->range_done = 0;
	}
}

uint64_t area_cursor_next(struct area_cursor *c, uint64_t max, struct iovec *iov, unsigned iov_max,
			  unsigned *ret_count)
{
	uint64_t left = c->io->ranges[c->range].length - c->range_done;
	uint64_t n = memory_take(c, min(max, left), iov, iov_max, ret_count);

	area_cursor_skip(c, n);
	return n;
}
