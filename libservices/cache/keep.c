/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be kept of files that others may change, too.
 *
 * Where the layer below delegates (LS_DELEGATES), nothing of a file is cached but while we have a delegation of it: READ, and
 * nobody changes it; WRITE, and nobody even looks at it. Without one, everything is done below (keep_pass_*). Whoever uses
 * what is cached asks for a delegation first (keep_begin), and looks again, with the file's lock held, whether it is still
 * there: it may be recalled at any time.
 *
 * Below gives a delegation to a file that is open there once, to read or to write; so of the two that may be open for a
 * cached file the reader goes when the writer comes.
 *
 * What the kernel has (FUSE passthrough) cannot be taken from it: keep-copy.c.
 *
 * A recall must not wait for anything that waits for below, for below may be waiting for the recall. So it drops what has
 * not been changed, and lets go; what was changed is written as soon as that is over (`stale`), before anything else is
 * done with the file. Where below says that it has ended without a recall (-ESTALE), what was changed is dropped instead, and
 * fsync tells (keep_overtaken). Everybody else's open has not returned by the time that this begins, but may before it ends: what
 * was closed here is below by then (cache_release), what is still open is not promised to be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libservices/cache/cache.h"
#include "libservices/cache/keep.h"

#define MS 1000000ll

enum {
	REFUSED_MS = 50, /* after others were there, do not ask again at once */
	LOCK_MS = 1000,  /* for those who have the lock while they wait for below */
	PATIENCE = 200,  /* naps */
};

static const struct timespec nap = {0, 50000};

static struct ls *below_of(const struct cinode *c)
{
	return c->cache->below;
}

/* ---- which file is whose ----------------------------------------------------------------------------- */

static unsigned bucket_of(const struct ls_file *file)
{
	return (uintptr_t)file * 0x9e3779b97f4a7c15u >> 54;
}

static void table_put(struct cinode *c, struct ls_file *file)
{
	struct cache *cache = c->cache;

	pthread_mutex_lock(&cache->kept_lock);
	c->delegated = file;
	LIST_INSERT_HEAD(&cache->kept[bucket_of(file)], c, kept_link);
	pthread_mutex_unlock(&cache->kept_lock);
}

/* The file, if it was there: its delegation is the caller's to give back. */
static struct ls_file *table_take(struct cinode *c)
{
	struct cache *cache = c->cache;
	struct ls_file *file;

	pthread_mutex_lock(&cache->kept_lock);
	file = c->delegated;
	if (file)
		LIST_REMOVE(c, kept_link);
	c->delegated = NULL;
	if (c->idle)
		__atomic_sub_fetch(&cache->idle_kept, 1, __ATOMIC_RELAXED);
	c->idle = false;
	pthread_mutex_unlock(&cache->kept_lock);
	return file;
}

/* Unless it is just being forgotten. */
static bool hold_if_used(struct cinode *c)
{
	unsigned users = __atomic_load_n(&c->users, __ATOMIC_RELAXED);

	while (users)
		if (__atomic_compare_exchange_n(&c->users, &users, users + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

static struct cinode *table_find(struct cache *cache, const struct ls_file *file)
{
	struct cinode *c;

	pthread_mutex_lock(&cache->kept_lock);
	LIST_FOREACH(c, &cache->kept[bucket_of(file)], kept_link)
	if (c->delegated == file)
		break;
	if (c && !hold_if_used(c))
		c = NULL;
	pthread_mutex_unlock(&cache->kept_lock);
	return c;
}

/* ---- the end of a delegation ------------------------------------------------------------------------- */

static bool lock_in_time(struct cinode *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOCK_MS / 1000;
	return pthread_rwlock_clockwrlock(&c->lock, CLOCK_MONOTONIC, &until) == 0;
}

/* With the lock held for writing. Clients that copy ask again. */
static void clean_drop(struct cinode *c)
{
	struct chunk *chunk;

	if (c->share) {
		cgrant_pause(c);
		c->share->grant_session = UINT32_MAX;
		cshare_epoch(c->share);
		cshare_merge(c);
	}
	for (chunk = chunk_from(c, 0, false); chunk;) {
		uint64_t index = chunk->index;
		if (!chunk->dirty && !chunk->writing && !cshare_keeps(chunk) && (!c->share || !cshare_goes(chunk, chunk->present)))
			chunk_drop(chunk, chunk->present);
		chunk = chunk_from(c, index + 1, false);
	}
	if (!c->chunks && !c->own)
		__atomic_store_n(&c->stale, false, __ATOMIC_SEQ_CST);
}

static void revoke(struct cinode *c)
{
	struct ls *ls = c->cache->ls;

	if (ls->revoke)
		ls->revoke(ls->revoke_arg, c->ino);
}

/* It does not count any more. False: it did not anyway. */
static bool kept_clear(struct cinode *c)
{
	__atomic_add_fetch(&c->recalls, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->kept, __ATOMIC_SEQ_CST) == LS_DELEGATION_NONE)
		return false;
	__atomic_store_n(&c->stale, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->kept, LS_DELEGATION_NONE, __ATOMIC_SEQ_CST);
	return true;
}

static void delegation_ended(struct cinode *c)
{
	if (!kept_clear(c))
		return;
	if (lock_in_time(c)) {
		clean_drop(c);
		if (__atomic_load_n(&c->stale, __ATOMIC_SEQ_CST))
			cflusher_urge(c);
		pthread_rwlock_unlock(&c->lock);
	}
	revoke(c);
}

void keep_recalled(void *arg, struct ls_file *file)
{
	struct cinode *c = table_find(arg, file);

	if (!c)
		return;
	figure_add(&c->cache->figures.recalled, 1);
	__atomic_store_n(&c->keep_after, ls_now() + REFUSED_MS * MS, __ATOMIC_RELAXED);
	delegation_ended(c);
	table_take(c);
	cinode_put(c, &cflusher_call);
}

int keep_settle(struct cinode *c, const struct ls_call *call)
{
	bool left, wrote = false;
	int r = 0;

	__atomic_store_n(&c->stale, true, __ATOMIC_SEQ_CST);
	do {
		r = writeback_pages(c, call, 0, UINT64_MAX / CACHE_PAGE, 0);
		pthread_rwlock_wrlock(&c->lock);
		cshare_look(c);
		left = c->dirty_pages;
		if (!left) {
			wrote = keep_is_copy(c) && c->own;
			c->own = c->times_dirty = false;
			if (!keep_is_copy(c))
				body_drop(c, 0, UINT64_MAX / CACHE_PAGE);
			__atomic_store_n(&c->stale, false, __ATOMIC_SEQ_CST);
		}
		pthread_rwlock_unlock(&c->lock);
	} while (r == 0 && left);
	if (wrote)
		keep_copy_times(c, call);
	return r;
}

int keep_overtaken(struct cinode *c)
{
	pthread_rwlock_wrlock(&c->lock);
	if (keep_is_copy(c))
		keep_copy_void(c);
	else
		body_drop(c, 0, UINT64_MAX / CACHE_PAGE);
	c->own = c->times_dirty = false;
	c->size = c->below_size;
	if (c->share)
		cshare_size(c);
	pthread_rwlock_unlock(&c->lock);
	return -EIO;
}

/* The kernel may have changed its copy. */
static bool may_differ(struct cinode *c)
{
	bool may;

	pthread_rwlock_rdlock(&c->lock);
	may = cshare_kernel_writes(c);
	pthread_rwlock_unlock(&c->lock);
	return may;
}

static int settle(struct cinode *c, const struct ls_call *call)
{
	bool stale = __atomic_load_n(&c->stale, __ATOMIC_SEQ_CST);
	int r = stale || may_differ(c) ? writeback(c, call) : 0;

	/* What could not be written and is not here any more is for fsync to tell. */
	return r < 0 && stale && !__atomic_load_n(&c->stale, __ATOMIC_SEQ_CST) ? 0 : r;
}

int keep_end(struct cinode *c, const struct ls_call *call)
{
	struct ls_file *file;
	int r = writeback(c, call);

	if (r < 0)
		return r;
	delegation_ended(c);
	file = table_take(c);
	if (file)
		ls_delegate(below_of(c), call, file, LS_DELEGATION_NONE);
	return settle(c, call);
}

void keep_let_go(struct cinode *c)
{
	if (!c->cache->asks)
		return;
	if (kept_clear(c))
		clean_drop(c);
	table_take(c);
}

bool keep_idle(struct cinode *c)
{
	struct cache *cache = c->cache;

	if (!c->chunks || !cinode_is_kept(c))
		return false;
	pthread_mutex_lock(&cache->kept_lock);
	if (c->delegated && !c->idle) {
		c->idle = __atomic_add_fetch(&cache->idle_kept, 1, __ATOMIC_RELAXED) <= CACHE_IDLE_KEPT;
		if (!c->idle)
			__atomic_sub_fetch(&cache->idle_kept, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&cache->kept_lock);
	return c->idle;
}

void keep_fini(struct cinode *c)
{
	if (c->cache->asks)
		table_take(c); /* and with the file the delegation ends */
}

/* ---- asking for one ---------------------------------------------------------------------------------- */

static bool is_used(const struct cinode *c)
{
	return __atomic_load_n(&c->using, __ATOMIC_SEQ_CST) || __atomic_load_n(&c->passing, __ATOMIC_SEQ_CST);
}

/* Unless there is another by now. */
static bool file_back(struct cinode *c, struct ls_file **place, struct ls_file *file)
{
	bool empty;

	pthread_rwlock_wrlock(&c->lock);
	empty = !*place;
	if (empty)
		__atomic_store_n(place, file, __ATOMIC_SEQ_CST);
	pthread_rwlock_unlock(&c->lock);
	return empty;
}

/* With io held. Who uses it now is waited for. False: that takes long. */
static bool file_close(struct cinode *c, const struct ls_call *call, struct ls_file **place)
{
	struct ls_file *file;

	pthread_rwlock_wrlock(&c->lock);
	file = *place;
	__atomic_store_n(place, NULL, __ATOMIC_SEQ_CST);
	pthread_rwlock_unlock(&c->lock);
	for (int i = 0; file && is_used(c); i++) {
		nanosleep(&nap, NULL);
		if (i >= PATIENCE && file_back(c, place, file))
			return false;
	}
	if (file)
		ls_release(below_of(c), call, file);
	return true;
}

/* With io held, and nothing cached: of both files that one which those need who have it open here. */
static bool one_stays(struct cinode *c, const struct ls_call *call)
{
	if (__atomic_load_n(&c->writers, __ATOMIC_SEQ_CST))
		return !c->writer || file_close(c, call, &c->reader);
	return !c->reader || file_close(c, call, &c->writer);
}

void keep_adopt(struct cinode *c, const struct ls_attr *attr)
{
	c->below_version++;
	c->below_size = c->below_bytes = attr->size;
	__atomic_store_n(&c->size, attr->size, __ATOMIC_RELAXED);
	c->atime = attr->atime;
	c->mtime = attr->mtime;
	c->ctime = attr->ctime;
}

/* With the delegation, and io held. Nothing is cached. */
static int kept_set(struct cinode *c, const struct ls_call *call, struct ls_file *file, enum ls_delegation what, unsigned recalls)
{
	struct ls_attr attr;
	int r = ls_getattr(below_of(c), call, c->below, file, &attr);

	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&c->lock);
	__atomic_store_n(&c->kept, what, __ATOMIC_SEQ_CST);
	/* Either who changes something below now sees that it is kept, or he is seen here. Partner: keep_pass_begin. */
	if (recalls == __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST) && !__atomic_load_n(&c->passing, __ATOMIC_SEQ_CST)) {
		keep_adopt(c, &attr);
		if (c->share) {
			cshare_mode(c, attr.mode);
			cshare_size(c);
		}
	} else {
		__atomic_store_n(&c->kept, LS_DELEGATION_NONE, __ATOMIC_SEQ_CST);
		r = KEEP_LOST;
	}
	pthread_rwlock_unlock(&c->lock);
	return r;
}

/* With io held. A copy is like below before it counts again; nothing else is left. */
static int leftovers_end(struct cinode *c, const struct ls_call *call)
{
	if (keep_has_copy(c))
		return keep_copy_refresh(c, call, 0, UINT64_MAX);
	pthread_rwlock_wrlock(&c->lock);
	body_drop(c, 0, UINT64_MAX / CACHE_PAGE);
	pthread_rwlock_unlock(&c->lock);
	return 0;
}

/* With io held. */
static int delegation_get(struct cinode *c, const struct ls_call *call)
{
	enum ls_delegation what = c->writer ? LS_DELEGATION_WRITE : LS_DELEGATION_READ;
	unsigned recalls = __atomic_load_n(&c->recalls, __ATOMIC_SEQ_CST);
	struct ls_file *file = below_file(c);
	int r;

	if (table_take(c))
		return -EAGAIN; /* the last one is only just ending */
	table_put(c, file);
	r = ls_delegate(below_of(c), call, file, what);
	if (r == 0) {
		r = leftovers_end(c, call);
		r = r < 0 ? r : kept_set(c, call, file, what, recalls);
		if (r < 0)
			ls_delegate(below_of(c), call, file, LS_DELEGATION_NONE);
	}
	if (r < 0)
		table_take(c);
	return r;
}

static int keep_ask(struct cinode *c, const struct ls_call *call)
{
	int r;

	/* Somebody who asks already, or writes back, is not waited for: it can be done below. */
	if (pthread_mutex_trylock(&c->io) != 0)
		return KEEP_LOST;
	r = 0;
	if (!cinode_is_kept(c) && !__atomic_load_n(&c->stale, __ATOMIC_SEQ_CST))
		r = one_stays(c, call) ? delegation_get(c, call) : -EAGAIN;
	if (r < 0)
		__atomic_store_n(&c->keep_after, ls_now() + REFUSED_MS * MS, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&c->io);
	return r < 0 ? KEEP_LOST : 0;
}

int keep_begin(struct cinode *c, const struct ls_call *call, bool stores)
{
	int64_t after;
	int r;

	if (stores ? cinode_may_store(c) : cinode_is_kept(c))
		return 0;
	r = settle(c, call);
	if (r < 0)
		return r;
	after = __atomic_load_n(&c->keep_after, __ATOMIC_RELAXED);
	if (after && ls_now() < after)
		return KEEP_LOST;
	if (stores && cinode_is_kept(c) && (r = keep_end(c, call)) < 0)
		return r;
	if (__atomic_load_n(&c->writers, __ATOMIC_SEQ_CST))
		r = below_writer(c, call);
	else
		r = __atomic_load_n(&c->reader, __ATOMIC_SEQ_CST) ? 0 : below_open_reader(c, call);
	if (r == 0)
		r = keep_ask(c, call);
	if (r < 0)
		return r;
	return (stores ? cinode_may_store(c) : cinode_is_kept(c)) ? 0 : KEEP_LOST;
}

/* ---- without one ------------------------------------------------------------------------------------- */

int keep_passed(struct cinode *c, const struct ls_call *call)
{
	return keep_copy_look(c, call, 0, UINT64_MAX);
}

bool keep_pass_begin(struct cinode *c)
{
	__atomic_add_fetch(&c->passing, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&c->recalls, 1, __ATOMIC_SEQ_CST);
	return !cinode_is_kept(c);
}

void keep_pass_end(struct cinode *c)
{
	__atomic_sub_fetch(&c->passing, 1, __ATOMIC_SEQ_CST);
}

/* What is left of the caller's memory behind `skip` bytes; the caller's to free. */
static struct iovec *iov_rest(const struct iovec *iov, int *count, uint64_t skip)
{
	struct iovec *rest = malloc((*count ? *count : 1) * sizeof(*rest));
	int n = 0;

	for (int i = 0; rest && i < *count; i++) {
		uint64_t gone = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		skip -= gone;
		if (iov[i].iov_len > gone)
			rest[n++] = (struct iovec){(char *)iov[i].iov_base + gone, iov[i].iov_len - gone};
	}
	*count = n;
	return rest;
}

ssize_t keep_pass_read(struct cinode *c, const struct ls_call *call, const struct iovec *iov, int iovcnt, uint64_t skip,
		       off_t offset)
{
	struct iovec *rest = iov_rest(iov, &iovcnt, skip);
	ssize_t n = rest ? settle(c, call) : -ENOMEM;
	struct ls_file *file;

	if (n == 0)
		n = below_take(c, call, &file);
	if (n == 0) {
		n = ls_read(below_of(c), call, file, rest, iovcnt, offset);
		below_unuse(c);
	}
	free(rest);
	return n;
}

ssize_t keep_pass_write(struct cinode *c, const struct ls_call *call, const struct iovec *iov, int iovcnt, uint64_t skip,
			off_t offset, unsigned flags, off_t *ret_end)
{
	struct iovec *rest = iov_rest(iov, &iovcnt, skip);
	ssize_t n = rest ? settle(c, call) : -ENOMEM;

	if (n == 0)
		n = below_writer(c, call);
	if (n == 0) {
		n = KEEP_LOST;
		if (keep_pass_begin(c))
			n = ls_write(below_of(c), call, c->writer, rest, iovcnt, offset, flags, ret_end);
		keep_pass_end(c);
	}
	if (n > 0)
		keep_copy_look(c, call, *ret_end - n, *ret_end);
	free(rest);
	return n;
}
