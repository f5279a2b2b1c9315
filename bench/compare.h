/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How our benchmarks compare: ours and a peer by turns, so that whatever else the machine does meets both, the one first
 * and then the other. Reported are the medians, and the median of the ratios of the pairs: a disturbance spoils a pair,
 * not the result. The shorter a pair, the more alike is what its halves meet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bench {
	const char *name;
	bool json;   /* a line of JSON a comparison, instead of a row of a table */
	bool quick;  /* the whole benchmark takes less than a minute */
	int cpus[2]; /* two cores, or the same twice */
	char **parts; /* those that are wanted; none: all */
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
	int times; /* so many times the pairs: for measurements of a millisecond. 0: once */
	const char *unit; /* "bytes" or "percent", of what is measured instead; NULL: ns */
};

/* What was measured by turns elsewhere: what stands in one place of the two arrays was measured one after the other. */
struct bench_result {
	const char *name, *peer_name;
	const double *ours, *peer;
	int n;
	unsigned x; /* its place on a scaling curve; 0: it has none */
	const char *unit; /* "bytes" or "percent"; NULL: ns */
};

/* Takes --json, --quick and words of `parts` (NULL: there are none), and exits if there is anything else. */
void bench_begin(struct bench *b, const char *name, const char *const *parts, char **argv);
/* Was it asked for, or nothing in particular? */
bool bench_wants(const struct bench *b, const char *part);
void bench_compare(const struct bench *b, const struct bench_case *c);
void bench_report(const struct bench *b, const struct bench_result *r);
/* A peer that would be measured, but is not here. */
void bench_missing(const struct bench *b, const char *what);
double bench_median(const double *values, int n);

/* Else a sentence with errno, and the end. */
void bench_must(bool good, const char *what);
/* A figure of /proc/PID/smaps_rollup, such as "Pss", in bytes; 0: there is none. (The sums in `status` lag behind.) */
double bench_smaps(pid_t pid, const char *figure);

int64_t bench_now(void);
void bench_pin(int cpu);
/* Until *word is `value`: spins, then lets others run. */
void bench_await(const uint32_t *word, uint32_t value);
