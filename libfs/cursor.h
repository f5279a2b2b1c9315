/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the program's ranges of memory: how far a transfer has come. */
#pragma once

#include <stdint.h>
#include <sys/uio.h>
#include "ipc/copy.h"
#include "libfs/memory.h"

struct cursor {
	const struct iovec *iov, *end;
	uint64_t within; /* of *iov, done */
	uint64_t left;   /* of all ranges */
};

static inline void cursor_init(struct cursor *c, const struct iovec *iov, int count)
{
	*c = (struct cursor){.iov = iov, .end = iov + count};
	for (; iov < c->end; iov++)
		c->left += iov->iov_len;
}

/* The range to go on with; 0 at the end. */
static inline uint64_t cursor_range(struct cursor *c, char **ret)
{
	while (c->iov < c->end && c->within == c->iov->iov_len) {
		c->iov++;
		c->within = 0;
	}
	if (c->iov == c->end)
		return 0;
	*ret = (char *)c->iov->iov_base + c->within;
	return c->iov->iov_len - c->within;
}

static inline void cursor_forward(struct cursor *c, uint64_t n)
{
	char *p;

	while (n) {
		uint64_t range = cursor_range(c, &p), step = range < n ? range : n;

		if (!step)
			return;
		c->within += step;
		c->left -= step;
		n -= step;
	}
}

/* `in`: to the program. Returns how many bytes; fewer than n where the program's memory is not there. */
static inline uint64_t cursor_copy(struct cursor *c, char *payload, uint64_t n, int in, uint32_t smo_min)
{
	uint64_t left = n;
	char *p = 0;

	while (left) {
		uint64_t range = cursor_range(c, &p), step = range < left ? range : left;

		step = step ? fs_memory_good((uint64_t)p, step, in) : 0;
		if (!step)
			break;
		if (in)
			copy_any(p, payload, step, smo_min);
		else
			copy_any(payload, p, step, smo_min);
		c->within += step;
		c->left -= step;
		payload += step;
		left -= step;
	}
	return n - left;
}
