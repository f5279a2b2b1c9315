/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
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
	VALUES_MAX = PAIRS * TIMES_MAX,
};

void bench_must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

double bench_smaps(pid_t pid, const char *figure)
{
	char path[64], line[128];
	size_t length = strlen(figure);
	double kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, figure, length) && sscanf(line + length, ": %lf kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

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

/* A copy in order; to be freed. */
static double *sorted(const double *values, int n)
{
	double *copy = malloc((size_t)n * sizeof(*copy));

	if (!copy)
		abort();
	memcpy(copy, values, (size_t)n * sizeof(*copy));
	qsort(copy, (size_t)n, sizeof(*copy), compare_doubles);
	return copy;
}

/* The middle, and what is left of the ends without a tenth of all at either. */
struct spread {
	double low, middle, high;
};

static struct spread spread_of(const double *values, int n)
{
	double *s = sorted(values, n);
	struct spread spread = {s[n / 10], s[n / 2], s[n - 1 - n / 10]};

	free(s);
	return spread;
}

double bench_median(const double *values, int n)
{
	return spread_of(values, n).middle;
}

static double ratio_of(const struct bench_result *r)
{
	double ratio[VALUES_MAX];

	for (int i = 0; i < r->n; i++)
		ratio[i] = r->ours[i] / r->peer[i];
	return bench_median(ratio, r->n);
}

/* A cell of the table. */
static void cell(double value, const char *unit)
{
	if (!unit)
		printf("%12.1f ns ", value);
	else if (!strcmp(unit, "bytes"))
		printf("%12.1f KiB", value / 1024);
	else
		printf("%12.3f %% ", value);
}

static void bench_print(const struct bench_result *r, double ours, double peer, double ratio)
{
	printf("%-32s ", r->name);
	cell(ours, r->unit);
	printf("  %-18s ", r->peer_name);
	cell(peer, r->unit);
	printf("  %6.2f\n", ratio);
}

void bench_report(const struct bench *b, const struct bench_result *r)
{
	struct spread ours = spread_of(r->ours, r->n), peer = spread_of(r->peer, r->n);
	double ratio = ratio_of(r);
	char x[64] = "";

	if (r->x)
		snprintf(x, sizeof(x), "\"x\":%u,", r->x);
	if (r->unit)
		snprintf(x + strlen(x), sizeof(x) - strlen(x), "\"unit\":\"%s\",", r->unit);
	if (b->json)
		printf("{\"bench\":\"%s\",\"case\":\"%s\",%s\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"%s\","
		       "\"ratio\":%.4g,\"n\":%d,\"ours_low\":%.1f,\"ours_high\":%.1f,\"peer_low\":%.1f,"
		       "\"peer_high\":%.1f}\n",
		       b->name, r->name, x, ours.middle, peer.middle, r->peer_name, ratio, r->n, ours.low, ours.high,
		       peer.low, peer.high);
	else
		bench_print(r, ours.middle, peer.middle, ratio);
	fflush(stdout);
}

void bench_missing(const struct bench *b, const char *what)
{
	if (b->json)
		printf("{\"bench\":\"%s\",\"missing\":\"%s\"}\n", b->name, what);
	else
		fprintf(stderr, "bench-%s: there is no %s here\n", b->name, what);
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
	return isfinite(*ret_ours) && isfinite(*ret_peer) && *ret_ours >= 0 && *ret_peer >= 0;
}

void bench_compare(const struct bench *b, const struct bench_case *c)
{
	static double ours[VALUES_MAX], peer[VALUES_MAX];
	int n = 0, most = (b->quick ? PAIRS_QUICK : PAIRS) * (c->times ? c->times : 1);
	int64_t until = bench_now() + QUICK_MS * 1000000ll;

	pair_measure(c, true, &ours[0], &peer[0]); /* warms up */
	for (int i = 0; i < most && (n < PAIRS_MIN || !b->quick || bench_now() < until); i++)
		n += pair_measure(c, i & 1, &ours[n], &peer[n]);
	if (n)
		bench_report(b, &(struct bench_result){c->name, c->peer_name, ours, peer, n, 0, c->unit});
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

static bool is_part(const char *const *parts, const char *word)
{
	for (; parts && *parts; parts++)
		if (!strcmp(*parts, word))
			return true;
	return false;
}

static void misused(const char *name, const char *const *parts)
{
	fprintf(stderr, "usage: bench-%s [--json] [--quick]%s", name, parts ? " [PART...], of" : "");
	for (; parts && *parts; parts++)
		fprintf(stderr, " %s", *parts);
	fputc('\n', stderr);
	exit(2);
}

void bench_begin(struct bench *b, const char *name, const char *const *parts, char **argv)
{
	char **end = argv + 1; /* the parts are moved together */

	*b = (struct bench){.name = name, .parts = end};
	for (char **arg = argv + 1; *arg; arg++) {
		if (!strcmp(*arg, "--json"))
			b->json = true;
		else if (!strcmp(*arg, "--quick"))
			b->quick = true;
		else if (is_part(parts, *arg))
			*end++ = *arg;
		else
			misused(name, parts);
	}
	*end = NULL;
	cpus_find(b->cpus);
	if (!b->json)
		printf("%-32s %15s   %-18s %15s   %6s\n", name, "ours", "against", "theirs", "ratio");
}

bool bench_wants(const struct bench *b, const char *part)
{
	return !*b->parts || is_part((const char *const *)b->parts, part);
}
