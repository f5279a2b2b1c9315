/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing pages back.
 *
 * Blocks are chosen now, for many pages at once, so that what was written piece by piece lies together; and
 * for many files at once, so that many small files become one transfer. The data goes to its place first;
 * when it is there, one operation makes it part of the file. So a transaction never refers to a block whose
 * data the device has not got.
 *
 * A small file needs no block: its bytes are an item.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum {
	PAGES_AT_ONCE = 1024,
	FILES_AT_ONCE = 32,
	LOG_PAGES_MAX = 8, /* more than that of one file go to their places at once */
};

struct segment {
	struct vol_inode *inode;
	uint64_t page, first, count; /* place in inode->page; block of the file */
	struct vol_run run;
};

struct writing {
	struct vol *v;
	struct vol_batch *batch;
	struct segment *segment;
	size_t count, max;
	uint64_t pages;
};

int vol_claim(struct vol *v, uint64_t goal, uint64_t want, struct vol_range *ret)
{
	int r = vol_space_claim(v, goal, want, ret);

	/* There must be some, but they may wait for a transaction that frees them. */
	for (int i = 0; r == -ENOSPC && i < 3; i++) {
		r = vol_log_flush(v);
		if (r == 0)
			r = vol_space_claim(v, goal, want, ret);
	}
	return r;
}

/* The whole file, as an item: is it so small, and not on blocks already? */
static bool inode_inlines(const struct vol_inode *inode)
{
	const struct vol_page *p = inode->page_count ? inode->page[0] : NULL;

	return p && p->index == 0 && p->dirty && inode->blocks == 0 && inode->attr.size <= VF_INLINE_MAX;
}

/* Within an operation. */
static int inline_put(struct vol *v, struct vol_inode *inode)
{
	int r = vol_put(v, vol_key(inode->ino, VF_INLINE, 0), inode->page[0]->data, inode->attr.size);

	if (r == 0)
		r = vol_pages_forget(v, inode, 0, 1);
	if (r < 0)
		return r;
	__atomic_store_n(&inode->inlined, true, __ATOMIC_RELAXED);
	vol_clothe(inode);
	vol_pages_drop(v, inode, 0, 1); /* the item is as near */
	return 0;
}

/* All that was written is stored from now on. Within an operation. */
static void inode_secured(struct vol *v, struct vol_inode *inode)
{
	inode->disk_size = inode->attr.size;
	vol_inode_dirty(v, inode, true);
}

static int inode_inline(struct vol *v, struct vol_inode *inode)
{
	int r = vol_op_begin(v, 0);

	if (r < 0)
		return r;
	r = inline_put(v, inode);
	if (r == 0 && inode->dirty_pages == 0)
		inode_secured(v, inode);
	vol_op_end(v);
	vol_pages_leave(v, inode, false);
	return r;
}

/* ---- to their places ------------------------------------------------------------------------- */

/* Where the blocks before this one are: what follows should be there too. */
static uint64_t inode_goal(struct vol *v, struct vol_inode *inode, uint64_t first)
{
	struct vol_run run;

	if (first == 0 || vol_map_find(v, inode, first - 1, 1, &run) < 0 || run.kind == VOL_HOLE)
		return 0;
	return run.start + 1;
}

static int segment_add(struct writing *w, const struct segment *s)
{
	size_t max = w->max ? w->max * 2 : 32;
	struct segment *segment;

	if (w->count == w->max) {
		segment = realloc(w->segment, max * sizeof(*segment));
		if (!segment)
			return -ENOMEM;
		w->segment = segment;
		w->max = max;
	}
	w->segment[w->count++] = *s;
	w->pages += s->count;
	return 0;
}

static int segment_write(struct writing *w, const struct segment *s)
{
	struct iovec iov[64];
	uint64_t n;
	int r = 0;

	for (uint64_t i = 0; i < s->count && r == 0; i += n) {
		n = s->count - i < 64 ? s->count - i : 64;
		for (uint64_t j = 0; j < n; j++)
			iov[j] = (struct iovec){s->inode->page[s->page + i + j]->data, VF_BLOCK};
		struct vol_cursor c = {iov, n, 0};
		r = vol_batch_add(w->batch, s->run.start + i, n, &c);
	}
	return r;
}

static uint64_t goal_of(struct writing *w, struct vol_inode *inode, uint64_t first)
{
	const struct segment *last = w->count ? &w->segment[w->count - 1] : NULL;

	if (last && last->inode == inode && last->first + last->count == first)
		return last->run.start + last->count;
	return inode_goal(w->v, inode, first);
}

/* Pages i.. that follow each other, as far as they go to one place. */
static int segment_make(struct writing *w, struct vol_inode *inode, uint64_t i, uint64_t count)
{
	struct segment s = {.inode = inode, .page = i, .first = inode->page[i]->index};
	struct vol_range range;
	int r = vol_map_find(w->v, inode, s.first, count, &s.run);

	if (r == 0 && s.run.kind == VOL_HOLE) {
		r = vol_claim(w->v, goal_of(w, inode, s.first), s.run.count, &range);
		if (r == 0) {
			s.run.start = range.start;
			s.run.count = range.count;
		}
	}
	/* Zeros over what was there, before the transaction that cuts it off, would be a loss. */
	if (r == 0 && s.run.kind == VOL_WRITTEN && inode->logged)
		r = vol_log_commit(w->v, inode->logged);
	if (r < 0)
		return r;
	s.count = s.run.count;
	for (uint64_t j = 0; s.run.kind == VOL_HOLE && j < s.count; j++)
		vol_page_promise(w->v, inode, inode->page[i + j]);
	r = segment_add(w, &s);
	if (r < 0) {
		if (s.run.kind == VOL_HOLE)
			vol_space_unclaim(w->v, s.run.start, s.count);
		return r;
	}
	return segment_write(w, &s);
}

/* The file's dirty pages, as many as there is room for. */
static int writing_gather(struct writing *w, struct vol_inode *inode)
{
	uint64_t i = 0, n, count = inode->page_count;
	int r = 0;

	while (r == 0 && i < count && w->pages < PAGES_AT_ONCE) {
		if (!inode->page[i]->dirty) {
			i++;
			continue;
		}
		for (n = 1; i + n < count && inode->page[i + n]->dirty && n < PAGES_AT_ONCE &&
			    inode->page[i + n]->index == inode->page[i]->index + n;)
			n++;
		r = segment_make(w, inode, i, n);
		if (r == 0)
			i += w->segment[w->count - 1].count;
	}
	return r;
}

/* Within an operation. */
static int segment_publish(struct vol *v, const struct segment *s)
{
	struct vol_inode *inode = s->inode;
	bool hole = s->run.kind == VOL_HOLE;
	int r = 0;

	if (hole) {
		r = s->first == 0 ? vol_inline_drop(v, inode) : 0;
		if (r == 0)
			r = vol_use_blocks(v, s->run.start, s->count);
		if (r == 0)
			r = vol_map_set(v, inode, s->first, s->run.start, s->count, 0);
	} else if (s->run.kind == VOL_UNWRITTEN) {
		r = vol_map_written(v, inode, s->first, s->count);
	}
	if (r == 0)
		r = vol_pages_forget(v, inode, s->first, s->count);
	for (uint64_t i = 0; i < s->count && r == 0; i++)
		vol_page_clean(v, inode, inode->page[s->page + i], !hole);
	if (r == 0 && inode->dirty_pages == 0)
		inode_secured(v, inode);
	else if (r == 0)
		vol_inode_dirty(v, inode, true);
	return r;
}

static int writing_publish(struct writing *w)
{
	int r = vol_op_begin(w->v, 0);

	if (r < 0)
		return r;
	for (size_t i = 0; i < w->count && r == 0; i++)
		r = segment_publish(w->v, &w->segment[i]);
	vol_op_end(w->v);
	return r;
}

static int writing_begin(struct writing *w, struct vol *v)
{
	*w = (struct writing){.v = v, .batch = vol_batch_new(v, AREA_WRITE)};
	return w->batch ? 0 : -ENOMEM;
}

static int writing_end(struct writing *w, int r)
{
	r = vol_batch_end(w->batch, r);
	if (r < 0 && r != -ENOSPC && r != -ENOMEM && r != -EROFS)
		vol_fail(w->v, -EIO, "data cannot be written: %s", strerror(-r));
	if (r == 0)
		r = writing_publish(w);
	for (size_t i = 0; r < 0 && i < w->count; i++)
		if (w->segment[i].run.kind == VOL_HOLE)
			vol_space_unclaim(w->v, w->segment[i].run.start, w->segment[i].count);
	free(w->segment);
	return r;
}

int vol_inode_write_back(struct vol *v, struct vol_inode *inode)
{
	struct writing w;
	int r = 0;

	if (v->rdonly || vol_failed(v))
		return inode->dirty_pages ? -EROFS : 0;
	if (inode_inlines(inode))
		r = inode_inline(v, inode);
	while (r == 0 && inode->dirty_pages) {
		r = writing_begin(&w, v);
		if (r == 0)
			r = writing_end(&w, writing_gather(&w, inode));
	}
	return r;
}

/* ---- into the journal ------------------------------------------------------------------------ */

static unsigned pages_unlogged(const struct vol_inode *inode)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < inode->page_count && n <= LOG_PAGES_MAX; i++)
		n += inode->page[i]->dirty && inode->page[i]->from < inode->page[i]->to;
	return n;
}

static int pages_log(struct vol *v, struct vol_inode *inode)
{
	int r = vol_op_begin(v, 0);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < inode->page_count && r == 0; i++)
		if (inode->page[i]->dirty && inode->page[i]->from < inode->page[i]->to)
			r = vol_page_log(v, inode, inode->page[i]);
	if (r == 0)
		inode_secured(v, inode);
	vol_op_end(v);
	return r;
}

int vol_inode_secure(struct vol *v, struct vol_inode *inode)
{
	int r;

	if (inode->dirty_pages == 0)
		return 0;
	if (inode_inlines(inode) || pages_unlogged(inode) > LOG_PAGES_MAX ||
	    __atomic_load_n(&v->log_block, __ATOMIC_ACQUIRE))
		return vol_inode_write_back(v, inode);
	r = pages_log(v, inode);
	return r < 0 ? r : vol_pages_logged(v, inode);
}

/* ---- of all files ---------------------------------------------------------------------------- */

struct picked {
	struct vol_inode *inode[FILES_AT_ONCE];
	unsigned count, locked; /* the first ones */
};

/* Those that wait longest, each with a use. */
static void pick(struct vol *v, bool logged, struct picked *p)
{
	struct vol_inode *inode;

	p->count = 0;
	pthread_mutex_lock(&v->table.lock);
	pthread_mutex_lock(&v->paged_lock);
	for (inode = v->paged[VOL_PAGED_DIRTY].oldest; inode && p->count < FILES_AT_ONCE;
	     inode = inode->paged_newer)
		if ((!logged || __atomic_load_n(&inode->logged, __ATOMIC_RELAXED)) &&
		    vol_inode_ref_alive(v, inode))
			p->inode[p->count++] = inode;
	pthread_mutex_unlock(&v->paged_lock);
	pthread_mutex_unlock(&v->table.lock);
}

/* Locks those that nobody holds, but at least one, and puts them first. */
static void picked_lock(struct picked *p)
{
	p->locked = 0;
	for (unsigned i = 0; i < p->count; i++) {
		struct vol_inode *inode = p->inode[i];
		if (i == 0)
			fair_lock_write(&inode->content);
		else if (!fair_lock_try_write(&inode->content))
			continue;
		p->inode[i] = p->inode[p->locked];
		p->inode[p->locked++] = inode;
	}
}

static int picked_write(struct vol *v, struct picked *p)
{
	struct writing w;
	int r = writing_begin(&w, v);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < p->locked && r == 0; i++) {
		if (inode_inlines(p->inode[i]))
			r = inode_inline(v, p->inode[i]);
		if (r == 0 && p->inode[i]->dirty_pages)
			r = writing_gather(&w, p->inode[i]);
	}
	return writing_end(&w, r);
}

static int write_back_some(struct vol *v, bool logged, bool *ret_any)
{
	struct picked p;
	int r;

	pick(v, logged, &p);
	*ret_any = p.count > 0;
	if (!p.count)
		return 0;
	picked_lock(&p);
	r = picked_write(v, &p);
	for (unsigned i = 0; i < p.locked; i++)
		fair_unlock(&p.inode[i]->content);
	for (unsigned i = 0; i < p.count; i++)
		vol_inode_put(v, p.inode[i], 1);
	return r;
}

int vol_write_back(struct vol *v, uint64_t leave)
{
	bool any = true;
	int r = vol_failed(v) ? -EROFS : 0;

	while (r == 0 && any && __atomic_load_n(&v->dirty_pages, __ATOMIC_RELAXED) > leave)
		r = write_back_some(v, false, &any);
	return r;
}

int vol_write_back_logged(struct vol *v)
{
	bool any = true;
	int r = 0;

	while (r == 0 && any && __atomic_load_n(&v->logged_pages, __ATOMIC_ACQUIRE))
		r = write_back_some(v, true, &any);
	return r;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* Files with clean pages only, then those that have dirty ones too; each with a use. */
static void pick_clean(struct vol *v, struct picked *p)
{
	struct vol_inode *inode;

	p->count = 0;
	pthread_mutex_lock(&v->table.lock);
	pthread_mutex_lock(&v->paged_lock);
	for (int list = VOL_PAGED_CLEAN; list >= VOL_PAGED_DIRTY; list--)
		for (inode = v->paged[list].oldest; inode && p->count < FILES_AT_ONCE;
		     inode = inode->paged_newer)
			if (__atomic_load_n(&inode->dirty_pages, __ATOMIC_RELAXED) <
				__atomic_load_n(&inode->page_count, __ATOMIC_RELAXED) &&
			    vol_inode_ref_alive(v, inode))
				p->inode[p->count++] = inode;
	pthread_mutex_unlock(&v->paged_lock);
	pthread_mutex_unlock(&v->table.lock);
}

void vol_pages_balance(struct vol *v)
{
	struct picked p;

	while (__atomic_load_n(&v->pages, __ATOMIC_RELAXED) > v->pages_max) {
		uint64_t before = __atomic_load_n(&v->pages, __ATOMIC_RELAXED);
		pick_clean(v, &p);
		for (unsigned i = 0; i < p.count; i++) {
			if (fair_lock_try_write(&p.inode[i]->content)) {
				vol_pages_drop_clean(v, p.inode[i]);
				vol_pages_leave(v, p.inode[i], false);
				fair_unlock(&p.inode[i]->content);
			}
			vol_inode_put(v, p.inode[i], 1);
		}
		if (__atomic_load_n(&v->pages, __ATOMIC_RELAXED) >= before)
			break;
	}
}
