/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RCQB against other queues, as in the paper: a closed system of k threads that enqueue a task and wait for its
 * completion, and k threads that dequeue tasks and complete them. Reported are the time of an enqueue,
 * and the time from one completion to the next (the inverse of the throughput).
 *
 * All wait in the same way for a completion: a few looks, then asleep on a futex of their own. A queue that cannot
 * block by itself gets an event count to sleep on.
 */
#define _LGPL_SOURCE /* inlines of liburcu */
#include <ck_ring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <urcu/wfcqueue.h>
#include "bench/ipc.h"
#include "ipc/rcqb.h"

enum {
	SHIFT = 10,
	SIDE_MAX = 16,
	MEASURE_MS = 100,
	MEASURE_QUICK_MS = 40,
	LOOKS = 30,      /* before sleeping */
	LAST = SIDE_MAX, /* the item that ends a dequeuer */
};

struct queue; /* one of the below */

struct queue_type {
	const char *name;
	struct queue *(*new)(void);
	void (*free)(struct queue *);
	void (*put)(struct queue *, unsigned item);
	unsigned (*take)(struct queue *);
};

/* ---- an event count ------------------------------------------------------------------------------ */

struct event {
	_Alignas(64) uint32_t count;
	_Alignas(64) uint32_t sleepers;
};

static void event_signal(struct event *e)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&e->sleepers, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&e->count, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&e->count, 1);
}

typedef bool take_try(struct queue *, unsigned *ret);

static unsigned event_take(struct event *e, struct queue *q, take_try *try)
{
	unsigned item, looks = 0;

	while (!try(q, &item)) {
		uint32_t count = __atomic_load_n(&e->count, __ATOMIC_ACQUIRE);
		bool there;

		if (looks++ < LOOKS) {
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
	q->ring = mmap(NULL, rcqb_size(SHIFT), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return (struct queue *)q;
}

static void rcqb_free(struct queue *queue)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	munmap(q->ring, rcqb_size(SHIFT));
	free(q);
}

static void rcqb_put_item(struct queue *queue, unsigned item)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	rcqb_put(q->ring, SHIFT, &q->head, item);
}

static unsigned rcqb_take_item(struct queue *queue)
{
	struct rcqb_queue *q = (struct rcqb_queue *)queue;

	return (unsigned)rcqb_take(q->ring, SHIFT, &q->head, LOOKS);
}

/* ---- a mutex and a condition ----------------------------------------------------------------------- */

struct mutex_queue {
	pthread_mutex_t lock;
	pthread_cond_t some;
	unsigned head, tail;
	unsigned item[1 << SHIFT];
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
	q->item[q->tail++ % (1 << SHIFT)] = item;
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
	item = q->item[q->head++ % (1 << SHIFT)];
	pthread_mutex_unlock(&q->lock);
	return item;
}

/* ---- liburcu's wait-free concurrent queue ----------------------------------------------------------- */

struct wfc_node {
	struct cds_wfcq_node node;
	unsigned item;
};

struct wfc_queue {
	struct event event;
	struct cds_wfcq_head head;
	_Alignas(64) struct cds_wfcq_tail tail;
	struct wfc_node last[SIDE_MAX];
	unsigned lasts;
};

/* An enqueuer has one task at a time, so one node. */
static __thread struct wfc_node wfc_node;

static struct queue *wfc_new(void)
{
	struct wfc_queue *q = aligned_alloc(64, sizeof(*q));

	memset(q, 0, sizeof(*q));
	cds_wfcq_init(&q->head, &q->tail);
	return (struct queue *)q;
}

static void wfc_free(struct queue *queue)
{
	cds_wfcq_destroy(&((struct wfc_queue *)queue)->head, &((struct wfc_queue *)queue)->tail);
	free(queue);
}

static void wfc_put(struct queue *queue, unsigned item)
{
	struct wfc_queue *q = (struct wfc_queue *)queue;
	struct wfc_node *node = item == LAST ? &q->last[q->lasts++] : &wfc_node;

	cds_wfcq_node_init(&node->node);
	node->item = item;
	cds_wfcq_enqueue(&q->head, &q->tail, &node->node);
	event_signal(&q->event);
}

static bool wfc_try(struct queue *queue, unsigned *ret)
{
	struct wfc_queue *q = (struct wfc_queue *)queue;
	struct cds_wfcq_node *node = NULL;

	if (!cds_wfcq_empty(&q->head, &q->tail))
		node = cds_wfcq_dequeue_blocking(&q->head, &q->tail);
	if (node)
		*ret = caa_container_of(node, struct wfc_node, node)->item;
	return node != NULL;
}

static unsigned wfc_take(struct queue *queue)
{
	return event_take(&((struct wfc_queue *)queue)->event, queue, wfc_try);
}

/* ---- Concurrency Kit's ring ------------------------------------------------------------------------- */

struct ck_queue {
	struct event event;
	ck_ring_t ring;
	ck_ring_buffer_t buffer[1 << SHIFT];
};

static struct queue *ck_new(void)
{
	struct ck_queue *q = aligned_alloc(64, (sizeof(*q) + 63) / 64 * 64);

	memset(q, 0, sizeof(*q));
	ck_ring_init(&q->ring, 1 << SHIFT);
	return (struct queue *)q;
}

static void ck_free(struct queue *queue)
{
	free(queue);
}

static void ck_put(struct queue *queue, unsigned item)
{
	struct ck_queue *q = (struct ck_queue *)queue;

	while (!ck_ring_enqueue_mpmc(&q->ring, q->buffer, (void *)(uintptr_t)(item + 1)))
		sys_yield();
	event_signal(&q->event);
}

static bool ck_try(struct queue *queue, unsigned *ret)
{
	struct ck_queue *q = (struct ck_queue *)queue;
	void *item;

	if (!ck_ring_dequeue_mpmc(&q->ring, q->buffer, &item))
		return false;
	*ret = (unsigned)(uintptr_t)item - 1;
	return true;
}

static unsigned ck_take(struct queue *queue)
{
	return event_take(&((struct ck_queue *)queue)->event, queue, ck_try);
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

static const struct queue_type types[] = {
	{"rcqb", rcqb_new, rcqb_free, rcqb_put_item, rcqb_take_item},
	{"mutex+condition", mutex_new, mutex_free, mutex_put, mutex_take},
	{"urcu wfcqueue", wfc_new, wfc_free, wfc_put, wfc_take},
	{"ck ring", ck_new, ck_free, ck_put, ck_take},
	{"pipe", pipe_new, pipe_free, pipe_put, pipe_take},
};

/* ---- the closed system -------------------------------------------------------------------------------- */

/* Of an enqueuer. `done`: 0 under way, 1 complete, 2 under way and it sleeps. */
struct task {
	_Alignas(64) uint32_t done;
	uint64_t count;
	uint64_t cycles; /* in enqueue */
};

struct system {
	const struct queue_type *type;
	unsigned side;
	unsigned ms;
	struct queue *queue;
	struct task task[SIDE_MAX];
	_Alignas(64) uint32_t stop;
	double enqueue_ns;
};

struct member {
	struct system *system;
	unsigned number;
	pthread_t thread;
};

static void task_wait(struct task *t)
{
	uint32_t state = 0;

	for (unsigned looks = 0; looks < LOOKS; looks++) {
		if (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) == 1)
			return;
		sys_pause();
	}
	if (!__atomic_compare_exchange_n(&t->done, &state, 2, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	while (__atomic_load_n(&t->done, __ATOMIC_ACQUIRE) != 1)
		sys_futex_wait(&t->done, 2, NULL);
}

static void task_complete(struct task *t)
{
	if (__atomic_exchange_n(&t->done, 1, __ATOMIC_ACQ_REL) == 2)
		sys_futex_wake(&t->done, 1);
}

static void *enqueuer_run(void *arg)
{
	struct member *m = arg;
	struct system *s = m->system;
	struct task *t = &s->task[m->number];

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		uint64_t start;

		__atomic_store_n(&t->done, 0, __ATOMIC_RELAXED);
		start = sys_cycles();
		s->type->put(s->queue, m->number);
		t->cycles += sys_cycles() - start;
		task_wait(t);
		t->count++;
	}
	return NULL;
}

static void *dequeuer_run(void *arg)
{
	struct member *m = arg;
	struct system *s = m->system;
	unsigned item;

	while ((item = s->type->take(s->queue)) != LAST)
		task_complete(&s->task[item]);
	return NULL;
}

static void members_start(struct system *s, struct member *members, void *(*run)(void *))
{
	for (unsigned i = 0; i < s->side; i++) {
		members[i] = (struct member){.system = s, .number = i};
		pthread_create(&members[i].thread, NULL, run, &members[i]);
	}
}

static void members_join(struct system *s, struct member *members)
{
	for (unsigned i = 0; i < s->side; i++)
		pthread_join(members[i].thread, NULL);
}

/* Time from completion to completion; leaves the mean time of an enqueue in the system. */
static double measure_tasks(void *arg)
{
	struct system *s = arg;
	struct member enqueuers[SIDE_MAX], dequeuers[SIDE_MAX];
	uint64_t count = 0, cycles = 0, all = sys_cycles();
	int64_t start = bench_now(), took;

	s->queue = s->type->new();
	s->stop = 0;
	memset(s->task, 0, sizeof(s->task));
	members_start(s, dequeuers, dequeuer_run);
	members_start(s, enqueuers, enqueuer_run);
	usleep(s->ms * 1000);
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	members_join(s, enqueuers);
	took = bench_now() - start;
	all = sys_cycles() - all;
	for (unsigned i = 0; i < s->side; i++)
		s->type->put(s->queue, LAST);
	members_join(s, dequeuers);
	s->type->free(s->queue);
	for (unsigned i = 0; i < s->side; i++) {
		count += s->task[i].count;
		cycles += s->task[i].cycles;
	}
	s->enqueue_ns = (double)cycles / (double)count * (double)took / (double)all;
	return (double)took / (double)count;
}

static double measure_enqueue(void *arg)
{
	measure_tasks(arg);
	return ((struct system *)arg)->enqueue_ns;
}

void bench_queue(const struct bench *b)
{
	cpu_set_t set;
	char name[32];

	CPU_ZERO(&set);
	CPU_SET(b->cpus[0], &set);
	CPU_SET(b->cpus[1], &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (unsigned side = 1; side <= SIDE_MAX; side *= 2) {
		for (unsigned i = 1; i < sizeof(types) / sizeof(types[0]); i++) {
			unsigned ms = b->quick ? MEASURE_QUICK_MS : MEASURE_MS;
			struct system ours = {.type = &types[0], .side = side, .ms = ms};
			struct system peer = {.type = &types[i], .side = side, .ms = ms};
			struct bench_case c = {name, measure_tasks, &ours, types[i].name, measure_tasks, &peer};

			snprintf(name, sizeof(name), "task-%u+%u", side, side);
			bench_compare(b, &c);
			snprintf(name, sizeof(name), "enqueue-%u+%u", side, side);
			c.ours = c.peer = measure_enqueue;
			bench_compare(b, &c);
		}
	}
}
