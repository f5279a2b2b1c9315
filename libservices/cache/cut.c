/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes the bytes below past the pages: truncation, allocation, holes, copies; and attributes, whose
 * times the write-back sets too. All hold `io`, so that no write-back is on its way to bytes that go, and
 * the file's lock while below works, so that nobody sees half of it.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "libservices/cache/cache.h"
#include "libservices/rules.h"

enum { SET_TIMES = LS_SET_ATIME | LS_SET_MTIME | LS_SET_ATIME_NOW | LS_SET_MTIME_NOW };

static uint64_t page_end(uint64_t size)
{
	return (size + CACHE_PAGE - 1) / CACHE_PAGE;
}

/* ---- attributes
 * ------------------------------------------------------------------------------------------ */

int cache_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *file,
		  struct ls_attr *ret_attr)
{
	struct cinode *c = cinode_of(inode);
	struct cfile *f = cfile_of(file);
	struct ls *below = cache_of(ls)->below;
	struct ls_attr attr;
	unsigned recalls;
	bool kept;
	int r;

	if (!c)
		return ls_getattr(below, call, inode, file, ret_attr);
	recalls = __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST);
	kept = c->cache->asks && cinode_is_kept(c);
	if (__atomic_load_n(&c->stale, __ATOMIC_SEQ_CST))
		writeback(c, call);
	r = ls_getattr(below, call, c->below, f ? below_use(c) : NULL, &attr);
	if (f)
		below_unuse(c);
	if (r < 0)
		return r;
	if (__atomic_load_n(&c->share, __ATOMIC_RELAXED)) {
		pthread_rwlock_wrlock(&c->lock);
		cshare_look(c);
	} else {
		pthread_rwlock_rdlock(&c->lock);
	}
	cinode_merge(c, &attr);
	attr.kept = kept && cinode_is_kept(c) && recalls == __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST);
	pthread_rwlock_unlock(&c->lock);
	*ret_attr = attr;
	return 0;
}

/* With the lock held: the file has a new size, below too. */
static int size_changed(struct cinode *c, uint64_t size)
{
	uint64_t old = c->size, end = page_end(old) * CACHE_PAGE;
	int r = 0;

	c->below_version++;
	c->below_size = size;
	c->below_bytes = c->below_bytes < size ? c->below_bytes : size;
	if (size < old)
		body_drop(c, page_end(size), UINT64_MAX / CACHE_PAGE);
	else
		r = body_zero(c, old, size < end ? size : end);
	__atomic_store_n(&c->size, size, __ATOMIC_RELAXED);
	cshare_size(c);
	return r;
}

static void times_changed(struct cinode *c, const struct ls_attr *after, unsigned set)
{
	struct ls_attr now;

	if (!c->own && !c->cache->asks)
		return;
	if (set & (LS_SET_SIZE | LS_SET_MTIME | LS_SET_MTIME_NOW))
		c->mtime = after->mtime;
	if (set & (LS_SET_ATIME | LS_SET_ATIME_NOW))
		c->atime = after->atime;
	c->ctime = c->below_ctime = after->ctime;
	now = (struct ls_attr){.atime = c->atime, .mtime = c->mtime, .ctime = c->ctime};
	__atomic_store_n(&c->atime_due, ls_atime_due(&now), __ATOMIC_RELAXED);
}

static int attr_set(struct cinode *c, const struct ls_call *call, const struct ls_attr *in, unsigned set,
		    struct ls_attr *attr)
{
	int r;

	pthread_rwlock_wrlock(&c->lock);
	cshare_look(c);
	if (set & LS_SET_SIZE) {
		cgrant_pause(c);
		cinode_own(c);
		if (in->size < c->size)
			cshare_before_cut(c);
	}
	r = ls_setattr(c->cache->below, call, c->below, c->writer, in, set, attr);
	if (r == 0) {
		times_changed(c, attr, set);
		if (set & LS_SET_SIZE)
			r = size_changed(c, in->size);
		cinode_merge(c, attr);
	}
	if (r == 0 && (set & LS_SET_MODE))
		cshare_mode(c, attr->mode);
	cgrant_resume(c, call, 0);
	pthread_rwlock_unlock(&c->lock);
	return r;
}

/* Until keep_pass_end, also after a failure. */
static int pass_begin(struct cinode *c, const struct ls_call *call)
{
	int r = 0;

	while (!keep_pass_begin(c) && r == 0) {
		keep_pass_end(c);
		r = keep_end(c, call);
	}
	return r;
}

/*
 * Of a file that others may change, too, below is told with no lock held: it may have to wait for them, and they for what is
 * cached here. A new size ends the delegation; other attributes may.
 */
static int attr_pass(struct cinode *c, const struct ls_call *call, const struct ls_attr *in, unsigned set,
		     struct ls_attr *ret_attr)
{
	struct ls_attr attr;
	int r;

	if (set & LS_SET_SIZE) {
		r = pass_begin(c, call);
	} else {
		r = writeback(c, call);
		keep_pass_begin(c);
	}
	if (r == 0)
		r = ls_setattr(c->cache->below, call, c->below, NULL, in, set, &attr);
	keep_pass_end(c);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&c->lock);
	times_changed(c, &attr, set);
	if (set & LS_SET_MODE)
		cshare_mode(c, attr.mode);
	pthread_rwlock_unlock(&c->lock);
	*ret_attr = attr;
	return set & LS_SET_SIZE ? keep_passed(c, call) : 0;
}

int cache_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *file,
		  const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct cinode *c = cinode_of(inode);
	bool io = set & (LS_SET_SIZE | SET_TIMES);
	struct ls_attr attr;
	int r;

	if (!c)
		return ls_setattr(cache_of(ls)->below, call, inode, file, in, set, ret_attr);
	if (c->cache->asks)
		return attr_pass(c, call, in, set, ret_attr);
	if (io)
		pthread_mutex_lock(&c->io);
	r = attr_set(c, call, in, set, &attr);
	if (io)
		pthread_mutex_unlock(&c->io);
	if (r < 0)
		return r;
	if (set & LS_SET_SIZE) {
		cflusher_done(c, call, 0);
		r = cshare_grown(c, call);
	}
	if (r == 0)
		*ret_attr = attr;
	return r;
}

/* ---- allocation
 * ------------------------------------------------------------------------------------------ */

/* With io held: 0 with the lock held for writing and nothing dirty, so that pages may go and come back from
 * below. */
static int clean_lock(struct cinode *c, const struct ls_call *call)
{
	int r;

	while ((r = writeback_all(c, call, 0)) == 0) {
		pthread_rwlock_wrlock(&c->lock);
		cshare_look(c);
		if (!c->dirty_pages && (!c->own || c->size == c->below_size))
			return 0;
		pthread_rwlock_unlock(&c->lock); /* somebody was quick */
	}
	return r;
}

/* With io and the lock held. What remains cached afterwards is what below has. */
static int range_allocate(struct cinode *c, const struct ls_call *call, int mode, uint64_t offset,
			  uint64_t length)
{
	uint64_t last = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)
			    ? page_index(offset + length - 1)
			    : UINT64_MAX / CACHE_PAGE;
	struct ls *below = c->cache->below;
	struct ls_attr attr;
	int r;

	if (cshare_kernel_has(c) && !cshare_kernel_allocates(mode))
		return -EOPNOTSUPP;
	cinode_own(c);
	cgrant_pause(c);
	r = ls_fallocate(below, call, c->writer, mode, offset, length);
	if (r == 0)
		r = ls_getattr(below, call, c->below, c->writer, &attr);
	if (r < 0)
		return r;
	c->below_version++;
	c->below_ctime = attr.ctime;
	if (mode & ~FALLOC_FL_KEEP_SIZE) {
		if (cshare_kernel_has(c))
			cshare_kernel_zero(c, offset, length);
		else
			body_drop(c, page_index(offset), last);
		r = size_changed(c, attr.size);
	} else if (attr.size > c->size) {
		r = size_changed(c, attr.size);
	} else {
		c->below_size = attr.size;
	}
	c->below_bytes = attr.size;
	cinode_touch(c);
	cgrant_resume(c, call, 0);
	return r;
}

int cache_fallocate(struct ls *ls, const struct ls_call *call, struct ls_file *file, int mode, off_t offset,
		    off_t length)
{
	struct cfile *f = cfile_of(file);
	struct cinode *c;
	int r = 0;

	if (!f)
		return ls_fallocate(cache_of(ls)->below, call, file, mode, offset, length);
	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (length > INT64_MAX - offset)
		return -EFBIG;
	c = f->inode;
	if (c->cache->asks) {
		r = pass_begin(c, call);
		if (r == 0)
			r = ls_fallocate(c->cache->below, call, c->writer, mode, offset, length);
		keep_pass_end(c);
		return r < 0 ? r : keep_passed(c, call);
	}
	pthread_mutex_lock(&c->io);
	if (mode & ~FALLOC_FL_KEEP_SIZE)
		r = clean_lock(c, call);
	else
		pthread_rwlock_wrlock(&c->lock);
	if (r == 0) {
		r = range_allocate(c, call, mode, offset, length);
		pthread_rwlock_unlock(&c->lock);
	}
	pthread_mutex_unlock(&c->io);
	cflusher_done(c, call, 0);
	return r < 0 ? r : cshare_grown(c, call);
}

/* ---- what below knows better --------------------------------------------------------------------------
 */

off_t cache_seek(struct ls *ls, const struct ls_call *call, struct ls_file *file, off_t offset, int whence)
{
	struct cfile *f = cfile_of(file);
	struct ls *below = cache_of(ls)->below;
	struct ls_file *file_below;
	int r;

	if (!f)
		return ls_seek(below, call, file, offset, whence);
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	r = writeback(f->inode, call);
	if (r == 0)
		r = below_take(f->inode, call, &file_below);
	if (r < 0)
		return r;
	offset = ls_seek(below, call, file_below, offset, whence);
	below_unuse(f->inode);
	return offset;
}

/* With the target's io and lock held. */
static ssize_t range_copy(struct cinode *from, const struct ls_call *call, uint64_t in_off,
			  struct cinode *to, uint64_t out_off, uint64_t length)
{
	ssize_t n;

	if (cshare_kernel_has(to))
		return -EOPNOTSUPP; /* it would have to be read again, before its eyes */
	cinode_own(to);
	cgrant_pause(to);
	n = ls_copy(to->cache->below, call, below_file(from), in_off, to->writer, out_off, length);
	if (n > 0) {
		uint64_t size = to->size, end = out_off + n;
		to->below_version++;
		body_drop(to, page_index(out_off), page_index(end - 1));
		if (end > size)
			n = size_changed(to, end) < 0 ? -EIO : n;
		to->below_bytes = end > to->below_bytes ? end : to->below_bytes;
		cinode_touch(to);
	}
	cgrant_resume(to, call, 0);
	return n;
}

ssize_t cache_copy(struct ls *ls, const struct ls_call *call, struct ls_file *in, off_t in_off,
		   struct ls_file *out, off_t out_off, size_t length)
{
	struct cfile *from = cfile_of(in), *to = cfile_of(out);
	ssize_t n;

	if (!from && !to)
		return ls_copy(cache_of(ls)->below, call, in, in_off, out, out_off, length);
	if (!from || !to)
		return -EINVAL;
	if (in_off < 0 || out_off < 0)
		return -EINVAL;
	if (to->inode->cache->asks)
		return -EOPNOTSUPP;
	n = writeback(from->inode, call);
	if (n == 0)
		n = below_reader(from->inode, call);
	if (n < 0)
		return n;
	pthread_mutex_lock(&to->inode->io);
	n = clean_lock(to->inode, call);
	if (n == 0) {
		n = range_copy(from->inode, call, in_off, to->inode, out_off, length);
		pthread_rwlock_unlock(&to->inode->lock);
	}
	pthread_mutex_unlock(&to->inode->io);
	cflusher_done(to->inode, call, 0);
	if (n > 0)
		cshare_grown(to->inode, call);
	return n;
}

void cache_forget_pages(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last)
{
	struct chunk *chunk;

	if (writeback(c, call) < 0)
		return;
	pthread_rwlock_wrlock(&c->lock);
	for (chunk = chunk_from(c, (first + CHUNK_PAGES - 1) / CHUNK_PAGES, false); chunk;) {
		uint64_t index = chunk->index;
		if (last < UINT64_MAX / CACHE_PAGE && (index + 1) * CHUNK_PAGES > last + 1)
			break;
		if (!chunk->dirty && !chunk->writing && !cshare_keeps(chunk) &&
		    (!c->share || !cshare_goes(chunk, chunk->present)))
			chunk_drop(chunk, chunk->present);
		chunk = chunk_from(c, index + 1, false);
	}
	pthread_rwlock_unlock(&c->lock);
}
