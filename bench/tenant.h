/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants side by side: each is this program again (`--worker JOB DIR CPU`), in a pool of its own on a volume, or on what
 * a user would take instead. They wait for orders, so that all begin at once (bench/door.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "bench/door.h"

enum { TENANTS_MAX = 32, TENANT_POINTS = 24, TENANT_KINDS = 2 };

/* What tenants do, in a directory of their own. */
struct tenant_job {
	const char *name;
	unsigned megabytes; /* of a volume for it */
	void (*prepare)(void);
	/* Does one operation, and says of which kind it was. */
	unsigned (*step)(unsigned random);
};

/* Where: the first is a pool of ours. */
enum tenant_place { TENANT_POOL, TENANT_EXT4, TENANT_OVERLAYFS, TENANT_FUSE_OVERLAYFS, TENANT_PLACES };

struct tenant {
	struct door door;
	char name[32];
};

/* What one measured: time of an operation in ns, and points of its distribution. */
struct tenant_times {
	uint64_t operations;
	double p50, p99, p999;
	double point[TENANT_POINTS], share[TENANT_POINTS];
	unsigned points;
};

struct tenant_result {
	double mean; /* of all */
	struct tenant_times all, kind[TENANT_KINDS];
};

/* Runs as a worker of these jobs, if that is what it was started for; ends with a name of NULL. */
void tenant_main(char **argv, const struct tenant_job *jobs);
/* In a fresh directory under /tmp, which goes at the end. */
void tenants_begin(const char *bench);
int tenants_end(void);
/* What ended tenants have left, so that new ones may begin. */
void tenants_clear(void);
const char *tenant_place_name(enum tenant_place place);
/* On that core, or with -1 on all. False: it cannot be started here. */
bool tenant_start(struct tenant *t, enum tenant_place place, const struct tenant_job *job, unsigned number, int cpu);
/* Does its job for so long, and at least once; tenant_take gets what it measured. */
void tenant_work(struct tenant *t, unsigned ms);
/* Computes, writes and syncs as much as it can. */
void tenant_rage(struct tenant *t, unsigned ms);
void tenant_take(struct tenant *t, struct tenant_result *ret);
void tenant_end(struct tenant *t);

/* ,"cdf":[[ns,share],...] */
void tenant_print_points(const char *key, const struct tenant_times *t);

/* Seven reads of 4 KiB to two looks at a name and one write. */
extern const struct tenant_job tenant_mixed, tenant_serving;
/* Failures end the worker. */
void tenant_must(bool good, const char *what);
