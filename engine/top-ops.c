/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations, from the pools' meters: what came since the last look is what is there now, less what was there then. A
 * container's row of the meter may have become another's meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/command.h"
#include "engine/figures.h"
#include "engine/top.h"

enum { POOL = METER_CONTAINERS, WHOLES }; /* beside the rows of containers */

struct top_past {
	char name[64];
	uint32_t pid[WHOLES]; /* whose row it was */
	struct meter_sum *sum[WHOLES][METER_DOORS][METER_OPS];
};

static struct top_past *past_of(struct top *t, const char *name)
{
	for (unsigned i = 0; i < TOP_POOLS; i++) {
		if (!t->pool[i]) {
			t->pool[i] = calloc(1, sizeof(*t->pool[i]));
			if (t->pool[i])
				snprintf(t->pool[i]->name, sizeof(t->pool[i]->name), "%s", name);
			return t->pool[i];
		}
		if (!strcmp(t->pool[i]->name, name))
			return t->pool[i];
	}
	return NULL;
}

static void past_drop(struct top_past *past, unsigned whole)
{
	for (unsigned d = 0; d < METER_DOORS; d++)
		for (unsigned op = 0; op < METER_OPS; op++) {
			free(past->sum[whole][d][op]);
			past->sum[whole][d][op] = NULL;
		}
}

void top_ops_forget(struct top *t)
{
	for (unsigned i = 0; i < TOP_POOLS && t->pool[i]; i++) {
		for (unsigned whole = 0; whole < WHOLES; whole++)
			past_drop(t->pool[i], whole);
		free(t->pool[i]);
	}
}

/* `now` becomes what came since `then`, which becomes what is now. */
static void sum_since(struct meter_sum *now, struct meter_sum *then)
{
	struct meter_sum before = *then;

	*then = *now;
	if (now->cell.count < before.cell.count)
		return; /* another pool of that name */
	now->cell.count -= before.cell.count;
	now->cell.sampled -= before.cell.sampled;
	now->cell.queued -= before.cell.queued;
	for (unsigned i = 0; i < STAGE_MAX; i++)
		now->cell.stage_ns[i] -= before.cell.stage_ns[i];
	for (unsigned i = 0; i < METER_BUCKETS; i++)
		now->bucket[i] -= before.bucket[i];
}

static unsigned stage_most(const struct meter_cell *cell)
{
	double most = 0;
	unsigned stage = STAGE_MAX;

	for (unsigned i = 0; i < STAGE_MAX; i++) {
		uint64_t n = i == STAGE_QUEUE ? cell->queued : cell->sampled;
		if (n && (double)cell->stage_ns[i] / n > most) {
			most = (double)cell->stage_ns[i] / n;
			stage = i;
		}
	}
	return stage;
}

static void op_add(struct top *t, const char *pool, const char *container, unsigned door, unsigned op,
		   const struct meter_sum *sum)
{
	double s = top_seconds(t);
	struct top_op *row = &t->op[t->ops];

	if (!sum->cell.count || t->ops == TOP_OPS)
		return;
	t->ops++;
	*row = (struct top_op){pool, "", door, op, s > 0 ? sum->cell.count / s : sum->cell.count,
			       meter_percentile(sum, 0.5), meter_percentile(sum, 0.99), sum->cell.max_ns,
			       stage_most(&sum->cell)};
	snprintf(row->container, sizeof(row->container), "%s", container);
}

/* Operations of the pool or of a row of its containers; all of them are added to `all`. */
static void whole_look(struct top *t, const struct meter *meter, struct top_past *past, unsigned whole,
		       const char *container, struct meter_sum *all)
{
	struct meter_sum now;

	for (unsigned d = 0; d < METER_DOORS; d++)
		for (unsigned op = 0; op < METER_OPS; op++) {
			struct meter_sum **then = &past->sum[whole][d][op];
			if (whole == POOL ? !meter_sum(meter, d, op, &now) : !meter_sum_container(meter, whole, d, op, &now))
				continue;
			if (!*then && !(*then = calloc(1, sizeof(**then))))
				continue;
			sum_since(&now, *then);
			op_add(t, past->name, container, d, op, &now);
			for (unsigned i = 0; i < METER_BUCKETS; i++)
				all->bucket[i] += now.bucket[i];
		}
}

/* The name lies in memory of a service. */
static void container_look(struct top *t, const struct meter *meter, struct top_past *past, unsigned row,
			   struct meter_sum *unused)
{
	const struct meter_container *c = &meter->container[row];
	uint32_t pid = c->pid;
	char name[40] = "others";

	if (past->pid[row] != pid)
		past_drop(past, row);
	past->pid[row] = pid;
	if (row)
		snprintf(name, sizeof(name), "%u %.*s", pid, (int)sizeof(c->name), c->name);
	text_tame(name);
	if (!row || pid)
		whole_look(t, meter, past, row, name, unused);
}

void top_ops_look(struct top *t, const char *pool, struct top_row *row)
{
	struct error error;
	struct meter *meter = figures_meter(pool, &error);
	struct top_past *past = past_of(t, pool);
	struct meter_sum *all = calloc(2, sizeof(*all));

	if (meter && past && all) {
		whole_look(t, meter, past, POOL, "", &all[0]);
		for (unsigned i = 0; i < METER_CONTAINERS; i++)
			container_look(t, meter, past, i, &all[1]);
		row->value[P50] = meter_percentile(&all[0], 0.5);
		row->value[P99] = meter_percentile(&all[0], 0.99);
	}
	free(all);
	meter_unmap(meter);
}
