/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that passed through, of which the kernel may have something mapped still, though no FUSE file is open. Nobody
 * is told when the last mapping goes; so a thread looks, soon after the close (the kernel closes a moment after it has
 * said so), then less and less often. It is started with the first such file, and sleeps when there is none.
 *
 * An inode in the list is referenced. `watched` is under the lock of its shares, the list under one of its own, which
 * is taken second. `looking` is held for a round, in which the list is in the thread's hand.
 */
#include <pthread.h>
#include <time.h>

#include "service/cred.h"
#include "service/share-internal.h"

enum {
	LOOK_FIRST_NS = 2000000,
	LOOK_LAST_NS = 2000000000,
};

static struct {
	pthread_mutex_t looking, lock;
	pthread_cond_t wake;
	struct shares *first;
	int64_t pause; /* before the next round, in ns */
	bool started;
} linger = {.looking = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER,
	    .wake = PTHREAD_COND_INITIALIZER, .pause = LOOK_FIRST_NS};

static void list_add(struct shares *sh)
{
	pthread_mutex_lock(&linger.lock);
	sh->kernel.next = linger.first;
	linger.first = sh;
	pthread_cond_signal(&linger.wake);
	pthread_mutex_unlock(&linger.lock);
}

static struct shares *list_take(void)
{
	struct shares *first;

	pthread_mutex_lock(&linger.lock);
	first = linger.first;
	linger.first = NULL;
	pthread_mutex_unlock(&linger.lock);
	return first;
}

/* True if it is to be looked at again. One that is open again comes back when it is closed. */
static bool look(struct inode *inode, struct shares *sh, bool force)
{
	bool again;

	pthread_mutex_lock(&sh->lock);
	kernel_settle(inode, sh, force);
	again = sh->kernel.watched = sh->kernel.passes && !sh->kernel.files;
	pthread_mutex_unlock(&sh->lock);
	return again;
}

/* All; or by force, those of an instance, NULL: of every one. */
static void look_at_all(bool force, const struct instance *fs)
{
	struct shares *sh, *next;

	pthread_mutex_lock(&linger.looking);
	for (sh = list_take(); sh; sh = next) {
		struct inode *inode = sh->kernel.inode;

		next = sh->kernel.next;
		if (look(inode, sh, force && (!fs || inode->fs == fs)))
			list_add(sh);
		else
			inode_unref(inode);
	}
	pthread_mutex_unlock(&linger.looking);
}

/* Returns when it is time for a round. */
static void round_wait(void)
{
	struct timespec pause;

	pthread_mutex_lock(&linger.lock);
	while (!linger.first) {
		linger.pause = LOOK_FIRST_NS;
		pthread_cond_wait(&linger.wake, &linger.lock);
	}
	pause = (struct timespec){linger.pause / 1000000000, linger.pause % 1000000000};
	linger.pause = linger.pause * 2 < LOOK_LAST_NS ? linger.pause * 2 : LOOK_LAST_NS;
	pthread_mutex_unlock(&linger.lock);
	nanosleep(&pause, NULL);
}

static void *watcher(void *arg)
{
	for (;;) {
		round_wait();
		look_at_all(false, NULL);
	}
	return NULL;
}

static void watcher_start(void)
{
	pthread_t thread;

	pthread_mutex_lock(&linger.lock);
	linger.pause = LOOK_FIRST_NS;
	if (!linger.started && pthread_create(&thread, NULL, watcher, NULL) == 0) {
		pthread_detach(thread);
		linger.started = true;
	}
	pthread_mutex_unlock(&linger.lock);
}

void linger_watch(struct inode *inode, struct shares *sh)
{
	if (sh->kernel.watched)
		return;
	sh->kernel.watched = true;
	sh->kernel.inode = inode_ref(inode);
	watcher_start();
	list_add(sh);
}

void share_linger_end(const struct instance *fs)
{
	look_at_all(true, fs);
}
