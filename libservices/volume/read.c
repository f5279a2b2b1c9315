/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. What is in a page is newer than what is at its place. Whole blocks go from the area to the
 * caller's memory; small reads of those who read one after the other come from pages, some of which are
 * read ahead.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { AHEAD_MAX = 16, AHEAD_BLOCKS = 32 }; /* those who read fewer blocks at a time get more into pages */

/* Bytes of a page, or of zeros if p is NULL, as far as the block goes. */
static size_t give(struct vol_cursor *c, const uint8_t *data, uint64_t offset, size_t left)
{
	size_t n = VF_BLOCK - offset % VF_BLOCK;

	n = n < left ? n : left;
	vol_cursor_put(c, data ? data + offset % VF_BLOCK : NULL, n);
	return n;
}

/* Part of a block that is in no page. */
static ssize_t read_part(struct vol *v, const struct vol_run *run, uint64_t offset, size_t left,
			 struct vol_cursor *c)
{
	uint8_t *buf = vol_buffer_get(v);
	ssize_t r;

	if (!buf)
		return -ENOMEM;
	r = vol_read_blocks(v, buf, run->start, 1);
	if (r == 0)
		r = give(c, buf, offset, left);
	vol_buffer_put(v, buf);
	return r;
}

static ssize_t read_inline(struct vol *v, struct vol_inode *inode, uint64_t offset, size_t left,
			   struct vol_cursor *c)
{
	uint8_t *buf = vol_buffer_get(v);
	ssize_t r;

	if (!buf)
		return -ENOMEM;
	r = vol_tree_get(v, vol_key(inode->ino, VF_INLINE, 0), buf, VF_INLINE_MAX);
	if (r >= 0) {
		memset(buf + r, 0, VF_BLOCK - r);
		r = give(c, buf, offset, left);
	}
	vol_buffer_put(v, buf);
	return r;
}

/* One piece of it: a page, a hole, a part of a block, or whole blocks, which are added to the batch. */
static ssize_t read_piece(struct vol *v, struct vol_inode *inode, uint64_t offset, size_t left,
			  struct vol_cursor *c, struct vol_batch **batch)
{
	uint64_t index = offset / VF_BLOCK, blocks = (offset % VF_BLOCK + left + VF_BLOCK - 1) / VF_BLOCK;
	const struct vol_page *p = vol_page_find(inode, index);
	struct vol_run run;
	size_t whole;
	int r;

	if (p)
		return give(c, p->data, offset, left);
	if (index == 0 && inode->inlined)
		return read_inline(v, inode, offset, left, c);
	r = vol_map_find(v, inode, index, vol_pages_gap(inode, index, blocks), &run);
	if (r < 0)
		return r;
	whole = run.count * VF_BLOCK - offset % VF_BLOCK;
	if (run.kind != VOL_WRITTEN) {
		left = whole < left ? whole : left;
		vol_cursor_put(c, NULL, left);
		return left;
	}
	if (offset % VF_BLOCK || left < VF_BLOCK)
		return read_part(v, &run, offset, left, c);
	whole = whole < left ? whole : left / VF_BLOCK * VF_BLOCK;
	if (!*batch)
		*batch = vol_batch_new(v, AREA_READ);
	r = *batch ? vol_batch_add(*batch, run.start, whole / VF_BLOCK, c) : -ENOMEM;
	return r < 0 ? r : (ssize_t)whole;
}

/* Whole blocks that lie together, to memory that can take them as they are: the common large read. */
static ssize_t read_straight(struct vol *v, struct vol_inode *inode, const struct iovec *iov,
			     uint64_t offset, size_t left)
{
	uint64_t index = offset / VF_BLOCK, blocks = left / VF_BLOCK;
	struct area_range range = {.length = left};
	struct area_io io = {
	    .op = AREA_READ, .iov = iov, .ranges = &range, .iov_count = 1, .range_count = 1};
	struct vol_run run;
	int r;

	if (iov->iov_len != left || ((offset | left) % VF_BLOCK) ||
	    (uintptr_t)iov->iov_base % v->area->block || !left ||
	    vol_pages_gap(inode, index, blocks) < blocks || (index == 0 && inode->inlined))
		return 0;
	r = vol_map_find(v, inode, index, blocks, &run);
	if (r < 0 || run.kind != VOL_WRITTEN || run.count < blocks)
		return r;
	range.offset = run.start * VF_BLOCK;
	r = area_run(v->area, &io);
	return r < 0 ? r : (ssize_t)left;
}

/* With content held. */
static ssize_t file_read(struct vol *v, struct vol_inode *inode, struct vol_cursor *c, uint64_t offset,
			 size_t left)
{
	struct vol_batch *batch = NULL;
	size_t done = 0;
	ssize_t n = 0;

	while (done < left) {
		n = read_piece(v, inode, offset + done, left - done, c, &batch);
		if (n < 0)
			break;
		done += n;
	}
	if (batch) {
		int r = vol_batch_end(batch, n < 0 ? n : 0);
		n = r < 0 ? r : n;
	}
	return n < 0 ? n : (ssize_t)done;
}

/* Does it lack pages, and would it be good to have them? Then some more at once. content is not held. */
static void read_ahead(struct vol *v, struct vol_file *file, uint64_t offset, size_t n)
{
	struct vol_inode *inode = file->inode;
	uint64_t index = offset / VF_BLOCK, end;
	struct vol_run run;
	struct vol_page *p;

	fair_lock_write(&inode->content);
	end = (inode->attr.size + VF_BLOCK - 1) / VF_BLOCK;
	if (index < end && !vol_page_find(inode, index) && !(index == 0 && inode->inlined) &&
	    vol_map_find(v, inode, index, AHEAD_BLOCKS, &run) == 0 && run.kind == VOL_WRITTEN) {
		struct vol_batch *batch = vol_batch_new(v, AREA_READ);
		int r = batch ? 0 : -ENOMEM;
		run.count = vol_pages_gap(inode, index, run.count < end - index ? run.count : end - index);
		for (uint64_t i = 0; r == 0 && i < run.count; i++) {
			r = vol_page_get(v, inode, index + i, true, &p);
			struct iovec iov = {p->data, VF_BLOCK};
			struct vol_cursor c = {&iov, 1, 0};
			if (r == 0)
				r = vol_batch_add(batch, run.start + i, 1, &c);
		}
		if (batch)
			r = vol_batch_end(batch, r);
		if (r < 0)
			vol_pages_drop(v, inode, index, index + run.count);
	}
	fair_unlock(&inode->content);
}

ssize_t vol_ls_read(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		    int iovcnt, off_t offset)
{
	struct vol_file *file = vol_file_of(f);
	struct vol_inode *inode = file->inode;
	struct vol_cursor c = {iov, iovcnt, 0};
	struct vol *v = vol_of(ls);
	size_t left = vol_iov_length(iov, iovcnt);
	ssize_t n = 0;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset < 0)
		return -EINVAL;
	if (left < AHEAD_MAX * VF_BLOCK && !(file->flags & O_DIRECT) &&
	    __atomic_load_n(&file->next_read, __ATOMIC_RELAXED) == (uint64_t)offset) {
		vol_pages_balance(v);
		read_ahead(v, file, offset, left);
	}
	fair_lock_read(&inode->content);
	if ((uint64_t)offset < inode->attr.size) {
		left = inode->attr.size - offset < left ? inode->attr.size - offset : left;
		n = iovcnt == 1 ? read_straight(v, inode, iov, offset, left) : 0;
		if (n == 0)
			n = file_read(v, inode, &c, offset, left);
	}
	fair_unlock(&inode->content);
	if (n > 0)
		__atomic_store_n(&file->next_read, offset + n, __ATOMIC_RELAXED);
	if (n >= 0 && !(file->flags & O_NOATIME))
		vol_inode_accessed(v, inode);
	return n;
}
