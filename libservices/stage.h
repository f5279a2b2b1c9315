/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of an operation goes: a clock for each thread, which the thread that serves an operation starts and
 * stops (service/stats.c), and which everything between switches to the stage that it is in. A switch looks at the time
 * stamp counter, which costs as much as a small part of a cached operation: so layers switch it only in every
 * STAGE_SAMPLE-th operation (STAGE_SAMPLE_QUICK-th while all are quick), and only who waits for a device switches always.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* X(name, what it is) */
#define STAGES(X)                                                                                   \
	X(SERVICE, service) /* walks, permissions, open files */                                    \
	X(QUEUE, queue)     /* from the client's submission until a worker took it */               \
	X(COPY, copy)       /* between the client's memory and the service's */                     \
	X(CACHE, cache)                                                                             \
	X(UNION, union)                                                                             \
	X(LAYER, layer)     /* any other layer: what a volume computes, or waits for others' sync */ \
	X(DEVICE, device)                                                                           \
	X(NETWORK, network)                                                                         \
	X(LIMIT, limit) /* a limit of the pool's or the container's I/O */

enum stage {
#define X(NAME, name) STAGE_##NAME,
	STAGES(X)
#undef X
		STAGE_MAX
};

enum {
	STAGE_SAMPLE = 16,
	STAGE_SAMPLE_QUICK = 256,
	STAGE_QUICK_NS = 2000,
};

struct stage_clock {
	bool runs;    /* an operation is served */
	bool sampled; /* and layers are to switch */
	uint8_t now;  /* enum stage */
	uint64_t since;            /* of `now`, in cycles */
	uint64_t spent[STAGE_MAX]; /* in cycles */
};
extern _Thread_local struct stage_clock stage_clock;

static inline uint64_t stage_cycles(void)
{
	return __builtin_ia32_rdtsc();
}

static inline uint8_t stage_switch(uint8_t to)
{
	struct stage_clock *c = &stage_clock;
	uint64_t now = stage_cycles();
	uint8_t before = c->now;

	c->spent[before] += now - c->since;
	c->since = now;
	c->now = to;
	return before;
}

/* For the length of a block: STAGE_IN(stage) where operations are sampled, STAGE_WAITS(stage) in all, STAGE_OF(stage) as
 * the stage is. */
struct stage_mark {
	bool switched;
	uint8_t before;
};

static inline void stage_leave(const struct stage_mark *mark)
{
	if (__builtin_expect(mark->switched, 0) && stage_clock.runs)
		stage_switch(mark->before);
}

static inline struct stage_mark stage_enter(bool wanted, uint8_t to)
{
	struct stage_mark mark = {false, 0};

	if (__builtin_expect(wanted, 0) && stage_clock.now != to)
		mark = (struct stage_mark){true, stage_switch(to)};
	return mark;
}

#define STAGE_IN(to)                                                                                \
	__attribute__((cleanup(stage_leave), unused)) struct stage_mark stage_mark_ =               \
		stage_enter(stage_clock.sampled, to)
#define STAGE_OF(to)                                                                                \
	__attribute__((cleanup(stage_leave), unused)) struct stage_mark stage_mark_ =               \
		stage_enter((to) >= STAGE_DEVICE ? stage_clock.runs : stage_clock.sampled, to)
#define STAGE_WAITS(to)                                                                             \
	__attribute__((cleanup(stage_leave), unused)) struct stage_mark stage_mark_ =               \
		stage_enter(stage_clock.runs, to)
