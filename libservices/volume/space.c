/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free space: counting, promising and giving out.
 *
 * A block is free if its bit is 0. It may be *busy* all the same, and then is not given out: blocks that
 * were claimed and are being written, so that nobody else gets them, though they become part of a file (and
 * used) only afterwards; and blocks that were freed by what is not on the medium yet.
 *
 * Blocks are *promised* before there is need of them, so that writing back never fails for want of room. Of
 * what is free a floor is never promised: the tree may need it, above all for removing things when the
 * volume is full.
 *
 * group.c has the groups, and how they come from the area and go to it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/bitmap.h"
#include "libservices/volume/group.h"

enum { GOOD_RUN = 64, GOOD_START = 16, GROUPS_TRIED = 16, DEFERRED_PAGES = 32, DEFERRED_INODES = 6 };

int vol_ranges_add(struct vol_ranges *r, uint64_t start, uint64_t count)
{
	struct vol_range *last = r->count ? &r->range[r->count - 1] : NULL, *range;
	size_t max = r->max ? r->max * 2 : 64;

	if (last && last->start + last->count == start) {
		last->count += count;
		return 0;
	}
	if (r->count == r->max) {
		range = realloc(r->range, max * sizeof(*range));
		if (!range)
			return -ENOMEM;
		r->range = range;
		r->max = max;
	}
	r->range[r->count++] = (struct vol_range){start, count};
	return 0;
}

void vol_ranges_fini(struct vol_ranges *r)
{
	free(r->range);
	*r = (struct vol_ranges){0};
}

/* ---- promises -------------------------------------------------------------------------------- */

/* With the lock held. What nobody has a claim on. */
static uint64_t space_available(const struct vol *v)
{
	const struct vol_space *s = &v->space;
	uint64_t taken = s->reserved + s->floor;

	/* Extents of pages and items of inodes that the tree has not seen yet. */
	taken += __atomic_load_n(&v->dirty_pages, __ATOMIC_RELAXED) / DEFERRED_PAGES;
	taken += __atomic_load_n(&v->new_inode_count, __ATOMIC_RELAXED) / DEFERRED_INODES;
	return s->free > taken ? s->free - taken : 0;
}

uint64_t vol_space_available(struct vol *v)
{
	uint64_t n;

	pthread_mutex_lock(&v->space.lock);
	n = space_available(v);
	pthread_mutex_unlock(&v->space.lock);
	return n;
}

int64_t vol_space_reserve(struct vol *v, uint64_t n, uint64_t least)
{
	uint64_t available, waiting;
	int64_t r;

	pthread_mutex_lock(&v->space.lock);
	/* Freed nodes cannot be had before the next checkpoint. */
	available = space_available(v);
	waiting = __atomic_load_n(&v->space.node_busy, __ATOMIC_RELAXED);
	available -= available < waiting ? available : waiting;
	r = available >= n                        ? (int64_t)n
	    : available >= least && available > 0 ? (int64_t)available
						  : -ENOSPC;
	if (r > 0)
		v->space.reserved += r;
	pthread_mutex_unlock(&v->space.lock);
	return r;
}

void vol_space_promise(struct vol *v, uint64_t n)
{
	pthread_mutex_lock(&v->space.lock);
	v->space.reserved += n;
	pthread_mutex_unlock(&v->space.lock);
}

void vol_space_unreserve(struct vol *v, uint64_t n)
{
	if (!n)
		return;
	pthread_mutex_lock(&v->space.lock);
	v->space.reserved -= n;
	pthread_mutex_unlock(&v->space.lock);
}

/* ---- bits, with the lock held ---------------------------------------------------------------- */

static void place_of(const struct vol *v, uint64_t block, uint64_t *ret_group, uint64_t *ret_bit)
{
	*ret_group = (block - v->super.groups_start) / VF_GROUP_BLOCKS;
	*ret_bit = (block - v->super.groups_start) % VF_GROUP_BLOCKS;
}

static int busy_put(struct vol *v, struct vol_group *g, uint64_t bit, uint64_t count, bool busy)
{
	uint64_t changed = 0;

	if (!g->busy) {
		if (!busy)
			return 0;
		g->busy = vol_buffer_get(v);
		if (!g->busy)
			return -ENOMEM;
		memset(g->busy, 0, VF_BLOCK);
	}
	for (uint64_t i = bit; i < bit + count; i++)
		if (bitmap_test(g->busy, i) != busy) {
			bitmap_put(g->busy, i, busy);
			g->busy_count += busy ? 1 : -1;
			changed++;
		}
	__atomic_store_n(&v->space.busy, v->space.busy + (busy ? changed : -changed), __ATOMIC_RELAXED);
	if (g->busy_count == 0) {
		vol_buffer_put(v, g->busy);
		g->busy = NULL;
	}
	return 0;
}

static int bits_put(struct vol *v, struct vol_group *g, uint64_t bit, uint64_t count, bool used)
{
	uint64_t changed = 0;
	int r = vol_group_change(v, g);

	if (r < 0)
		return r;
	for (uint64_t i = bit; i < bit + count; i++)
		if (bitmap_test(g->bits, i) != used) {
			bitmap_put(g->bits, i, used);
			g->free += used ? -1 : 1;
			changed++;
		}
	__atomic_store_n(&v->space.free, v->space.free + (used ? -changed : changed), __ATOMIC_RELAXED);
	return 0;
}

enum change { BUSY = 1, IDLE = 2, USED = 4, FREE = 8 };

/* Changes a range within one group as told; with the lock not held. */
static int range_change(struct vol *v, uint64_t start, uint64_t count, enum change what, uint64_t unreserve)
{
	uint64_t group, bit;
	struct vol_group *g;
	int r = 0;

	if (!vol_in_groups(&v->super, start, count))
		return vol_fail(v, -EIO, "blocks %" PRIu64 " to %" PRIu64 " are not the volume's", start,
				start + count - 1);
	place_of(v, start, &group, &bit);
	pthread_mutex_lock(&v->space.lock);
	g = &v->space.group[group];
	if (what & BUSY)
		r = busy_put(v, g, bit, count, true);
	if (r == 0 && (what & (USED | FREE)))
		r = bits_put(v, g, bit, count, what & USED);
	if (r == 0 && (what & IDLE))
		r = busy_put(v, g, bit, count, false);
	v->space.reserved -= r == 0 ? unreserve : 0;
	pthread_mutex_unlock(&v->space.lock);
	return r;
}

int vol_space_use(struct vol *v, uint64_t start, uint64_t count)
{
	return range_change(v, start, count, USED | IDLE, count);
}

int vol_space_free(struct vol *v, uint64_t start, uint64_t count)
{
	return range_change(v, start, count, FREE | BUSY, 0);
}

void vol_space_unclaim(struct vol *v, uint64_t start, uint64_t count)
{
	range_change(v, start, count, IDLE, 0);
}

int vol_space_busy(struct vol *v, uint64_t start, uint64_t count)
{
	return range_change(v, start, count, BUSY, 0);
}

int vol_space_mark(struct vol *v, uint64_t start, uint64_t count, bool used)
{
	return range_change(v, start, count, used ? USED : FREE, 0);
}

void vol_space_settle(struct vol *v, const struct vol_ranges *r, uint64_t *hint)
{
	for (size_t i = 0; i < r->count; i++) {
		uint64_t start = r->range[i].start, count = r->range[i].count, n;
		/* A range that several records made may reach over the end of a group. */
		for (; count; start += n, count -= n) {
			n = VF_GROUP_BLOCKS - (start - v->super.groups_start) % VF_GROUP_BLOCKS;
			n = n < count ? n : count;
			range_change(v, start, n, IDLE, 0);
		}
	}
	/* What has become free is used again before what never was, so that sparse images stay small. */
	pthread_mutex_lock(&v->space.lock);
	for (size_t i = 0; i < r->count; i++)
		*hint = r->range[i].start < *hint ? r->range[i].start : *hint;
	pthread_mutex_unlock(&v->space.lock);
}

/* ---- giving out ------------------------------------------------------------------------------ */

/* The run in from..end of the group that suits best. *ret_count 0: none. */
static void group_search(const struct vol_group *g, uint64_t from, uint64_t end, uint64_t want,
			 uint64_t *ret_bit, uint64_t *ret_count)
{
	uint64_t at = from, stop;

	*ret_count = 0;
	while ((at = bitmap_next(g->bits, g->busy, at, end, false)) < end) {
		stop = bitmap_next(g->bits, g->busy, at, at + want < end ? at + want : end, true);
		if (stop - at > *ret_count) {
			*ret_bit = at;
			*ret_count = stop - at;
		}
		if (*ret_count == want || (at == from && *ret_count >= GOOD_START))
			return;
		at = stop;
	}
}

/* With the lock held. */
static int space_search(struct vol *v, uint64_t goal, uint64_t want, struct vol_range *ret)
{
	uint64_t count = v->space.group_count, first, bit, at = 0, n;
	unsigned tried = 0;
	int r;

	if (!vol_in_groups(&v->super, goal, 1))
		goal = v->super.groups_start;
	place_of(v, goal, &first, &bit);
	ret->count = 0;
	for (uint64_t i = 0; i <= count && (tried < GROUPS_TRIED || !ret->count); i++) {
		uint64_t group = (first + i) % count;
		struct vol_group *g = &v->space.group[group];
		if (g->free == 0) /* busy ones may also be in use, which only the bits can tell */
			continue;
		r = vol_group_load(v, g);
		if (r < 0)
			return r;
		tried++;
		group_search(g, i == 0 ? bit : 0, vol_group_blocks(&v->super, group), want, &at, &n);
		if (n > ret->count)
			*ret = (struct vol_range){vol_group_start(&v->super, group) + at, n};
		if (ret->count == want || ret->count >= GOOD_RUN || (ret->count && ret->start == goal))
			break;
	}
	return ret->count ? 0 : -ENOSPC;
}

int vol_space_claim(struct vol *v, uint64_t goal, uint64_t want, struct vol_range *ret)
{
	struct vol_space *s = &v->space;
	struct vol_range found;
	uint64_t group, bit;
	int r = -ENOSPC;

	pthread_mutex_lock(&s->lock);
	if (s->free > s->busy + s->floor) {
		if (want > s->free - s->busy - s->floor)
			want = s->free - s->busy - s->floor;
		r = space_search(v, goal ? goal : s->data_hint, want, &found);
	}
	if (r == 0) {
		place_of(v, found.start, &group, &bit);
		r = busy_put(v, &s->group[group], bit, found.count, true);
	}
	if (r == 0) {
		s->data_hint = found.start + found.count;
		*ret = found;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int vol_space_node_new(struct vol *v, uint64_t *ret)
{
	struct vol_space *s = &v->space;
	struct vol_range found;
	uint64_t group, bit;
	int r;

	pthread_mutex_lock(&s->lock);
	r = space_search(v, s->node_hint, 1, &found);
	if (r == 0) {
		place_of(v, found.start, &group, &bit);
		r = bits_put(v, &s->group[group], bit, 1, true);
	}
	if (r == 0) {
		s->node_hint = found.start + 1;
		*ret = found.start;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int vol_space_node_free(struct vol *v, uint64_t block)
{
	int r = vol_space_free(v, block, 1);

	if (r < 0)
		return r;
	pthread_mutex_lock(&v->space.lock);
	r = vol_ranges_add(&v->space.node_freed, block, 1);
	__atomic_add_fetch(&v->space.node_busy, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&v->space.lock);
	return r;
}
