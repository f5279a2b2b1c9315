/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paper's loads in 1 to 32 pools at once: paper-pools [--json] [--quick] [rocksdb|bfs|diff...], for bench-paper. In a
 * pool of ours each on a volume, in a directory each of one ext4, and on fuse-overlayfs over that, by turns. Of RocksDB
 * are reported the time of an operation of all together, and the 99th percentile of puts and of gets; of the others
 * the time of a run.
 */
#include <stdio.h>
#include <string.h>

#include "bench/compare.h"
#include "bench/kv.h"
#include "bench/paper-jobs.h"

enum { ROUNDS = 5, ROUNDS_QUICK = 3, MS = 2000, MS_QUICK = 150, TENANTS_QUICK = 4 };

enum figure { OPERATION, RUN, PUT_P99, GET_P99, FIGURES };
static const char *const figure_names[FIGURES] = {"", "", " put p99", " get p99"};

static struct tenant tenants[TENANT_PLACES][TENANTS_MAX];
static bool here[TENANT_PLACES];
static double figures[TENANT_PLACES][FIGURES][ROUNDS];

static void measure(enum tenant_place place, unsigned count, unsigned ms, int round)
{
	double rate = 0, run = 0, put = 0, get = 0, *at = &figures[place][0][round];
	struct tenant_result r;

	for (unsigned i = 0; i < count; i++)
		tenant_work(&tenants[place][i], ms);
	for (unsigned i = 0; i < count; i++) {
		tenant_take(&tenants[place][i], &r);
		rate += 1 / r.mean;
		run += r.mean / count;
		put += r.kind[0].p99 / count;
		get += r.kind[1].p99 / count;
	}
	at[OPERATION * ROUNDS] = 1 / rate;
	at[RUN * ROUNDS] = run;
	at[PUT_P99 * ROUNDS] = put;
	at[GET_P99 * ROUNDS] = get;
}

static void figure_report(const struct bench *b, const struct tenant_job *job, enum figure what, unsigned count, int n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s, %u pools", job->name, figure_names[what], count);
	for (unsigned place = TENANT_POOL + 1; place < TENANT_PLACES; place++)
		if (here[place])
			bench_report(b, &(struct bench_result){name, tenant_place_name(place), figures[TENANT_POOL][what],
							       figures[place][what], n, what == OPERATION ? count : 0});
}

static void compare(const struct bench *b, const struct tenant_job *job, unsigned count)
{
	unsigned ms = b->quick ? MS_QUICK : MS;
	int n = b->quick ? ROUNDS_QUICK : ROUNDS;

	for (int i = 0; i < n; i++)
		for (unsigned k = 0; k < TENANT_PLACES; k++) {
			unsigned place = (i + k) % TENANT_PLACES; /* who is first changes */
			if (here[place])
				measure(place, count, ms, i);
		}
	if (job == &paper_rocksdb) {
		figure_report(b, job, OPERATION, count, n);
		figure_report(b, job, PUT_P99, count, n);
		figure_report(b, job, GET_P99, count, n);
	} else {
		figure_report(b, job, RUN, count, n);
	}
}

/* Tenants are added before each comparison. */
static bool grow(const struct tenant_job *job, unsigned from, unsigned to)
{
	for (unsigned place = 0; place < TENANT_PLACES; place++)
		for (unsigned i = from; i < to && here[place]; i++)
			here[place] = tenant_start(&tenants[place][i], place, job, i, -1);
	return here[TENANT_POOL];
}

static void job_run(const struct bench *b, const struct tenant_job *job)
{
	unsigned most = b->quick ? TENANTS_QUICK : TENANTS_MAX, from = 0;

	memset(here, true, sizeof(here));
	for (unsigned count = 1; count <= most && grow(job, from, count); count *= b->quick ? 4 : 2) {
		compare(b, job, count);
		from = count;
	}
	for (unsigned place = 0; place < TENANT_PLACES; place++) {
		if (!here[place])
			bench_missing(b, tenant_place_name(place));
		for (unsigned i = 0; i < TENANTS_MAX; i++)
			tenant_end(&tenants[place][i]);
	}
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"rocksdb", "bfs", "diff", NULL};
	static const struct tenant_job *const jobs[] = {&paper_rocksdb, &paper_bfs, &paper_diff};
	struct bench b;

	(void)argc;
	tenant_main(argv, (const struct tenant_job[]){paper_rocksdb, paper_bfs, paper_diff, {}});
	bench_begin(&b, "paper", names, argv);
	tenants_begin("paper");
	for (unsigned i = 0; names[i]; i++) {
		if (!bench_wants(&b, names[i]))
			continue;
		if (jobs[i] == &paper_rocksdb && !kv_rocksdb.open)
			bench_missing(&b, "RocksDB");
		else
			job_run(&b, jobs[i]);
		tenants_clear();
	}
	return tenants_end();
}
