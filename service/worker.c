/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads: a few for each queue, on that queue's core. One of them leads (ipc/back.h); the others sleep
 * until the leader is held up by something that blocks.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "service/limit.h"
#include "service/request.h"
#include "service/stats.h"

enum { WORKERS_PER_QUEUE = 6 };

struct worker {
	struct service *service;
	unsigned queue;
	pthread_t thread;
};

static struct worker *workers;
static unsigned worker_count;

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct service *s = worker->service;
	struct back_request request;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(s->cpus[worker->queue], &cpu);
	pthread_setaffinity_np(pthread_self(), sizeof(cpu), &cpu); /* a cpu taken offline: stay anywhere */
	stat_thread((uint32_t)s->cpus[worker->queue]);
	while (back_next(s->back, worker->queue, &request) > 0)
		if (!limit_is_on() || !request_is_held(s, &request))
			request_serve(s, &request);
	return NULL;
}

int workers_start(struct service *s)
{
	unsigned n = s->queues * WORKERS_PER_QUEUE;

	workers = calloc(n, sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	for (; worker_count < n; worker_count++) {
		struct worker *w = &workers[worker_count];
		int r;
		*w = (struct worker){.service = s, .queue = worker_count % s->queues};
		r = pthread_create(&w->thread, NULL, worker_run, w);
		if (r)
			return -r;
	}
	return 0;
}

void workers_join(struct service *s)
{
	back_stop(s->back);
	while (worker_count > 0)
		pthread_join(workers[--worker_count].thread, NULL);
	free(workers);
}
