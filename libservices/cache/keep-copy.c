/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's copy of a file without a delegation.
 *
 * What the kernel has (FUSE passthrough) cannot be taken from it. Such a file stays here as a copy, which counts for nobody but
 * the kernel: all else is done below. The copy is made anew whenever the file is opened and below has changed, and what is
 * changed here by others than the kernel is changed in it, too; what the kernel has changed is written when it closes the
 * file, and before anything else is done with it.
 */
#include <stdlib.h>
#include <string.h>

#include "libservices/cache/cache.h"
#include "libservices/cache/keep.h"
#include "libservices/rules.h"

bool keep_is_copy(const struct cinode *c)
{
	return c->share && c->share->count[LS_SHARE_KERNEL];
}

void keep_copy_times(struct cinode *c, const struct ls_call *call)
{
	struct ls_attr attr;

	if (ls_getattr(c->cache->below, call, c->below, NULL, &attr) < 0)
		return;
	pthread_rwlock_wrlock(&c->lock);
	c->mtime = attr.mtime;
	c->ctime = attr.ctime;
	pthread_rwlock_unlock(&c->lock);
}

/* With the lock held for writing. */
static void copy_size(struct cinode *c, const struct ls_attr *attr)
{
	uint64_t old = c->size, end = (old + CACHE_PAGE - 1) / CACHE_PAGE * CACHE_PAGE;

	if (attr->size < old) {
		cshare_before_cut(c);
		body_drop(c, (attr->size + CACHE_PAGE - 1) / CACHE_PAGE, UINT64_MAX / CACHE_PAGE);
	} else {
		body_zero(c, old, attr->size < end ? attr->size : end);
	}
	keep_adopt(c, attr);
	cshare_size(c);
}

/*
 * With the lock held for writing. What the kernel may have changed is compared, by hashes, with what it was below: a page that
 * is still that below stays as it is here, and so does one that the kernel has changed, which is to be written.
 */
static int copy_page(struct cinode *c, uint64_t page, char buf[static CACHE_PAGE], uint64_t length)
{
	struct chunk *chunk = chunk_of_page(c, page);
	uint64_t *hash = chunk && chunk->hash ? &chunk->hash[page % CHUNK_PAGES] : NULL, now;
	char here[CACHE_PAGE] = "";

	memset(buf + length, 0, CACHE_PAGE - length);
	now = cpage_hash(buf);
	if (hash && *hash == now)
		return 0;
	if (hash && *hash && (body_read(c, here, page * CACHE_PAGE, length) < 0 || cpage_hash(here) != *hash))
		return 0;
	if (hash)
		*hash = now;
	return body_write(c, buf, page * CACHE_PAGE, length);
}

void keep_copy_void(struct cinode *c)
{
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk; chunk = chunk_from(c, chunk->index + 1, false)) {
		chunk_forget_dirt(chunk, chunk->dirty);
		if (chunk->hash)
			memset(chunk->hash, 0, CHUNK_PAGES * sizeof(*chunk->hash));
	}
}

static int copy_bytes(struct cinode *c, const struct ls_call *call, struct ls_file *file, uint64_t from, uint64_t to)
{
	char *buf = malloc(CACHE_SEGMENT);
	ssize_t n = buf ? 1 : -ENOMEM;
	int r = 0;

	for (from -= from % CACHE_PAGE; n > 0 && from < to && r == 0; from += CACHE_SEGMENT) {
		struct iovec iov = {buf, CACHE_SEGMENT};
		n = ls_read(c->cache->below, call, file, &iov, 1, from);
		pthread_rwlock_wrlock(&c->lock);
		for (uint64_t at = 0; n > 0 && at < (uint64_t)n && from + at < c->size && r == 0; at += CACHE_PAGE)
			r = copy_page(c, page_index(from + at), buf + at, n - at < CACHE_PAGE ? n - at : CACHE_PAGE);
		pthread_rwlock_unlock(&c->lock);
	}
	free(buf);
	return n < 0 ? n : r;
}

int keep_copy_refresh(struct cinode *c, const struct ls_call *call, uint64_t from, uint64_t to)
{
	struct ls_file *file;
	struct ls_attr attr;
	bool changed;
	int r = below_take(c, call, &file);

	if (r < 0)
		return r;
	r = ls_getattr(c->cache->below, call, c->below, file, &attr);
	if (r == 0) {
		pthread_rwlock_wrlock(&c->lock);
		changed = attr.size != c->size || !ls_time_equal(attr.mtime, c->mtime) || !ls_time_equal(attr.ctime, c->ctime);
		copy_size(c, &attr);
		pthread_rwlock_unlock(&c->lock);
		if (changed && from >= to)
			to = attr.size;
		r = copy_bytes(c, call, file, from, to < attr.size ? to : attr.size);
	}
	below_unuse(c);
	return r;
}

bool keep_has_copy(struct cinode *c)
{
	bool copy;

	pthread_rwlock_rdlock(&c->lock);
	copy = keep_is_copy(c) && !cinode_is_kept(c);
	pthread_rwlock_unlock(&c->lock);
	return copy;
}

int keep_copy_look(struct cinode *c, const struct ls_call *call, uint64_t from, uint64_t to)
{
	int r;

	if (!keep_has_copy(c))
		return 0;
	r = writeback(c, call);
	pthread_mutex_lock(&c->io);
	if (r == 0 && keep_has_copy(c))
		r = keep_copy_refresh(c, call, from, to);
	pthread_mutex_unlock(&c->io);
	return r;
}

int keep_open(struct cinode *c, const struct ls_call *call)
{
	__atomic_store_n(&c->keep_after, 0, __ATOMIC_RELAXED);
	return c->cache->asks ? keep_copy_look(c, call, 0, 0) : 0;
}
