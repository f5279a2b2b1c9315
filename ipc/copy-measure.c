/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From which size on is which way of copying the fastest, on this machine?
 *
 * What is timed is a whole transfer: from a program's memory that is not in the caches, into a request buffer,
 * and out again; or, with CMA, in one step. A way is chosen from the smallest size on from which it wins at
 * every size measured. The best of some rounds counts, so that a busy machine does not decide.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ipc/copy.h"

enum {
	SMALLEST = 4096,
	LARGEST = 256 * 1024, /* a request buffer */
	SIZES = 7,             /* powers of two from SMALLEST to LARGEST */
	ROUNDS = 5,
	AREA = 4 * LARGEST,   /* the program's memory, gone through in turn */
	WIN_PERCENT = 95,      /* a way must take less than this share of the other's time */
};

struct bench {
	char *program, *buffer, *target;
	size_t at;
};

typedef void copy_way(struct bench *b, size_t size);

static void way_smc(struct bench *b, size_t size)
{
	copy_smc(b->buffer, b->program + b->at, size);
	copy_smc(b->target, b->buffer, size);
}

static void way_smo(struct bench *b, size_t size)
{
	copy_smo(b->buffer, b->program + b->at, size);
	copy_smo(b->target, b->buffer, size);
}

static void way_cma(struct bench *b, size_t size)
{
	cma_read(getpid(), b->target, (uint64_t)(uintptr_t)(b->program + b->at), size);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t way_time(struct bench *b, copy_way *way, size_t size)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		int64_t start = now(), took;

		way(b, size);
		took = now() - start;
		if (took < best)
			best = took;
		b->at = (b->at + size) % AREA;
	}
	return best;
}

/* The smallest size from which on `ours` wins over `theirs`. */
static uint32_t threshold(const int64_t ours[static SIZES], const int64_t theirs[static SIZES])
{
	uint32_t from = UINT32_MAX;

	for (int i = SIZES - 1; i >= 0 && ours[i] * 100 < theirs[i] * WIN_PERCENT; i--)
		from = (uint32_t)SMALLEST << i;
	return from;
}

static void bench_run(struct bench *b, struct copy_thresholds *ret)
{
	int64_t smc[SIZES], smo[SIZES], cma[SIZES];
	char probe;

	for (int i = 0; i < SIZES; i++) {
		size_t size = (size_t)SMALLEST << i;

		b->at = 0;
		smc[i] = way_time(b, way_smc, size);
		smo[i] = way_time(b, way_smo, size);
		cma[i] = way_time(b, way_cma, size);
	}
	ret->smo_min = threshold(smo, smc);
	for (int i = 0; i < SIZES; i++)
		if (smo[i] < smc[i])
			smc[i] = smo[i];
	/* The call may be forbidden here. */
	if (cma_read(getpid(), &probe, (uint64_t)(uintptr_t)b->program, 1) == 1)
		ret->cma_min = threshold(cma, smc);
}

void copy_measure(struct copy_thresholds *ret)
{
	const size_t all = AREA + LARGEST + 2 * LARGEST;
	struct bench b = {.program = aligned_alloc(4096, all)};

	*ret = (struct copy_thresholds){UINT32_MAX, UINT32_MAX};
	if (!b.program)
		return;
	b.buffer = b.program + AREA + LARGEST;
	b.target = b.buffer + LARGEST;
	memset(b.program, 1, all);
	bench_run(&b, ret);
	free(b.program);
}
