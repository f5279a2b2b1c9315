/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume's own thread: commits after `commit_interval`, checkpoints before the journal or the cache of
 * nodes is full, writes back before there are too many dirty pages, and erases what a crash has left
 * without a name. While nothing changes it sleeps and nothing wakes it.
 *
 * Whoever changes things faster than they can be written waits for it in vol_throttle.
 */
#include <errno.h>

#include "libservices/volume/vol.h"
#include "libservices/wait.h"

enum {
	TRANSACTION_MAX = 16 << 20, /* bytes; or a quarter of the ring */
	NEW_INODES = 8,             /* that share a node when they are stored */
};

enum pressure { NONE, SOFT, HARD };

/* ---- how urgent it is ------------------------------------------------------------------------ */

static enum pressure pressure_of(uint64_t used, uint64_t max)
{
	return used > max / 4 * 3 ? HARD : used > max / 2 ? SOFT : NONE;
}

static enum pressure larger(enum pressure a, enum pressure b)
{
	return a > b ? a : b;
}

/* Blocks that the next checkpoint will have to write, as far as one can tell. */
static uint64_t blocks_dirty(const struct vol *v)
{
	uint64_t inodes = __atomic_load_n(&v->dirty_inode_count, __ATOMIC_RELAXED);
	uint64_t fresh = __atomic_load_n(&v->new_inode_count, __ATOMIC_RELAXED);

	fresh = fresh < inodes ? fresh : inodes; /* they are not read at the same moment */
	return __atomic_load_n(&v->cache.dirty_count, __ATOMIC_RELAXED) + inodes - fresh +
	       fresh / NEW_INODES + 2 * __atomic_load_n(&v->space.dirty_count, __ATOMIC_RELAXED);
}

static enum pressure checkpoint_pressure(const struct vol *v, uint64_t log_used)
{
	const struct vol_space *s = &v->space;
	uint64_t room = v->super.shadow_blocks - v->super.shadow_blocks / 200 - 2; /* less its list */
	enum pressure p = pressure_of(log_used, v->super.journal_blocks * VF_BLOCK);
	uint64_t free = __atomic_load_n(&s->free, __ATOMIC_RELAXED),
		 busy = __atomic_load_n(&s->busy, __ATOMIC_RELAXED);

	p = larger(p, pressure_of(blocks_dirty(v), room));
	p = larger(p, pressure_of(__atomic_load_n(&v->cache.dirty_count, __ATOMIC_RELAXED), v->cache.max));
	/* Freed nodes come back only with a checkpoint, and the tree may need what is left. */
	if (__atomic_load_n(&s->node_busy, __ATOMIC_RELAXED) && free < busy + s->floor / 2)
		p = HARD;
	return p;
}

/* A transaction that takes too much of the ring, or of the memory, is to be ended. */
static enum pressure commit_pressure(const struct vol *v)
{
	uint64_t max = v->super.journal_blocks * VF_BLOCK / 4;

	return pressure_of(vol_log_pending(v), max < TRANSACTION_MAX ? max : TRANSACTION_MAX);
}

/* ---- the thread ------------------------------------------------------------------------------ */

void vol_keeper_wake(struct vol *v, bool *what)
{
	pthread_mutex_lock(&v->keeper_lock);
	if (!*what) {
		*what = true;
		pthread_cond_signal(&v->keeper_wake);
	}
	pthread_mutex_unlock(&v->keeper_lock);
}

static int orphan_next(struct vol *v, uint64_t after, uint64_t *ret)
{
	struct vf_key key;
	int r = vol_tree_first(v, vol_key(0, VF_ORPHAN, after + 1), vol_key(0, VF_ORPHAN, UINT64_MAX), &key,
			       NULL, 0);

	if (r >= 0)
		*ret = key.lo;
	return r;
}

static void orphans_erase(struct vol *v)
{
	struct vol_inode *inode;
	uint64_t ino = 0;

	__atomic_store_n(&v->orphans_due, 0, __ATOMIC_RELAXED);
	while (!v->keeper_stop && orphan_next(v, ino, &ino) >= 0)
		if (vol_inode_get(v, ino, &inode) == 0)
			vol_inode_put(v, inode, 1); /* erased, unless somebody uses it */
}

static void keep_time(struct vol *v)
{
	vol_write_back(v, 0);
	vol_log_flush(v);
}

/* With keeper_lock held. What is the first thing that time will bring? 0: nothing. */
static int64_t keeper_due(const struct vol *v, int64_t commit_due)
{
	if (v->orphans_due && (!commit_due || v->orphans_due < commit_due))
		return v->orphans_due;
	return commit_due;
}

/* One thing that there is to do, or sleep. */
static void keeper_step(struct vol *v, int64_t *commit_due)
{
	void (*task)(struct vol * v) = NULL;
	int64_t now = ls_now();

	if (v->keeper_timer && !*commit_due) {
		*commit_due = now + __atomic_load_n(&v->commit_interval, __ATOMIC_RELAXED);
		__atomic_store_n(&v->keeper_armed, true, __ATOMIC_RELAXED);
	}
	v->keeper_timer = false;
	if (v->keeper_checkpoint || v->keeper_write_back || v->keeper_commit) {
		bool checkpoint = v->keeper_checkpoint, write_back = v->keeper_write_back;
		v->keeper_checkpoint = v->keeper_write_back = v->keeper_commit = false;
		pthread_mutex_unlock(&v->keeper_lock);
		if (write_back)
			vol_write_back(v, v->pages_max / 8);
		if (checkpoint)
			vol_checkpoint(v, false);
		else
			vol_log_flush(v);
		pthread_mutex_lock(&v->keeper_lock);
		pthread_cond_broadcast(&v->throttle_wake);
		return;
	}
	if (*commit_due && *commit_due <= now) {
		*commit_due = 0;
		__atomic_store_n(&v->keeper_armed, false, __ATOMIC_SEQ_CST); /* before it looks what there is */
		task = keep_time;
	} else if (v->orphans_due && v->orphans_due <= now) {
		task = orphans_erase;
	}
	if (!task || vol_failed(v)) {
		ls_wait_until(&v->keeper_wake, &v->keeper_lock, vol_failed(v) ? 0 : keeper_due(v, *commit_due));
		return;
	}
	pthread_mutex_unlock(&v->keeper_lock);
	task(v);
	pthread_mutex_lock(&v->keeper_lock);
}

static void *keeper_run(void *arg)
{
	struct vol *v = arg;
	int64_t commit_due = 0;

	pthread_mutex_lock(&v->keeper_lock);
	while (!v->keeper_stop)
		keeper_step(v, &commit_due);
	pthread_mutex_unlock(&v->keeper_lock);
	return NULL;
}

int vol_keeper_start(struct vol *v)
{
	int r = -pthread_create(&v->keeper, NULL, keeper_run, v);

	v->keeper_runs = r == 0;
	return r;
}

void vol_keeper_stop(struct vol *v)
{
	if (!v->keeper_runs)
		return;
	pthread_mutex_lock(&v->keeper_lock);
	v->keeper_stop = true;
	pthread_cond_signal(&v->keeper_wake);
	pthread_mutex_unlock(&v->keeper_lock);
	pthread_join(v->keeper, NULL);
	v->keeper_runs = false;
}

/* ---- those who wait -------------------------------------------------------------------------- */

/* Until the keeper has made a checkpoint or a commit, or there is no need any more. */
static void keeper_await(struct vol *v)
{
	bool checkpoint;

	pthread_mutex_lock(&v->keeper_lock);
	while (!vol_failed(v) && ((checkpoint = checkpoint_pressure(v, vol_log_used(v)) == HARD) ||
				  commit_pressure(v) == HARD)) {
		*(checkpoint ? &v->keeper_checkpoint : &v->keeper_commit) = true;
		pthread_cond_signal(&v->keeper_wake);
		pthread_cond_wait(&v->throttle_wake, &v->keeper_lock);
	}
	pthread_mutex_unlock(&v->keeper_lock);
}

static void pages_throttle(struct vol *v)
{
	uint64_t dirty = __atomic_load_n(&v->dirty_pages, __ATOMIC_RELAXED);

	if (dirty > v->pages_max / 2)
		vol_write_back(v, v->pages_max / 4);
	else if (dirty > v->pages_max / 4 && v->keeper_runs)
		vol_keeper_wake(v, &v->keeper_write_back);
}

/* Where there is no keeper, its work is done by whoever comes; but not from within that work. */
static void keep_instead(struct vol *v, bool checkpoint)
{
	if (pthread_mutex_trylock(&v->checkpoint) != 0)
		return;
	pthread_mutex_unlock(&v->checkpoint);
	if (checkpoint)
		vol_checkpoint(v, false);
	else
		vol_log_flush(v);
}

void vol_throttle(struct vol *v)
{
	enum pressure checkpoint = checkpoint_pressure(v, vol_log_used(v)), commit = commit_pressure(v);

	if (v->keeper_runs && pthread_equal(pthread_self(), v->keeper))
		return;
	pages_throttle(v);
	if (checkpoint == NONE && commit == NONE)
		return;
	if (!v->keeper_runs) {
		keep_instead(v, checkpoint != NONE);
		return;
	}
	vol_keeper_wake(v, checkpoint != NONE ? &v->keeper_checkpoint : &v->keeper_commit);
	if (checkpoint == HARD || commit == HARD)
		keeper_await(v);
}

int vol_space_reclaim(struct vol *v)
{
	int r = vol_log_flush(v);

	if (r < 0 || !__atomic_load_n(&v->space.node_busy, __ATOMIC_RELAXED))
		return r < 0 ? r : -ENOSPC;
	return vol_checkpoint(v, false);
}
