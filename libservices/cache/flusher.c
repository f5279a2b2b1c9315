/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When changes are written back, and how writers are held back.
 *
 * Dirty files wait in the order in which they became so. A thread, started by the first of them, writes
 * back those that are older than `flush_interval`, and, while more than the background ratio of the cache
 * is dirty, the oldest ones without waiting. It sleeps while there is nothing to do. A file whose
 * write-back fails is tried again a second later, and later than others.
 *
 * A writer pays for what he made dirty in time: nothing up to the background ratio, and as much as the
 * write-back of these bytes takes when the dirty ratio is reached; a fifth of a second at most, whatever
 * happens below. Who finds the cache full of dirty pages writes some back himself (budget.c).
 */
#include <errno.h>
#include <time.h>

#include "libservices/cache/cache.h"
#include "libservices/wait.h"

#define SECOND 1000000000ll

enum { PAUSE_MIN = 1000000, PAUSE_MAX = 200000000, RATE_FIRST = 200 << 20 };

static const struct ls_cred flusher_cred;
const struct ls_call cflusher_call = {.tenant = "", .cred = &flusher_cred};

static uint64_t dirty_of(const struct cache *cache)
{
	return __atomic_load_n(&cache->budget->dirty, __ATOMIC_RELAXED);
}

static bool is_pressed(const struct cache *cache)
{
	return dirty_of(cache) > budget_background(cache->budget);
}

/* ---- the thread ------------------------------------------------------------------------------------ */

static void rate_note(struct cache *cache, uint64_t bytes, int64_t ns)
{
	uint64_t rate = __atomic_load_n(&cache->rate, __ATOMIC_RELAXED), now;

	if (bytes < CACHE_CHUNK || ns <= 0)
		return;
	now = bytes * 1000 / ((uint64_t)ns / 1000 + 1) * 1000;
	__atomic_store_n(&cache->rate, rate ? (rate * 7 + now) / 8 : now, __ATOMIC_RELAXED);
}

static void one_write(struct cache *cache, struct cinode *c)
{
	uint64_t before = __atomic_load_n(&cache->figures.written, __ATOMIC_RELAXED);
	int64_t start = ls_now();

	if (cinode_is_lost(c)) {
		cinode_discard(c, &cflusher_call);
		cflusher_done(c, &cflusher_call, -EAGAIN);
	} else {
		writeback(c, &cflusher_call);
	}
	rate_note(cache, (__atomic_load_n(&cache->figures.written, __ATOMIC_RELAXED) - before) * CACHE_PAGE,
		  ls_now() - start);
	cinode_put(c, &cflusher_call);
}

/*
 * When the file is to be looked at; 0: not now. Files without a name are not worth a write before somebody
 * needs their room; those that could not be dropped when they should have been are tried again.
 */
static int64_t due_at(const struct cinode *c, int64_t interval, bool pressed)
{
	if (__atomic_load_n(&c->stale, __ATOMIC_SEQ_CST))
		return c->due;
	if (cinode_is_lost(c))
		return c->due + SECOND;
	if (pressed && !c->watched)
		return c->due;
	return interval && !__atomic_load_n(&c->gone, __ATOMIC_RELAXED) ? c->due + interval : 0;
}

/* With the dirty lock held: the next file to write back, or NULL and when there may be one (0: when woken). */
static struct cinode *next_due(struct cache *cache, int64_t *ret_when)
{
	int64_t interval = __atomic_load_n(&cache->flush_interval, __ATOMIC_RELAXED), now = ls_now();
	bool pressed = is_pressed(cache);
	struct cinode *c;

	__atomic_store_n(&cache->pressed, pressed, __ATOMIC_RELAXED);
	*ret_when = 0;
	TAILQ_FOREACH(c, &cache->dirty, dirty_link)
	{
		int64_t due = due_at(c, interval, pressed);
		if (due && due <= now)
			return c;
		if (due && (!*ret_when || due < *ret_when))
			*ret_when = due;
		if (due && !pressed)
			break;
	}
	return NULL;
}

/* What clients stored by themselves has no writer to hold back: its write-back takes its time instead. */
static void pace(struct cache *cache)
{
	int64_t owed = __atomic_exchange_n(&cache->owed, 0, __ATOMIC_RELAXED);

	if (owed > 0 && !cache->ending)
		ls_wait_until(&cache->flush_wake, &cache->dirty_lock, ls_now() + (owed < SECOND ? owed : SECOND));
}

static void *flusher_run(void *arg)
{
	struct cache *cache = arg;

	pthread_mutex_lock(&cache->dirty_lock);
	while (!cache->ending) {
		int64_t when;
		struct cinode *c = next_due(cache, &when);
		if (!c) {
			ls_wait_until(&cache->flush_wake, &cache->dirty_lock, when);
			continue;
		}
		cinode_hold(c);
		pthread_mutex_unlock(&cache->dirty_lock);
		one_write(cache, c);
		pthread_mutex_lock(&cache->dirty_lock);
		pthread_cond_broadcast(&cache->flushed);
		pace(cache);
	}
	pthread_mutex_unlock(&cache->dirty_lock);
	return NULL;
}

/* Not at open: the service has given up its privileges by the time of the first write, and so will the thread. */
static void flusher_start(struct cache *cache)
{
	if (!cache->flusher_runs && !cache->ending)
		cache->flusher_runs = pthread_create(&cache->flusher, NULL, flusher_run, cache) == 0;
}

void cflusher_stop(struct cache *cache)
{
	pthread_mutex_lock(&cache->dirty_lock);
	cache->ending = true;
	pthread_cond_broadcast(&cache->flush_wake);
	pthread_mutex_unlock(&cache->dirty_lock);
	if (cache->flusher_runs)
		pthread_join(cache->flusher, NULL);
}

void cflusher_wake(struct cache *cache)
{
	pthread_mutex_lock(&cache->dirty_lock);
	pthread_cond_signal(&cache->flush_wake);
	pthread_mutex_unlock(&cache->dirty_lock);
}

/* ---- the list -------------------------------------------------------------------------------------- */

/* The file is listed from now on, as the last or as the first. */
static void list(struct cinode *c, bool first)
{
	struct cache *cache = c->cache;

	pthread_mutex_lock(&cache->dirty_lock);
	if (c->listed)
		TAILQ_REMOVE(&cache->dirty, c, dirty_link);
	else
		cinode_hold(c);
	if (first || TAILQ_EMPTY(&cache->dirty))
		pthread_cond_signal(&cache->flush_wake);
	if (first)
		TAILQ_INSERT_HEAD(&cache->dirty, c, dirty_link);
	else
		TAILQ_INSERT_TAIL(&cache->dirty, c, dirty_link);
	c->listed = true;
	c->watched = false;
	c->due = ls_now();
	flusher_start(cache);
	pthread_mutex_unlock(&cache->dirty_lock);
}

void cflusher_note(struct cinode *c)
{
	if (!c->listed || c->watched) /* neither changes while the lock is held for writing */
		list(c, false);
}

static bool is_clean(const struct cinode *c)
{
	return !c->dirty_pages && !c->times_dirty && (!c->own || c->size == c->below_size);
}

void cflusher_urge(struct cinode *c)
{
	list(c, true);
}

/* After a write-back: the file leaves the list, or waits at its end again. */
void cflusher_done(struct cinode *c, const struct ls_call *call, int result)
{
	struct cache *cache = c->cache;
	bool leaves = false;

	pthread_rwlock_rdlock(&c->lock);
	pthread_mutex_lock(&cache->dirty_lock);
	if (c->listed) {
		TAILQ_REMOVE(&cache->dirty, c, dirty_link);
		c->watched = is_clean(c);
		leaves = c->watched && !cshare_writes(c) && !(c->chunks && cinode_is_lost(c));
		c->listed = !leaves;
		c->due = ls_now() + (result < 0 ? SECOND : 0);
		if (!leaves)
			TAILQ_INSERT_TAIL(&cache->dirty, c, dirty_link);
	}
	pthread_mutex_unlock(&cache->dirty_lock);
	pthread_rwlock_unlock(&c->lock);
	if (leaves)
		cinode_put(c, call);
}

/* ---- writers --------------------------------------------------------------------------------------- */

/* How long these bytes are to take, in ns. */
static int64_t price(const struct cache *cache, uint64_t bytes)
{
	uint64_t dirty = dirty_of(cache), free = budget_background(cache->budget),
		 full = budget_dirty_limit(cache->budget);
	uint64_t rate = __atomic_load_n(&cache->rate, __ATOMIC_RELAXED), over, room;
	double share;

	if (dirty <= free)
		return 0;
	over = dirty - free;
	room = full > free ? full - free : 1;
	share = (double)over / room;
	if (share > 4)
		share = 4;
	return (int64_t)(share * share * bytes * SECOND / (rate ? rate : RATE_FIRST));
}

void cflusher_throttle(struct cfile *f, const struct ls_call *call, uint64_t bytes)
{
	struct cache *cache = f->inode->cache;
	int64_t owed, pause;
	struct timespec t;

	if (!is_pressed(cache))
		return;
	if (!__atomic_exchange_n(&cache->pressed, true, __ATOMIC_RELAXED))
		cflusher_wake(cache);
	owed = __atomic_add_fetch(&f->owed, price(cache, bytes), __ATOMIC_RELAXED);
	if (owed < PAUSE_MIN)
		return;
	pause = owed < PAUSE_MAX ? owed : PAUSE_MAX;
	__atomic_store_n(&f->owed, 0, __ATOMIC_RELAXED);
	t = (struct timespec){pause / SECOND, pause % SECOND};
	nanosleep(&t, NULL);
	figure_add(&cache->figures.throttled, 1);
	figure_add(&cache->figures.throttled_ns, pause);
}
