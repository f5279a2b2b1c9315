/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/compare.h"
#include "ipc/sys.h"

enum {
	PAIRS = 21,
	PAIRS_QUICK = 7,
	PAIRS_MIN = 3, /* even so */
	TIMES_MAX = 20,
	QUICK_MS = 800, /* for a comparison, on a machine that is busy with other things */
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

/* Of sorted values, without the tenth at either end. */
static double low(const double *values, int n)
{
	return values[n / 10];
}

static double high(const double *values, int n)
{
	return values[n - 1 - n / 10];
}

/* Sorts them. */
static void report(const struct bench *b, const struct bench_case *c, double *ours, double *peer, double *ratios, int n)
{
	double our = median(ours, n), their = median(peer, n), ratio = median(ratios, n);

	if (b->json)
		printf("{\"bench\":\"%s\",\"case\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"%s\","
		       "\"ratio\":%.3f,\"n\":%d,\"ours_low\":%.1f,\"ours_high\":%.1f,\"peer_low\":%.1f,"
		       "\"peer_high\":%.1f}\n",
		       b->name, c->name, our, their, c->peer_name, ratio, n, low(ours, n), high(ours, n), low(peer, n),
		       high(peer, n));
	else
		printf("%-24s %12.1f ns   %-18s %12.1f ns   %6.2f\n", c->name, our, c->peer_name, their, ratio);
	fflush(stdout);
}

/* Who is first changes: what the first does to caches and to the scheduler, it does to both. */
static bool pair_measure(const struct bench_case *c, bool ours_first, double *ret_ours, double *ret_peer)
{
	if (ours_first)
		*ret_ours = c->ours(c->ours_arg);
	*ret_peer = c->peer(c->peer_arg);
	if (!ours_first)
		*ret_ours = c->ours(c->ours_arg);
	return *ret_ours >= 0 && *ret_peer >= 0;
}

void bench_compare(const struct bench *b, const struct bench_case *c)
{
	static double ours[PAIRS * TIMES_MAX], peer[PAIRS * TIMES_MAX], ratio[PAIRS * TIMES_MAX];
	int n = 0, most = (b->quick ? PAIRS_QUICK : PAIRS) * (c->times ? c->times : 1);
	int64_t until = bench_now() + QUICK_MS * 1000000ll;

	pair_measure(c, true, &ours[0], &peer[0]); /* warms up */
	for (int i = 0; i < most && (n < PAIRS_MIN || !b->quick || bench_now() < until); i++) {
		if (!pair_measure(c, i & 1, &ours[n], &peer[n]))
			continue;
		ratio[n] = ours[n] / peer[n];
		n++;
	}
	if (n)
		report(b, c, ours, peer, ratio, n);
	else
		fprintf(stderr, "bench-%s: %s against %s cannot be measured here\n", b->name, c->name, c->peer_name);
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

void bench_begin(struct bench *b, const char *name, char **argv)
{
	*b = (struct bench){.name = name};
	for (char **arg = argv + 1; *arg; arg++) {
		if (!strcmp(*arg, "--json")) {
			b->json = true;
		} else if (!strcmp(*arg, "--quick")) {
			b->quick = true;
		} else {
			fprintf(stderr, "usage: bench-%s [--json] [--quick]\n", name);
			exit(2);
		}
	}
	cpus_find(b->cpus);
	if (!b->json)
		printf("%-24s %15s   %-18s %15s   %6s\n", name, "ours", "against", "theirs", "ratio");
}
