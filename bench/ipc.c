/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What communication between processes costs, ours against others, measured in the same run in alternation, so
 * that a change of the machine's mood meets both. `--quick` takes less than a minute, `--json` prints
 * a line of JSON for each comparison.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/ipc.h"
#include "ipc/sys.h"

enum {
	PAIRS = 9,
	PAIRS_QUICK = 5,
	AWAIT_LOOKS = 2000,
};

int64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void bench_await(const uint32_t *word, uint32_t value)
{
	for (unsigned looks = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; looks++) {
		if (looks < AWAIT_LOOKS)
			sys_pause();
		else
			sched_yield();
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare_doubles);
	return values[n / 2];
}

static void report(const struct bench *b, const struct bench_case *c, double ours, double peer, double ratio, int n)
{
	if (b->json)
		printf("{\"bench\":\"ipc\",\"case\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"%s\","
		       "\"ratio\":%.3f,\"n\":%d}\n",
		       c->name, ours, peer, c->peer_name, ratio, n);
	else
		printf("%-24s %12.1f ns   %-18s %12.1f ns   %6.2f\n", c->name, ours, c->peer_name, peer, ratio);
	fflush(stdout);
}

void bench_compare(const struct bench *b, const struct bench_case *c)
{
	double ours[PAIRS], peer[PAIRS], ratio[PAIRS];
	int n = b->quick ? PAIRS_QUICK : PAIRS;

	for (int i = 0; i < n; i++) {
		ours[i] = c->ours(c->ours_arg);
		peer[i] = c->peer(c->peer_arg);
		if (ours[i] < 0 || peer[i] < 0) {
			fprintf(stderr, "bench-ipc: %s against %s cannot be measured here\n", c->name, c->peer_name);
			return;
		}
		ratio[i] = ours[i] / peer[i];
	}
	report(b, c, median(ours, n), median(peer, n), median(ratio, n), n);
}

static void cpus_find(int cpus[2])
{
	cpu_set_t set;
	int n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	if (n == 1)
		cpus[1] = cpus[0];
}

int main(int argc, char **argv)
{
	struct bench b = {0};

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			b.json = true;
		} else if (!strcmp(argv[i], "--quick")) {
			b.quick = true;
		} else {
			fprintf(stderr, "usage: bench-ipc [--json] [--quick]\n");
			return 2;
		}
	}
	cpus_find(b.cpus);
	if (!b.json)
		printf("%-24s %15s   %-18s %15s   %6s\n", "", "ours", "against", "theirs", "ratio");
	bench_trip(&b);
	bench_queue(&b);
	bench_copy(&b);
	return 0;
}
