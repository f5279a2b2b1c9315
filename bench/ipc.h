/* SPDX-License-Identifier: Apache-2.0 */
/* bench-ipc: how a comparison is run and reported, and the groups of comparisons. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bench {
	bool json;
	bool quick;
	int cpus[2]; /* two cores, or the same twice */
};

/* One measurement: mean time of an operation in ns; or negative if it cannot be done here. */
typedef double bench_measure(void *arg);

struct bench_case {
	const char *name;
	bench_measure *ours;
	void *ours_arg;
	const char *peer_name;
	bench_measure *peer;
	void *peer_arg;
};

/* Measures both in turn, several times, and reports the medians, and the median of the pairs' ratios. */
void bench_compare(const struct bench *b, const struct bench_case *c);

int64_t bench_now(void);
void bench_pin(int cpu);
/* Until *word is `value`: spins, then lets others run. */
void bench_await(const uint32_t *word, uint32_t value);

void bench_trip(const struct bench *b);
void bench_queue(const struct bench *b);
void bench_copy(const struct bench *b);
