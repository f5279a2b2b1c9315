/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular files that somebody refers to or that have cached pages, by number.
 *
 * Each holds its inode below for as long as it is known here, with one reference for each time that it was
 * looked up there: to end them one by one would cost a call each. It is forgotten when it has no users:
 * references, pages, changes to write back, threads at work on it. A file without a name and without
 * references loses its pages.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "libservices/cache/cache.h"
#include "libservices/mix.h"
#include "libservices/rules.h"

enum { BUCKETS_MIN = 64, GRACE_NAPS = 200 };

static struct cinode_shard *shard_of(struct cache *cache, uint64_t ino)
{
	return &cache->shard[mix(ino) % CACHE_SHARDS];
}

static struct cinode **bucket_of(struct cinode_shard *shard, uint64_t ino)
{
	return &shard->bucket[mix(ino) / CACHE_SHARDS & (shard->bucket_count - 1)];
}

int cinode_table_init(struct cache *cache)
{
	for (int i = 0; i < CACHE_SHARDS; i++) {
		struct cinode_shard *shard = &cache->shard[i];
		shard->bucket = calloc(BUCKETS_MIN, sizeof(*shard->bucket));
		if (!shard->bucket)
			return -ENOMEM;
		shard->bucket_count = BUCKETS_MIN;
		pthread_mutex_init(&shard->lock, NULL);
	}
	return 0;
}

/* If there is no memory for more buckets, the chains get longer. */
static void shard_grow(struct cinode_shard *shard)
{
	struct cinode_shard grown = {.bucket_count = shard->bucket_count * 2};
	struct cinode *c, **to;

	grown.bucket = calloc(grown.bucket_count, sizeof(*grown.bucket));
	if (!grown.bucket)
		return;
	for (size_t i = 0; i < shard->bucket_count; i++)
		while ((c = shard->bucket[i])) {
			shard->bucket[i] = c->next;
			to = bucket_of(&grown, c->ino);
			c->next = *to;
			*to = c;
		}
	free(shard->bucket);
	shard->bucket = grown.bucket;
	shard->bucket_count = grown.bucket_count;
}

static struct cinode *shard_find(struct cinode_shard *shard, uint64_t ino)
{
	struct cinode *c = *bucket_of(shard, ino);

	while (c && c->ino != ino)
		c = c->next;
	return c;
}

static void shard_remove(struct cinode_shard *shard, struct cinode *c)
{
	struct cinode **p;

	for (p = bucket_of(shard, c->ino); *p != c; p = &(*p)->next)
		;
	*p = c->next;
	shard->count--;
}

static struct cinode *cinode_new(struct cache *cache, struct ls_inode *below, const struct ls_attr *attr)
{
	struct cinode *c = calloc(1, sizeof(*c));
	pthread_rwlockattr_t kind;

	if (!c)
		return NULL;
	*c = (struct cinode){.cache = cache,
			     .below = below,
			     .ino = attr->ino,
			     .size = attr->size,
			     .below_size = attr->size,
			     .below_bytes = attr->size,
			     .data = -1};
	pthread_mutex_init(&c->io, NULL);
	pthread_rwlockattr_init(&kind);
	pthread_rwlockattr_setkind_np(&kind, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&c->lock, &kind);
	pthread_rwlockattr_destroy(&kind);
	LIST_INIT(&c->fills);
	return c;
}

static void cinode_free(struct cinode *c, const struct ls_call *call)
{
	struct ls *below = c->cache->below;

	if (c->parked)
		__atomic_sub_fetch(&c->cache->idle_writers, 1, __ATOMIC_RELAXED);
	keep_fini(c);
	if (c->data >= 0)
		cdata_end(c);
	if (c->reader)
		ls_release(below, call, c->reader);
	if (c->writer)
		ls_release(below, call, c->writer);
	ls_forget(below, call, c->below, c->below_refs);
	pthread_rwlock_destroy(&c->lock);
	pthread_mutex_destroy(&c->io);
	free(c);
}

/*
 * The inode of that handle below, one reference more; NULL: no memory. One that is new is locked for
 * writing, so that nobody uses its size before that is known to be right.
 */
static struct cinode *table_enter(struct cache *cache, struct ls_inode *below, const struct ls_attr *attr,
				  bool *ret_new)
{
	struct cinode_shard *shard = shard_of(cache, attr->ino);
	struct cinode *c;

	pthread_mutex_lock(&shard->lock);
	c = shard_find(shard, attr->ino);
	*ret_new = !c;
	if (!c && (c = cinode_new(cache, below, attr))) {
		struct cinode **bucket;
		if (shard->count++ >= shard->bucket_count)
			shard_grow(shard);
		pthread_rwlock_wrlock(&c->lock);
		bucket = bucket_of(shard, c->ino);
		c->next = *bucket;
		*bucket = c;
	}
	if (c) {
		c->below_refs++;
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_SEQ_CST);
		cinode_hold(c);
	}
	pthread_mutex_unlock(&shard->lock);
	return c;
}

struct cinode *cinode_find(struct cache *cache, uint64_t ino)
{
	struct cinode_shard *shard = shard_of(cache, ino);
	struct cinode *c;

	pthread_mutex_lock(&shard->lock);
	c = shard_find(shard, ino);
	if (c)
		cinode_hold(c);
	pthread_mutex_unlock(&shard->lock);
	return c;
}

int cinode_enter(struct cache *cache, const struct ls_call *call, const struct entry *e,
		 struct ls_inode **inode, struct ls_attr *attr)
{
	struct cinode *c;
	bool fresh, old;

	if (cache->off || !S_ISREG(attr->mode))
		return 0;
	c = table_enter(cache, *inode, attr, &fresh);
	if (!c) {
		ls_forget(cache->below, call, *inode, 1);
		return -ENOMEM;
	}
	/* Between the look below and now it may have been written back, and forgotten here. */
	old = __atomic_load_n(&cache->freed, __ATOMIC_SEQ_CST) != e->freed;
	if (old)
		ls_getattr(cache->below, call, c->below, NULL, attr);
	if (!fresh && __atomic_load_n(&c->share, __ATOMIC_RELAXED)) {
		pthread_rwlock_wrlock(&c->lock);
		cshare_look(c);
	} else if (!fresh) {
		pthread_rwlock_rdlock(&c->lock);
	} else if (old) {
		c->size = c->below_size = c->below_bytes = attr->size;
	}
	cinode_merge(c, attr);
	pthread_rwlock_unlock(&c->lock);
	*inode = handle_of(c);
	return 0;
}

static bool users_drop(struct cinode *c)
{
	unsigned users = __atomic_load_n(&c->users, __ATOMIC_RELAXED);

	while (users > 1)
		if (__atomic_compare_exchange_n(&c->users, &users, users - 1, true, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* The last user goes under the shard's lock, so that nobody finds the inode meanwhile. */
void cinode_put(struct cinode *c, const struct ls_call *call)
{
	struct cinode_shard *shard = shard_of(c->cache, c->ino);
	bool last;

	if (users_drop(c))
		return;
	pthread_mutex_lock(&shard->lock);
	last = __atomic_sub_fetch(&c->users, 1, __ATOMIC_ACQ_REL) == 0;
	if (last) {
		shard_remove(shard, c);
		if (c->own)
			__atomic_add_fetch(&c->cache->freed, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&shard->lock);
	if (last)
		cinode_free(c, call);
}

/* ---- files without a name
 * --------------------------------------------------------------------------------- */

struct entry entry_begin(struct cache *cache)
{
	struct entry e;

	for (;;) {
		e.epoch = __atomic_load_n(&cache->epoch, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&cache->entering[e.epoch % 2], 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&cache->epoch, __ATOMIC_SEQ_CST) == e.epoch)
			break;
		entry_end(cache, &e);
	}
	e.freed = __atomic_load_n(&cache->freed, __ATOMIC_SEQ_CST);
	return e;
}

void entry_end(struct cache *cache, const struct entry *e)
{
	__atomic_sub_fetch(&cache->entering[e->epoch % 2], 1, __ATOMIC_SEQ_CST);
}

static bool entering_none(const struct cache *cache, unsigned epoch)
{
	const struct timespec nap = {0, 20000};

	for (int i = 0; i < GRACE_NAPS; i++) {
		if (__atomic_load_n(&cache->entering[epoch % 2], __ATOMIC_SEQ_CST) == 0)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

/* Everybody who may have looked a name up before now has entered what he found. False: some take long. */
static bool entries_end(struct cache *cache)
{
	bool ended;

	pthread_mutex_lock(&cache->epoch_lock);
	ended = entering_none(cache, cache->epoch + 1);
	if (ended) {
		__atomic_add_fetch(&cache->epoch, 1, __ATOMIC_SEQ_CST);
		ended = entering_none(cache, cache->epoch + 1);
	}
	pthread_mutex_unlock(&cache->epoch_lock);
	return ended;
}

/*
 * Nobody will ever ask for the bytes of a file without a name and without references. But somebody may have
 * found it below by its name and not have referred to it here yet; if he takes long, the flusher tries
 * again later.
 */
void cinode_discard(struct cinode *c, const struct ls_call *call)
{
	if (!entries_end(c->cache)) {
		pthread_rwlock_wrlock(&c->lock);
		cflusher_note(c);
		pthread_rwlock_unlock(&c->lock);
		return;
	}
	pthread_mutex_lock(&c->io);
	pthread_rwlock_wrlock(&c->lock);
	if (cinode_is_lost(c)) {
		body_drop(c, 0, UINT64_MAX / CACHE_PAGE);
		c->own = c->times_dirty = false;
		c->size = c->below_size;
	}
	pthread_rwlock_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	cflusher_done(c, call, 0);
}

void cinode_gone(struct cinode *c, const struct ls_call *call, bool gone)
{
	__atomic_store_n(&c->gone, gone, __ATOMIC_SEQ_CST);
	if (gone && !__atomic_load_n(&c->refs, __ATOMIC_SEQ_CST))
		cinode_discard(c, call);
}

void cinode_forget(struct cinode *c, const struct ls_call *call, uint64_t n)
{
	if (__atomic_sub_fetch(&c->refs, n, __ATOMIC_SEQ_CST) == 0 &&
	    __atomic_load_n(&c->gone, __ATOMIC_SEQ_CST)) {
		cinode_discard(c, call);
		below_settle(c, call);
	}
	for (; n > 1; n--)
		users_drop(c);
	cinode_put(c, call);
}

void cinode_table_fini(struct cache *cache)
{
	for (int i = 0; i < CACHE_SHARDS; i++) {
		struct cinode_shard *shard = &cache->shard[i];
		for (size_t k = 0; k < shard->bucket_count; k++)
			while (shard->bucket[k]) {
				struct cinode *c = shard->bucket[k];
				c->users++; /* ours, while its pages go */
				cshare_fini(c);
				body_drop(c, 0, UINT64_MAX / CACHE_PAGE);
				shard->bucket[k] = c->next;
				cinode_free(c, &cflusher_call);
			}
		free(shard->bucket);
		shard->bucket = NULL;
	}
}

/* ---- attributes ----------------------------------------------------------------------------------------
 */

/*
 * A change of ctime below that is not from our write-back is somebody's chmod, link or the like. Bytes that
 * have no place below yet count as if they had.
 */
void cinode_merge(struct cinode *c, struct ls_attr *attr)
{
	uint64_t have, want;

	if (!c->own)
		return;
	have = (c->below_bytes + CACHE_PAGE - 1) / CACHE_PAGE;
	want = (c->size + CACHE_PAGE - 1) / CACHE_PAGE;
	if (want > have)
		attr->blocks +=
		    (c->dirty_pages < want - have ? c->dirty_pages : want - have) * (CACHE_PAGE / 512);
	attr->size = c->size;
	attr->atime = c->atime;
	attr->mtime = c->mtime;
	if (c->writing_back || ls_time_equal(attr->ctime, c->below_ctime))
		attr->ctime = c->ctime;
}

/* From here on its times are ours to tell. The first change asks what they were. */
void cinode_own(struct cinode *c)
{
	struct ls_attr attr;

	if (c->own)
		return;
	if (c->cache->asks) { /* they were read when it was delegated */
		c->own = true;
		c->below_ctime = c->ctime;
		return;
	}
	if (ls_getattr(c->cache->below, &cflusher_call, c->below, NULL, &attr) < 0) {
		clock_gettime(CLOCK_REALTIME, &attr.ctime); /* as good as any, if it cannot be known */
		attr.atime = attr.mtime = attr.ctime;
	}
	c->own = true;
	c->atime = attr.atime;
	c->mtime = attr.mtime;
	c->ctime = c->below_ctime = attr.ctime;
}

void cinode_touch(struct cinode *c)
{
	struct timespec now;

	cinode_own(c);
	clock_gettime(CLOCK_REALTIME, &now);
	c->mtime = c->ctime = now;
	c->times_dirty = true;
	__atomic_store_n(&c->atime_due, true, __ATOMIC_RELAXED);
	cflusher_note(c);
}
