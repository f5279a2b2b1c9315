/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. What is cached is copied with the file's lock shared, so that a read is atomic beside writes, up
 * to CACHE_SEGMENT; longer reads are done piece by piece.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "libservices/cache/cache.h"

/*
 * Counts the uses. To go on in the page where the last read of this open file ended is no new use of it.
 */
static void pages_touch(struct cfile *f, uint64_t offset, uint64_t length)
{
	uint64_t first = page_index(offset), last = page_index(offset + length - 1);
	bool goes_on = offset && __atomic_load_n(&f->last_end, __ATOMIC_RELAXED) == offset;

	for (uint64_t page = first; page <= last;) {
		struct chunk *chunk = chunk_of_page(f->inode, page);
		uint64_t end = page | (CHUNK_PAGES - 1);
		unsigned mask, again;
		end = end < last ? end : last;
		mask = CHUNK_ALL >> (CHUNK_PAGES - 1 - (end - page)) << page % CHUNK_PAGES;
		again = goes_on && page == first && offset % CACHE_PAGE ? mask & ~page_bit(page) : mask;
		if (chunk)
			chunk_touch(chunk, mask, again);
		page = end + 1;
	}
	__atomic_store_n(&f->last_end, offset + length, __ATOMIC_RELAXED);
}

/* The iovec's bytes from `done` on, at most length of them, into or out of the body. */
static int scatter(const struct cinode *c, const struct iovec *iov, int iovcnt, uint64_t skip,
		   uint64_t offset, uint64_t length)
{
	int r = 0;

	for (int i = 0; i < iovcnt && length > 0 && r == 0; i++) {
		uint64_t n;
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		n = iov[i].iov_len - skip < length ? iov[i].iov_len - skip : length;
		r = body_read(c, (char *)iov[i].iov_base + skip, offset, n);
		offset += n;
		length -= n;
		skip = 0;
	}
	return r;
}

/* The access time follows the rule that the kernel calls relatime, for files whose times are ours. */
static void file_accessed(struct cfile *f)
{
	struct cinode *c = f->inode;

	if ((f->flags & O_NOATIME) || !__atomic_load_n(&c->atime_due, __ATOMIC_RELAXED))
		return;
	pthread_rwlock_wrlock(&c->lock);
	if (c->own) {
		clock_gettime(CLOCK_REALTIME, &c->atime);
		c->times_dirty = true;
		cflusher_note(c);
	}
	__atomic_store_n(&c->atime_due, false, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&c->lock);
}

/* With the lock held and the pages present. */
static ssize_t segment_copy(struct cfile *f, const struct iovec *iov, int iovcnt, uint64_t skip,
			    uint64_t offset, uint64_t length)
{
	STAGE_IN(STAGE_COPY);
	int r = scatter(f->inode, iov, iovcnt, skip, offset, length);

	if (r < 0)
		return r;
	pages_touch(f, offset, length);
	return length;
}

static uint64_t within(const struct cinode *c, uint64_t offset, uint64_t length)
{
	if (offset >= c->size)
		return 0;
	return length < c->size - offset ? length : c->size - offset;
}

static ssize_t segment_read(struct cfile *f, const struct ls_call *call, const struct iovec *iov,
			    int iovcnt, uint64_t skip, uint64_t offset, uint64_t length)
{
	struct cinode *c = f->inode;
	uint64_t n, wish;
	bool hit;
	ssize_t r = 0;

	if ((r = keep_begin(c, call, false)) < 0)
		return r;
	pthread_rwlock_rdlock(&c->lock);
	if (c->share) { /* sharers may have moved the end */
		pthread_rwlock_unlock(&c->lock);
		pthread_rwlock_wrlock(&c->lock);
		cshare_look(c);
	}
	if (!cinode_is_kept(c)) {
		pthread_rwlock_unlock(&c->lock);
		return KEEP_LOST;
	}
	n = within(c, offset, length);
	hit = n == 0 || body_present(c, page_index(offset), page_index(offset + n - 1));
	if (hit && n)
		r = segment_copy(f, iov, iovcnt, skip, offset, n);
	pthread_rwlock_unlock(&c->lock);
	figure_add(hit ? &c->cache->figures.hits : &c->cache->figures.misses, 1);
	wish = n ? ahead_plan(f, call, offset, n, !hit) : 0;
	if (hit)
		return r;
	/* If nothing can be written back, this read takes what it needs, and gives it back below. */
	budget_make_room(c->cache, call, (wish + 2) * CACHE_PAGE - offset);
	r = fill_lock(c, call, page_index(offset), page_index(offset + n - 1), wish);
	if (r < 0)
		return r;
	n = within(c, offset, length < n ? length : n);
	if (n)
		r = segment_copy(f, iov, iovcnt, skip, offset, n);
	pthread_rwlock_unlock(&c->lock);
	budget_make_room(c->cache, call, 0);
	return r;
}

ssize_t cache_read(struct ls *ls, const struct ls_call *call, struct ls_file *file, const struct iovec *iov,
		   int iovcnt, off_t offset)
{
	struct cfile *f = cfile_of(file);
	uint64_t length = 0, done = 0;
	ssize_t n = 0;

	if (!f)
		return ls_read(cache_of(ls)->below, call, file, iov, iovcnt, offset);
	if (offset < 0)
		return -EINVAL;
	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;
	while (done < length) {
		uint64_t want = length - done < CACHE_SEGMENT ? length - done : CACHE_SEGMENT;
		n = segment_read(f, call, iov, iovcnt, done, offset + done, want);
		if (n == KEEP_LOST) {
			n = keep_pass_read(f->inode, call, iov, iovcnt, done, offset + done);
			done += n > 0 ? n : 0;
			break;
		}
		if (n > 0)
			done += n;
		if (n < (ssize_t)want)
			break;
	}
	if (done)
		file_accessed(f);
	return done ? (ssize_t)done : n;
}
