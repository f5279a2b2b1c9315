/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers that nobody waits for: submitted to a ring of the area by whoever comes, completed by a thread
 * of the area. Where the kernel refuses us rings, a few threads do them by system calls.
 *
 * Both are made when the first such transfer comes: an area that is only run costs a descriptor.
 */
#include <errno.h>
#include <stdlib.h>

#include "libservices/area/file.h"
#include "libservices/area/ring.h"
#include "libservices/area/thread.h"

enum { ENTRIES = 64, THREADS = 4 };

struct file_async {
	struct area_ring_entry end; /* of the ring */
	struct file *file;
	pthread_mutex_t lock; /* of the ring's submission side, or of the list */
	pthread_cond_t come;
	struct area_ring *ring;
	int ended; /* nothing more will come */
	struct area_io *first, **last;
	pthread_t thread[THREADS];
	unsigned threads;
};

static void end_done(struct area_ring_entry *entry, int result)
{
	((struct file_async *)entry)->ended = 1;
}

static void *ring_run(void *arg)
{
	struct file_async *async = arg;

	while (!async->ended)
		area_ring_reap(async->ring, &async->lock);
	return NULL;
}

/* The next in the list; NULL at the end. */
static struct area_io *list_take(struct file_async *async)
{
	struct area_io *io;

	pthread_mutex_lock(&async->lock);
	while (!async->first && !async->ended)
		pthread_cond_wait(&async->come, &async->lock);
	io = async->first;
	if (io && !(async->first = io->next))
		async->last = &async->first;
	pthread_mutex_unlock(&async->lock);
	return io;
}

static void *list_run(void *arg)
{
	struct file_async *async = arg;
	struct area_io *io;

	while ((io = list_take(async)))
		area_io_done(io, file_transfer(async->file, io));
	return NULL;
}

static void list_add(struct file_async *async, struct area_io *io)
{
	pthread_mutex_lock(&async->lock);
	io->next = NULL;
	*async->last = io;
	async->last = &io->next;
	pthread_cond_signal(&async->come);
	pthread_mutex_unlock(&async->lock);
}

/* Nothing is under way: there is room in the ring. */
static void ring_end(struct file_async *async)
{
	struct io_uring_sqe *sqe = area_ring_sqe(async->ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, &async->end);
	area_ring_start(async->ring);
}

static struct file_async *async_free(struct file_async *async)
{
	pthread_mutex_lock(&async->lock);
	if (async->ring && async->threads)
		ring_end(async);
	else
		async->ended = 1;
	pthread_cond_broadcast(&async->come);
	pthread_mutex_unlock(&async->lock);
	for (unsigned i = 0; i < async->threads; i++)
		pthread_join(async->thread[i], NULL);
	area_ring_free(async->ring);
	pthread_cond_destroy(&async->come);
	pthread_mutex_destroy(&async->lock);
	free(async);
	return NULL;
}

static struct file_async *async_new(struct file *file)
{
	struct file_async *async = calloc(1, sizeof(*async));
	unsigned threads;

	if (!async)
		return NULL;
	async->file = file;
	async->last = &async->first;
	async->end.done = end_done;
	pthread_mutex_init(&async->lock, NULL);
	pthread_cond_init(&async->come, NULL);
	async->ring = file->ring ? area_ring_new(ENTRIES, 0) : NULL;
	for (threads = async->ring ? 1 : THREADS; async->threads < threads; async->threads++)
		if (area_thread_start(&async->thread[async->threads], "area-file",
				      async->ring ? ring_run : list_run, async) < 0)
			break;
	return async->threads ? async : async_free(async);
}

static struct file_async *async_get(struct file *file)
{
	struct file_async *async = __atomic_load_n(&file->async, __ATOMIC_ACQUIRE);

	if (async)
		return async;
	pthread_mutex_lock(&file->lock);
	if (!file->async)
		__atomic_store_n(&file->async, async_new(file), __ATOMIC_RELEASE);
	async = file->async;
	pthread_mutex_unlock(&file->lock);
	return async;
}

void file_start(struct file *file, struct area_io *io)
{
	struct file_async *async = async_get(file);

	if (!async) { /* no memory, no threads: late is better than never */
		area_io_done(io, file_transfer(file, io));
		return;
	}
	/* What callbacks submit, area_ring_reap starts all at once. */
	if (async->ring)
		file_queue(file, io, async->ring, &async->lock,
			   !pthread_equal(pthread_self(), async->thread[0]));
	else
		list_add(async, io);
}

void file_async_free(struct file *file)
{
	if (file->async)
		file->async = async_free(file->async);
}
