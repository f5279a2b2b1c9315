/* SPDX-License-Identifier: Apache-2.0 */
/* Our queue, and the plain ones: a mutex and a condition (what the paper calls a blocking queue), and a pipe. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/queue.h"
#include "ipc/rcqb.h"

/* ---- an event count ------------------------------------------------------------------------------ */

void event_signal(struct event *e)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&e->sleepers, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&e->count, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&e->count, 1);
}

unsigned event_take(struct event *e, struct queue *q, queue_try *try)
{
	unsigned item, looks = 0;

	while (!try(q, &item)) {
		uint32_t count = __atomic_load_n(&e->count, __ATOMIC_ACQUIRE);
		bool there;

		if (looks++ < QUEUE_LOOKS) {
			sys_pause();
			continue;
		}
		__atomic_fetch_add(&e->sleepers, 1, __ATOMIC_SEQ_CST);
		there = try(q, &item);
		if (!there)
			sys_futex_wait(&e->count, count, NULL);
		__atomic_fetch_sub(&e->sleepers, 1, __ATOMIC_RELAXED);
		if (there)
			break;
	}
	return item;
}

/* ---- ours ---------------------------------------------------------------------------------------- */

struct rcqb_queue {
	struct rcqb *ring;
	struct rcqb_head head;
};

static struct queue *rcqb_new(void)
{
	struct rcqb_queue *q = aligned_alloc(64, sizeof(*q));

	memset(q, 0, sizeof(*q));
	q->ring = mmap(NULL, rcqb_size(QUEUE_SHIFT), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return (struct queue *)q;
}

static void rcqb_free(struct queue *queue)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	munmap(q->ring, rcqb_size(QUEUE_SHIFT));
	free(q);
}

static void rcqb_put_item(struct queue *queue, unsigned item)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	rcqb_put(q->ring, QUEUE_SHIFT, &q->head, item);
}

static unsigned rcqb_take_item(struct queue *queue)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	return (unsigned)rcqb_take(q->ring, QUEUE_SHIFT, &q->head, QUEUE_LOOKS);
}

/* ---- a mutex and a condition ----------------------------------------------------------------------- */

struct mutex_queue {
	pthread_mutex_t lock;
	pthread_cond_t some;
	unsigned head, tail;
	unsigned item[1 << QUEUE_SHIFT];
};

static struct queue *mutex_new(void)
{
	struct mutex_queue *q = calloc(1, sizeof(*q));

	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->some, NULL);
	return (struct queue *)q;
}

static void mutex_free(struct queue *queue)
{
	free(queue);
}

static void mutex_put(struct queue *queue, unsigned item)
{
	struct mutex_queue *q = (struct mutex_queue *)queue;

	pthread_mutex_lock(&q->lock);
	q->item[q->tail++ % (1 << QUEUE_SHIFT)] = item;
	pthread_mutex_unlock(&q->lock);
	pthread_cond_signal(&q->some);
}

static unsigned mutex_take(struct queue *queue)
{
	struct mutex_queue *q = (struct mutex_queue *)queue;
	unsigned item;

	pthread_mutex_lock(&q->lock);
	while (q->head == q->tail)
		pthread_cond_wait(&q->some, &q->lock);
	item = q->item[q->head++ % (1 << QUEUE_SHIFT)];
	pthread_mutex_unlock(&q->lock);
	return item;
}

/* ---- a pipe ------------------------------------------------------------------------------------------ */

struct pipe_queue {
	int fd[2];
};

static struct queue *pipe_new(void)
{
	struct pipe_queue *q = calloc(1, sizeof(*q));

	if (pipe(q->fd) < 0)
		abort();
	return (struct queue *)q;
}

static void pipe_free(struct queue *queue)
{
	struct pipe_queue *q = (struct pipe_queue *)queue;

	close(q->fd[0]);
	close(q->fd[1]);
	free(q);
}

static void pipe_put(struct queue *queue, unsigned item)
{
	if (write(((struct pipe_queue *)queue)->fd[1], &item, sizeof(item)) != sizeof(item))
		abort();
}

static unsigned pipe_take(struct queue *queue)
{
	unsigned item;

	if (read(((struct pipe_queue *)queue)->fd[0], &item, sizeof(item)) != sizeof(item))
		abort();
	return item;
}

const struct queue_type queue_rcqb = {"rcqb", rcqb_new, rcqb_free, rcqb_put_item, rcqb_take_item};
const struct queue_type queue_mutex = {"mutex+condition", mutex_new, mutex_free, mutex_put, mutex_take};
const struct queue_type queue_pipe = {"pipe", pipe_new, pipe_free, pipe_put, pipe_take};
