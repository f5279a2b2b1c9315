/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a neighbour can be felt: bench-isolation [--json] [--quick] [--threshold N]
 *
 * Two tenants, each on its own core where there are two. One serves from cached files; the other is idle, or computes,
 * writes and syncs with all that it has. In two pools of ours, and on two of the kernel's overlays on one ext4, by turns:
 * their p99, and how many times it is with the neighbour at work what it is with the neighbour idle, in percent. It fails if
 * that is more than N times (1.2) in a pool: the median of the rounds.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/tenant.h"

enum { ROUNDS = 31, ROUNDS_QUICK = 11, MS = 1000, MS_QUICK = 500, MS_REST = 200 };

struct side {
	struct tenant victim, rager;
	struct tenant_result alone[ROUNDS], beside[ROUNDS];
	double felt[ROUNDS]; /* by how much beside is longer than alone */
};

static int by_p99(const void *a, const void *b)
{
	double x = ((const struct tenant_result *)a)->all.p99, y = ((const struct tenant_result *)b)->all.p99;

	return (x > y) - (x < y);
}

static const char *peer_name;

static void measure(struct side *s, int round, unsigned ms)
{
	struct tenant_result none;

	tenant_work(&s->victim, ms);
	tenant_take(&s->victim, &s->alone[round]);
	tenant_rage(&s->rager, ms + 2 * MS_REST);
	usleep(MS_REST * 1000);
	tenant_work(&s->victim, ms);
	tenant_take(&s->victim, &s->beside[round]);
	tenant_take(&s->rager, &none);
	s->felt[round] = s->beside[round].all.p99 / s->alone[round].all.p99;
}

static void print_case(const struct bench *b, const char *what, const struct tenant_result *ours,
		       const struct tenant_result *peer, int n)
{
	const struct tenant_times *o = &ours[n / 2].all, *p = &peer[n / 2].all;

	if (!b->json) {
		printf("%-32s %12.0f ns   %-18s %12.0f ns   %6.2f\n", what, o->p99, peer_name, p->p99, o->p99 / p->p99);
		return;
	}
	printf("{\"bench\":\"isolation\",\"case\":\"%s\",\"ours\":%.0f,\"peer\":%.0f,\"peer_name\":\"%s\",\"ratio\":%.3f,"
	       "\"n\":%d,\"ours_low\":%.0f,\"ours_high\":%.0f,\"peer_low\":%.0f,\"peer_high\":%.0f",
	       what, o->p99, p->p99, peer_name, o->p99 / p->p99, n, ours[0].all.p99, ours[n - 1].all.p99, peer[0].all.p99, peer[n - 1].all.p99);
	tenant_print_points("cdf", o);
	tenant_print_points("peer_cdf", p);
	puts("}");
}

/* In percent, for people and for the report. */
static void print_felt(const struct bench *b, const struct side *ours, const struct side *peer, int n)
{
	double o[ROUNDS], p[ROUNDS];

	for (int i = 0; i < n; i++) {
		o[i] = 100 * ours->felt[i];
		p[i] = 100 * peer->felt[i];
	}
	bench_report(b, &(struct bench_result){"p99, raging to idle", peer_name, o, p, n, 0, "percent"});
}

static bool side_start(struct side *s, enum tenant_place place, const int cpus[2])
{
	return tenant_start(&s->victim, place, &tenant_serving, 0, cpus[0]) &&
	       tenant_start(&s->rager, place, &tenant_serving, 1, cpus[1]);
}

static int run(const struct bench *b, double threshold)
{
	static struct side ours, peer;
	int n = b->quick ? ROUNDS_QUICK : ROUNDS;
	unsigned ms = b->quick ? MS_QUICK : MS;
	double worse;

	peer_name = tenant_place_name(TENANT_OVERLAYFS);
	if (!side_start(&ours, TENANT_POOL, b->cpus) || !side_start(&peer, TENANT_OVERLAYFS, b->cpus)) {
		fprintf(stderr, "bench-isolation: tenants cannot be started here\n");
		return 77;
	}
	for (int i = 0; i < n; i++) {
		measure(i & 1 ? &peer : &ours, i, ms);
		measure(i & 1 ? &ours : &peer, i, ms);
	}
	qsort(ours.alone, (size_t)n, sizeof(ours.alone[0]), by_p99);
	qsort(ours.beside, (size_t)n, sizeof(ours.beside[0]), by_p99);
	qsort(peer.alone, (size_t)n, sizeof(peer.alone[0]), by_p99);
	qsort(peer.beside, (size_t)n, sizeof(peer.beside[0]), by_p99);
	print_case(b, "p99, neighbour idle", ours.alone, peer.alone, n);
	print_case(b, "p99, neighbour raging", ours.beside, peer.beside, n);
	tenant_end(&ours.victim);
	tenant_end(&ours.rager);
	tenant_end(&peer.victim);
	tenant_end(&peer.rager);
	print_felt(b, &ours, &peer, n);
	worse = bench_median(ours.felt, n);
	if (worse <= threshold)
		return 0;
	fprintf(stderr, "bench-isolation: beside a raging neighbour the p99 is %.2f times as long; at most %.2f is allowed\n",
		worse, threshold);
	return 1;
}

int main(int argc, char **argv)
{
	char *rest[4] = {argv[0]};
	double threshold = 1.2;
	struct bench b;
	int r, n = 1;

	tenant_main(argv, (const struct tenant_job[]){tenant_serving, {}});
	for (int i = 1; i < argc && n < 3; i++) {
		if (!strcmp(argv[i], "--threshold") && argv[i + 1])
			threshold = atof(argv[++i]);
		else
			rest[n++] = argv[i];
	}
	bench_begin(&b, "isolation", NULL, rest);
	tenants_begin("isolation");
	r = run(&b, threshold);
	return tenants_end() ?: r;
}
