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
#include <sys/stat.h>

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

/* ---- the kernel's
 * ------------------------------------------------------------------------------------------- */

/* Through FUSE passthrough the kernel writes and cuts the data file as if it were the file. */
static void kernel_merge(struct cinode *c)
{
	struct share *s = c->share;
	struct stat st;

	if (fstat(c->data, &st) < 0)
		return;
	if ((uint64_t)st.st_size != s->length) {
		uint64_t old = c->size;
		s->length = st.st_size;
		c->size = st.st_size;
		cinode_own(c);
		if (c->size < old) {
			body_drop(c, (c->size + CACHE_PAGE - 1) / CACHE_PAGE, UINT64_MAX / CACHE_PAGE);
			c->cut_to = c->size < c->cut_to ? c->size : c->cut_to;
			c->below_size = c->size < c->below_size ? c->size : c->below_size;
			c->below_bytes = c->size < c->below_bytes ? c->size : c->below_bytes;
		} else {
			for (uint64_t page = page_index(old); page * CACHE_PAGE < c->size; page++)
				body_adopt(c, page);
		}
		__atomic_store_n(&s->state->size, c->size, __ATOMIC_SEQ_CST);
		cflusher_note(c);
	}
	if (is_later(&st.st_mtim, &s->mtime) && !s->wrote)
		stored_at(c, st.st_mtim);
	s->mtime = st.st_mtim;
	s->wrote = false;
}

void cshare_merge(struct cinode *c)
{
	struct share *s = c->share;

	if (s->count[LS_SHARE_WRITE] || s->grant_session != UINT32_MAX ||
	    __atomic_load_n(&s->marks->any, __ATOMIC_SEQ_CST)) {
		cgrant_merge(c);
		marks_merge(c);
	}
	if (s->count[LS_SHARE_KERNEL])
		kernel_merge(c);
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

/* The page, as it would be written back. */
static int page_take(const struct cinode *c, uint64_t page, char *buf)
{
	uint64_t start = page * CACHE_PAGE, n = c->size > start ? c->size - start : 0;

	n = n < CACHE_PAGE ? n : CACHE_PAGE;
	memset(buf + n, 0, CACHE_PAGE - n);
	return body_read(c, buf, start, n);
}

static bool is_mapped_to_write(const struct share *s, uint64_t page)
{
	const struct share_range *range;

	LIST_FOREACH(range, &s->ranges, link)
	if (range->how != LS_SHARE_MAP && range->first <= page && page <= range->last)
		return true;
	return false;
}

void cshare_scan(struct cinode *c)
{
	bool changed = false;
	char buf[CACHE_PAGE];

	if (!c->share->count[LS_SHARE_MAP_WRITE] && !c->share->count[LS_SHARE_KERNEL])
		return;
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk;
	     chunk = chunk_from(c, chunk->index + 1, false))
		for (unsigned i = 0; i < CHUNK_PAGES; i++) {
			uint64_t page = chunk->index * CHUNK_PAGES + i;
			if (!(chunk->present & ~chunk->dirty & 1u << i) || page * CACHE_PAGE >= c->size ||
			    !is_mapped_to_write(c->share, page) || page_take(c, page, buf) < 0)
				continue;
			if (chunk->hash && chunk->hash[i] == cpage_hash(buf))
				continue;
			body_dirty(c, page, page);
			if (!chunk->hash)
				chunk->hash = calloc(CHUNK_PAGES, sizeof(*chunk->hash));
			changed = true;
		}
	if (changed)
		cinode_touch(c);
}

int cshare_hash(struct cinode *c, const struct share_range *range)
{
	char buf[CACHE_PAGE];
	int r = 0;

	pthread_rwlock_wrlock(&c->lock);
	for (struct chunk *chunk = chunk_from(c, range->first / CHUNK_PAGES, false); chunk && r == 0;
	     chunk = chunk_from(c, chunk->index + 1, false)) {
		if (chunk->index * CHUNK_PAGES > range->last)
			break;
		if (!chunk->hash && !(chunk->hash = calloc(CHUNK_PAGES, sizeof(*chunk->hash))))
			r = -ENOMEM;
		for (unsigned i = 0; i < CHUNK_PAGES && r == 0; i++)
			if ((chunk->present & ~chunk->dirty & 1u << i) && !(chunk->hash[i]) &&
			    (r = page_take(c, chunk->index * CHUNK_PAGES + i, buf)) == 0)
				chunk->hash[i] = cpage_hash(buf);
	}
	pthread_rwlock_unlock(&c->lock);
	return r;
}
