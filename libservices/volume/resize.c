/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking parts out of files: truncating, punching holes, zeroing, and the opposite, fallocate.
 *
 * A file with many extents loses them in several operations. Truncating goes from the end on and makes the
 * stored size smaller as it goes, so that a crash in between leaves nothing beyond the end of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "libservices/volume/vol.h"

struct cut {
	uint64_t from, to;     /* bytes; to the end of a block, or beyond the file's end */
	uint64_t first, end;   /* whole blocks of it */
	struct vol_page *head; /* the partial blocks at both ends; NULL: nothing there */
	struct vol_page *tail;
	bool truncate;
};

static int cut_prepare(struct vol *v, struct vol_inode *inode, struct cut *c)
{
	int r;

	c->first = (c->from + VF_BLOCK - 1) / VF_BLOCK;
	c->end = c->to / VF_BLOCK;
	r = vol_page_zero_prepare(v, inode, c->from, &c->head);
	if (r < 0 || c->to % VF_BLOCK == 0 || c->first > c->end) /* the last: all in one block */
		return r;
	/* The page that holds byte `to`, of which the first part goes. */
	return vol_page_zero_prepare(v, inode, c->to, &c->tail);
}

/* Within an operation. */
static int cut_edges(struct vol *v, struct vol_inode *inode, const struct cut *c)
{
	uint64_t head_end = c->first > c->end ? c->to % VF_BLOCK : VF_BLOCK;
	int r = 0;

	if (c->head)
		r = vol_page_zero(v, inode, c->head, c->from % VF_BLOCK, head_end);
	if (r == 0 && c->tail)
		r = vol_page_zero(v, inode, c->tail, 0, c->to % VF_BLOCK);
	if (r == 0 && c->first == 0 && c->end > 0)
		r = vol_inline_drop(v, inode);
	return r;
}

/* One operation. *end: what is left to do lies before it. */
static int cut_step(struct vol *v, struct vol_inode *inode, const struct cut *c, uint64_t *end)
{
	uint64_t before = *end;
	int r = vol_op_begin(v, 0);

	if (r < 0)
		return r;
	if (c->first < before) {
		r = vol_map_clear(v, inode, c->first, before, end);
		if (r == 0)
			r = vol_pages_forget(v, inode, *end, before - *end);
		if (r == 0) {
			vol_pages_drop(v, inode, *end, before);
			vol_owed_drop(v, inode, *end, before);
		}
	}
	if (r == 0 && *end <= c->first)
		r = cut_edges(v, inode, c);
	if (r == 0 && c->truncate) {
		uint64_t size = *end <= c->first ? c->from : *end * VF_BLOCK;
		pthread_mutex_lock(&inode->attr_lock);
		if (*end <= c->first)
			inode->attr.size = size;
		inode->disk_size = inode->dirty_pages == 0 && *end <= c->first ? size
				   : size < inode->disk_size                   ? size
									       : inode->disk_size;
		pthread_mutex_unlock(&inode->attr_lock);
	}
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
	return r;
}

static int cut_run(struct vol *v, struct vol_inode *inode, struct cut *c)
{
	uint64_t end;
	int r = cut_prepare(v, inode, c);

	if (r < 0)
		return r;
	end = c->end;
	do
		r = cut_step(v, inode, c, &end);
	while (r == 0 && end > c->first);
	return r < 0 ? r : vol_pages_logged(v, inode);
}

static int file_grow(struct vol *v, struct vol_inode *inode, uint64_t size)
{
	int r = vol_op_begin(v, 0);

	if (r < 0)
		return r;
	pthread_mutex_lock(&inode->attr_lock);
	inode->attr.size = size;
	inode->disk_size = size;
	pthread_mutex_unlock(&inode->attr_lock);
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
	return 0;
}

int vol_file_resize(struct vol *v, struct vol_inode *inode, uint64_t size)
{
	struct cut c = {.from = size, .to = VF_FILE_MAX, .truncate = true};

	if (v->rdonly || vol_failed(v))
		return -EROFS;
	if (size > inode->attr.size)
		return file_grow(v, inode, size);
	return cut_run(v, inode, &c); /* equal: what fallocate put beyond the end goes */
}

/* ---- fallocate ------------------------------------------------------------------------------- */

static void file_changed(struct vol *v, struct vol_inode *inode, uint64_t size)
{
	if (vol_op_begin(v, 0) < 0)
		return;
	pthread_mutex_lock(&inode->attr_lock);
	if (size > inode->attr.size) {
		inode->attr.size = size;
		inode->disk_size = size;
	}
	pthread_mutex_unlock(&inode->attr_lock);
	vol_inode_touch(v, inode, LS_MTIME | LS_CTIME);
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
}

/* Blocks first..first + count, promised, to be reserved for the file. *ret: how many of them it did. */
static int hole_fill(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count, uint64_t *ret)
{
	struct vol_range range;
	int r = vol_claim(v, 0, count, &range);

	if (r < 0)
		return r;
	r = vol_op_begin(v, 0);
	if (r < 0) {
		vol_space_unclaim(v, range.start, range.count);
		return r;
	}
	r = vol_use_blocks(v, range.start, range.count);
	if (r == 0)
		r = vol_map_set(v, inode, first, range.start, range.count, VF_EXTENT_UNWRITTEN);
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
	vol_owed_drop(v, inode, first, first + range.count);
	*ret = range.count;
	return r;
}

/* A block 0 that is an item becomes a block, for nothing else could be reserved. */
static int inline_to_block(struct vol *v, struct vol_inode *inode)
{
	struct vol_page *p;
	int r = vol_page_get(v, inode, 0, false, &p);

	if (r == 0)
		r = vol_page_reserve(v, inode, p);
	if (r == 0)
		r = vol_op_begin(v, 0);
	if (r < 0)
		return r;
	vol_page_dirty(v, inode, p, 0, VF_BLOCK);
	r = vol_page_log(v, inode, p);
	if (r == 0)
		r = vol_inline_drop(v, inode);
	vol_op_end(v);
	return r;
}

static int file_reserve(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end)
{
	struct vol_run run;
	uint64_t done;
	int r = first == 0 && inode->inlined ? inline_to_block(v, inode) : 0;

	while (r == 0 && first < end) {
		r = vol_map_find(v, inode, first, end - first, &run);
		if (r < 0 || run.kind != VOL_HOLE) {
			first += run.count;
			continue;
		}
		if (run.count > VF_GROUP_BLOCKS)
			run.count = VF_GROUP_BLOCKS;
		r = vol_space_reserve(v, run.count, run.count) < 0 ? -ENOSPC : 0;
		for (done = 0; r == 0 && run.count; run.count -= done, first += done)
			r = hole_fill(v, inode, first, run.count, &done);
		if (r < 0 && r != -ENOSPC)
			vol_space_unreserve(v, run.count);
	}
	return r < 0 ? r : vol_pages_logged(v, inode);
}

static int file_allocate(struct vol *v, struct vol_inode *inode, int mode, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, first = offset / VF_BLOCK, last = (end + VF_BLOCK - 1) / VF_BLOCK;
	struct cut c = {.from = offset, .to = end};
	int r = 0;

	/* What cannot fit at all must not fill the volume first. */
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && last - first > inode->blocks &&
	    last - first - inode->blocks > vol_space_available(v))
		return -ENOSPC;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		r = cut_run(v, inode, &c);
	if (r == 0 && !(mode & FALLOC_FL_PUNCH_HOLE))
		r = file_reserve(v, inode, first, last);
	if (r == 0)
		file_changed(v, inode, mode & FALLOC_FL_KEEP_SIZE ? 0 : end);
	return r;
}

int vol_ls_fallocate(struct ls *ls, const struct ls_call *call, struct ls_file *f, int mode, off_t offset,
		     off_t length)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	int r = ls_fallocate_check(inode->type, mode, offset, length);

	if (r < 0)
		return r;
	if (v->rdonly || vol_failed(v))
		return -EROFS;
	if ((uint64_t)offset > VF_FILE_MAX || (uint64_t)length > VF_FILE_MAX - offset) {
		if (!(mode & FALLOC_FL_PUNCH_HOLE))
			return -EFBIG;
		if ((uint64_t)offset >= VF_FILE_MAX)
			return 0;
		length = VF_FILE_MAX - offset;
	}
	vol_throttle(v);
	fair_lock_write(&inode->content);
	r = file_allocate(v, inode, mode, offset, length);
	fair_unlock(&inode->content);
	return r;
}
