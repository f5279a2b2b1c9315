/* SPDX-License-Identifier: Apache-2.0 */
/* `top`, in parts: what there is (top-look.c, top-ops.c), how it is laid out (top-screen.c), terminal and keys (top-terminal.c). */
#pragma once

#include "engine/util.h"
#include "service/meter.h"

enum top_column { CPU, OPS, SPARED, HIT, DIRTY, CACHE, THROTTLED, P50, P99, COLUMNS /* by name */ };
extern const char *const top_column_names[]; /* ends with NULL */

enum { TOP_POOLS = 1024, TOP_ROWS = 4096, TOP_OPS = 16384 };

struct top_row {
	char pool[48], name[48];
	int level; /* 0: a pool, 1: a container */
	char state[12];
	double value[COLUMNS];
	uint64_t requests, spared, hits, misses, throttled_ns; /* since the start */
	double cpu_used, cpu_age;                              /* seconds: of the service */
};

struct top_op {
	const char *pool;
	char container[40]; /* empty: of the whole pool */
	unsigned door, op;
	double rate;
	uint64_t p50, p99, max;
	unsigned stage; /* where most time goes; STAGE_MAX: not known */
};

struct top_past; /* of a pool's operations, as they were the last time */

struct top {
	bool once;
	bool containers; /* operations of containers, not of pools */
	int sort;        /* enum top_column */
	uint64_t interval;
	int64_t at_ms, before_ms; /* 0: there is no screen before */
	struct top_row row[TOP_ROWS], past[TOP_ROWS];
	unsigned rows, pasts;
	struct top_op op[TOP_OPS];
	unsigned ops;
	struct top_past *pool[TOP_POOLS];
};

/* Between this look and the one before; 0: there was none. */
static inline double top_seconds(const struct top *t)
{
	return t->before_ms ? (t->at_ms - t->before_ms) / 1000.0 : 0;
}

/* Looks at all pools: at first what is since the start, then what came since the last time. 0 or an exit status. */
int top_look(struct top *t);
/* A pool's operations and its containers', and the percentiles of all in `row`. */
void top_ops_look(struct top *t, const char *pool, struct top_row *row);
void top_ops_forget(struct top *t);
/* A screen with as many lines. */
void top_print(struct top *t, unsigned lines);
/* Screens on the terminal until somebody ends it. 0 or an exit status. */
int top_watch(struct top *t);
