/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/cached.h"
#include "bench/door.h"

enum { ROUNDS = 9, ROUNDS_QUICK = 5, CASES_MAX = 32, NS = 500000000, QUICK_NS = 50000000 };

static struct door doors[CACHED_PLACES_MAX];
static double times[CACHED_PLACES_MAX][CASES_MAX][ROUNDS];

/* ---- a worker --------------------------------------------------------------------------------- */

int cached_worker(const char *dir)
{
	unsigned which, count;

	if (chdir(dir) < 0 || cached_prepare() < 0)
		return 1;
	door_ready();
	while (scanf("%u %u", &which, &count) == 2 && which < cached_case_count) {
		int64_t start = bench_now();

		cached_cases[which].run(count);
		printf("%.2f\n", (double)(bench_now() - start) / count);
		fflush(stdout);
	}
	return 0;
}

/* ---- the comparison --------------------------------------------------------------------------- */

static double measure(unsigned place, unsigned which, unsigned count)
{
	char line[64];

	door_order(&doors[place], "%u %u", which, count);
	door_answer(&doors[place], line, sizeof(line));
	return atof(line);
}

/* The first round fetches into caches, and tells how many operations a measurement has time for. */
static unsigned count_find(const struct bench *b, unsigned place, unsigned which)
{
	const struct cached_case *c = &cached_cases[which];
	unsigned most = b->quick ? c->quick : c->count;
	double ns = measure(place, which, c->quick / 16 + 1);
	double fit = (b->quick ? QUICK_NS : NS) / (ns > 1 ? ns : 1);

	return fit < most ? (unsigned)fit + 1 : most;
}

static int case_measure(const struct bench *b, unsigned n, unsigned which)
{
	unsigned count[CACHED_PLACES_MAX] = {0};
	int rounds = b->quick ? ROUNDS_QUICK : ROUNDS;

	for (unsigned p = 0; p < n; p++)
		if (doors[p].to)
			count[p] = count_find(b, p, which);
	for (int i = 0; i < rounds; i++)
		for (unsigned p = 0; p < n; p++)
			if (doors[p].to)
				times[p][which][i] = measure(p, which, count[p]);
	return rounds;
}

static void report(const struct bench *b, unsigned which, const struct cached_place *ours, const double *our,
		   const char *peer_name, const double *peer, int n)
{
	char name[96];

	snprintf(name, sizeof(name), "%s, %s", cached_cases[which].name, ours->name);
	bench_report(b, &(struct bench_result){name, peer_name, our, peer, n, 0});
}

static void case_compare(const struct bench *b, const struct cached_place *places, unsigned n, unsigned which)
{
	int rounds = case_measure(b, n, which);

	if (which == CACHED_MEMCPY) { /* it is what the case before can be at best */
		if (doors[0].to)
			report(b, which - 1, &places[0], times[0][which - 1], "memcpy", times[0][which], rounds);
		return;
	}
	for (unsigned ours = 0; ours < n; ours++)
		for (unsigned p = 0; p < n; p++)
			if (places[ours].ours && !places[p].ours && doors[ours].to && doors[p].to)
				report(b, which, &places[ours], times[ours][which], places[p].name, times[p][which], rounds);
}

void cached_compare(const struct bench *b, const struct cached_place *places, unsigned n, cached_filter *wanted)
{
	for (unsigned p = 0; p < n; p++)
		if (!door_start(&doors[p], places[p].name, places[p].command))
			bench_missing(b, places[p].name);
	for (unsigned which = 0; which < cached_case_count; which++)
		if (!wanted || wanted(&cached_cases[which]))
			case_compare(b, places, n, which);
	for (unsigned p = 0; p < n; p++)
		door_end(&doors[p]);
}
