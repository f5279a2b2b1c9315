/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process counts of itself (wire.h, WIRE_COUNTS): at one address, before there is a session and after. A
 * session's memory is mapped over it, and never unmapped but by the next one's, so counting needs no look at the
 * session, and no atomic operation. The child of a fork counts for its parent until it has a session of its own.
 */
#pragma once

#include "ipc/wire.h"

extern struct wire_counts front_counts __attribute__((visibility("hidden")));

/* Stacks of threads lie megabytes apart. (The stack pointer: a look at the frame would make the function keep one.) */
static inline struct wire_count_shard *front_count_shard(void)
{
	uintptr_t stack;

	__asm__("mov %%rsp, %0" : "=r"(stack));
	return &front_counts.shard[(stack >> 23) % WIRE_COUNT_SHARDS];
}

static inline void front_count(enum wire_count what, uint64_t n)
{
	front_count_shard()->count[what] += n;
}

static inline unsigned front_count_call(int64_t nr)
{
	return (uint64_t)nr < WIRE_COUNT_CALLS ? (unsigned)nr : WIRE_COUNT_CALLS - 1;
}

static inline void front_count_served(int64_t nr)
{
	front_count_shard()->served[front_count_call(nr)]++;
}

static inline void front_count_kernel(int64_t nr)
{
	front_count_shard()->kernel[front_count_call(nr)]++;
}

/* A new session, with its memory as it is mapped and the memory's descriptor. What was counted so far goes along. */
void front_count_attach(char *segment, int fd);
