/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead of those who read in sequence.
 *
 * Each open file remembers where its last read ended. A read that begins there opens a window, which
 * doubles with every one that follows, up to `readahead`. Who misses reads the window himself; who comes
 * into the last half of what was read ahead has a thread read the next one. A read elsewhere closes the
 * window: then only what was asked for is read.
 */
#include <errno.h>
#include <stdlib.h>

#include "libservices/cache/cache.h"

enum { WINDOW_MIN = CACHE_CHUNK, WAITING_MAX = 64 };

struct ahead {
	STAILQ_ENTRY(ahead) link;
	struct cinode *inode; /* held */
	uint64_t first, last;
	uint32_t payer; /* of whoever is read ahead of */
};

static void ahead_do(struct cache *cache, struct ahead *a)
{
	struct cinode *c = a->inode;
	struct ls_call call = cflusher_call;

	call.payer = a->payer;
	if (budget_make_room(cache, &cflusher_call, (a->last - a->first + 1) * CACHE_PAGE) == 0 &&
	    fill_lock(c, &call, a->first, a->last, a->last) == 0) {
		pthread_rwlock_unlock(&c->lock);
		figure_add(&cache->figures.read_ahead, a->last - a->first + 1);
		budget_make_room(cache, &cflusher_call, 0); /* others may have come for the same room */
	}
	below_settle(c, &cflusher_call);
	cinode_put(c, &cflusher_call);
	free(a);
}

static void *ahead_run(void *arg)
{
	struct cache *cache = arg;

	pthread_mutex_lock(&cache->dirty_lock);
	while (!cache->ending) {
		struct ahead *a = STAILQ_FIRST(&cache->ahead);
		if (!a) {
			pthread_cond_wait(&cache->ahead_wake, &cache->dirty_lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&cache->ahead, link);
		cache->ahead_count--;
		pthread_mutex_unlock(&cache->dirty_lock);
		ahead_do(cache, a);
		pthread_mutex_lock(&cache->dirty_lock);
	}
	pthread_mutex_unlock(&cache->dirty_lock);
	return NULL;
}

static void ahead_submit(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last)
{
	struct cache *cache = c->cache;
	struct ahead *a = malloc(sizeof(*a));

	if (!a)
		return;
	*a = (struct ahead){.inode = c, .first = first, .last = last, .payer = call->payer};
	cinode_hold(c);
	pthread_mutex_lock(&cache->dirty_lock);
	if (!cache->reader_runs)
		cache->reader_runs = pthread_create(&cache->reader, NULL, ahead_run, cache) == 0;
	if (cache->reader_runs && !cache->ending && cache->ahead_count < WAITING_MAX) {
		STAILQ_INSERT_TAIL(&cache->ahead, a, link);
		cache->ahead_count++;
		pthread_cond_signal(&cache->ahead_wake);
		a = NULL;
	}
	pthread_mutex_unlock(&cache->dirty_lock);
	if (a) {
		cinode_put(c, &cflusher_call);
		free(a);
	}
}

void ahead_stop(struct cache *cache)
{
	struct ahead *a;

	pthread_mutex_lock(&cache->dirty_lock);
	cache->ending = true;
	pthread_cond_broadcast(&cache->ahead_wake);
	pthread_mutex_unlock(&cache->dirty_lock);
	if (cache->reader_runs)
		pthread_join(cache->reader, NULL);
	while ((a = STAILQ_FIRST(&cache->ahead))) {
		STAILQ_REMOVE_HEAD(&cache->ahead, link);
		cinode_put(a->inode, &cflusher_call);
		free(a);
	}
}

/* A quarter of the cache at most, so that what was read ahead is still there when it is wanted. */
static uint64_t window_max(const struct cache *cache)
{
	uint64_t most = __atomic_load_n(&cache->readahead, __ATOMIC_RELAXED),
		 quarter = budget_limit(cache->budget) / 4;

	return most < quarter ? most : quarter;
}

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store(uint64_t *p, uint64_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/*
 * After a read was served (missed: before it is, by a fill). Returns the last page that the fill may read.
 * What is lost when threads share an open file is a guess.
 */
uint64_t ahead_plan(struct cfile *f, const struct ls_call *call, uint64_t offset, uint64_t length, bool missed)
{
	uint64_t last = page_index(offset + length - 1), max = window_max(f->inode->cache), window, from;

	/* segment_copy has moved last_end on already when it was a hit. */
	if (missed && load(&f->last_end) != offset) {
		store(&f->window, 0);
		return last;
	}
	if (missed) {
		window = load(&f->window);
		window = window ? window * 2 : WINDOW_MIN;
		window = window < max ? window : max;
		store(&f->window, window);
		store(&f->ahead_from, last + 1 + window / CACHE_PAGE);
		return last + window / CACHE_PAGE;
	}
	window = load(&f->window);
	from = load(&f->ahead_from);
	if (!window || last >= from || from - last > window / CACHE_PAGE / 2 + 1 ||
	    from * CACHE_PAGE >= load(&f->inode->size))
		return last;
	window = window * 2 < max ? window * 2 : max;
	if (window < CACHE_PAGE ||
	    !__atomic_compare_exchange_n(&f->ahead_from, &from, from + window / CACHE_PAGE, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return last;
	store(&f->window, window);
	ahead_submit(f->inode, call, from, from + window / CACHE_PAGE - 1);
	return last;
}
