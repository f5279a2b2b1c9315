/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: into the cache, and that is all, unless the caller wants it to last at once.
 *
 * Pages of which only a part is overwritten are read from below first. Room below is reserved where the
 * layer can promise it, so that ENOSPC comes now and not at the write-back. A file that was opened with
 * O_DIRECT is cached like any other, which keeps everybody's view the same; what is written through it goes
 * below before the write returns.
 */
#include <errno.h>
#include <fcntl.h>

#include "libservices/cache/cache.h"

/*
 * From this end on, below is made to say now whether files may be so large: it would be a pity to learn it
 * at the write-back. Local filesystems' limits are beyond that.
 */
#define FAR (1ull << 40)

struct piece {
	struct cfile *f;
	const struct iovec *iov;
	int iovcnt;
	uint64_t skip; /* bytes of iov before this piece */
	uint64_t offset, length;
	unsigned flags;
};

/* Is the page absent, and has it bytes that the write leaves? */
static bool is_needed(const struct cinode *c, uint64_t page, uint64_t from, uint64_t to)
{
	uint64_t start = page * CACHE_PAGE,
		 end = start + CACHE_PAGE < c->size ? start + CACHE_PAGE : c->size;

	return start < c->size && (start < from || end > to) && !body_present(c, page, page);
}

/* With the lock held for writing, and the offset of an append known. */
static uint64_t edge_needed(const struct cinode *c, const struct piece *p)
{
	uint64_t first = page_index(p->offset), last = page_index(p->offset + p->length - 1);

	if (is_needed(c, first, p->offset, p->offset + p->length))
		return first;
	return is_needed(c, last, p->offset, p->offset + p->length) ? last : UINT64_MAX;
}

/* 0 with the lock held for writing, and everything there that the write needs. */
static int piece_lock(struct piece *p, const struct ls_call *call)
{
	struct cinode *c = p->f->inode;
	int r = 0;

	pthread_rwlock_wrlock(&c->lock);
	while (r == 0) {
		uint64_t page;
		if (!cinode_may_store(c)) {
			pthread_rwlock_unlock(&c->lock);
			return KEEP_LOST;
		}
		cshare_look(c);
		if ((p->flags & LS_WRITE_APPEND) || p->offset + p->length > c->size)
			cgrant_pause(c);
		if (p->flags & LS_WRITE_APPEND)
			p->offset = c->size;
		page = edge_needed(c, p);
		if (page == UINT64_MAX)
			return 0;
		pthread_rwlock_unlock(&c->lock);
		r = fill_lock(c, call, page, page, page);
	}
	return r;
}

/* Is some page not dirty yet? Then it may take new room below. */
static bool is_new(const struct cinode *c, uint64_t first, uint64_t last)
{
	for (; first <= last; first++) {
		const struct chunk *chunk = chunk_of_page(c, first);
		if (!chunk || !(chunk->dirty & page_bit(first)))
			return true;
	}
	return false;
}

int cinode_reserve(struct cinode *c, const struct ls_call *call, uint64_t offset, uint64_t length)
{
	int r;

	if (__atomic_load_n(&c->cache->no_reserve, __ATOMIC_RELAXED) ||
	    !is_new(c, page_index(offset), page_index(offset + length - 1)))
		return 0;
	r = ls_reserve(c->cache->below, call, c->writer, offset, length);
	if (r != -EOPNOTSUPP)
		return r;
	__atomic_store_n(&c->cache->no_reserve, true, __ATOMIC_RELAXED);
	return 0;
}

/* The bytes themselves; how many made it. */
static int64_t piece_copy(struct piece *p)
{
	STAGE_IN(STAGE_COPY);
	uint64_t skip = p->skip, done = 0;
	int r = 0;

	for (int i = 0; i < p->iovcnt && done < p->length && r == 0; i++) {
		uint64_t n = p->iov[i].iov_len, left = p->length - done;
		if (skip >= n) {
			skip -= n;
			continue;
		}
		n = n - skip < left ? n - skip : left;
		r = body_write(p->f->inode, (const char *)p->iov[i].iov_base + skip, p->offset + done, n);
		if (r == 0)
			done += n;
		skip = 0;
	}
	return done ? (int64_t)done : r;
}

/* The end of the file is going to be behind `to`: what was behind it is zeros. */
static int end_zero(struct cinode *c, uint64_t to)
{
	uint64_t end = (c->size + CACHE_PAGE - 1) / CACHE_PAGE * CACHE_PAGE;

	return to > c->size ? body_zero(c, c->size, to < end ? to : end) : 0;
}

static int64_t piece_write(struct piece *p, const struct ls_call *call)
{
	struct cinode *c = p->f->inode;
	uint64_t first = page_index(p->offset), last = page_index(p->offset + p->length - 1);
	int64_t n = cinode_reserve(c, call, p->offset, p->length);

	if (n == 0)
		n = end_zero(c, p->offset);
	if (n == 0)
		n = piece_copy(p);
	if (n <= 0)
		return n;
	for (uint64_t page = first; page <= page_index(p->offset + n - 1); page++)
		if (page == first || page % CHUNK_PAGES == 0) {
			uint64_t end = page | (CHUNK_PAGES - 1);
			end = end < last ? end : last;
			chunk_touch(chunk_of_page(c, page),
				    CHUNK_ALL >> (CHUNK_PAGES - 1 - (end - page)) << page % CHUNK_PAGES, 0);
		}
	body_dirty(c, first, page_index(p->offset + n - 1));
	cinode_touch(c);
	if (p->offset + n > c->size) {
		__atomic_store_n(&c->size, p->offset + n, __ATOMIC_RELAXED);
		cshare_size(c);
	}
	return n;
}

static int piece_sync(struct piece *p, const struct ls_call *call, uint64_t length)
{
	struct cinode *c = p->f->inode;
	unsigned flags = p->flags & (LS_WRITE_DSYNC | LS_WRITE_SYNC);
	int r;

	if (!flags && !(p->f->flags & O_DIRECT))
		return 0;
	pthread_mutex_lock(&c->io);
	if (flags & LS_WRITE_SYNC)
		r = writeback_all(c, call, flags);
	else
		r = writeback_pages(c, call, page_index(p->offset), page_index(p->offset + length - 1),
				    flags);
	pthread_mutex_unlock(&c->io);
	cflusher_done(c, call, r);
	return r;
}

static int64_t piece_do(struct piece *p, const struct ls_call *call)
{
	struct cinode *c = p->f->inode;
	int64_t n = keep_begin(c, call, true);
	uint64_t size;
	int r;

	if (n == 0)
		n = budget_make_room(c->cache, call, p->length + 2 * CACHE_PAGE);
	if (n == 0)
		n = piece_lock(p, call);
	if (n < 0)
		return n;
	size = c->size;
	n = piece_write(p, call);
	cgrant_resume(c, call, p->length);
	pthread_rwlock_unlock(&c->lock);
	if (n <= 0)
		return n;
	if (p->offset + n > size && __builtin_expect(c->share != NULL, 0))
		cshare_grown(c, call);
	r = piece_sync(p, call, n);
	cflusher_throttle(p->f, call, n);
	return r < 0 ? r : n;
}

static int far_extend(struct cinode *c, const struct ls_call *call, uint64_t end)
{
	struct ls_attr in = {.size = end}, after;
	int r = 0;

	pthread_mutex_lock(&c->io);
	pthread_rwlock_wrlock(&c->lock);
	cinode_own(c);
	if (end > c->below_size) {
		r = ls_setattr(c->cache->below, call, c->below, c->writer, &in, LS_SET_SIZE, &after);
		if (r == 0)
			c->below_size = end;
		if (r == 0)
			c->below_ctime = after.ctime;
	}
	pthread_rwlock_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return r;
}

ssize_t cache_write(struct ls *ls, const struct ls_call *call, struct ls_file *file,
		    const struct iovec *iov, int iovcnt, off_t offset, unsigned flags, off_t *ret_end)
{
	struct cfile *f = cfile_of(file);
	struct piece p = {.f = f, .iov = iov, .iovcnt = iovcnt, .flags = flags, .offset = offset};
	uint64_t length = 0, done = 0, at;
	int64_t n = 0;

	if (!f)
		return ls_write(cache_of(ls)->below, call, file, iov, iovcnt, offset, flags, ret_end);
	if (offset < 0 && !(flags & LS_WRITE_APPEND))
		return -EINVAL;
	for (int i = 0; i < iovcnt; i++)
		length += iov[i].iov_len;
	at =
	    flags & LS_WRITE_APPEND ? __atomic_load_n(&f->inode->size, __ATOMIC_RELAXED) : (uint64_t)offset;
	if (length > INT64_MAX - at && (length = INT64_MAX - at) == 0)
		return -EFBIG;
	if (length && at + length > FAR && !f->inode->cache->asks)
		n = far_extend(f->inode, call, at + length);
	while (done < length && n >= 0) {
		p.skip = done;
		p.length = length - done < CACHE_SEGMENT ? length - done : CACHE_SEGMENT;
		n = piece_do(&p, call);
		if (n == KEEP_LOST) {
			off_t end = p.offset;
			n = keep_pass_write(f->inode, call, iov, iovcnt, done, p.offset, flags, &end);
			if (n == KEEP_LOST) {
				n = 0;
				continue;
			}
			done += n > 0 ? n : 0;
			p.offset = end;
			break;
		}
		if (n <= 0)
			break;
		done += n;
		p.offset += n;
	}
	if (!done && n < 0)
		return n;
	*ret_end = length ? (off_t)p.offset : offset;
	return done;
}
