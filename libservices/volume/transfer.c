/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers of blocks from and to memory of any alignment.
 *
 * Memory that the area can use as it is goes there as it is; other memory goes through a buffer. A batch is
 * a number of transfers under way at the same time. One alone is done by the thread itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { PIECE_BLOCKS = 256, IOV_MAX_HERE = 256 };

size_t vol_iov_length(const struct iovec *iov, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

static size_t cursor_step(struct vol_cursor *c, size_t n, void **ret)
{
	while (c->at == c->iov->iov_len) {
		c->iov++;
		c->count--;
		c->at = 0;
	}
	*ret = (char *)c->iov->iov_base + c->at;
	n = n < c->iov->iov_len - c->at ? n : c->iov->iov_len - c->at;
	c->at += n;
	return n;
}

void vol_cursor_get(struct vol_cursor *c, void *buf, size_t n)
{
	void *memory;

	for (size_t step; n; n -= step, buf = (char *)buf + step) {
		step = cursor_step(c, n, &memory);
		memcpy(buf, memory, step);
	}
}

void vol_cursor_put(struct vol_cursor *c, const void *buf, size_t n)
{
	void *memory;

	for (size_t step; n; n -= step) {
		step = cursor_step(c, n, &memory);
		if (buf) {
			memcpy(memory, buf, step);
			buf = (const char *)buf + step;
		} else {
			memset(memory, 0, step);
		}
	}
}

/* ---- batches --------------------------------------------------------------------------------- */

struct piece {
	struct area_io io;
	struct area_range range;
	struct vol_batch *batch;
	struct piece *next;
	void *bounce;
	struct vol_cursor to; /* of a read that goes through bounce */
	unsigned iov_max;
	struct iovec iov[];
};

struct vol_batch {
	struct vol *v;
	enum area_op op;
	struct piece *pieces; /* the newest first; that one is not submitted yet */
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned pending;
	int result;
};

struct vol_batch *vol_batch_new(struct vol *v, enum area_op op)
{
	struct vol_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->v = v;
	b->op = op;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->done, NULL);
	return b;
}

static void piece_done(struct area_io *io)
{
	struct vol_batch *b = ((struct piece *)io->user)->batch;

	pthread_mutex_lock(&b->lock);
	if (io->result < 0 && b->result == 0)
		b->result = io->result;
	if (--b->pending == 0)
		pthread_cond_signal(&b->done);
	pthread_mutex_unlock(&b->lock);
}

static void piece_ready(struct piece *p)
{
	p->io.iov = p->iov;
	p->io.ranges = &p->range;
	p->io.range_count = 1;
	p->io.user = p;
	p->io.done = piece_done;
}

static void piece_submit(struct piece *p)
{
	piece_ready(p);
	pthread_mutex_lock(&p->batch->lock);
	p->batch->pending++;
	pthread_mutex_unlock(&p->batch->lock);
	area_submit(p->batch->v->area, &p->io);
}

/* How many elements of the memory n bytes take, if all can be used as they are; else 0. */
static unsigned cursor_fits(const struct vol_cursor *c, size_t n, unsigned block)
{
	struct vol_cursor copy = *c;
	unsigned count = 0;
	void *memory;

	while (n) {
		size_t step = cursor_step(&copy, n, &memory);
		if (((uintptr_t)memory | step) & (block - 1))
			return 0;
		n -= step;
		if (++count > IOV_MAX_HERE)
			return 0;
	}
	return count;
}

static void piece_use(struct piece *p, struct vol_cursor *c, size_t n)
{
	void *memory;

	for (size_t step; n; n -= step) {
		step = cursor_step(c, n, &memory);
		p->iov[p->io.iov_count++] = (struct iovec){memory, step};
	}
}

static int piece_bounce(struct piece *p, struct vol_cursor *c, size_t n)
{
	void *memory;

	p->bounce = aligned_alloc(VF_BLOCK, n);
	if (!p->bounce)
		return -ENOMEM;
	p->iov[p->io.iov_count++] = (struct iovec){p->bounce, n};
	p->to = *c;
	if (p->io.op == AREA_WRITE)
		vol_cursor_get(c, p->bounce, n);
	else
		for (size_t step; n; n -= step)
			step = cursor_step(c, n, &memory);
	return 0;
}

static int piece_new(struct vol_batch *b, uint64_t start, size_t bytes, unsigned count,
		     struct vol_cursor *c)
{
	struct piece *p = calloc(1, sizeof(*p) + (count > 64 ? count : 64) * sizeof(*p->iov));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->iov_max = count > 64 ? count : 64;
	p->io.op = b->op;
	p->batch = b;
	p->range = (struct area_range){start * VF_BLOCK, bytes};
	if (count)
		piece_use(p, c, bytes);
	else
		r = piece_bounce(p, c, bytes);
	if (r < 0) {
		free(p);
		return r;
	}
	if (b->pieces)
		piece_submit(b->pieces);
	p->next = b->pieces;
	b->pieces = p;
	return 0;
}

/* Goes on where the newest piece ends. */
static bool piece_extend(struct vol_batch *b, uint64_t start, size_t bytes, unsigned count,
			 struct vol_cursor *c)
{
	struct piece *p = b->pieces;

	if (!p || !count || p->bounce || p->io.iov_count + count > p->iov_max ||
	    p->range.offset + p->range.length != start * VF_BLOCK ||
	    p->range.length + bytes > PIECE_BLOCKS * VF_BLOCK)
		return false;
	piece_use(p, c, bytes);
	p->range.length += bytes;
	return true;
}

int vol_batch_add(struct vol_batch *b, uint64_t start, uint64_t n, struct vol_cursor *c)
{
	int r = 0;

	for (uint64_t step; n && r == 0; n -= step, start += step) {
		step = n < PIECE_BLOCKS ? n : PIECE_BLOCKS;
		unsigned count = cursor_fits(c, step * VF_BLOCK, b->v->area->block);
		if (!piece_extend(b, start, step * VF_BLOCK, count, c))
			r = piece_new(b, start, step * VF_BLOCK, count, c);
	}
	return r;
}

static void batch_wait(struct vol_batch *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->pending)
		pthread_cond_wait(&b->done, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

int vol_batch_end(struct vol_batch *b, int r)
{
	struct piece *p = b->pieces, *next;
	int last;

	if (p && r == 0) {
		piece_ready(p);
		last = area_run(b->v->area, &p->io);
		r = last;
	}
	batch_wait(b);
	r = r < 0 ? r : b->result;
	for (; p; p = next) {
		next = p->next;
		if (p->bounce && b->op == AREA_READ && r == 0)
			vol_cursor_put(&p->to, p->bounce, p->range.length);
		free(p->bounce);
		free(p);
	}
	if (r == 0 && b->op == AREA_WRITE)
		__atomic_add_fetch(&b->v->data_written, 1, __ATOMIC_RELEASE);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->done);
	free(b);
	return r;
}

int vol_read_blocks(struct vol *v, void *buf, uint64_t start, uint64_t count)
{
	return area_read(v->area, buf, count * VF_BLOCK, start * VF_BLOCK);
}
