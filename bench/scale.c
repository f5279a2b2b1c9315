/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How tenants add up: bench-scale [--json] [--quick]
 *
 * One to many tenants work on cached files at once, spread over the cores: in a pool each, and in a directory of the
 * kernel's ext4 each, by turns. Reported is the time of an operation of all of them together: half of it is twice the
 * throughput.
 */
#include "bench/compare.h"
#include "bench/tenant.h"

enum { ROUNDS = 7, ROUNDS_QUICK = 3, MS = 1000, MS_QUICK = 400, TENANTS_QUICK = 8 };

static double measure(struct tenant *t, unsigned count, unsigned ms)
{
	uint64_t operations = 0;
	struct tenant_result result;

	for (unsigned i = 0; i < count; i++)
		tenant_work(&t[i], ms);
	for (unsigned i = 0; i < count; i++) {
		tenant_take(&t[i], &result);
		operations += result.all.operations;
	}
	return ms * 1e6 / operations;
}

static void compare(const struct bench *b, struct tenant *ours, struct tenant *peer, unsigned count)
{
	int n = b->quick ? ROUNDS_QUICK : ROUNDS;
	unsigned ms = b->quick ? MS_QUICK : MS;
	double o[ROUNDS], p[ROUNDS];
	char name[32];

	for (int i = 0; i < n; i++) {
		if (i & 1)
			p[i] = measure(peer, count, ms);
		o[i] = measure(ours, count, ms);
		if (!(i & 1))
			p[i] = measure(peer, count, ms);
	}
	snprintf(name, sizeof(name), "%u tenants", count);
	bench_report(b, &(struct bench_result){name, "ext4", o, p, n, count});
}

static int run(const struct bench *b)
{
	static struct tenant ours[TENANTS_MAX], peer[TENANTS_MAX];
	unsigned most = b->quick ? TENANTS_QUICK : TENANTS_MAX;
	int r = 0;

	for (unsigned i = 0; i < most && r == 0; i++)
		if (!tenant_start(&ours[i], TENANT_POOL, &tenant_mixed, i, b->cpus[i & 1]) ||
		    !tenant_start(&peer[i], TENANT_EXT4, &tenant_mixed, i, b->cpus[i & 1])) {
			fprintf(stderr, "bench-scale: tenants cannot be started here\n");
			r = 77;
		}
	for (unsigned count = 1; count <= most && r == 0; count *= 2)
		compare(b, ours, peer, count);
	for (unsigned i = 0; i < most; i++) {
		tenant_end(&ours[i]);
		tenant_end(&peer[i]);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct bench b;
	int r;

	(void)argc;
	tenant_main(argv, (const struct tenant_job[]){tenant_mixed, {}});
	bench_begin(&b, "scale", NULL, argv);
	tenants_begin("scale");
	r = run(&b);
	return tenants_end() ?: r;
}
