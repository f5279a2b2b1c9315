/* SPDX-License-Identifier: Apache-2.0 */
/* The back driver as a whole: its queues' memory, its beginning and its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "ipc/back-internal.h"

int64_t back_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static int queues_map(struct back *back)
{
	back->fd = memfd_create("polytropon-queues", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (back->fd < 0)
		return -errno;
	/* Sealed: a client that shrank it would kill the service by SIGBUS. */
	if (ftruncate(back->fd, (off_t)back->size) < 0 ||
	    fcntl(back->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	back->memory = mmap(NULL, back->size, PROT_READ | PROT_WRITE, MAP_SHARED, back->fd, 0);
	if (back->memory == MAP_FAILED) {
		back->memory = NULL;
		return -errno;
	}
	return 0;
}

static int geometry_set(struct back *back, unsigned slots)
{
	for (back->shift = slots ? RCQB_SHIFT_MIN : BACK_QUEUE_SHIFT; slots > 1u << back->shift;)
		if (++back->shift > RCQB_SHIFT_MAX)
			return -EINVAL;
	/* A page each, so that queues of different cores share nothing. */
	back->stride = (uint32_t)(rcqb_size(back->shift) + WIRE_PAGE - 1) / WIRE_PAGE * WIRE_PAGE;
	back->size = (size_t)back->stride * back->queues;
	return 0;
}

static void queue_init(struct back *back, unsigned i, int cpu)
{
	struct back_queue *q = &back->queue[i];

	q->ring.ring = (struct rcqb *)(back->memory + (size_t)i * back->stride);
	q->ring.shift = back->shift;
	q->worker = &back->table->worker[i];
	q->cpu = cpu;
	q->gap = INT32_MAX; /* long */
	*q->worker = (struct wire_worker){.state = WIRE_WORKER_ASLEEP, .cpu = (uint32_t)cpu};
}

static int back_init(struct back *back, const struct back_config *config)
{
	int r;

	back->table = config->table;
	back->queues = config->queues;
	back->fd = -1;
	back->place_hint = 1;
	pthread_mutex_init(&back->lock, NULL);
	r = geometry_set(back, config->queue_slots);
	if (r == 0)
		r = queues_map(back);
	if (r < 0)
		return r;
	/* Of zeros, and touched only where used. */
	back->places = mmap(NULL, BACK_PLACES * sizeof(*back->places), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (back->places == MAP_FAILED) {
		back->places = NULL;
		return -errno;
	}
	for (unsigned i = 0; i < back->queues; i++)
		queue_init(back, i, config->cpus[i]);
	__atomic_store_n(&back->table->queue_count, back->queues, __ATOMIC_RELEASE);
	return 0;
}

int back_new(const struct back_config *config, struct back **ret)
{
	struct back *back;
	int r;

	if (config->queues < 1 || config->queues > WIRE_QUEUES_MAX)
		return -EINVAL;
	back = aligned_alloc(_Alignof(struct back), sizeof(*back));
	if (!back)
		return -ENOMEM;
	*back = (struct back){0};
	r = back_init(back, config);
	if (r < 0) {
		back_free(back);
		return r;
	}
	*ret = back;
	return 0;
}

struct back *back_free(struct back *back)
{
	if (!back)
		return NULL;
	if (back->memory)
		munmap(back->memory, back->size);
	if (back->fd >= 0)
		close(back->fd);
	back_memory_end(&back->ready);
	pthread_mutex_destroy(&back->lock);
	if (back->places)
		munmap(back->places, BACK_PLACES * sizeof(*back->places));
	free(back);
	return NULL;
}

void back_describe(struct back *back, struct wire_welcome *welcome, int *ret_queues_fd)
{
	welcome->queue_count = back->queues;
	welcome->queue_slots = 1u << back->shift;
	welcome->queue_stride = back->stride;
	welcome->queues_size = back->size;
	welcome->session_size = WIRE_SESSION_SIZE;
	*ret_queues_fd = back->fd;
}

void back_alarm(struct back *back)
{
	__atomic_fetch_add(&back->alarm, 1, __ATOMIC_SEQ_CST);
	sys_futex_wake(&back->alarm, INT32_MAX);
}

void back_stop(struct back *back)
{
	__atomic_store_n(&back->stopping, 1, __ATOMIC_SEQ_CST);
	back_alarm(back);
}

void back_counters(struct back *back, struct back_counters *ret)
{
	*ret = (struct back_counters){0};
	for (unsigned i = 0; i < back->queues; i++) {
		const struct back_counters *c = &back->queue[i].counters;

		ret->requests += __atomic_load_n(&c->requests, __ATOMIC_RELAXED);
		ret->sleeps += __atomic_load_n(&c->sleeps, __ATOMIC_RELAXED);
		ret->wakes += __atomic_load_n(&c->wakes, __ATOMIC_RELAXED);
		ret->poisoned += __atomic_load_n(&c->poisoned, __ATOMIC_RELAXED);
		ret->kicks += __atomic_load_n(&c->kicks, __ATOMIC_RELAXED);
		ret->invalid += __atomic_load_n(&c->invalid, __ATOMIC_RELAXED);
	}
}
