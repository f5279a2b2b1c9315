/* SPDX-License-Identifier: Apache-2.0 */
/* Files open below: one for reading and one for writing at most, whatever number of files are open here. */
#include <fcntl.h>

#include "libservices/cache/cache.h"

static int file_open(struct cinode *c, const struct ls_call *call, int flags, struct ls_file **place)
{
	struct ls *below = c->cache->below;
	struct ls_file *file;
	int r = ls_open(below, call, c->below, flags, &file);

	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&c->lock);
	if (!*place) {
		__atomic_store_n(place, file, __ATOMIC_RELEASE);
		file = NULL;
	}
	pthread_rwlock_unlock(&c->lock);
	if (file)
		ls_release(below, call, file);
	return 0;
}

static bool is_open(struct cinode *c, bool to_write)
{
	bool open;

	pthread_rwlock_rdlock(&c->lock);
	open = to_write ? c->writer != NULL : below_file(c) != NULL;
	pthread_rwlock_unlock(&c->lock);
	return open;
}

int below_reader(struct cinode *c, const struct ls_call *call)
{
	return is_open(c, false) ? 0 : file_open(c, call, O_RDONLY, &c->reader);
}

int below_open_reader(struct cinode *c, const struct ls_call *call)
{
	return file_open(c, call, O_RDONLY, &c->reader);
}

int below_writer(struct cinode *c, const struct ls_call *call)
{
	return is_open(c, true) ? 0 : file_open(c, call, O_RDWR, &c->writer);
}

void below_adopt(struct cinode *c, const struct ls_call *call, struct ls_file *file)
{
	pthread_rwlock_wrlock(&c->lock);
	if (!c->writer) {
		__atomic_store_n(&c->writer, file, __ATOMIC_RELEASE);
		file = NULL;
	}
	pthread_rwlock_unlock(&c->lock);
	if (file)
		ls_release(c->cache->below, call, file);
}

int below_take(struct cinode *c, const struct ls_call *call, struct ls_file **ret)
{
	int r;

	while ((r = below_reader(c, call)) == 0) {
		*ret = below_use(c);
		if (*ret)
			return 0;
		below_unuse(c);
	}
	return r;
}

/*
 * The write-back to come needs the writer, which is parked meanwhile; but not thousands of them. With the
 * lock held for writing.
 */
static bool is_kept(struct cinode *c)
{
	unsigned *idle = &c->cache->idle_writers;

	if (__atomic_load_n(&c->opens, __ATOMIC_SEQ_CST) || !LIST_EMPTY(&c->fills) || c->share)
		return true;
	if (c->cache->asks && (c->dirty_pages || c->times_dirty || __atomic_load_n(&c->stale, __ATOMIC_SEQ_CST) || keep_idle(c)))
		return true;
	if (!c->writer || !(c->dirty_pages || c->times_dirty))
		return false;
	if (c->parked)
		return true;
	if (__atomic_add_fetch(idle, 1, __ATOMIC_RELAXED) > CACHE_IDLE_WRITERS) {
		__atomic_sub_fetch(idle, 1, __ATOMIC_RELAXED);
		return false;
	}
	return c->parked = true;
}

void below_settle(struct cinode *c, const struct ls_call *call)
{
	struct ls *below = c->cache->below;
	struct ls_file *reader = NULL, *writer = NULL;

	/* Who has io looks again when he is done. */
	if (pthread_mutex_trylock(&c->io) != 0)
		return;
	pthread_rwlock_wrlock(&c->lock);
	if ((c->reader || c->writer) && !is_kept(c)) {
		keep_let_go(c);
		reader = c->reader;
		writer = c->writer;
		c->reader = c->writer = NULL;
		if (c->parked)
			__atomic_sub_fetch(&c->cache->idle_writers, 1, __ATOMIC_RELAXED);
		c->parked = false;
	}
	pthread_rwlock_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	if (reader)
		ls_release(below, call, reader);
	if (writer)
		ls_release(below, call, writer);
}
