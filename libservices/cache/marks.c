/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sharers have changed.
 *
 * Copying clients set marks. The kernel and programs' own mappings set none: there each page is compared,
 * by a hash of 64 bits, with what it was when it was written back or read last. Nothing here is believed
 * further than that a page ought to be looked at: times are held to be of the past, sizes within what was
 * granted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/cache/cache.h"

#define SECOND 1000000000ll

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Somebody stored, at that time by his own account. */
static void stored_at(struct cinode *c, struct timespec when)
{
	struct timespec now;

	cinode_own(c);
	clock_gettime(CLOCK_REALTIME, &now);
	if (is_later(&when, &now))
		when = now;
	if (!is_later(&when, &c->mtime))
		return;
	c->mtime = c->ctime = when;
	c->times_dirty = true;
	__atomic_store_n(&c->atime_due, true, __ATOMIC_RELAXED);
	cflusher_note(c);
}

/* ---- marks
 * ------------------------------------------------------------------------------------------------- */

static void region_merge(struct cinode *c, uint64_t region)
{
	uint8_t *mark = c->share->marks->page + region * SHARE_REGION;
	uint64_t first = region * SHARE_REGION;

	for (unsigned i = 0; i < SHARE_REGION; i += 8) {
		uint64_t eight;
		memcpy(&eight, mark + i, sizeof(eight));
		for (unsigned k = i; eight && k < i + 8; k++)
			if (__atomic_load_n(&mark[k], __ATOMIC_RELAXED) &&
			    __atomic_exchange_n(&mark[k], 0, __ATOMIC_SEQ_CST))
				body_dirty(c, first + k, first + k);
	}
}

static void marks_merge(struct cinode *c)
{
	struct share_marks *m = c->share->marks;
	uint64_t size = c->size > c->share->granted ? c->size : c->share->granted;
	uint64_t regions = (size / CACHE_PAGE + SHARE_REGION) / SHARE_REGION;
	int64_t mtime;

	__atomic_store_n(&m->any, 0, __ATOMIC_SEQ_CST);
	for (uint64_t r = 0; r < regions && r < SHARE_REGIONS_MAX; r++)
		if (__atomic_load_n(&m->region[r], __ATOMIC_RELAXED) &&
		    __atomic_exchange_n(&m->region[r], 0, __ATOMIC_SEQ_CST))
			region_merge(c, r);
	mtime = __atomic_exchange_n(&m->mtime, 0, __ATOMIC_SEQ_CST);
	if (mtime > 0)
		stored_at(c, (struct timespec){mtime / SECOND, mtime % SECOND});
}

/* So many pages have been found to be changed by who was not asked: they are going below. */
static void stored_bytes(struct cinode *c, uint64_t dirty_before)
{
	if (c->dirty_pages > dirty_before)
		__atomic_store_n(&c->cache->owed,
				 cache_moved(c->cache, &cflusher_call, true, (c->dirty_pages - dirty_before) * CACHE_PAGE),
				 __ATOMIC_RELAXED);
}

void cshare_merge(struct cinode *c)
{
	struct share *s = c->share;
	uint64_t dirty = c->dirty_pages;

	if (s->count[LS_SHARE_WRITE] || s->grant_session != UINT32_MAX ||
	    __atomic_load_n(&s->marks->any, __ATOMIC_SEQ_CST)) {
		cgrant_merge(c);
		marks_merge(c);
	}
	if (cshare_kernel_writes(c))
		cshare_kernel_merge(c);
	stored_bytes(c, dirty);
	cshare_writable(c);
}

/* ---- without marks
 * -------------------------------------------------------------------------------------------- */

uint64_t cpage_hash(const void *page)
{
	const char *p = page;
	uint64_t a = 0x9e3779b97f4a7c15u, b = 0xbf58476d1ce4e5b9u;

	for (unsigned i = 0; i < CACHE_PAGE; i += 16) {
		uint64_t x, y;
		memcpy(&x, p + i, 8);
		memcpy(&y, p + i + 8, 8);
		a = (a ^ x) * 0x9fb21c651e98df25u;
		b = (b ^ y) * 0xd6e8feb86659fd93u;
		a ^= a >> 32;
		b ^= b >> 29;
	}
	a = (a ^ b >> 7) * 0x94d049bb133111ebu + b;
	a ^= a >> 31;
	return a ? a : 1;
}

/* The chunk's bytes as they would be written back. */
static int chunk_take(const struct chunk *chunk, char buf[static CACHE_CHUNK])
{
	const struct cinode *c = chunk->inode;
	uint64_t start = chunk->index * CACHE_CHUNK, n = c->size > start ? c->size - start : 0;

	n = n < CACHE_CHUNK ? n : CACHE_CHUNK;
	memset(buf + n, 0, CACHE_CHUNK - n);
	return body_read(c, buf, start, n);
}

static bool is_mapped_to_write(const struct share *s, uint64_t page)
{
	const struct share_range *range;

	LIST_FOREACH(range, &s->ranges, link)
	if ((range->how == LS_SHARE_MAP_WRITE || range->how == LS_SHARE_KERNEL_WRITE) && range->first <= page && page <= range->last)
		return true;
	return false;
}

/* Pages that may have been changed without a mark: of those that are there and not dirty. */
static unsigned suspects(const struct cinode *c, const struct chunk *chunk)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		uint64_t page = chunk->index * CHUNK_PAGES + i;
		if ((chunk->present & ~chunk->dirty & 1u << i) && page * CACHE_PAGE < c->size &&
		    is_mapped_to_write(c->share, page))
			mask |= 1u << i;
	}
	return mask;
}

static bool hashes_make(struct chunk *chunk)
{
	if (!chunk->hash)
		chunk->hash = calloc(CHUNK_PAGES, sizeof(*chunk->hash));
	return chunk->hash != NULL;
}

static bool chunk_scan(struct cinode *c, struct chunk *chunk, char buf[static CACHE_CHUNK])
{
	unsigned mask = suspects(c, chunk);
	bool changed = false;

	if (!mask || chunk_take(chunk, buf) < 0)
		return false;
	hashes_make(chunk);
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		uint64_t page = chunk->index * CHUNK_PAGES + i;
		if (!(mask & 1u << i) ||
		    (chunk->hash && chunk->hash[i] == cpage_hash(buf + i * CACHE_PAGE)))
			continue;
		body_dirty(c, page, page);
		changed = true;
	}
	return changed;
}

void cshare_scan(struct cinode *c)
{
	uint64_t dirty = c->dirty_pages;
	bool changed = false;
	char *buf;

	if (!c->share->count[LS_SHARE_MAP_WRITE] && !cshare_kernel_writes(c))
		return;
	if (cshare_kernel_writes(c))
		cshare_kernel_holes(c);
	buf = malloc(CACHE_CHUNK);
	if (!buf) { /* better too much than too little */
		body_dirty(c, 0, UINT64_MAX / CACHE_PAGE);
		return;
	}
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk; chunk = chunk_from(c, chunk->index + 1, false))
		changed |= chunk_scan(c, chunk, buf);
	free(buf);
	stored_bytes(c, dirty);
	/* Not if the kernel has said when it wrote. */
	if (changed && !c->share->stored)
		cinode_touch(c);
	c->share->stored = false;
}

static int chunk_hash(struct chunk *chunk, char buf[static CACHE_CHUNK])
{
	unsigned mask = chunk->present & ~chunk->dirty;
	int r;

	if (!hashes_make(chunk))
		return -ENOMEM;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		if (chunk->hash[i])
			mask &= ~(1u << i);
	r = mask ? chunk_take(chunk, buf) : 0;
	for (unsigned i = 0; i < CHUNK_PAGES && r == 0; i++)
		if (mask & 1u << i)
			chunk->hash[i] = cpage_hash(buf + i * CACHE_PAGE);
	return r;
}

int cshare_hash(struct cinode *c, const struct share_range *range)
{
	char *buf = malloc(CACHE_CHUNK);
	int r = buf ? 0 : -ENOMEM;

	pthread_rwlock_wrlock(&c->lock);
	for (struct chunk *chunk = chunk_from(c, range->first / CHUNK_PAGES, false); chunk && r == 0;
	     chunk = chunk_from(c, chunk->index + 1, false)) {
		if (chunk->index * CHUNK_PAGES > range->last)
			break;
		r = chunk_hash(chunk, buf);
	}
	pthread_rwlock_unlock(&c->lock);
	free(buf);
	return r;
}
