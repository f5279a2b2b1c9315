/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's page cache: a layer that keeps the bytes of regular files, and writes what was written into it
 * to the layer below later, as the tenant's settings say.
 *
 * Everything but those bytes is below's: names, directories, attributes (of which size, times and blocks
 * are told as they will be after the write-back). Handles of what is no regular file are below's own, so
 * all that costs nothing.
 *
 *   inode.c      the files that are known            read.c, fill.c, readahead.c   bytes out, and in from
 * below chunk.c      their pages, 16 at a time           write.c, cut.c                bytes in, and past
 * the pages body.c       where the bytes are                 writeback.c, flusher.c        bytes back
 * below, and when pages.c      memory                              share.c, marks.c, grant.c     bytes
 * shared with clients budget.c, evict.c   how much, and what goes      name.c, file.c, below.c       the
 * rest
 *
 * Above a layer whose files others may change (LS_SHARED) the cache would have to ask about every page that
 * it has, each time, which costs as much as to read it there: then it keeps nothing, and everything passes. If that
 * layer delegates files (LS_DELEGATES), it keeps what is delegated: keep.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

static void store(uint64_t *place, uint64_t value)
{
	__atomic_store_n(place, value, __ATOMIC_RELAXED);
}

static int policy_set(struct cache *cache, const char *value, char *error, size_t error_size)
{
	struct budget *b = cache->budget;
	const struct policy *policy = policy_find(value);

	if (!policy) {
		snprintf(error, error_size, "cache: policy must be s3fifo, lru2 or clock, not '%s'", value);
		return -EINVAL;
	}
	pthread_mutex_lock(&b->lock);
	b->policy = policy; /* whichever queue a chunk is in, each policy empties both */
	pthread_mutex_unlock(&b->lock);
	return 0;
}

/* The value is good for its kind. */
static int cache_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size)
{
	struct cache *cache = cache_of(ls);
	struct budget *b = cache->budget;
	uint64_t n = 0;

	if (strcmp(option, "policy") == 0)
		return policy_set(cache, value, error, error_size);
	if (strcmp(option, "flush_on_close") == 0) {
		__atomic_store_n(&cache->flush_on_close, strcmp(value, "true") == 0, __ATOMIC_RELAXED);
		return 0;
	}
	if (strcmp(option, "flush_interval") == 0) {
		ls_parse_time(value, &n);
		__atomic_store_n(&cache->flush_interval, n, __ATOMIC_RELAXED);
		cflusher_wake(cache);
		return 0;
	}
	ls_parse_size(value, &n);
	if (strcmp(option, "size") == 0) {
		store(&b->size, n);
		store(&b->floor, n);
		store(&b->limit, n);
		budget_make_room(cache, &cflusher_call, 0);
	} else if (strcmp(option, "floor") == 0) {
		store(&b->floor, n ? n : b->size);
	} else if (strcmp(option, "readahead") == 0) {
		store(&cache->readahead, n);
	} else if (strcmp(option, "batch") == 0) {
		store(&cache->batch, n);
	} else if (strcmp(option, "dirty_ratio") == 0) {
		__atomic_store_n(&b->dirty_ratio, n, __ATOMIC_RELAXED);
	} else if (strcmp(option, "background_ratio") == 0) {
		__atomic_store_n(&b->background_ratio, n, __ATOMIC_RELAXED);
	}
	cflusher_wake(cache);
	return 0;
}

static void cache_init(struct cache *cache, struct ls *ls)
{
	cache->ls = ls;
	cache->below = ls->below[0];
	cache->dir = cache->large_dir = -1;
	cache->off = (ls->traits & LS_SHARED) && !(ls->traits & LS_DELEGATES);
	cache->asks = (ls->traits & LS_SHARED) && !cache->off;
	pthread_mutex_init(&cache->kept_lock, NULL);
	for (struct ls *at = cache->below; at && cache->asks; at = at->below_count == 1 ? at->below[0] : NULL) {
		at->recall = keep_recalled;
		at->recall_arg = cache;
	}
	pthread_mutex_init(&cache->epoch_lock, NULL);
	pthread_mutex_init(&cache->fill_lock, NULL);
	pthread_mutex_init(&cache->dirty_lock, NULL);
	pthread_cond_init(&cache->fill_done, NULL);
	pthread_cond_init(&cache->flush_wake, NULL);
	pthread_cond_init(&cache->ahead_wake, NULL);
	TAILQ_INIT(&cache->dirty);
	STAILQ_INIT(&cache->ahead);
}

static struct cache *cache_free(struct cache *cache)
{
	cinode_table_fini(cache);
	budget_leave(cache);
	if (cache->dir >= 0)
		close(cache->dir);
	if (cache->large_dir >= 0)
		close(cache->large_dir);
	pthread_mutex_destroy(&cache->kept_lock);
	pthread_mutex_destroy(&cache->epoch_lock);
	pthread_mutex_destroy(&cache->fill_lock);
	pthread_mutex_destroy(&cache->dirty_lock);
	pthread_cond_destroy(&cache->fill_done);
	pthread_cond_destroy(&cache->flush_wake);
	pthread_cond_destroy(&cache->ahead_wake);
	free(cache);
	return NULL;
}

static int options_take(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	int r = 0;

	for (const struct ls_option *o = ls->type->options; o->name && r == 0; o++)
		if (o->live)
			r = cache_set(ls, o->name,
				      json_object_get_string(json_object_object_get(config, o->name)),
				      error, error_size);
	return r;
}

static int dir_take(struct json_object *config, const char *key, int *ret, char *error, size_t error_size)
{
	struct json_object *dir;

	if (!json_object_object_get_ex(config, key, &dir))
		return 0;
	*ret = fcntl(json_object_get_int(dir), F_DUPFD_CLOEXEC, 0);
	if (*ret >= 0)
		return 0;
	snprintf(error, error_size, "cache: descriptor %d cannot be used: %s", json_object_get_int(dir), strerror(errno));
	return -errno;
}

static int cache_type_open(struct ls *ls, struct json_object *config, char *error, size_t error_size)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	int r;

	if (!cache)
		return -ENOMEM;
	ls->state = cache;
	cache_init(cache, ls);
	r = dir_take(config, "dir", &cache->dir, error, error_size);
	if (r == 0)
		r = dir_take(config, "large_dir", &cache->large_dir, error, error_size);
	if (r == 0)
		r = cinode_table_init(cache);
	if (r == 0)
		r = budget_join(cache, cache->dir);
	if (r == 0)
		r = options_take(ls, config, error, error_size);
	if (r < 0) {
		cache_free(cache);
		return r;
	}
	if (!cache->off)
		ls->traits |= LS_FLUSHES;
	return 0;
}

static void cache_type_close(struct ls *ls)
{
	struct cache *cache = cache_of(ls);

	ahead_stop(cache);
	cflusher_stop(cache);
	writeback_sync(cache, &cflusher_call);
	cache_free(cache);
}

static void cache_stats(struct ls *ls, ls_figure *figure, void *arg)
{
	const struct cache *cache = cache_of(ls);
	const struct budget *b = cache->budget;
	const struct cache_figures *f = &cache->figures;

	figure(arg, "hits", __atomic_load_n(&f->hits, __ATOMIC_RELAXED));
	figure(arg, "misses", __atomic_load_n(&f->misses, __ATOMIC_RELAXED));
	figure(arg, "read_ahead", __atomic_load_n(&f->read_ahead, __ATOMIC_RELAXED));
	figure(arg, "evicted", __atomic_load_n(&f->evicted, __ATOMIC_RELAXED));
	figure(arg, "written", __atomic_load_n(&f->written, __ATOMIC_RELAXED));
	figure(arg, "failed", __atomic_load_n(&f->failed, __ATOMIC_RELAXED));
	figure(arg, "recalled", __atomic_load_n(&f->recalled, __ATOMIC_RELAXED));
	figure(arg, "throttled", __atomic_load_n(&f->throttled, __ATOMIC_RELAXED));
	figure(arg, "throttled_ns", __atomic_load_n(&f->throttled_ns, __ATOMIC_RELAXED));
	figure(arg, "pool_size", __atomic_load_n(&b->size, __ATOMIC_RELAXED));
	figure(arg, "pool_used", __atomic_load_n(&b->used, __ATOMIC_RELAXED));
	figure(arg, "pool_dirty", __atomic_load_n(&b->dirty, __ATOMIC_RELAXED));
	figure(arg, "pool_pinned", __atomic_load_n(&b->pinned, __ATOMIC_RELAXED));
}

static const struct ls_option cache_options[] = {
    {"size", LS_SIZE, "256M", 0, 0, "the most that the caches of the pool hold together", 1},
    {"floor", LS_SIZE, "0", 0, 0, "what they keep where the machine is short of memory; 0: all", 1},
    {"readahead", LS_SIZE, "512k", 0, 1ull << 30, "the most that is read ahead of a sequential reader", 1},
    {"policy", LS_STRING, "s3fifo", 0, 0, "which pages leave first: s3fifo, lru2 or clock", 1},
    {"flush_interval", LS_TIME, "5s", 0, 0,
     "how long changes may wait; 0: until something else writes them back", 1},
    {"dirty_ratio", LS_COUNT, "20", 0, 100, "percent of the cache that may be dirty before writers wait",
     1},
    {"background_ratio", LS_COUNT, "10", 0, 100,
     "percent of the cache that may be dirty before it is written back", 1},
    {"batch", LS_SIZE, "1M", 0, 1ull << 30, "the most that is written back in one write", 1},
    {"flush_on_close", LS_BOOL, "false", 0, 0, "write a file back when it is closed", 1},
    {"dir", LS_FD, "", 0, 0, "a directory of a tmpfs for data that is shared; given by the engine", 0},
    {"large_dir", LS_FD, "", 0, 0, "the same of one with huge=within_size; given by the engine", 0},
    {NULL},
};

const struct ls_type ls_type_cache = {
    .name = "cache",
    .help = "keeps the bytes of files in memory, and writes changes back later",
    .unset = LS_REFUSE,
    .below_min = 1,
    .below_max = 1,
    .options = cache_options,
    .primary = "size",
    .open = cache_type_open,
    .close = cache_type_close,
    .set = cache_set,
    .stats = cache_stats,
    .ops =
	{
#define X(ret, op_name, ...) .op_name = cache_##op_name,
	    LS_OPS(X)
#undef X
	    .lock = cache_lock,
	},
};
