/* SPDX-License-Identifier: Apache-2.0 */
#include <json.h>
#include <string.h>
#include <time.h>

#include "service/stats.h"

static struct stat_cell cells[DOOR_MAX][STAT_OP_MAX];

const char *stat_name(unsigned op)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		WIRE_OPS(X)
#undef X
			"lookup",
		"forget",
	};
	return names[op];
}

int64_t stat_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned log, index;

	if (ns < 4)
		return ns;
	log = 63 - __builtin_clzll(ns);
	index = log * 4 + ((ns >> (log - 2)) & 3);
	return index < STAT_BUCKETS ? index : STAT_BUCKETS - 1;
}

static uint64_t bucket_value(unsigned index)
{
	if (index < 8) /* 4..7 are never used: their values have a logarithm of 2 or more */
		return index;
	return (4ull + (index & 3)) << (index / 4 - 2);
}

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

void stat_record(enum door door, unsigned op, int64_t started_at, int64_t result)
{
	struct stat_cell *cell = &cells[door][op];
	int64_t ns = stat_now() - started_at;

	add(&cell->count, 1);
	add(&cell->time_ns, ns);
	add(&cell->bucket[bucket_of(ns < 0 ? 0 : ns)], 1);
	if (result < 0)
		add(&cell->errors, 1);
	else if (op == WIRE_READ || op == WIRE_WRITE || op == WIRE_COPY)
		add(&cell->bytes, result);
}

uint64_t stat_percentile(const struct stat_cell *cell, double p)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < STAT_BUCKETS; i++)
		total += __atomic_load_n(&cell->bucket[i], __ATOMIC_RELAXED);
	for (unsigned i = 0; i < STAT_BUCKETS && total; i++) {
		seen += __atomic_load_n(&cell->bucket[i], __ATOMIC_RELAXED);
		if (seen >= total * p && seen)
			return bucket_value(i);
	}
	return 0;
}

static struct json_object *cell_json(const struct stat_cell *cell, unsigned op)
{
	struct json_object *o = json_object_new_object();
	uint64_t count = __atomic_load_n(&cell->count, __ATOMIC_RELAXED);

	json_object_object_add(o, "count", json_object_new_int64(count));
	json_object_object_add(o, "errors", json_object_new_int64(cell->errors));
	if (op == WIRE_READ || op == WIRE_WRITE || op == WIRE_COPY)
		json_object_object_add(o, "bytes", json_object_new_int64(cell->bytes));
	json_object_object_add(o, "mean_ns", json_object_new_int64(count ? cell->time_ns / count : 0));
	json_object_object_add(o, "p50_ns", json_object_new_int64(stat_percentile(cell, 0.50)));
	json_object_object_add(o, "p99_ns", json_object_new_int64(stat_percentile(cell, 0.99)));
	return o;
}

/* To what is there, but for figures of the whole pool. */
static void figure_sum(void *arg, const char *name, uint64_t value)
{
	struct json_object *o = arg, *old;

	if (strncmp(name, "pool_", 5) && json_object_object_get_ex(o, name, &old))
		value += json_object_get_int64(old);
	json_object_object_add(o, name, json_object_new_int64(value));
}

static void layers_sum(const struct ls *ls, const char *type, struct json_object **o)
{
	if (!strcmp(ls->type->name, type)) {
		*o = *o ? *o : json_object_new_object();
		ls->type->stats((struct ls *)ls, figure_sum, *o);
	}
	for (unsigned i = 0; i < ls->below_count; i++)
		layers_sum(ls->below[i], type, o);
}

struct json_object *stat_layers_json(const struct ls *stack, const char *type)
{
	struct json_object *o = NULL;

	layers_sum(stack, type, &o);
	return o;
}

struct json_object *stat_json(void)
{
	struct json_object *doors = json_object_new_object();

	for (int d = 0; d < DOOR_MAX; d++) {
		struct json_object *ops = json_object_new_object(), *door = json_object_new_object();
		uint64_t requests = 0;
		for (unsigned op = 0; op < STAT_OP_MAX; op++) {
			if (!cells[d][op].count)
				continue;
			requests += cells[d][op].count;
			json_object_object_add(ops, stat_name(op), cell_json(&cells[d][op], op));
		}
		json_object_object_add(door, "requests", json_object_new_int64(requests));
		json_object_object_add(door, "ops", ops);
		json_object_object_add(doors, door_names[d], door);
	}
	return doors;
}
