/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data from one process to another: through a buffer that both map, in two plain copies (SMC) or two optimised ones
 * (SMO), or in one copy by the kernel (CMA). Each side goes through a region larger than the caches, as
 * programs do with their data, while the buffer is always the same.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/ipc.h"
#include "ipc/copy.h"

enum {
	REGION = 32 << 20,
	BUFFER = 4 << 20,
	AMOUNT = 64 << 20, /* moved in a measurement, at most */
	AMOUNT_QUICK = 16 << 20,
	MOVES_MAX = 4000,
	MOVES_QUICK = 500,
};

enum way { SMC, SMO, CMA, QUIT };

/* What the two share. The receiver does what `job` says when `turn` becomes odd, and makes it even. */
struct shared {
	_Alignas(64) uint32_t turn;
	enum way way;
	uint64_t address, size;
	int64_t done; /* bytes */
};

struct pair {
	struct shared *shared;
	char *buffer, *region;
	size_t at;
	uint32_t turn;
	pid_t sender, receiver;
};

struct job {
	struct pair *pair;
	enum way way;
	size_t size;
	bool quick;
};

static void receive(struct pair *p)
{
	struct shared *s = p->shared;

	if (p->at + s->size > REGION)
		p->at = 0;
	s->done = (int64_t)s->size;
	if (s->way == SMC)
		copy_smc(p->region + p->at, p->buffer, s->size);
	else if (s->way == SMO)
		copy_smo(p->region + p->at, p->buffer, s->size);
	else
		s->done = cma_read(p->sender, p->region + p->at, s->address, s->size);
	p->at += s->size;
}

static void receiver_run(struct pair *p, int cpu)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(cpu);
	memset(p->region, 1, REGION);
	for (uint32_t turn = 1;; turn += 2) {
		bench_await(&p->shared->turn, turn);
		if (p->shared->way == QUIT)
			_exit(0);
		receive(p);
		__atomic_store_n(&p->shared->turn, turn + 1, __ATOMIC_RELEASE);
	}
}

static void hand_over(struct pair *p)
{
	__atomic_store_n(&p->shared->turn, ++p->turn, __ATOMIC_RELEASE);
	bench_await(&p->shared->turn, ++p->turn);
}

static bool send_one(struct job *job)
{
	struct pair *p = job->pair;
	const char *from;

	if (p->at + job->size > REGION)
		p->at = 0;
	from = p->region + p->at;
	p->at += job->size;
	*p->shared = (struct shared){p->turn, job->way, (uint64_t)(uintptr_t)from, job->size, 0};
	if (job->way == SMC)
		copy_smc(p->buffer, from, job->size);
	else if (job->way == SMO)
		copy_smo(p->buffer, from, job->size);
	hand_over(p);
	return p->shared->done == (int64_t)job->size;
}

static double measure(void *arg)
{
	struct job *job = arg;
	size_t amount = job->quick ? AMOUNT_QUICK : AMOUNT, most = job->quick ? MOVES_QUICK : MOVES_MAX;
	size_t moves = amount / job->size < most ? amount / job->size : most;
	int64_t start = bench_now();

	for (size_t i = 0; i < moves; i++)
		if (!send_one(job))
			return -1;
	return (double)(bench_now() - start) / (double)moves;
}

static void pair_start(struct pair *p, const struct bench *b)
{
	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p->buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p->region = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p->sender = getpid();
	p->receiver = fork();
	if (p->receiver == 0)
		receiver_run(p, b->cpus[1]);
	memset(p->region, 2, REGION);
}

static void pair_end(struct pair *p)
{
	p->shared->way = QUIT;
	__atomic_store_n(&p->shared->turn, ++p->turn, __ATOMIC_RELEASE);
	waitpid(p->receiver, NULL, 0);
	munmap(p->region, REGION);
	munmap(p->buffer, BUFFER);
	munmap(p->shared, sizeof(*p->shared));
}

void bench_copy(const struct bench *b)
{
	struct pair pair = {0};
	char name[32];

	bench_pin(b->cpus[0]);
	pair_start(&pair, b);
	for (size_t size = 1024; size <= BUFFER; size *= 4) {
		struct job smc = {&pair, SMC, size, b->quick}, smo = smc, cma = smc;

		smo.way = SMO;
		cma.way = CMA;
		snprintf(name, sizeof(name), "copy-smo-%zuK", size / 1024);
		bench_compare(b, &(struct bench_case){name, measure, &smo, "SMC", measure, &smc});
		bench_compare(b, &(struct bench_case){name, measure, &smo, "CMA", measure, &cma});
	}
	pair_end(&pair);
}
