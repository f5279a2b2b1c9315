/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of files that other hosts lock, too.
 *
 * The layer below decides: a lock is taken there first and entered in our table then; given up, it leaves the table first.
 * Both are done under one mutex of the inode, so what is in the table is what we have below. The table is for those who ask
 * who has what, for what goes with a process, and it spares the layer the questions that it can answer.
 *
 * Nobody tells us when another host gives a lock up. So a wait is asked for again, at first soon and then ten times a second,
 * by one thread for all of them; no worker waits. Circles of waits are not found.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "libservices/wait.h"
#include "service/lock-hosts.h"
#include "service/ofd.h"

#define MS INT64_C(1000000)

enum { MUTEXES = 64, AGAIN_FIRST_MS = 2, AGAIN_MS = 100 };

struct hosts_wait {
	struct hosts_wait *next;
	struct lock_wait *wait;
	struct ofd *ofd;
	int64_t at, pause;
};

static pthread_mutex_t inode_mutex[MUTEXES] = {[0 ... MUTEXES - 1] = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t come, tried;
	struct hosts_wait *first;
	struct hosts_wait *trying; /* in the list; nobody else takes it out */
	pthread_t thread;
	bool runs, ends;
} waits = {.lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER, .tried = PTHREAD_COND_INITIALIZER};

static const struct ls_cred self_cred;
static const struct ls_call self_call = {.tenant = "", .cred = &self_cred};

static pthread_mutex_t *mutex_of(const struct inode *inode)
{
	return &inode_mutex[(inode->ino * 0x9e3779b97f4a7c15u) >> 58];
}

static bool between_hosts(const struct inode *inode)
{
	return inode->fs->locks && inode->type == S_IFREG;
}

static struct ls_lock below_of(const struct lock_range *range)
{
	return (struct ls_lock){.type = range->type,
				.flock = range->flock,
				.start = range->start,
				.end = range->end,
				.owner = range->owner.id ^ (uint64_t)range->owner.kind << 60,
				.pid = range->pid > 0 ? range->pid : 0};
}

static int below_lock(struct inode *inode, struct ofd *ofd, bool get, struct ls_lock *lock)
{
	return ls_lock(inode->fs->stack, &self_call, inode->ls, ofd ? ofd->file : NULL, get, lock);
}

/* ---- at once --------------------------------------------------------------------------------------- */

/* With the inode's mutex held. */
static int unlock(struct inode *inode, struct ofd *ofd, const struct lock_range *range)
{
	struct ls_lock lock = below_of(range);
	int r = lock_set(&inode->locks, range);

	if (r < 0)
		return r;
	lock.last = !__atomic_load_n(&inode->locks.held, __ATOMIC_ACQUIRE);
	return below_lock(inode, ofd, false, &lock);
}

static int lock_below_first(struct ofd *ofd, const struct lock_range *range)
{
	struct ls_lock lock = below_of(range);
	int r = below_lock(ofd->inode, ofd, false, &lock);

	if (r < 0)
		return r == -EWOULDBLOCK ? -EAGAIN : r;
	r = lock_set(&ofd->inode->locks, range);
	if (r == 0)
		return 0;
	lock.type = F_UNLCK;
	below_lock(ofd->inode, ofd, false, &lock);
	return r;
}

int hosts_lock(struct ofd *ofd, const struct lock_range *range)
{
	struct inode *inode = ofd->inode;
	struct lock_range other = {.type = F_UNLCK};
	int r;

	if (!between_hosts(inode))
		return lock_set(&inode->locks, range);
	/* Without the mutex: this lets go of what the dead hold, which takes it. */
	if (range->type != F_UNLCK)
		lock_get(&inode->locks, range, &other);
	if (other.type != F_UNLCK)
		return -EAGAIN;
	pthread_mutex_lock(mutex_of(inode));
	r = range->type == F_UNLCK ? unlock(inode, ofd, range) : lock_below_first(ofd, range);
	pthread_mutex_unlock(mutex_of(inode));
	return r;
}

int hosts_lock_get(struct ofd *ofd, const struct lock_range *probe, struct lock_range *ret)
{
	struct ls_lock lock = below_of(probe);
	int r;

	lock_get(&ofd->inode->locks, probe, ret);
	if (ret->type != F_UNLCK || !between_hosts(ofd->inode))
		return 0;
	pthread_mutex_lock(mutex_of(ofd->inode));
	r = below_lock(ofd->inode, ofd, true, &lock);
	pthread_mutex_unlock(mutex_of(ofd->inode));
	if (r == 0 && lock.type != F_UNLCK)
		*ret = (struct lock_range){.type = lock.type, .start = lock.start, .end = lock.end, .pid = -1};
	return r;
}

void hosts_lock_drop(struct inode *inode, struct lock_owner owner, bool flock)
{
	struct ls_lock lock = below_of(&(struct lock_range){
		.type = F_UNLCK, .owner = owner, .flock = flock, .start = 0, .end = UINT64_MAX});

	if (!between_hosts(inode)) {
		lock_drop(&inode->locks, owner, flock);
		return;
	}
	if (!__atomic_load_n(&inode->locks.held, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(mutex_of(inode));
	if (lock_drop(&inode->locks, owner, flock)) {
		lock.last = !__atomic_load_n(&inode->locks.held, __ATOMIC_ACQUIRE);
		below_lock(inode, NULL, false, &lock);
	}
	pthread_mutex_unlock(mutex_of(inode));
}

/* ---- waiting --------------------------------------------------------------------------------------- */

/* With the lock held. */
static void wait_unlink(struct hosts_wait *w)
{
	struct hosts_wait **p;

	for (p = &waits.first; *p != w; p = &(*p)->next)
		;
	*p = w->next;
}

static void wait_end(struct hosts_wait *w, int result)
{
	struct lock_wait *wait = w->wait;

	ofd_unref(w->ofd);
	free(w);
	wait->done(wait, result);
}

/* With the lock held: the one to be tried next. */
static struct hosts_wait *wait_next(void)
{
	struct hosts_wait *next = waits.first;

	for (struct hosts_wait *w = next; w; w = w->next)
		if (w->at < next->at)
			next = w;
	return next;
}

/* With the lock held, which it lets go of. */
static void wait_try(struct hosts_wait *w)
{
	int r;

	waits.trying = w;
	pthread_mutex_unlock(&waits.lock);
	r = hosts_lock(w->ofd, &w->wait->range);
	pthread_mutex_lock(&waits.lock);
	waits.trying = NULL;
	pthread_cond_broadcast(&waits.tried);
	if (r == -EAGAIN) {
		w->at = ls_now() + w->pause;
		w->pause = w->pause * 2 < AGAIN_MS * MS ? w->pause * 2 : AGAIN_MS * MS;
		return;
	}
	wait_unlink(w);
	pthread_mutex_unlock(&waits.lock);
	wait_end(w, r);
	pthread_mutex_lock(&waits.lock);
}

static void *waiter(void *arg)
{
	struct hosts_wait *w;

	pthread_mutex_lock(&waits.lock);
	while (!waits.ends) {
		w = wait_next();
		if (!w || w->at > ls_now())
			ls_wait_until(&waits.come, &waits.lock, w ? w->at : 0);
		else
			wait_try(w);
	}
	pthread_mutex_unlock(&waits.lock);
	return NULL;
}

static int wait_begin(struct ofd *ofd, struct lock_wait *wait)
{
	struct hosts_wait *w = malloc(sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	*w = (struct hosts_wait){.wait = wait, .ofd = ofd_ref(ofd), .at = ls_now() + AGAIN_FIRST_MS * MS, .pause = AGAIN_FIRST_MS * MS};
	pthread_mutex_lock(&waits.lock);
	if (!waits.runs && !waits.ends) {
		r = -pthread_create(&waits.thread, NULL, waiter, NULL);
		waits.runs = r == 0;
	}
	if (r == 0) {
		w->next = waits.first;
		waits.first = w;
		pthread_cond_signal(&waits.come);
	}
	pthread_mutex_unlock(&waits.lock);
	if (r < 0) {
		ofd_unref(w->ofd);
		free(w);
	}
	return r < 0 ? r : 1;
}

int hosts_lock_wait(struct ofd *ofd, struct lock_wait *wait)
{
	int r;

	if (!between_hosts(ofd->inode))
		return lock_set_wait(&ofd->inode->locks, wait);
	r = hosts_lock(ofd, &wait->range);
	return r == -EAGAIN ? wait_begin(ofd, wait) : r;
}

bool hosts_lock_cancel(struct lock_wait *wait)
{
	struct hosts_wait *w;

	if (lock_cancel(wait))
		return true;
	pthread_mutex_lock(&waits.lock);
	for (;;) {
		for (w = waits.first; w && w->wait != wait; w = w->next)
			;
		if (!w || w != waits.trying)
			break;
		pthread_cond_wait(&waits.tried, &waits.lock);
	}
	if (w)
		wait_unlink(w);
	pthread_mutex_unlock(&waits.lock);
	if (w)
		wait_end(w, -EINTR);
	return w;
}

void hosts_locks_end(void)
{
	bool runs;

	pthread_mutex_lock(&waits.lock);
	waits.ends = true;
	runs = waits.runs;
	waits.runs = false;
	pthread_cond_signal(&waits.come);
	pthread_mutex_unlock(&waits.lock);
	if (runs)
		pthread_join(waits.thread, NULL);
}
