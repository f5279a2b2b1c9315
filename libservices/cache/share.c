/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sharing a file's cached bytes with clients, as ipc/wire-share.h says.
 *
 * The first share moves the bytes into a data file and makes the two others, memory files that nobody can
 * cut: `state` that nobody but us can write, `marks` that writers can. All are sparse and as long as the
 * largest shared file needs, so they never grow. We decide by what we know ourselves and never by what is
 * in them, but for marks and the time and size beside them, which are hints.
 *
 * Programs' own mappings, and the kernel's, need their pages to be there and to stay, and the data file to
 * end where the file does (`exact`). If copying clients have the data file already when it becomes exact,
 * it is replaced by a new one: they have not counted themselves as copying, and must not find it cut.
 *
 * A chunk of a shared file is evicted by making its words absent, looking at its marks, and only then
 * punching it: a client that stored into it before saw the words and has set a mark, or sees them now and
 * sends its write again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

enum { LENGTH_STEP = 1 << 20 }; /* by which the data file of a growing file is extended */

static uint64_t pages_of(uint64_t size)
{
	return (size + CACHE_PAGE - 1) / CACHE_PAGE;
}

/* ---- words
 * ----------------------------------------------------------------------------------------------- */

static bool is_here(const struct cinode *c, uint64_t page)
{
	return page < c->share->pages && (c->share->state->page[page] & SHARE_PRESENT);
}

/* The bytes are there before the word says so. */
void cshare_came(struct cinode *c, uint64_t page)
{
	if (page < c->share->pages && !is_here(c, page))
		__atomic_store_n(&c->share->state->page[page], c->share->state->page[page] + 1,
				 __ATOMIC_RELEASE);
}

/* Clients have to see this before they can see anything that we do afterwards: partner is their second
 * look. */
static void word_leave(struct cinode *c, uint64_t page)
{
	if (is_here(c, page))
		__atomic_store_n(&c->share->state->page[page], c->share->state->page[page] + 1,
				 __ATOMIC_SEQ_CST);
}

bool cshare_goes(struct chunk *chunk, unsigned mask)
{
	struct cinode *c = chunk->inode;
	uint64_t start = chunk->index * CHUNK_PAGES;

	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		if (mask & 1u << i)
			word_leave(c, start + i);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	cshare_merge(c);
	if (!(chunk->dirty & mask))
		return false;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		if (mask & 1u << i)
			cshare_came(c, start + i);
	return true;
}

void cshare_went(struct cinode *c, uint64_t first, uint64_t last)
{
	uint64_t end = c->share->pages;

	for (struct chunk *chunk = chunk_from(c, first / CHUNK_PAGES, false); chunk;
	     chunk = chunk_from(c, chunk->index + 1, false))
		for (uint64_t page = chunk->index * CHUNK_PAGES;
		     page < (chunk->index + 1) * CHUNK_PAGES && page < end; page++)
			if (page >= first && page <= last)
				word_leave(c, page);
}

/* ---- what is shared how
 * ------------------------------------------------------------------------------------ */

bool cshare_is_exact(const struct share *s)
{
	return s->count[LS_SHARE_MAP] + s->count[LS_SHARE_MAP_WRITE] + s->count[LS_SHARE_KERNEL] +
		       s->count[LS_SHARE_KERNEL_WRITE] >
	       0;
}

bool cshare_writes(const struct cinode *c)
{
	const struct share *s = c->share;

	return s && s->count[LS_SHARE_WRITE] + s->count[LS_SHARE_MAP_WRITE] + s->count[LS_SHARE_KERNEL_WRITE] > 0;
}

bool cshare_keeps(const struct chunk *chunk)
{
	const struct share *s = chunk->inode->share;
	uint64_t first = chunk->index * CHUNK_PAGES, last = first + CHUNK_PAGES - 1;
	const struct share_range *range;

	if (!s)
		return false;
	LIST_FOREACH(range, &s->ranges, link)
	if (range->first <= last && first <= range->last)
		return true;
	/* What is granted is there to be appended to. */
	return s->grant_session != UINT32_MAX && (last + 1) * CACHE_PAGE > chunk->inode->size;
}

void cshare_writable(struct cinode *c)
{
	const struct budget *b = c->cache->budget;
	bool throttled = __atomic_load_n(&b->dirty, __ATOMIC_RELAXED) > budget_dirty_limit(b);
	uint32_t may = c->share->count[LS_SHARE_WRITE] && !c->share->set_id && !throttled && cinode_may_store(c);

	if (c->share->state->writable != may)
		__atomic_store_n(&c->share->state->writable, may, __ATOMIC_SEQ_CST);
}

void cshare_mode(struct cinode *c, uint32_t mode)
{
	if (!c->share)
		return;
	c->share->set_id = mode & (S_ISUID | S_ISGID);
	cshare_writable(c);
}

void cshare_epoch(struct share *s)
{
	__atomic_add_fetch(&s->state->epoch, 1, __ATOMIC_SEQ_CST);
}

/* Words and marks of the pages that the file has, whether they were ever touched or not. */
static void share_charge(struct cinode *c)
{
	struct share *s = c->share;
	uint64_t pages = pages_of(c->size) < s->pages ? pages_of(c->size) : s->pages,
		 bytes = 4 * CACHE_PAGE + pages * (sizeof(uint32_t) + 1);

	budget_charge(c->cache->budget, NULL, (int64_t)bytes - (int64_t)s->charged);
	s->charged = bytes;
}

/* The data file becomes shorter only if nobody can be copying from it. */
void cshare_length(struct cinode *c, bool may_cut)
{
	struct share *s = c->share;
	uint64_t end = s->granted > c->size ? s->granted : c->size,
		 step = c->data_large ? CACHE_PAGE : LENGTH_STEP, /* see data.c */
		 length = cshare_is_exact(s) ? end : (end + step - 1) / step * step;

	if (length == s->length || (length < s->length && !may_cut))
		return;
	if (cshare_kernel_writes(c) ? cshare_kernel_length(c, length) : ftruncate(c->data, length) == 0)
		s->length = length;
}

void cshare_size(struct cinode *c)
{
	struct share *s = c->share;

	if (!s)
		return;
	cshare_length(c, s->may_cut);
	s->may_cut = false;
	__atomic_store_n(&s->state->size, c->size, __ATOMIC_SEQ_CST);
	share_charge(c);
}

/* If some client does not come out, the data file stays as long as it is: mappings then read zeros behind
 * the end. */
void cshare_before_cut(struct cinode *c)
{
	struct ls *ls = c->cache->ls;

	if (!c->share || !cshare_is_exact(c->share))
		return;
	cshare_epoch(c->share);
	c->share->may_cut = !ls->settle || ls->settle(ls->settle_arg);
}
