/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's flusher: what was written and not synced for `flush.interval` is written back, inode by inode, so
 * that one tenant's flush never writes another tenant's data as syncfs would. Stacks that write back by themselves
 * (LS_FLUSHES), as those with a cache do, are left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "libservices/wait.h"
#include "service/cred.h"
#include "service/service.h"

static pthread_t thread;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool ending;

static void inode_write_back(const struct ls_call *call, struct inode *inode)
{
	struct ls *stack = inode->fs->stack;
	struct ls_file *file;

	if (inode->type != S_IFREG || ls_open(stack, call, inode->ls, O_RDONLY, &file) < 0)
		return;
	if (ls_fsync(stack, call, file, 0) < 0)
		inode_mark_dirty(inode); /* once more next time; the error reaches whoever syncs */
	ls_release(stack, call, file);
}

void instance_write_back(struct service *s, struct instance *fs)
{
	struct inode *inode = instance_take_dirty(fs), *next;
	struct caller self;

	caller_init(&self, DOOR_SELF, s->pool, 0, 0, 0);
	for (; inode; inode = next) {
		next = inode->dirty_next;
		__atomic_store_n(&inode->dirty, false, __ATOMIC_SEQ_CST);
		inode_write_back(&self.call, inode);
		inode_unref(inode);
	}
	caller_fini(&self);
}

void service_write_back(struct service *s)
{
	struct instance *fs;

	for (unsigned m = 0; m < service_mount_top(s); m++)
		if ((fs = service_mount_get(s, m))) {
			instance_write_back(s, fs);
			service_mount_put(fs);
		}
}

static bool anything_dirty(struct service *s)
{
	struct instance *fs;
	bool any = false;

	for (unsigned m = 0; m < service_mount_top(s) && !any; m++)
		if ((fs = service_mount_get(s, m))) {
			any = __atomic_load_n(&fs->dirty, __ATOMIC_ACQUIRE);
			service_mount_put(fs);
		}
	return any;
}

/* Sleeps until something is dirty, then for the interval. An idle pool wakes nobody. */
static void *flusher(void *arg)
{
	struct service *s = arg;

	pthread_mutex_lock(&mutex);
	while (!ending) {
		int64_t interval = __atomic_load_n(&s->settings.flush_interval, __ATOMIC_ACQUIRE);

		if (!interval || !anything_dirty(s)) {
			pthread_cond_wait(&wake, &mutex);
			continue;
		}
		if (ls_wait_until(&wake, &mutex, ls_now() + interval) != ETIMEDOUT)
			continue; /* ending, or the interval changed */
		pthread_mutex_unlock(&mutex);
		service_write_back(s);
		pthread_mutex_lock(&mutex);
	}
	pthread_mutex_unlock(&mutex);
	return NULL;
}

void flusher_wake(void)
{
	pthread_mutex_lock(&mutex);
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&mutex);
}

int flusher_start(struct service *s)
{
	return -pthread_create(&thread, NULL, flusher, s);
}

void flusher_stop(struct service *s)
{
	pthread_mutex_lock(&mutex);
	ending = true;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	service_write_back(s);
}
