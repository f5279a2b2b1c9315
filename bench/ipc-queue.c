/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RCQB against other queues, as in the paper: a closed system of k threads that enqueue a task and wait for its
 * completion, and k threads that dequeue tasks and complete them. Reported are the time of an enqueue,
 * and the time from one completion to the next (the inverse of the throughput).
 *
 * All wait in the same way for a completion: a few looks, then asleep on a futex of their own. A queue that cannot
 * block by itself gets an event count to sleep on (queue.h).
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/ipc.h"
#include "bench/queue.h"
#include "ipc/sys.h"

enum { MEASURE_MS = 100, MEASURE_QUICK_MS = 30 };

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
	struct task task[QUEUE_SIDE_MAX];
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

	for (unsigned looks = 0; looks < QUEUE_LOOKS; looks++) {
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

	while ((item = s->type->take(s->queue)) != QUEUE_LAST)
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
	struct member enqueuers[QUEUE_SIDE_MAX], dequeuers[QUEUE_SIDE_MAX];
	uint64_t count = 0, cycles = 0, all;
	int64_t start, took;

	s->queue = s->type->new();
	s->stop = 0;
	memset(s->task, 0, sizeof(s->task));
	all = sys_cycles();
	start = bench_now();
	members_start(s, dequeuers, dequeuer_run);
	members_start(s, enqueuers, enqueuer_run);
	usleep(s->ms * 1000);
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	members_join(s, enqueuers);
	took = bench_now() - start;
	all = sys_cycles() - all;
	for (unsigned i = 0; i < s->side; i++)
		s->type->put(s->queue, QUEUE_LAST);
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

static void sides_compare(const struct bench *b, const struct queue_type *type, unsigned side)
{
	unsigned ms = b->quick ? MEASURE_QUICK_MS : MEASURE_MS;
	struct system ours = {.type = &queue_rcqb, .side = side, .ms = ms}, peer = {.type = type, .side = side, .ms = ms};
	char name[32];
	struct bench_case c = {name, measure_tasks, &ours, type->name, measure_tasks, &peer, 0};

	snprintf(name, sizeof(name), "task-%u+%u", side, side);
	bench_compare(b, &c);
	snprintf(name, sizeof(name), "enqueue-%u+%u", side, side);
	c.ours = c.peer = measure_enqueue;
	bench_compare(b, &c);
}

static void queues_compare(const struct bench *b, const struct queue_type *const *types, unsigned count)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(b->cpus[0], &set);
	CPU_SET(b->cpus[1], &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (unsigned side = 1; side <= QUEUE_SIDE_MAX; side *= b->quick ? 4 : 2)
		for (unsigned i = 0; i < count; i++)
			sides_compare(b, types[i], side);
}

void bench_queue(const struct bench *b)
{
	static const struct queue_type *const types[] = {&queue_mutex, &queue_wfc, &queue_ck, &queue_pipe};

	queues_compare(b, types, 4);
}

void bench_paper_queue(const struct bench *b)
{
	static const struct queue_type *const types[] = {&queue_lcrq, &queue_wfq, &queue_mutex};

	queues_compare(b, types, 3);
}
