/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the caches of a pool may occupy together. They find each other by the directory that all were given:
 * this is the one state of the layer that hangs off no instance.
 *
 * Charged is what bytes take: pages of memory and of data files, the shared words beside them, and the
 * descriptions of pages and files. Who needs room makes it before he takes a lock, so an operation may
 * exceed the size by what it has in hand, never for longer.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "libservices/cache/cache.h"

enum {
	IDLE_MAX = 8,         /* write-backs in a row that nothing could be evicted after */
	DATA_FILES_SHARE = 4, /* of the descriptors that the process may have, one in so many */
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct budget *registry;

static struct budget *budget_new(uint64_t dev, uint64_t ino)
{
	struct budget *b = calloc(1, sizeof(*b));
	struct rlimit files = {0};

	if (!b)
		return NULL;
	getrlimit(RLIMIT_NOFILE, &files);
	b->data_files_many = files.rlim_cur / DATA_FILES_SHARE;
	b->dev = dev;
	b->ino = ino;
	b->ghost = calloc(CACHE_GHOSTS, sizeof(*b->ghost));
	if (!b->ghost || cpage_pool_init(&b->pool) < 0) {
		free(b->ghost);
		free(b);
		return NULL;
	}
	pthread_mutex_init(&b->lock, NULL);
	pressure_init(&b->pressure);
	for (int q = 0; q < QUEUES; q++)
		TAILQ_INIT(&b->list[q]);
	LIST_INIT(&b->caches);
	b->policy = policy_find("s3fifo");
	return b;
}

int budget_join(struct cache *cache, int dir)
{
	struct stat st = {0};
	struct budget *b;

	if (dir >= 0 && fstat(dir, &st) < 0)
		return -errno;
	pthread_mutex_lock(&registry_lock);
	for (b = registry; b && (dir < 0 || b->dev != st.st_dev || b->ino != st.st_ino); b = b->next)
		;
	if (!b && (b = budget_new(st.st_dev, st.st_ino))) {
		b->next = registry;
		registry = b;
	}
	if (b) {
		b->users++;
		cache->budget = b;
		pthread_mutex_lock(&b->lock);
		LIST_INSERT_HEAD(&b->caches, cache, link);
		pthread_mutex_unlock(&b->lock);
	}
	pthread_mutex_unlock(&registry_lock);
	return b ? 0 : -ENOMEM;
}

static void budget_free(struct budget *b)
{
	struct budget **p;

	for (p = &registry; *p != b; p = &(*p)->next)
		;
	*p = b->next;
	pressure_fini(&b->pressure);
	pthread_mutex_destroy(&b->lock);
	cpage_pool_fini(&b->pool);
	free(b->ghost);
	free(b);
}

void budget_leave(struct cache *cache)
{
	struct budget *b = cache->budget;

	if (!b)
		return;
	pthread_mutex_lock(&registry_lock);
	pthread_mutex_lock(&b->lock);
	LIST_REMOVE(cache, link);
	pthread_mutex_unlock(&b->lock);
	if (--b->users == 0)
		budget_free(b);
	pthread_mutex_unlock(&registry_lock);
	cache->budget = NULL;
}

void budget_charge(struct budget *b, struct chunk *chunk, int64_t bytes)
{
	if (!bytes)
		return;
	pthread_mutex_lock(&b->lock);
	if (chunk) {
		chunk->charged += bytes;
		b->bytes[chunk->queue] += bytes;
	}
	__atomic_store_n(&b->used, b->used + bytes, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&b->lock);
}

/* How much too much there would be. */
static uint64_t excess(const struct budget *b, uint64_t n)
{
	uint64_t limit = budget_limit(b),
		 wanted = __atomic_load_n(&b->used, __ATOMIC_RELAXED) + n;

	return wanted > limit ? wanted - limit : 0;
}

/* Is somebody to look whether there is so much? */
static bool is_unwatched(const struct budget *b)
{
	uint64_t floor = __atomic_load_n(&b->floor, __ATOMIC_RELAXED);

	return __atomic_load_n(&b->used, __ATOMIC_RELAXED) > floor && floor < __atomic_load_n(&b->size, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&b->pressure.looks, __ATOMIC_RELAXED);
}

int budget_make_room(struct cache *cache, const struct ls_call *call, uint64_t n)
{
	struct budget *b = cache->budget;
	uint64_t over;
	int r = 0, idle = 0;

	if (is_unwatched(b))
		pressure_watch(b);

	/* A cache that is smaller than one operation holds that one, and nothing else. */
	while ((over = excess(b, n)) && __atomic_load_n(&b->used, __ATOMIC_RELAXED)) {
		if (evict_some(b, over) > 0) {
			idle = 0;
			continue;
		}
		/* Others' dirty pages, or mappings, which may become dirty at any time, have it all. */
		if (r == -ENOENT || idle++ > IDLE_MAX)
			return 0;
		r = writeback_oldest(cache, call);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}
