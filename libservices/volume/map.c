/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks of the volume have which blocks of a file: its EXTENT items. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { CLEAR_STEP = 64 };

struct found {
	uint64_t first; /* block of the file */
	struct vf_extent e;
};

static struct vf_key extent_key(const struct vol_inode *inode, uint64_t block)
{
	return vol_key(inode->ino, VF_EXTENT, block);
}

static int extent_check(struct vol *v, const struct vol_inode *inode, int length, const struct found *f)
{
	if (length == sizeof(f->e) && f->e.length && f->e.length <= VF_EXTENT_MAX &&
	    f->first < VF_FILE_BLOCKS && vol_in_groups(&v->super, f->e.start, f->e.length))
		return 0;
	return vol_fail(v, -EIO, "inode %" PRIu64 " has an extent that makes no sense", inode->ino);
}

/* The last extent that begins in from..to. -ENOENT. */
static int extent_last(struct vol *v, const struct vol_inode *inode, uint64_t from, uint64_t to,
		       struct found *ret)
{
	struct vf_key key;
	int r =
	    vol_tree_last(v, extent_key(inode, from), extent_key(inode, to), &key, &ret->e, sizeof(ret->e));

	if (r < 0)
		return r;
	ret->first = key.lo;
	return extent_check(v, inode, r, ret);
}

static int extent_put(struct vol *v, const struct vol_inode *inode, uint64_t first, uint64_t start,
		      uint64_t count, unsigned flags)
{
	struct vf_extent e = {.start = start, .length = count, .flags = flags};

	return vol_put(v, extent_key(inode, first), &e, sizeof(e));
}

int vol_map_find(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t max, struct vol_run *ret)
{
	struct found f;
	struct vf_key key;
	uint64_t skip;
	int r;

	*ret = (struct vol_run){.kind = VOL_HOLE, .count = max};
	if (inode->blocks == 0)
		return 0;
	r = extent_last(v, inode, 0, first, &f);
	if (r < 0 && r != -ENOENT)
		return r;
	skip = first - f.first;
	if (r == 0 && skip < f.e.length) {
		ret->kind = f.e.flags & VF_EXTENT_UNWRITTEN ? VOL_UNWRITTEN : VOL_WRITTEN;
		ret->start = f.e.start + skip;
		ret->count = f.e.length - skip < max ? f.e.length - skip : max;
		return 0;
	}
	if (max == 1)
		return 0;
	r = vol_tree_first(v, extent_key(inode, first + 1), extent_key(inode, first + max - 1), &key, NULL,
			   0);
	if (r >= 0)
		ret->count = key.lo - first;
	return r < 0 && r != -ENOENT ? r : 0;
}

/* Adds an item, or lengthens the one before it. */
static int extent_append(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t start,
			 uint64_t count, unsigned flags)
{
	struct found f;
	int r = first ? extent_last(v, inode, 0, first - 1, &f) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && f.first + f.e.length == first && f.e.start + f.e.length == start &&
	    f.e.flags == flags && f.e.length + count <= VF_EXTENT_MAX &&
	    vol_in_groups(&v->super, f.e.start, f.e.length + count))
		return extent_put(v, inode, f.first, f.e.start, f.e.length + count, flags);
	return extent_put(v, inode, first, start, count, flags);
}

int vol_map_set(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t start, uint64_t count,
		unsigned flags)
{
	int r;

	vol_clothe(inode);
	r = inode->blocks ? extent_append(v, inode, first, start, count, flags)
			  : extent_put(v, inode, first, start, count, flags);
	if (r == 0)
		__atomic_add_fetch(&inode->blocks, count, __ATOMIC_RELAXED);
	return r;
}

/* The part of one unwritten extent. *ret: how many blocks that were. */
static int extent_written(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count,
			  uint64_t *ret)
{
	struct found f;
	uint64_t skip, n, rest;
	int r = extent_last(v, inode, 0, first, &f);

	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	skip = first - f.first;
	if (skip >= f.e.length)
		return -EIO;
	n = f.e.length - skip < count ? f.e.length - skip : count;
	rest = f.e.length - skip - n;
	*ret = n;
	if (!(f.e.flags & VF_EXTENT_UNWRITTEN))
		return 0;
	r = skip ? extent_put(v, inode, f.first, f.e.start, skip, VF_EXTENT_UNWRITTEN)
		 : vol_del(v, extent_key(inode, first));
	if (r == 0 && rest)
		r = extent_put(v, inode, first + n, f.e.start + skip + n, rest, VF_EXTENT_UNWRITTEN);
	return r < 0 ? r : extent_append(v, inode, first, f.e.start + skip, n, 0);
}

int vol_map_written(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count)
{
	uint64_t n;
	int r = 0;

	for (; count && r == 0; first += n, count -= n) {
		n = 0;
		r = extent_written(v, inode, first, count, &n);
	}
	return r;
}

/* Cuts from..to out of the extent and frees it. */
static int extent_cut(struct vol *v, struct vol_inode *inode, const struct found *f, uint64_t from,
		      uint64_t to)
{
	uint64_t end = f->first + f->e.length, count = to - from;
	int r = from > f->first ? extent_put(v, inode, f->first, f->e.start, from - f->first, f->e.flags)
				: vol_del(v, extent_key(inode, f->first));

	if (r == 0 && to < end)
		r = extent_put(v, inode, to, f->e.start + (to - f->first), end - to, f->e.flags);
	if (r == 0)
		r = vol_free_blocks(v, f->e.start + (from - f->first), count);
	if (r == 0)
		__atomic_sub_fetch(&inode->blocks, count, __ATOMIC_RELAXED);
	return r;
}

int vol_map_clear(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end, uint64_t *ret_end)
{
	struct found f;
	int r;

	for (int i = 0; i < CLEAR_STEP && end > first && inode->blocks; i++) {
		r = extent_last(v, inode, 0, end - 1, &f);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r == -ENOENT || f.first + f.e.length <= first) {
			end = first;
			break;
		}
		if (f.first + f.e.length < end)
			end = f.first + f.e.length;
		r = extent_cut(v, inode, &f, f.first > first ? f.first : first, end);
		if (r < 0)
			return r;
		end = f.first > first ? f.first : first;
	}
	*ret_end = inode->blocks ? end : first;
	return 0;
}

int vol_inline_drop(struct vol *v, struct vol_inode *inode)
{
	int r = inode->inlined ? vol_del(v, vol_key(inode->ino, VF_INLINE, 0)) : 0;

	if (r == 0)
		__atomic_store_n(&inode->inlined, false, __ATOMIC_RELAXED);
	return r;
}
