/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants side by side: each is this program again (`--worker DIR CPU`), in a pool of its own on a volume, or in a
 * directory of a kernel's file system. They wait for orders, so that all begin at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { TENANTS_MAX = 8, TENANT_POINTS = 24 };

struct tenant {
	pid_t pid;
	FILE *to, *from; /* NULL: it could not be started */
};

/* What one measured: time of an operation in ns, and points of its distribution. */
struct tenant_result {
	uint64_t operations;
	double mean, p50, p99, p999;
	double point[TENANT_POINTS], share[TENANT_POINTS];
	unsigned points;
};

/* In a fresh directory under /tmp, which goes at the end. `megabytes`: of the ext4. */
void tenants_begin(const char *bench);
void tenants_end(void);
/* In a pool on a new volume, or in a directory of the one ext4; on that core. False: it cannot be started here. */
bool tenant_start(struct tenant *t, bool pool, unsigned number, int cpu);
/* Reads, writes and looks at cached files for so long; tenant_take gets what it measured. */
void tenant_work(struct tenant *t, unsigned ms);
/* Computes, writes and syncs as much as it can. */
void tenant_rage(struct tenant *t, unsigned ms);
struct tenant_result tenant_take(struct tenant *t);
void tenant_end(struct tenant *t);

/* The worker's life; never returns. */
void tenant_run(const char *dir, int cpu) __attribute__((noreturn));
/* ,"cdf":[[ns,share],...] */
void tenant_print_points(const char *key, const struct tenant_result *r);
