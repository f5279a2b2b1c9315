/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: blocks of files in memory.
 *
 * They are there for data that comes or goes in small or unaligned pieces, and for what is not written yet;
 * large transfers pass by. A file's pages are an array, ascending. Dirty ones have a block promised if the
 * file has none for them; where that will be is decided when they are written. The bytes of a page beyond
 * the end of the file are 0.
 *
 * All pages together are bounded by the option `buffer`: clean ones go, dirty ones are written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

/* ---- the lists of inodes with pages: those with dirty ones, the others; the newest first ----- */

/* With paged_lock held. */
static void paged_remove(struct vol_inode *inode)
{
	struct vol_paged *list = inode->paged;

	*(inode->paged_newer ? &inode->paged_newer->paged_older : &list->newest) = inode->paged_older;
	*(inode->paged_older ? &inode->paged_older->paged_newer : &list->oldest) = inode->paged_newer;
	__atomic_store_n(&inode->paged, NULL, __ATOMIC_RELEASE);
}

static void paged_add(struct vol_inode *inode, struct vol_paged *list)
{
	inode->paged_newer = NULL;
	inode->paged_older = list->newest;
	*(list->newest ? &list->newest->paged_newer : &list->oldest) = inode;
	list->newest = inode;
	__atomic_store_n(&inode->paged, list, __ATOMIC_RELEASE);
}

static void pages_move(struct vol *v, struct vol_inode *inode, struct vol_paged *list)
{
	pthread_mutex_lock(&v->paged_lock);
	if (inode->paged && inode->paged != list) {
		paged_remove(inode);
		paged_add(inode, list);
	}
	pthread_mutex_unlock(&v->paged_lock);
}

static void pages_join(struct vol *v, struct vol_inode *inode)
{
	if (__atomic_load_n(&inode->paged, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&v->paged_lock);
	paged_add(inode, &v->paged[VOL_PAGED_CLEAN]);
	pthread_mutex_unlock(&v->paged_lock);
}

void vol_pages_leave(struct vol *v, struct vol_inode *inode, bool anyway)
{
	if (!anyway && (inode->page_count || inode->logged))
		return;
	pthread_mutex_lock(&v->paged_lock);
	if (inode->paged)
		paged_remove(inode);
	pthread_mutex_unlock(&v->paged_lock);
	vol_inode_settle(v, inode);
}

uint64_t vol_page_after(const struct vol_inode *inode, uint64_t index)
{
	uint64_t low = 0, high = inode->page_count;

	if (high && inode->page[high - 1]->index < index)
		return high;
	while (low < high) {
		uint64_t middle = (low + high) / 2;
		if (inode->page[middle]->index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t vol_pages_gap(const struct vol_inode *inode, uint64_t index, uint64_t max)
{
	uint64_t at = vol_page_after(inode, index), n;

	if (at == inode->page_count)
		return max;
	n = inode->page[at]->index - index;
	return n < max ? n : max;
}

struct vol_page *vol_page_find(struct vol_inode *inode, uint64_t index)
{
	uint64_t at = vol_page_after(inode, index);

	return at < inode->page_count && inode->page[at]->index == index ? inode->page[at] : NULL;
}

static int page_insert(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	uint64_t at = vol_page_after(inode, p->index), max = inode->page_max ? inode->page_max * 2 : 4;
	struct vol_page **page;

	if (inode->page_count == inode->page_max) {
		page = realloc(inode->page, max * sizeof(*page));
		if (!page)
			return -ENOMEM;
		inode->page = page;
		inode->page_max = max;
	}
	memmove(inode->page + at + 1, inode->page + at, (inode->page_count - at) * sizeof(*inode->page));
	inode->page[at] = p;
	inode->page_count++;
	__atomic_add_fetch(&v->pages, 1, __ATOMIC_RELAXED);
	pages_join(v, inode);
	return 0;
}

static int page_fill(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	struct vol_run run;
	int r;

	if (p->index == 0 && inode->inlined) {
		r = vol_tree_get(v, vol_key(inode->ino, VF_INLINE, 0), p->data, VF_INLINE_MAX);
		if (r >= 0)
			memset(p->data + r, 0, VF_BLOCK - r);
		return r < 0 ? r : 0;
	}
	r = vol_map_find(v, inode, p->index, 1, &run);
	if (r == 0 && run.kind == VOL_WRITTEN)
		return vol_read_blocks(v, p->data, run.start, 1);
	memset(p->data, 0, VF_BLOCK);
	return r;
}

int vol_page_get(struct vol *v, struct vol_inode *inode, uint64_t index, bool fresh, struct vol_page **ret)
{
	struct vol_page *p = vol_page_find(inode, index);
	int r = 0;

	if (p) {
		*ret = p;
		return 0;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->index = index;
	p->data = vol_buffer_get(v);
	if (!p->data)
		r = -ENOMEM;
	else if (!fresh)
		r = page_fill(v, inode, p);
	if (r == 0)
		r = page_insert(v, inode, p);
	if (r < 0) {
		vol_buffer_put(v, p->data);
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int vol_page_reserve(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	struct vol_run run;
	int r;

	if (p->reserved)
		return 0;
	if (!inode->owed.count || vol_owed_take(inode, p->index, p->index + 1) == 0) {
		r = vol_map_find(v, inode, p->index, 1, &run);
		if (r < 0 || run.kind != VOL_HOLE)
			return r;
		r = vol_space_reserve(v, 1, 1);
		if (r < 0)
			return r;
	}
	p->reserved = true;
	__atomic_add_fetch(&inode->promised, 1, __ATOMIC_RELAXED);
	return 0;
}

void vol_page_promise(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	if (p->reserved)
		return;
	vol_space_promise(v, 1);
	p->reserved = true;
	__atomic_add_fetch(&inode->promised, 1, __ATOMIC_RELAXED);
}

void vol_page_dirty(struct vol *v, struct vol_inode *inode, struct vol_page *p, unsigned from, unsigned to)
{
	if (p->from == p->to) {
		p->from = from;
		p->to = to;
	} else {
		p->from = from < p->from ? from : p->from;
		p->to = to > p->to ? to : p->to;
	}
	if (p->dirty)
		return;
	p->dirty = true;
	if (__atomic_add_fetch(&inode->dirty_pages, 1, __ATOMIC_RELAXED) == 1)
		pages_move(v, inode, &v->paged[VOL_PAGED_DIRTY]);
	__atomic_add_fetch(&v->dirty_pages, 1, __ATOMIC_RELAXED);
}

void vol_page_clean(struct vol *v, struct vol_inode *inode, struct vol_page *p, bool kept)
{
	if (p->reserved) {
		__atomic_sub_fetch(&inode->promised, 1, __ATOMIC_RELAXED);
		vol_space_unreserve(v, kept ? 1 : 0);
	}
	if (p->dirty) {
		if (__atomic_sub_fetch(&inode->dirty_pages, 1, __ATOMIC_RELAXED) == 0)
			pages_move(v, inode, &v->paged[VOL_PAGED_CLEAN]);
		__atomic_sub_fetch(&v->dirty_pages, 1, __ATOMIC_RELAXED);
	}
	__atomic_sub_fetch(&v->logged_pages, p->logged, __ATOMIC_RELEASE);
	p->reserved = p->dirty = p->logged = false;
	p->from = p->to = 0;
}

static void page_free(struct vol *v, struct vol_inode *inode, struct vol_page *p)
{
	vol_page_clean(v, inode, p, true);
	vol_buffer_put(v, p->data);
	free(p);
	__atomic_sub_fetch(&v->pages, 1, __ATOMIC_RELAXED);
}

void vol_pages_drop(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end)
{
	uint64_t from = vol_page_after(inode, first), to = vol_page_after(inode, end);

	if (from == to)
		return;
	for (uint64_t i = from; i < to; i++)
		page_free(v, inode, inode->page[i]);
	memmove(inode->page + from, inode->page + to, (inode->page_count - to) * sizeof(*inode->page));
	inode->page_count -= to - from;
	if (inode->page_count == 0) {
		free(inode->page);
		inode->page = NULL;
		inode->page_max = 0;
	}
}

void vol_pages_drop_clean(struct vol *v, struct vol_inode *inode)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < inode->page_count; i++) {
		struct vol_page *p = inode->page[i];
		if (p->dirty)
			inode->page[kept++] = p;
		else
			page_free(v, inode, p);
	}
	inode->page_count = kept;
}
