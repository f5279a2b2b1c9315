/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing back one file.
 *
 * Runs of neighbouring dirty pages go below in one write each, up to `batch`. Their dirty bits are cleared
 * first, so that what is written into them meanwhile makes them dirty again; the bytes themselves are not
 * copied: pages stay where they are while their chunk is `writing`, and whoever cuts the file has to have
 * `io`. When a run fails its pages are dirty again, and the file's error is raised for each of its open
 * files to report once.
 *
 * At the end below is told the file's size and times, as its own clock has seen a write that is none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/cache/cache.h"

enum { RUN_PAGES = 1024 };

struct run {
	uint64_t first, count; /* pages */
	uint64_t length;       /* bytes, up to the file's end */
	uint64_t max;          /* pages */
	char *copy; /* of pages that are not whole pages of memory: who grows a short one frees the old */
	struct iovec iov[RUN_PAGES];
};

static struct run *run_free(struct run *run)
{
	if (run)
		free(run->copy);
	free(run);
	return NULL;
}

static struct run *run_new(const struct cache *cache)
{
	struct run *run = malloc(sizeof(*run));
	uint64_t max = __atomic_load_n(&cache->batch, __ATOMIC_RELAXED) / CACHE_PAGE;

	if (!run)
		return NULL;
	run->max = max < 1 ? 1 : max < RUN_PAGES ? max : RUN_PAGES;
	run->copy = malloc(run->max * CACHE_PAGE);
	return run->copy ? run : run_free(run);
}

/* A page of the run, from where it is. */
static int run_page(struct run *run, const struct chunk *chunk, unsigned i, uint64_t size)
{
	const struct cinode *c = chunk->inode;
	uint64_t start = (chunk->index * CHUNK_PAGES + i) * CACHE_PAGE;
	struct iovec *iov = &run->iov[run->count];

	iov->iov_len = size - start < CACHE_PAGE ? size - start : CACHE_PAGE;
	iov->iov_base = chunk->page[i];
	if (c->data < 0 && !(chunk->shorts & 1u << i))
		return 0;
	iov->iov_base = run->copy + run->count * CACHE_PAGE;
	if (body_read(c, iov->iov_base, start, iov->iov_len) < 0)
		return -EIO;
	if (chunk->hash) {
		memset((char *)iov->iov_base + iov->iov_len, 0, CACHE_PAGE - iov->iov_len);
		chunk->hash[i] = cpage_hash(iov->iov_base);
	}
	return 0;
}

static void chunk_taken(struct chunk *chunk, unsigned mask)
{
	chunk->dirty &= ~mask;
	if (!chunk->dirty)
		chunk_tag(chunk->inode, chunk);
}

/* The next run of dirty pages from `from` on. 0: none; 1; or -errno. */
static int run_take(struct cinode *c, struct run *run, uint64_t from, uint64_t last)
{
	struct chunk *chunk = chunk_from(c, from / CHUNK_PAGES, true);
	uint64_t page, end = (c->size + CACHE_PAGE - 1) / CACHE_PAGE;
	int r = 0;

	run->count = run->length = 0;
	for (; chunk && !run->count; chunk = chunk_from(c, chunk->index + 1, true)) {
		page = chunk->index * CHUNK_PAGES > from ? chunk->index * CHUNK_PAGES : from;
		for (; page / CHUNK_PAGES == chunk->index && !(chunk->dirty & page_bit(page)); page++)
			;
		if (page / CHUNK_PAGES != chunk->index)
			continue;
		if (page > last || page >= end)
			return 0;
		for (run->first = page; page <= last && page < end && run->count < run->max; page++) {
			struct chunk *at = chunk_of_page(c, page);
			if (!at || !(at->dirty & page_bit(page)))
				break;
			r = run_page(run, at, page % CHUNK_PAGES, c->size);
			if (r < 0)
				break;
			if (page == run->first || page % CHUNK_PAGES == 0)
				at->writing++;
			chunk_taken(at, page_bit(page));
			run->length += run->iov[run->count++].iov_len;
		}
		break;
	}
	return run->count ? 1 : r;
}

static int run_write(struct cinode *c, const struct ls_call *call, struct run *run, unsigned flags)
{
	uint64_t done = 0, i = 0;
	off_t end;

	while (done < run->length) {
		ssize_t n = ls_write(c->cache->below, call, c->writer, run->iov + i, run->count - i,
				     run->first * CACHE_PAGE + done, flags, &end);
		if (n <= 0)
			return n < 0 ? n : -EIO;
		done += n;
		for (; i < run->count && (size_t)n >= run->iov[i].iov_len; i++)
			n -= run->iov[i].iov_len;
		if (i < run->count && n) {
			run->iov[i].iov_base = (char *)run->iov[i].iov_base + n;
			run->iov[i].iov_len -= n;
		}
	}
	return 0;
}

/* With the lock held for writing. Pages that became dirty again meanwhile have been counted for it. */
static void run_done(struct cinode *c, const struct run *run, int r)
{
	uint64_t clean = 0, end = run->first * CACHE_PAGE + run->length;

	for (uint64_t page = run->first; page < run->first + run->count; page++) {
		struct chunk *chunk = chunk_of_page(c, page);
		if (page == run->first || page % CHUNK_PAGES == 0)
			chunk->writing--;
		if (r == 0 || (chunk->dirty & page_bit(page))) {
			clean++;
		} else {
			chunk->dirty |= page_bit(page);
			chunk_tag(c, chunk);
		}
	}
	c->dirty_pages -= clean;
	__atomic_sub_fetch(&c->cache->budget->dirty, clean * CACHE_PAGE, __ATOMIC_RELAXED);
	c->below_version++;
	if (r == 0 && end > c->below_size)
		c->below_size = end;
	if (end > c->below_bytes)
		c->below_bytes = end; /* a failure, too, may have written some */
	if (r == 0)
		figure_add(&c->cache->figures.written, clean);
}

static void error_raise(struct cinode *c, int r)
{
	figure_add(&c->cache->figures.failed, 1);
	pthread_rwlock_wrlock(&c->lock);
	c->error = r;
	c->error_seq++;
	c->error_seen = false;
	pthread_rwlock_unlock(&c->lock);
}

static int64_t pages_write(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last,
			   unsigned flags)
{
	struct run *run = run_new(c->cache);
	int64_t written = 0;
	int r = run ? 1 : -ENOMEM;

	flags |= c->cache->asks ? LS_WRITE_KEPT : 0;
	while (r == 1) {
		pthread_rwlock_wrlock(&c->lock);
		r = run_take(c, run, first, last);
		pthread_rwlock_unlock(&c->lock);
		if (r != 1)
			break;
		r = run_write(c, call, run, flags);
		pthread_rwlock_wrlock(&c->lock);
		run_done(c, run, r);
		pthread_rwlock_unlock(&c->lock);
		if (r < 0)
			break;
		written += run->length;
		first = run->first + run->count;
		r = 1;
	}
	run_free(run);
	if (r == -ESTALE)
		r = keep_overtaken(c);
	return r < 0 ? r : written;
}

/* Begins and ends a time in which ctime below changes by what we do. 1: there is something to write. */
static int writing_begin(struct cinode *c)
{
	int some;

	pthread_rwlock_wrlock(&c->lock);
	cshare_look(c);
	if (c->share)
		cshare_scan(c);
	some = c->dirty_pages || c->times_dirty || c->size != c->below_size;
	c->writing_back += some;
	pthread_rwlock_unlock(&c->lock);
	return some;
}

static void writing_end(struct cinode *c, const struct ls_attr *after, const struct ls_attr *told)
{
	pthread_rwlock_wrlock(&c->lock);
	c->writing_back--;
	if (after)
		c->below_ctime = after->ctime;
	if (after && told)
		c->times_dirty = memcmp(&told->mtime, &c->mtime, sizeof(c->mtime)) != 0 ||
				 memcmp(&told->atime, &c->atime, sizeof(c->atime)) != 0;
	pthread_rwlock_unlock(&c->lock);
}

int writeback_pages(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last,
		    unsigned flags)
{
	struct ls_attr after;
	int64_t n;
	int r;

	if (!writing_begin(c))
		return 0;
	n = below_writer(c, call);
	if (n == 0)
		n = pages_write(c, call, first, last, flags);
	if (n < 0)
		error_raise(c, n);
	r = ls_getattr(c->cache->below, call, c->below, c->writer, &after);
	writing_end(c, r == 0 ? &after : NULL, NULL);
	return n < 0 ? n : 0;
}

/* Size, if it is not so below; and the times, which writing has changed. */
static int attr_write(struct cinode *c, const struct ls_call *call, struct ls_attr *ret_told,
		      struct ls_attr *ret_after)
{
	struct ls_attr told;
	unsigned set = LS_SET_MTIME | LS_SET_ATIME | LS_SET_CTIME;
	int r;

	pthread_rwlock_rdlock(&c->lock);
	told = (struct ls_attr){.size = c->size, .atime = c->atime, .mtime = c->mtime, .ctime = c->ctime};
	if (c->size != c->below_size)
		set |= LS_SET_SIZE;
	pthread_rwlock_unlock(&c->lock);
	r = ls_setattr(c->cache->below, call, c->below, c->writer, &told, set, ret_after);
	if (r < 0)
		return r;
	if (set & LS_SET_SIZE) {
		pthread_rwlock_wrlock(&c->lock);
		c->below_size = told.size;
		c->below_bytes = told.size < c->below_bytes ? told.size : c->below_bytes;
		pthread_rwlock_unlock(&c->lock);
	}
	*ret_told = told;
	return 0;
}

int writeback_all(struct cinode *c, const struct ls_call *call, unsigned flags)
{
	struct ls_attr told, after;
	int64_t n;
	int r = 0;

	if (!writing_begin(c))
		return 0;
	n = below_writer(c, call);
	if (n == 0)
		n = pages_write(c, call, 0, UINT64_MAX / CACHE_PAGE, flags);
	if (n >= 0 && !cinode_is_kept(c)) { /* while it was written: its times are for others, too, to set now */
		writing_end(c, NULL, NULL);
		return 0;
	}
	r = n < 0 ? n : attr_write(c, call, &told, &after);
	if (r < 0)
		error_raise(c, r);
	writing_end(c, r == 0 ? &after : NULL, &told);
	return r;
}

int writeback(struct cinode *c, const struct ls_call *call)
{
	int r;

	pthread_mutex_lock(&c->io);
	r = cinode_is_kept(c) ? writeback_all(c, call, 0) : keep_settle(c, call);
	pthread_mutex_unlock(&c->io);
	cflusher_done(c, call, r);
	below_settle(c, call);
	return r;
}

/* The first dirty inode, held. */
static struct cinode *dirty_first(struct cache *cache)
{
	struct cinode *c;

	pthread_mutex_lock(&cache->dirty_lock);
	c = TAILQ_FIRST(&cache->dirty);
	if (c)
		cinode_hold(c);
	pthread_mutex_unlock(&cache->dirty_lock);
	return c;
}

int writeback_oldest(struct cache *cache, const struct ls_call *call)
{
	struct cinode *c = dirty_first(cache);
	int r;

	if (!c)
		return -ENOENT;
	r = writeback(c, call);
	cinode_put(c, call);
	return r;
}

/* Every inode that is dirty now; those that become so meanwhile are not waited for. */
int writeback_sync(struct cache *cache, const struct ls_call *call)
{
	struct cinode *c, **list;
	size_t n = 0, i = 0;
	int r = 0, e;

	pthread_mutex_lock(&cache->dirty_lock);
	TAILQ_FOREACH(c, &cache->dirty, dirty_link)
	n++;
	list = calloc(n ? n : 1, sizeof(*list));
	if (list)
		TAILQ_FOREACH(c, &cache->dirty, dirty_link)
		{
			cinode_hold(c);
			list[i++] = c;
		}
	pthread_mutex_unlock(&cache->dirty_lock);
	if (!list)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		e = writeback(list[i], call);
		r = r < 0 ? r : e;
		cinode_put(list[i], call);
	}
	free(list);
	return r;
}
