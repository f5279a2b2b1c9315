/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing whole blocks past the pages: to the blocks that the file has there, and to new ones where it has
 * none. These become the file's when the data is in them.
 */
#include <errno.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { DIRECT_STEP = 1024 }; /* blocks at once */

struct direct {
	struct vol_run run[DIRECT_STEP];
	unsigned count;
	uint64_t first, blocks; /* of the file: what the runs are */
};

/* Blocks for a hole, promised and claimed. What is owed to the file is promised a second time until it is
 * used. */
static int hole_claim(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t goal, uint64_t count,
		      struct vol_range *ret)
{
	bool owed = vol_owed(inode, first, &count);
	int64_t got = owed ? (int64_t)count : vol_space_reserve(v, count, 1);
	int r;

	if (got < 0)
		return got;
	if (owed)
		vol_space_promise(v, count);
	r = vol_claim(v, goal, got, ret);
	vol_space_unreserve(v, r == 0 ? got - ret->count : (uint64_t)got);
	return r;
}

/* Places for up to n blocks: those that the file has, or new ones. */
static int direct_place(struct vol *v, struct vol_inode *inode, struct direct *d, uint64_t n)
{
	uint64_t goal = 0;
	int r = 0;

	while (r == 0 && d->blocks < n && d->count < DIRECT_STEP) {
		struct vol_run *run = &d->run[d->count];
		struct vol_range range;
		r = vol_map_find(v, inode, d->first + d->blocks, n - d->blocks, run);
		if (r == 0 && d->first + d->blocks == 0 && inode->inlined)
			run->count = 1; /* the item goes when the block has come */
		if (r == 0 && run->kind == VOL_HOLE) {
			struct vol_run before = {.kind = VOL_HOLE};
			if (!goal && d->first + d->blocks > 0)
				r = vol_map_find(v, inode, d->first + d->blocks - 1, 1, &before);
			if (before.kind != VOL_HOLE)
				goal = before.start + 1;
			if (r == 0)
				r = hole_claim(v, inode, d->first + d->blocks, goal, run->count, &range);
			if (r == 0) {
				run->start = range.start;
				run->count = range.count;
			}
		}
		if (r == 0) {
			goal = run->start + run->count;
			d->blocks += run->count;
			d->count++;
		}
	}
	return d->blocks ? 0 : r;
}

static int direct_transfer(struct vol *v, const struct direct *d, struct vol_cursor *c)
{
	struct vol_batch *batch = vol_batch_new(v, AREA_WRITE);
	int r = 0;

	if (!batch)
		return -ENOMEM;
	for (unsigned i = 0; i < d->count && r == 0; i++)
		r = vol_batch_add(batch, d->run[i].start, d->run[i].count, c);
	return vol_batch_end(batch, r);
}

/* Within an operation. */
static int direct_publish(struct vol *v, struct vol_inode *inode, const struct direct *d)
{
	uint64_t at = d->first;
	int r = vol_pages_forget(v, inode, d->first, d->blocks);

	for (unsigned i = 0; i < d->count && r == 0; at += d->run[i++].count) {
		const struct vol_run *run = &d->run[i];
		if (run->kind == VOL_UNWRITTEN)
			r = vol_map_written(v, inode, at, run->count);
		if (run->kind != VOL_HOLE)
			continue;
		r = at == 0 ? vol_inline_drop(v, inode) : 0;
		if (r == 0)
			r = vol_use_blocks(v, run->start, run->count);
		if (r == 0)
			r = vol_map_set(v, inode, at, run->start, run->count, 0);
	}
	return r;
}

static void direct_undo(struct vol *v, const struct direct *d)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->run[i].kind == VOL_HOLE) {
			vol_space_unclaim(v, d->run[i].start, d->run[i].count);
			vol_space_unreserve(v, d->run[i].count);
		}
}

static int direct_done(struct vol *v, struct vol_inode *inode, const struct direct *d)
{
	uint64_t end = (d->first + d->blocks) * VF_BLOCK;
	int r = vol_op_begin(v, 0);

	if (r < 0) {
		direct_undo(v, d);
		return r;
	}
	vol_pages_drop(v, inode, d->first, d->first + d->blocks);
	vol_owed_drop(v, inode, d->first, d->first + d->blocks);
	r = direct_publish(v, inode, d);
	vol_size_raise(inode, end);
	if (inode->dirty_pages == 0)
		inode->disk_size = inode->attr.size;
	else if (end > inode->disk_size)
		inode->disk_size = end;
	vol_inode_touch(v, inode, LS_MTIME | LS_CTIME);
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
	return r;
}

ssize_t vol_write_direct(struct vol *v, struct vol_inode *inode, struct vol_cursor *c, uint64_t offset,
			 uint64_t n)
{
	struct direct d = {.first = offset / VF_BLOCK};
	int r = direct_place(v, inode, &d, n < DIRECT_STEP ? n : DIRECT_STEP);

	if (r < 0)
		return r;
	r = direct_transfer(v, &d, c);
	if (r < 0) {
		direct_undo(v, &d);
		return r == -ENOMEM || r == -ENOSPC
			   ? r
			   : vol_fail(v, -EIO, "data cannot be written: %s", strerror(-r));
	}
	r = direct_done(v, inode, &d);
	return r < 0 ? r : (ssize_t)(d.blocks * VF_BLOCK);
}
