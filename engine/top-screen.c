/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the rows and operations lie on a screen of 80 columns: pools in the order of a column, below each its containers in
 * the same, then operations by how often they are done. What there is no line for is left out from below: containers
 * before pools, and operations keep a third of the screen.
 */
#include <string.h>
#include <time.h>

#include "engine/figures.h"
#include "engine/top.h"

const char *const top_column_names[] = {"cpu", "ops", "spared", "hit", "dirty", "cache", "throttled", "p50",
					"p99", "pool", NULL};

/* ---- the order ------------------------------------------------------------------------------------- */

struct group {
	struct top_row *pool;
	unsigned containers; /* which follow it */
	unsigned shown;
	bool more; /* a line says how many are left out */
};

static int sort_column; /* qsort passes nothing on */

static int by_column(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;
	double left, right;

	if (sort_column == COLUMNS)
		return strcmp(x->name, y->name);
	left = x->value[sort_column];
	right = y->value[sort_column];
	return left == right ? strcmp(x->name, y->name) : left < right ? 1 : -1;
}

static int by_pool(const void *a, const void *b)
{
	return by_column(((const struct group *)a)->pool, ((const struct group *)b)->pool);
}

static int by_rate(const void *a, const void *b)
{
	const struct top_op *x = a, *y = b;

	return (x->rate < y->rate) - (x->rate > y->rate);
}

static unsigned groups_of(struct top *t, struct group *g)
{
	unsigned n = 0;

	sort_column = t->sort;
	for (unsigned i = 0; i < t->rows; i++) {
		if (t->row[i].level == 0 && n < TOP_POOLS)
			g[n++] = (struct group){.pool = &t->row[i]};
		else if (n)
			g[n - 1].containers++;
	}
	for (unsigned i = 0; i < n; i++)
		qsort(g[i].pool + 1, g[i].containers, sizeof(struct top_row), by_column);
	qsort(g, n, sizeof(*g), by_pool);
	return n;
}

static void groups_fit(struct group *g, unsigned n, unsigned lines)
{
	unsigned left = lines > n ? lines - n : 0, having = 0;

	for (unsigned i = 0; i < n; i++)
		having += g[i].containers > 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned share = g[i].containers ? left / having-- : 0;
		g[i].more = share && g[i].containers > share;
		g[i].shown = g[i].more ? share - 1 : g[i].containers < share ? g[i].containers : share;
		left -= g[i].shown + g[i].more;
	}
}

/* ---- the screen ------------------------------------------------------------------------------------ */

static const char *count_text(double n, char buf[static 16])
{
	if (n < 99999.5)
		snprintf(buf, 16, "%.0f", n);
	else
		snprintf(buf, 16, n < 9999500 ? "%.0fk" : "%.0fM", n < 9999500 ? n / 1e3 : n / 1e6);
	return buf;
}

/* Negative: not known. */
static const char *percent_text(double percent, char buf[static 16])
{
	snprintf(buf, 16, percent >= 0 ? "%.0f%%" : "-", percent);
	return buf;
}

/* 0: there was no operation. */
static const char *latency_text(double ns, char buf[static 16])
{
	return ns > 0 ? figure_time(ns, buf) : "-";
}

static void print_row(const struct top_row *row)
{
	char cpu[16], ops[16], spare[16], hit[16], dirty[16], cache[16], p50[16], p99[16];

	if (row->level) {
		printf("  %-15.15s %4s %6s %8s %4s %5s %5s %5.0f\n", row->name, "", count_text(row->value[OPS], ops),
		       count_text(row->value[SPARED], spare), "", "", "", row->value[THROTTLED]);
		return;
	}
	printf("%-12.12s %-5.5s %4s %6s %8s %4s %5s %5s %5.0f %6s %6s\n", row->name, row->state,
	       percent_text(row->value[CPU], cpu), count_text(row->value[OPS], ops), count_text(row->value[SPARED], spare),
	       percent_text(row->value[HIT], hit), figure_bytes(row->value[DIRTY], dirty),
	       figure_bytes(row->value[CACHE], cache), row->value[THROTTLED], latency_text(row->value[P50], p50),
	       latency_text(row->value[P99], p99));
}

/* The pools, in at most so many lines. */
static unsigned print_groups(struct group *g, unsigned n, unsigned lines)
{
	unsigned used = 0;

	groups_fit(g, n, lines);
	for (unsigned i = 0; i < n && used < lines; i++) {
		for (unsigned k = 0; k <= g[i].shown; k++, used++)
			print_row(g[i].pool + k);
		if (g[i].more)
			printf("  %u more\n", g[i].containers - g[i].shown);
		used += g[i].more;
	}
	return used;
}

static void print_op(const struct top_op *op)
{
	char name[80], count[16], p50[16], p99[16], max[16];

	if (*op->container)
		snprintf(name, sizeof(name), "%.9s/%s", op->pool, op->container);
	else
		snprintf(name, sizeof(name), "%s", op->pool);
	printf("%-22.22s %-8s %-12s %7s %8s %8s %8s\n", name, meter_door_name(op->door), meter_op_name(op->op),
	       count_text(op->rate, count), figure_time(op->p50, p50), figure_time(op->p99, p99),
	       op->stage < STAGE_MAX ? meter_stage_name(op->stage) : figure_time(op->max, max));
}

static void print_ops(struct top *t, unsigned lines)
{
	qsort(t->op, t->ops, sizeof(t->op[0]), by_rate);
	printf("\n%-22s %-8s %-12s %5s%-2s %8s %8s %8s\n", t->containers ? "CONTAINER" : "POOL", "DOOR", "OPERATION", "COUNT",
	       t->before_ms ? "/s" : "", "P50", "P99", "MOSTLY");
	for (unsigned i = 0; i < t->ops && lines; i++) {
		if (t->containers != (*t->op[i].container != 0))
			continue;
		print_op(&t->op[i]);
		lines--;
	}
}

void top_print(struct top *t, unsigned lines)
{
	struct group g[TOP_POOLS];
	unsigned n = groups_of(t, g), left = lines > 6 ? lines - 6 : 0;
	unsigned for_ops = left / 3 < t->ops ? left / 3 : t->ops;
	const char *per = t->before_ms ? "/s" : "";
	char clock[16];
	time_t now = time(NULL);

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	printf("polytropon top  %s  %u pools, by %s%s\n\n", clock, n, top_column_names[t->sort],
	       t->once ? "" : "  (s: sort, c: containers, q: quit)");
	printf("%-12s %-5s %4s %4s%-2s %6s%-2s %4s %5s %5s %5s %6s %6s\n", "POOL", "STATE", "CPU", "OPS", per, "SPARED", per,
	       "HIT", "DIRTY", "CACHE", "THRms", "P50", "P99");
	left -= print_groups(g, n, left - for_ops);
	print_ops(t, left);
}
