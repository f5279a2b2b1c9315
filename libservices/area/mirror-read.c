/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of a mirror: from one child in sync, and from the next if that fails. They take no lock. One that
 * was submitted before a child was dropped may still read there what it held then: no write that this child
 * lacks had been acknowledged at that time.
 */
#include <errno.h>
#include <stdlib.h>

#include "libservices/area/mirror.h"

struct mirror_read {
	struct mirror *m;
	struct area_io *io;
	uint32_t tried;
	struct area_io child;
	struct area_range ranges[];
};

/* One of those in sync that was not asked yet; a MiB each in turn. -1: none. */
static int read_choose(struct mirror *m, const struct area_io *io, uint32_t tried)
{
	uint32_t may = __atomic_load_n(&m->in_sync, __ATOMIC_ACQUIRE) & ~tried;

	if (!may)
		return -1;
	for (unsigned skip = (io->ranges->offset >> 20) % __builtin_popcount(may); skip > 0; skip--)
		may &= may - 1;
	return __builtin_ctz(may);
}

static void read_error_count(struct mirror *m)
{
	__atomic_fetch_add(&m->read_errors, 1, __ATOMIC_RELAXED);
}

static void read_done(struct area_io *child)
{
	struct mirror_read *r = child->user;
	struct area_io *io = r->io;
	int result = child->result, n;

	if (result < 0) {
		read_error_count(r->m);
		n = read_choose(r->m, io, r->tried);
		if (n >= 0) {
			r->tried |= bit(n);
			child->here = NULL; /* its owner may be another thread */
			area_submit(r->m->child[n], child);
			return;
		}
	}
	free(r);
	area_io_done(io, result);
}

void mirror_read_submit(struct mirror *m, struct area_io *io)
{
	struct mirror_read *r = malloc(sizeof(*r) + io->range_count * sizeof(struct area_range));
	int n = read_choose(m, io, 0);

	if (!r || n < 0) {
		free(r);
		area_io_done(io, n < 0 ? -EIO : -ENOMEM);
		return;
	}
	*r = (struct mirror_read){.m = m, .io = io, .tried = bit(n), .child = *io};
	mirror_ranges(io, r->ranges);
	r->child.ranges = r->ranges;
	r->child.done = read_done;
	r->child.user = r;
	area_submit(m->child[n], &r->child);
}

/* In the calling thread; the transfer's ranges are those of the children already. */
int mirror_read(struct mirror *m, struct area_io *io)
{
	uint32_t tried = 0;
	int r = -EIO, n;

	while ((n = read_choose(m, io, tried)) >= 0) {
		tried |= bit(n);
		r = area_run(m->child[n], io);
		if (r == 0)
			break;
		read_error_count(m);
	}
	return r;
}
