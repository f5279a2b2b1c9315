/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. Whole blocks of large writes go past the pages (write-direct.c); beginnings, ends and small
 * writes go into pages, and to their places later.
 */
#include <errno.h>
#include <fcntl.h>

#include "libservices/volume/vol.h"

enum {
	DIRECT_BLOCKS = 16, /* from that many on, whole blocks are written past the pages */
	BUFFERED_STEP = 64 * 1024,
};

/* The pages of offset..end, with promises. Returns to where they reach. */
static uint64_t pages_prepare(struct vol *v, struct vol_inode *inode, uint64_t offset, uint64_t end,
			      int *ret_error)
{
	uint64_t at = offset, next;
	struct vol_page *p;
	int r;

	for (; at < end; at = next) {
		next = (at / VF_BLOCK + 1) * VF_BLOCK;
		bool whole = at % VF_BLOCK == 0 && next <= end;
		bool known = vol_page_find(inode, at / VF_BLOCK) != NULL;
		r = vol_page_get(v, inode, at / VF_BLOCK, whole, &p);
		if (r == 0)
			r = vol_page_reserve(v, inode, p);
		if (r < 0) {
			if (whole && !known)
				vol_pages_drop(v, inode, at / VF_BLOCK, at / VF_BLOCK + 1);
			*ret_error = r;
			return at;
		}
	}
	return end;
}

static ssize_t write_pages(struct vol *v, struct vol_inode *inode, struct vol_cursor *c, uint64_t offset,
			   size_t n)
{
	uint64_t at = offset, end, next;
	int r = 0;

	end = pages_prepare(v, inode, offset, offset + n, &r);
	if (end == offset)
		return r;
	r = vol_op_begin(v, 0);
	if (r < 0) {
		vol_pages_drop(v, inode, offset / VF_BLOCK, (end + VF_BLOCK - 1) / VF_BLOCK);
		return r;
	}
	for (; at < end; at = next) {
		struct vol_page *p = vol_page_find(inode, at / VF_BLOCK);
		next = (at / VF_BLOCK + 1) * VF_BLOCK;
		next = next < end ? next : end;
		vol_cursor_get(c, p->data + at % VF_BLOCK, next - at);
		vol_page_dirty(v, inode, p, at % VF_BLOCK, (next - 1) % VF_BLOCK + 1);
	}
	vol_size_raise(inode, end);
	vol_inode_touch(v, inode, LS_MTIME | LS_CTIME);
	vol_inode_dirty(v, inode, true);
	vol_op_end(v);
	return end - offset;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* With content held for writing. */
static ssize_t file_write(struct vol *v, struct vol_inode *inode, const struct iovec *iov, int iovcnt,
			  uint64_t offset, size_t left, bool direct)
{
	struct vol_cursor c = {iov, iovcnt, 0};
	size_t done = 0, n;
	ssize_t r = 0;

	while (done < left && r >= 0) {
		uint64_t at = offset + done;
		n = left - done;
		if (at % VF_BLOCK == 0 && n / VF_BLOCK >= (direct ? 1 : DIRECT_BLOCKS)) {
			r = vol_write_direct(v, inode, &c, at, n / VF_BLOCK);
		} else {
			if (at % VF_BLOCK && n > VF_BLOCK)
				n = VF_BLOCK - at % VF_BLOCK;
			else if (n > BUFFERED_STEP)
				n = BUFFERED_STEP;
			r = write_pages(v, inode, &c, at, n);
			if (r >= 0 && (size_t)r < n) { /* there is no more room */
				done += r;
				break;
			}
		}
		if (r > 0)
			done += r;
	}
	return done ? (ssize_t)done : r;
}

static ssize_t write_locked(struct vol *v, struct vol_file *file, const struct iovec *iov, int iovcnt,
			    off_t *offset, unsigned flags, uint64_t *ret_seq)
{
	struct vol_inode *inode = file->inode;
	size_t left = vol_iov_length(iov, iovcnt);
	ssize_t n;
	int r;

	if (flags & LS_WRITE_APPEND)
		*offset = inode->attr.size;
	if ((uint64_t)*offset >= VF_FILE_MAX && left)
		return -EFBIG;
	if (left > VF_FILE_MAX - *offset)
		left = VF_FILE_MAX - *offset;
	n = file_write(v, inode, iov, iovcnt, *offset, left, file->flags & O_DIRECT);
	if (n > 0 && (flags & (LS_WRITE_DSYNC | LS_WRITE_SYNC))) {
		r = vol_inode_secure(v, inode);
		if (r < 0)
			return r;
		*ret_seq = inode->changed;
	}
	return n;
}

static ssize_t write_once(struct ls *ls, struct ls_file *f, const struct iovec *iov, int iovcnt,
			  off_t offset, unsigned flags, off_t *ret_end)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	uint64_t seq = 0;
	ssize_t n;
	int r;

	vol_throttle(v);
	vol_pages_balance(v);
	fair_lock_write(&inode->content);
	n = write_locked(v, vol_file_of(f), iov, iovcnt, &offset, flags, &seq);
	fair_unlock(&inode->content);
	if (seq) {
		r = vol_sync_to(v, seq);
		if (r < 0)
			return r;
	}
	if (n >= 0)
		*ret_end = offset + n;
	return n;
}

ssize_t vol_ls_write(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
		     int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	struct vol_inode *inode = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	ssize_t n;

	if (inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset < 0 && !(flags & LS_WRITE_APPEND))
		return -EINVAL;
	if (v->rdonly || vol_failed(v))
		return -EROFS;
	n = write_once(ls, f, iov, iovcnt, offset, flags, ret_end);
	/* What is left may be nodes that a checkpoint would give back. */
	if (n == -ENOSPC && vol_space_reclaim(v) == 0)
		n = write_once(ls, f, iov, iovcnt, offset, flags, ret_end);
	return n;
}
