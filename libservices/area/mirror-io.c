/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mirror's transfers; for reads see mirror-read.c.
 *
 * A write begins when its regions are marked on the medium and nothing is being copied there; until then it
 * is in `waiting`. It goes to all children but those away. When the last is done, those that failed are
 * dropped, and it is acknowledged as soon as the medium says that they are: until then it is in `unsaved`.
 * Nothing here waits; what has to wait is gone on with by the keeper or the copier, in mirror_release().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/area/mirror.h"
#include "libservices/area/ring.h"

static unsigned lowest(uint32_t mask)
{
	return __builtin_ctz(mask);
}

void mirror_ranges(const struct area_io *io, struct area_range *ret)
{
	for (unsigned i = 0; i < io->range_count; i++)
		ret[i] = (struct area_range){io->ranges[i].offset + MIRROR_DATA, io->ranges[i].length};
}

static struct mirror_io *change_new(struct mirror *m, struct area_io *io)
{
	size_t children = m->count * sizeof(struct area_io);
	struct mirror_io *c = malloc(sizeof(*c) + children + io->range_count * sizeof(struct area_range));

	if (!c)
		return NULL;
	*c = (struct mirror_io){.m = m, .io = io, .left = 1};
	c->ranges = (struct area_range *)&c->child[m->count];
	mirror_ranges(io, c->ranges);
	return c;
}

static void change_end(struct mirror_io *c)
{
	struct area_io *io = c->io;
	int r = c->error;

	free(c);
	area_io_done(io, r);
}

static int ranges_meet(const struct area_io *io, uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < io->range_count; i++)
		if (io->ranges[i].offset < to && io->ranges[i].offset + io->ranges[i].length > from)
			return 1;
	return 0;
}

static int change_must_wait(struct mirror *m, const struct area_io *io)
{
	return io->op == AREA_WRITE &&
	       (!mirror_map_enter(m, io) || ranges_meet(io, m->window, m->window_end));
}

static void change_begin(struct mirror *m, struct mirror_io *c)
{
	c->targets = m->in_sync | m->copying;
	c->joins = m->joins;
	TAILQ_INSERT_TAIL(&m->active, c, entry);
}

int mirror_window_busy(const struct mirror *m)
{
	const struct mirror_io *c;

	TAILQ_FOREACH (c, &m->active, entry)
		if (c->io->op == AREA_WRITE && ranges_meet(c->io, m->window, m->window_end))
			return 1;
	return 0;
}

/*
 * Judges a change that all children have answered. Where none in sync did it, one is kept all the same:
 * what it has there now is what the mirror holds. A child that has come back since counts as one that did
 * it, whatever it answered before: it is not in sync until this is copied to it (a write) or it has been
 * flushed (a flush).
 */
static void change_settle(struct mirror *m, struct mirror_io *c)
{
	uint32_t back = mirror_joined_since(m, c->joins), failed = c->failed & ~back;
	uint32_t did = (c->targets | back) & ~failed, keep = did & m->in_sync;

	if (c->io->op == AREA_DISCARD || failed == 0) {
		c->error = 0;
	} else if (keep) {
		mirror_drop(m, failed, c->error);
		c->error = 0;
	} else {
		keep = bit(lowest(m->in_sync));
		mirror_drop(m, failed & ~keep, c->error);
	}
	c->have = c->io->op == AREA_DISCARD ? m->all : did | keep;
	if (m->broken)
		c->error = -EIO;
}

static int change_is_saved(const struct mirror *m, const struct mirror_io *c)
{
	return !(m->saved & ~c->have) || m->broken;
}

static void change_put(struct mirror_io *c)
{
	struct mirror *m = c->m;
	int saved;

	if (__atomic_sub_fetch(&c->left, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pthread_mutex_lock(&m->lock);
	TAILQ_REMOVE(&m->active, c, entry);
	change_settle(m, c);
	saved = change_is_saved(m, c);
	if (!saved)
		TAILQ_INSERT_TAIL(&m->unsaved, c, entry);
	if (m->window < m->window_end)
		pthread_cond_signal(&m->copy);
	pthread_mutex_unlock(&m->lock);
	if (saved)
		change_end(c);
}

static void child_done(struct area_io *child)
{
	struct mirror_io *c = child->user;
	int none = 0;

	if (child->result < 0) {
		__atomic_fetch_or(&c->failed, bit(child - c->child), __ATOMIC_RELAXED);
		__atomic_compare_exchange_n(&c->error, &none, child->result, 0, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	}
	change_put(c);
}

static void change_send(struct mirror_io *c, struct area_ring *here)
{
	const struct area_io *io = c->io;
	uint32_t targets = c->targets;

	c->left += __builtin_popcount(targets);
	for (; targets; targets &= targets - 1) {
		unsigned n = lowest(targets);

		c->child[n] = (struct area_io){.op = io->op,
					       .flags = io->flags,
					       .iov = io->iov,
					       .iov_count = io->iov_count,
					       .ranges = c->ranges,
					       .range_count = io->range_count,
					       .done = child_done,
					       .user = c,
					       .here = here};
		area_submit(c->m->child[n], &c->child[n]);
	}
	change_put(c);
}

static void change_submit(struct mirror *m, struct area_io *io)
{
	struct mirror_io *c = change_new(m, io);
	int wait;

	if (!c) {
		area_io_done(io, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&m->lock);
	wait = !m->broken && change_must_wait(m, io);
	if (wait) {
		TAILQ_INSERT_TAIL(&m->waiting, c, entry);
		pthread_cond_signal(&m->keep);
	} else {
		change_begin(m, c);
	}
	pthread_mutex_unlock(&m->lock);
	if (!wait)
		change_send(c, io->here);
}

/* The first that need not wait any more. */
static struct mirror_io *waiting_take(struct mirror *m)
{
	struct mirror_io *c;

	TAILQ_FOREACH (c, &m->waiting, entry)
		if (m->broken || !change_must_wait(m, c->io)) {
			TAILQ_REMOVE(&m->waiting, c, entry);
			change_begin(m, c);
			return c;
		}
	return NULL;
}

static struct mirror_io *unsaved_take(struct mirror *m)
{
	struct mirror_io *c;

	TAILQ_FOREACH (c, &m->unsaved, entry)
		if (change_is_saved(m, c)) {
			TAILQ_REMOVE(&m->unsaved, c, entry);
			c->error = m->broken ? -EIO : c->error;
			return c;
		}
	return NULL;
}

void mirror_release(struct mirror *m)
{
	struct mirror_io *c;

	while ((c = waiting_take(m))) {
		pthread_mutex_unlock(&m->lock);
		change_send(c, NULL);
		pthread_mutex_lock(&m->lock);
	}
	while ((c = unsaved_take(m))) {
		pthread_mutex_unlock(&m->lock);
		change_end(c);
		pthread_mutex_lock(&m->lock);
	}
}

void mirror_submit(struct area *area, struct area_io *io)
{
	if (io->op == AREA_READ)
		mirror_read_submit(area->state, io);
	else
		change_submit(area->state, io);
}

int mirror_run(struct area *area, struct area_io *io)
{
	struct area_io child = *io;
	struct area_range range;

	if (io->op != AREA_READ || io->range_count != 1)
		return area_run_here(area, io);
	mirror_ranges(io, &range);
	child.ranges = &range;
	return mirror_read(area->state, &child);
}
