/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area spread over others in turns: chunk i is chunk i / n of the one below number i % n. It has no
 * state on the medium: what is below must be given in the same order and with the same chunk each time.
 *
 * A transfer becomes one for each area below that it concerns. What is adjacent there becomes one range, so
 * that long transfers stay long. One within a chunk, the usual for small ones, is passed on as it is.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "libservices/area/cursor.h"
#include "libservices/area/ring.h"

struct stripe {
	uint64_t chunk;
};

/* A part of the transfer within one chunk. */
struct piece {
	unsigned child, iov, iov_count;
	struct area_range range; /* in the child */
};

struct stripe_io {
	struct area *area;
	struct area_io *io;
	unsigned left; /* atomic: children under way, and one while they are being submitted */
	int result;    /* atomic: the first error */
	struct area_range *ranges;
	struct iovec *iov;
	struct area_io child[AREA_BELOW_MAX];
};

static unsigned place(const struct area *area, uint64_t offset, uint64_t *ret_offset)
{
	uint64_t chunk = ((struct stripe *)area->state)->chunk, i = offset / chunk;

	*ret_offset = i / area->below_count * chunk + offset % chunk;
	return i % area->below_count;
}

static uint64_t chunk_left(const struct area *area, uint64_t offset)
{
	uint64_t chunk = ((struct stripe *)area->state)->chunk;

	return chunk - offset % chunk;
}

static void stripe_put(struct stripe_io *s)
{
	struct area_io *io = s->io;
	int r;

	if (__atomic_sub_fetch(&s->left, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	r = s->result;
	free(s);
	area_io_done(io, r);
}

static void child_done(struct area_io *child)
{
	struct stripe_io *s = child->user;
	int none = 0;

	if (child->result < 0)
		__atomic_compare_exchange_n(&s->result, &none, child->result, 0, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	stripe_put(s);
}

static size_t piece_count(const struct area *area, const struct area_io *io)
{
	uint64_t chunk = ((struct stripe *)area->state)->chunk;
	size_t n = 0;

	for (unsigned i = 0; i < io->range_count; i++) {
		const struct area_range *r = &io->ranges[i];
		n += (r->offset + r->length - 1) / chunk - r->offset / chunk + 1;
	}
	return n;
}

/* Appends a piece to what goes to its child; its memory lies where that of the child's others ends. */
static void child_add(struct area_io *child, const struct piece *piece, struct area_range *ranges)
{
	struct area_range *last = child->range_count ? &ranges[child->range_count - 1] : NULL;

	if (last && last->offset + last->length == piece->range.offset)
		last->length += piece->range.length;
	else
		ranges[child->range_count++] = piece->range;
	child->iov_count += piece->iov_count;
}

/* Cuts the transfer at the chunks' ends, and its memory in the same way. */
static void pieces_cut(const struct area *area, struct area_io *io, struct piece *piece, struct iovec *iov)
{
	struct area_cursor c = {.io = io};
	uint64_t offset, left, max;
	unsigned used = 0;

	for (; (left = area_cursor_left(&c, &offset)); piece++) {
		max = chunk_left(area, offset) < left ? chunk_left(area, offset) : left;
		*piece = (struct piece){.iov = used, .range.length = max};
		piece->child = place(area, offset, &piece->range.offset);
		if (io->op == AREA_DISCARD)
			area_cursor_skip(&c, max);
		else
			area_cursor_next(&c, max, iov + used, UINT32_MAX, &piece->iov_count);
		used += piece->iov_count;
	}
}

/* The children's transfers, one after the other in the arrays. */
static void pieces_sort(struct stripe_io *s, const struct piece *piece, size_t count,
			const struct iovec *from)
{
	struct area_range *ranges = s->ranges;
	struct iovec *iov = s->iov;

	for (unsigned c = 0; c < s->area->below_count; c++) {
		struct area_io *child = &s->child[c];

		child->ranges = ranges;
		child->iov = iov;
		for (size_t i = 0; i < count; i++) {
			if (piece[i].child != c)
				continue;
			for (unsigned v = 0; v < piece[i].iov_count; v++)
				*iov++ = from[piece[i].iov + v];
			child_add(child, &piece[i], ranges);
		}
		ranges += child->range_count;
	}
}

static int stripe_split(struct stripe_io *s, size_t count)
{
	size_t iovs = s->io->iov_count + count;
	struct piece *piece = malloc(count * sizeof(*piece) + iovs * sizeof(struct iovec));
	struct iovec *iov = (struct iovec *)(piece + count);

	if (!piece)
		return -ENOMEM;
	pieces_cut(s->area, s->io, piece, iov);
	pieces_sort(s, piece, count, iov);
	free(piece);
	return 0;
}

static struct stripe_io *stripe_io_new(struct area *area, struct area_io *io, size_t pieces)
{
	size_t iovs = io->iov_count + pieces;
	struct stripe_io *s =
		calloc(1, sizeof(*s) + iovs * sizeof(struct iovec) + pieces * sizeof(struct area_range));

	if (!s)
		return NULL;
	*s = (struct stripe_io){.area = area, .io = io, .left = 1};
	s->iov = (struct iovec *)(s + 1);
	s->ranges = (struct area_range *)(s->iov + iovs);
	for (unsigned c = 0; c < area->below_count; c++)
		s->child[c] = (struct area_io){
			.op = io->op, .flags = io->flags, .done = child_done, .user = s, .here = io->here};
	return s;
}

static void stripe_submit(struct area *area, struct area_io *io)
{
	size_t pieces = piece_count(area, io);
	struct stripe_io *s = stripe_io_new(area, io, pieces);

	if (!s || stripe_split(s, pieces) < 0) {
		free(s);
		area_io_done(io, -ENOMEM);
		return;
	}
	for (unsigned c = 0; c < area->below_count; c++) {
		if (io->op != AREA_FLUSH && s->child[c].range_count == 0)
			continue;
		__atomic_fetch_add(&s->left, 1, __ATOMIC_RELAXED);
		area_submit(area->below[c], &s->child[c]);
	}
	stripe_put(s);
}

static int stripe_run(struct area *area, struct area_io *io)
{
	struct area_range range;
	struct area_io child = *io;

	if (io->range_count != 1 || io->ranges->length > chunk_left(area, io->ranges->offset))
		return area_run_here(area, io);
	range.length = io->ranges->length;
	child.ranges = &range;
	return area_run(area->below[place(area, io->ranges->offset, &range.offset)], &child);
}

/* As much as the smallest below has whole chunks, of each. */
static uint64_t stripe_resize(struct area *area)
{
	uint64_t chunk = ((struct stripe *)area->state)->chunk, least = AREA_SIZE_MAX / area->below_count;

	for (unsigned c = 0; c < area->below_count; c++) {
		uint64_t size = area_resize(area->below[c]);
		least = size < least ? size : least;
	}
	return least / chunk * chunk * area->below_count;
}

static int stripe_open(struct area *area, struct json_object *config, char *error, size_t error_size)
{
	struct stripe *stripe = malloc(sizeof(*stripe));

	if (!stripe)
		return -ENOMEM;
	area->state = stripe;
	ls_parse_size(json_object_get_string(json_object_object_get(config, "chunk")), &stripe->chunk);
	area->bytes = stripe_resize(area);
	if (stripe->chunk & (stripe->chunk - 1))
		snprintf(error, error_size, "stripe: chunk of %llu bytes is not a power of two",
			 (unsigned long long)stripe->chunk);
	else if (area->bytes == 0)
		snprintf(error, error_size, "stripe: an area below is smaller than a chunk");
	else
		return 0;
	free(stripe);
	return -EINVAL;
}

static void stripe_close(struct area *area)
{
	free(area->state);
}

static const struct ls_option stripe_options[] = {
	{"chunk", LS_SIZE, "64K", 4096, 1 << 30,
	 "how much goes to one area below before the next, a power of two", 0},
	{NULL},
};

const struct area_type area_type_stripe = {
	.name = "stripe",
	.help = "spread over others in turns",
	.below_min = 2,
	.below_max = AREA_BELOW_MAX,
	.options = stripe_options,
	.open = stripe_open,
	.close = stripe_close,
	.submit = stripe_submit,
	.run = stripe_run,
	.resize = stripe_resize,
};
