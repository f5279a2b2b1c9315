/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages from below.
 *
 * No lock is held while below reads. So what was read may be old when it arrives: if the bytes below were
 * changed meanwhile by us (a cut, a write-back), it is thrown away and read again; after some such
 * misfortunes with `io` held, when nobody can change them. Pages that came by another way in between are
 * newer, and stay.
 *
 * Pages are read into fresh memory that nobody sees, and become present as a whole. Whoever wants pages
 * that are being read already waits for them.
 */
#include <errno.h>

#include "libservices/cache/cache.h"

enum { UNLUCKY = 3 };

struct filling {
	struct fill fill;
	uint64_t version, below_bytes;
	unsigned recalls;
	void *page[CACHE_FILL_PAGES];
};

static uint64_t filling_count(const struct filling *f)
{
	return f->fill.last - f->fill.first + 1;
}

/* Pages that nobody has been reading, from the first absent one on. */
static void filling_begin(struct cinode *c, struct filling *f, uint64_t first, uint64_t wish)
{
	f->fill.first = f->fill.last = first;
	while (f->fill.last < wish && filling_count(f) < CACHE_FILL_PAGES &&
	       !body_present(c, f->fill.last + 1, f->fill.last + 1))
		f->fill.last++;
	f->version = c->below_version;
	f->recalls = __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST);
	f->below_bytes = c->below_bytes;
	LIST_INSERT_HEAD(&c->fills, &f->fill, link);
}

static void filling_end(struct cinode *c, struct filling *f)
{
	LIST_REMOVE(&f->fill, link);
	pthread_mutex_lock(&c->cache->fill_lock);
	pthread_cond_broadcast(&c->cache->fill_done);
	pthread_mutex_unlock(&c->cache->fill_lock);
}

static bool is_being_read(const struct cinode *c, uint64_t first, uint64_t last)
{
	const struct fill *f;

	LIST_FOREACH(f, &c->fills, link)
	if (f->first <= last && first <= f->last)
		return true;
	return false;
}

/* Lets go of the lock, and returns when some fill has ended. */
static void others_wait(struct cinode *c)
{
	pthread_mutex_lock(&c->cache->fill_lock);
	pthread_rwlock_unlock(&c->lock);
	pthread_cond_wait(&c->cache->fill_done, &c->cache->fill_lock);
	pthread_mutex_unlock(&c->cache->fill_lock);
}

static void filling_free(struct cinode *c, struct filling *f)
{
	for (uint64_t i = 0; i < filling_count(f); i++)
		cpage_put(&c->cache->budget->pool, f->page[i]);
}

static int filling_alloc(struct cinode *c, struct filling *f)
{
	uint64_t n = filling_count(f);
	int r = 0;

	for (uint64_t i = 0; i < n; i++) {
		f->page[i] = cpage_get(&c->cache->budget->pool);
		if (!f->page[i])
			r = -ENOMEM;
	}
	return r;
}

/* What is behind the end of the bytes below is zeros. */
static int filling_read(struct cinode *c, const struct ls_call *call, struct filling *f)
{
	uint64_t at = f->fill.first * CACHE_PAGE, end = (f->fill.last + 1) * CACHE_PAGE, n;
	struct iovec iov[CACHE_FILL_PAGES];
	struct ls_file *file = NULL;
	ssize_t done = 0;

	end = end < f->below_bytes ? end : f->below_bytes;
	n = end > at ? (end - at + CACHE_PAGE - 1) / CACHE_PAGE : 0;
	for (uint64_t i = 0; i < n; i++)
		iov[i] = (struct iovec){f->page[i], CACHE_PAGE};
	if (n) {
		file = below_use(c);
		done = file ? ls_read(c->cache->below, call, file, iov, n, at) : -EAGAIN;
		below_unuse(c);
	}
	if (done > 0)
		cache_moved(c->cache, call, false, done);
	for (uint64_t i = 0; done >= 0 && i < filling_count(f); i++) {
		uint64_t have = (uint64_t)done > i * CACHE_PAGE ? done - i * CACHE_PAGE : 0;
		if (have < CACHE_PAGE)
			__builtin_memset((char *)f->page[i] + have, 0, CACHE_PAGE - have);
	}
	return done < 0 ? done : 0;
}

static int filling_install(struct cinode *c, struct filling *f)
{
	uint64_t pages = (c->size + CACHE_PAGE - 1) / CACHE_PAGE, end = pages <= f->fill.last ? pages : f->fill.last + 1;
	int r = 0;

	for (uint64_t page = f->fill.first, next; page < end && r == 0; page = next) {
		for (next = page; next < end && !body_present(c, next, next);)
			next++;
		if (next > page)
			r = body_install(c, page, &f->page[page - f->fill.first], (unsigned)(next - page));
		else
			next++;
	}
	return r;
}

/*
 * One read below, of what filling_begin has chosen. Lets go of the lock meanwhile. 0, -EAGAIN: what came
 * was old, or -errno.
 */
static int filling_do(struct cinode *c, const struct ls_call *call, struct filling *f)
{
	int r;

	pthread_rwlock_unlock(&c->lock);
	r = filling_alloc(c, f);
	if (r == 0)
		r = filling_read(c, call, f);
	pthread_rwlock_wrlock(&c->lock);
	filling_end(c, f);
	if (r == 0 && (f->version != c->below_version || f->recalls != __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST)))
		r = -EAGAIN;
	if (r == 0)
		r = filling_install(c, f);
	filling_free(c, f);
	return r;
}

/* With the lock held: the first page that is missing; UINT64_MAX: none. Adjusts the others to the file's
 * end. */
static uint64_t missing(const struct cinode *c, uint64_t first, uint64_t *last, uint64_t *wish)
{
	uint64_t end = (c->size + CACHE_PAGE - 1) / CACHE_PAGE, page;

	if (first >= end)
		return UINT64_MAX;
	*last = *last < end ? *last : end - 1;
	*wish = *wish < end ? *wish : end - 1;
	page = body_absent(c, first, *last);
	return page > *last ? UINT64_MAX : page;
}

int fill_lock(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last, uint64_t wish)
{
	bool io = false;
	int r = 0, misfortunes = 0;

	while (r == 0 || r == -EAGAIN) {
		struct filling f = {.version = 0};
		uint64_t to = last, ahead = wish, page;
		pthread_rwlock_wrlock(&c->lock);
		if (!cinode_is_kept(c)) {
			pthread_rwlock_unlock(&c->lock);
			r = KEEP_LOST;
			break;
		}
		page = missing(c, first, &to, &ahead);
		if (page == UINT64_MAX) {
			r = 0;
			break;
		}
		if (!below_file(c)) {
			pthread_rwlock_unlock(&c->lock);
			r = below_reader(c, call);
			continue;
		}
		if (is_being_read(c, page, page)) {
			others_wait(c);
			continue;
		}
		while (ahead > page && is_being_read(c, page, ahead))
			ahead = page + (ahead - page) / 2;
		filling_begin(c, &f, page, ahead > to ? ahead : to);
		r = filling_do(c, call, &f);
		misfortunes += r == -EAGAIN;
		pthread_rwlock_unlock(&c->lock);
		if (misfortunes == UNLUCKY && !io) {
			pthread_mutex_lock(&c->io);
			io = true;
		}
	}
	if (io)
		pthread_mutex_unlock(&c->io);
	return r;
}
