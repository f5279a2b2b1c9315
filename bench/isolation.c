/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a neighbour can be felt: bench-isolation [--json] [--quick] [--threshold N]
 *
 * Two tenants, each on its own core where there are two. One works on cached files; the other is idle, or computes,
 * writes and syncs with all that it has. In two pools of ours, and in two directories of the kernel's ext4, by turns.
 * It fails if the working tenant's p99 in a pool becomes more than N times (20) of what it is with an idle neighbour.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/tenant.h"

enum { ROUNDS = 7, ROUNDS_QUICK = 3, MS = 2500, MS_QUICK = 1500, MS_REST = 300 };

struct side {
	const char *name;
	struct tenant victim, rager;
	struct tenant_result alone[ROUNDS], beside[ROUNDS];
};

static int by_p99(const void *a, const void *b)
{
	double x = ((const struct tenant_result *)a)->p99, y = ((const struct tenant_result *)b)->p99;

	return (x > y) - (x < y);
}

static void measure(struct side *s, int round, unsigned ms)
{
	tenant_work(&s->victim, ms);
	s->alone[round] = tenant_take(&s->victim);
	tenant_rage(&s->rager, ms + 2 * MS_REST);
	usleep(MS_REST * 1000);
	tenant_work(&s->victim, ms);
	s->beside[round] = tenant_take(&s->victim);
	tenant_take(&s->rager);
}

static void print_case(const struct bench *b, const char *what, const struct tenant_result *ours,
		       const struct tenant_result *peer, int n)
{
	const struct tenant_result *o = &ours[n / 2], *p = &peer[n / 2];

	if (!b->json) {
		printf("%-24s %12.0f ns   %-18s %12.0f ns   %6.2f\n", what, o->p99, "ext4", p->p99, o->p99 / p->p99);
		return;
	}
	printf("{\"bench\":\"isolation\",\"case\":\"%s\",\"ours\":%.0f,\"peer\":%.0f,\"peer_name\":\"ext4\",\"ratio\":%.3f,"
	       "\"n\":%d,\"ours_low\":%.0f,\"ours_high\":%.0f,\"peer_low\":%.0f,\"peer_high\":%.0f",
	       what, o->p99, p->p99, o->p99 / p->p99, n, ours[0].p99, ours[n - 1].p99, peer[0].p99, peer[n - 1].p99);
	tenant_print_points("cdf", o);
	tenant_print_points("peer_cdf", p);
	puts("}");
}

static bool side_start(struct side *s, bool pool, const int cpus[2])
{
	return tenant_start(&s->victim, pool, 0, cpus[0]) && tenant_start(&s->rager, pool, 1, cpus[1]);
}

static int run(const struct bench *b, double threshold)
{
	static struct side ours = {.name = "pools"}, peer = {.name = "ext4"};
	int n = b->quick ? ROUNDS_QUICK : ROUNDS;
	unsigned ms = b->quick ? MS_QUICK : MS;
	double worse;

	if (!side_start(&ours, true, b->cpus) || !side_start(&peer, false, b->cpus)) {
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
	worse = ours.beside[n / 2].p99 / ours.alone[n / 2].p99;
	if (worse <= threshold)
		return 0;
	fprintf(stderr, "bench-isolation: beside a raging neighbour the p99 is %.1f times as long; at most %.1f is allowed\n",
		worse, threshold);
	return 1;
}

int main(int argc, char **argv)
{
	char *rest[4] = {argv[0]};
	double threshold = 20;
	struct bench b;
	int r, n = 1;

	if (argc == 4 && !strcmp(argv[1], "--worker"))
		tenant_run(argv[2], atoi(argv[3]));
	for (int i = 1; i < argc && n < 3; i++) {
		if (!strcmp(argv[i], "--threshold") && argv[i + 1])
			threshold = atof(argv[++i]);
		else
			rest[n++] = argv[i];
	}
	bench_begin(&b, "isolation", rest);
	tenants_begin("isolation");
	r = run(&b, threshold);
	tenants_end();
	return r;
}
