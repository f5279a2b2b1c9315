/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How tenants add up: bench-scale [--json] [--quick]
 *
 * One to eight tenants work on cached files at once, spread over the cores: in a pool each, and in a directory of the
 * kernel's ext4 each, by turns. Reported is the time of an operation of all of them together: half of it is twice the
 * throughput.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/compare.h"
#include "bench/tenant.h"

enum { ROUNDS = 7, ROUNDS_QUICK = 3, MS = 1000, MS_QUICK = 400 };

static double measure(struct tenant *t, unsigned count, unsigned ms)
{
	uint64_t operations = 0;

	for (unsigned i = 0; i < count; i++)
		tenant_work(&t[i], ms);
	for (unsigned i = 0; i < count; i++)
		operations += tenant_take(&t[i]).operations;
	return operations ? ms * 1e6 / operations : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void compare(const struct bench *b, struct tenant *ours, struct tenant *peer, unsigned count)
{
	int n = b->quick ? ROUNDS_QUICK : ROUNDS;
	unsigned ms = b->quick ? MS_QUICK : MS;
	double o[ROUNDS], p[ROUNDS], ratio[ROUNDS];

	for (int i = 0; i < n; i++) {
		if (i & 1)
			p[i] = measure(peer, count, ms);
		o[i] = measure(ours, count, ms);
		if (!(i & 1))
			p[i] = measure(peer, count, ms);
		ratio[i] = o[i] / p[i];
	}
	qsort(o, (size_t)n, sizeof(*o), by_value);
	qsort(p, (size_t)n, sizeof(*p), by_value);
	qsort(ratio, (size_t)n, sizeof(*ratio), by_value);
	if (b->json)
		printf("{\"bench\":\"scale\",\"case\":\"%u tenants\",\"x\":%u,\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"ext4\","
		       "\"ratio\":%.3f,\"n\":%d,\"ours_low\":%.1f,\"ours_high\":%.1f,\"peer_low\":%.1f,\"peer_high\":%.1f}\n",
		       count, count, o[n / 2], p[n / 2], ratio[n / 2], n, o[0], o[n - 1], p[0], p[n - 1]);
	else
		printf("%u tenants                %12.1f ns   %-18s %12.1f ns   %6.2f\n", count, o[n / 2], "ext4", p[n / 2],
		       ratio[n / 2]);
	fflush(stdout);
}

static int run(const struct bench *b)
{
	static struct tenant ours[TENANTS_MAX], peer[TENANTS_MAX];
	int r = 0;

	for (unsigned i = 0; i < TENANTS_MAX && r == 0; i++)
		if (!tenant_start(&ours[i], true, i, b->cpus[i & 1]) || !tenant_start(&peer[i], false, i, b->cpus[i & 1])) {
			fprintf(stderr, "bench-scale: tenants cannot be started here\n");
			r = 77;
		}
	for (unsigned count = 1; count <= TENANTS_MAX && r == 0; count *= 2)
		compare(b, ours, peer, count);
	for (unsigned i = 0; i < TENANTS_MAX; i++) {
		tenant_end(&ours[i]);
		tenant_end(&peer[i]);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct bench b;
	int r;

	if (argc == 4 && !strcmp(argv[1], "--worker"))
		tenant_run(argv[2], atoi(argv[3]));
	bench_begin(&b, "scale", argv);
	tenants_begin("scale");
	r = run(&b);
	tenants_end();
	return r;
}
