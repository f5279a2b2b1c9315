/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for writes that will come: a cache above asks for it before it accepts data, so that it need not
 * tell anybody later that there was none.
 *
 * What is owed to a file are ranges of its blocks that are holes, each with a block of the volume promised
 * to it, in memory only. Who fills such a hole takes over the promise; it ends when the range is cut off,
 * or when nobody uses the file any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

/* The first range that ends after `block`. */
static size_t owed_after(const struct vol_inode *inode, uint64_t block)
{
	size_t low = 0, high = inode->owed.count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct vol_range *r = &inode->owed.range[middle];
		if (r->start + r->count <= block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool vol_owed(const struct vol_inode *inode, uint64_t first, uint64_t *count)
{
	size_t i = owed_after(inode, first);
	const struct vol_range *r = i < inode->owed.count ? &inode->owed.range[i] : NULL;
	bool owed = r && r->start <= first;
	uint64_t same = !r ? UINT64_MAX : owed ? r->start + r->count - first : r->start - first;

	*count = same < *count ? same : *count;
	return owed;
}

static int owed_insert(struct vol_inode *inode, size_t at, struct vol_range range)
{
	struct vol_ranges *o = &inode->owed;
	size_t max = o->max ? o->max * 2 : 8;
	struct vol_range *grown;

	if (o->count == o->max) {
		grown = realloc(o->range, max * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		o->range = grown;
		o->max = max;
	}
	memmove(o->range + at + 1, o->range + at, (o->count - at) * sizeof(*o->range));
	o->range[at] = range;
	o->count++;
	return 0;
}

static int owed_add(struct vol_inode *inode, uint64_t first, uint64_t count)
{
	size_t at = owed_after(inode, first);
	struct vol_range *before = at ? &inode->owed.range[at - 1] : NULL;

	if (before && before->start + before->count == first) {
		before->count += count;
		return 0;
	}
	return owed_insert(inode, at, (struct vol_range){first, count});
}

uint64_t vol_owed_take(struct vol_inode *inode, uint64_t first, uint64_t end)
{
	struct vol_ranges *o = &inode->owed;
	uint64_t taken = 0;

	for (size_t i = owed_after(inode, first); i < o->count && o->range[i].start < end;) {
		struct vol_range *r = &o->range[i];
		uint64_t from = r->start > first ? r->start : first, r_end = r->start + r->count;
		uint64_t to = r_end < end ? r_end : end;
		if (from > r->start && to < r_end) {
			/* A hole in the middle; without memory for that its end is no longer owed. */
			if (owed_insert(inode, i + 1, (struct vol_range){to, r_end - to}) < 0)
				to = r_end;
			r = &o->range[i];
			r_end = to;
		}
		taken += to - from;
		if (from > r->start) {
			r->count = from - r->start;
			i++;
		} else if (to < r_end) {
			*r = (struct vol_range){to, r_end - to};
			i++;
		} else {
			memmove(r, r + 1, (--o->count - i) * sizeof(*r));
		}
	}
	return taken;
}

void vol_owed_drop(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end)
{
	if (!inode->owed.count)
		return;
	vol_space_unreserve(v, vol_owed_take(inode, first, end));
	if (!inode->owed.count)
		vol_ranges_fini(&inode->owed);
}

/* A hole of that many blocks, of which some have pages with promises of their own. */
static int hole_owe(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end)
{
	uint64_t count;
	int64_t r;

	for (; first < end; first += count) {
		const struct vol_page *p = vol_page_find(inode, first);
		uint64_t at = vol_page_after(inode, first + 1);
		count = at < inode->page_count && inode->page[at]->index < end
			    ? inode->page[at]->index - first
			    : end - first;
		if (p && p->reserved) {
			count = 1;
			continue;
		}
		if (vol_owed(inode, first, &count))
			continue;
		r = vol_space_reserve(v, count, count);
		if (r < 0)
			return r;
		r = owed_add(inode, first, count);
		if (r < 0) {
			vol_space_unreserve(v, count);
			return r;
		}
	}
	return 0;
}

static int file_owe(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end)
{
	struct vol_run run;
	int r = 0;

	for (; first < end && r == 0; first += run.count) {
		r = vol_map_find(v, inode, first, end - first, &run);
		if (r == 0 && run.kind == VOL_HOLE)
			r = hole_owe(v, inode, first, first + run.count);
	}
	return r;
}

int vol_ls_reserve(struct ls *ls, const struct ls_call *call, struct ls_file *f, off_t offset, off_t length)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	uint64_t end = (uint64_t)offset + length;
	int r;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset < 0 || length < 0)
		return -EINVAL;
	if (end > VF_FILE_MAX)
		return -EFBIG;
	if (v->rdonly || vol_failed(v))
		return -EROFS;
	for (int i = 0; i < 2; i++) {
		fair_lock_write(&inode->content);
		r = file_owe(v, inode, offset / VF_BLOCK, (end + VF_BLOCK - 1) / VF_BLOCK);
		fair_unlock(&inode->content);
		if (r != -ENOSPC || i || vol_space_reclaim(v) < 0)
			break;
	}
	return r;
}
