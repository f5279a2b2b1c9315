/* SPDX-License-Identifier: Apache-2.0 */
/* The pools and their containers as rows: counts since the start become those of the interval. */
#include <string.h>

#include "engine/command.h"
#include "engine/cpu-time.h"
#include "engine/figures.h"
#include "engine/top.h"

static uint64_t spared(struct json_object *counts)
{
	static const char *const keys[] = {"direct_reads", "direct_writes", "lease_hits", "kept", "reopened", "opened_ahead"};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		sum += json_number(counts, keys[i], 0);
	return sum;
}

static void row_cache(struct top_row *row, struct json_object *caches)
{
	json_object_object_foreach(caches, path, cache) {
		(void)path;
		row->hits += json_number(cache, "hits", 0);
		row->misses += json_number(cache, "misses", 0);
		row->throttled_ns += json_number(cache, "throttled_ns", 0);
		/* The same figures of the pool in each. */
		row->value[DIRTY] = json_number(cache, "pool_dirty", 0);
		row->value[CACHE] = json_number(cache, "pool_used", 0);
	}
}

static const struct top_row *row_past(const struct top *t, const struct top_row *row)
{
	for (unsigned i = 0; i < t->pasts; i++)
		if (t->past[i].level == row->level && !strcmp(t->past[i].name, row->name) &&
		    !strcmp(t->past[i].pool, row->pool))
			return &t->past[i];
	return NULL;
}

static double rate(const struct top *t, uint64_t now, uint64_t then)
{
	double s = top_seconds(t);

	return now < then ? 0 : s > 0 ? (now - then) / s : now - then;
}

/* In percent of a core: since the last time or, at first or after a service has died, since it began. */
static double cpu_share(const struct top *t, const struct top_row *row, const struct top_row *past)
{
	double used = row->cpu_used, time = row->cpu_age;

	if (top_seconds(t) > 0 && past->cpu_used && past->cpu_used <= used) {
		used -= past->cpu_used;
		time = top_seconds(t);
	}
	return time > 0 ? 100 * used / time : -1;
}

/* Counts since the start become those of the interval. */
static void row_finish(struct top *t, struct top_row *row)
{
	static const struct top_row none;
	const struct top_row *past = row_past(t, row);
	uint64_t hits, all;

	if (!past)
		past = &none;
	row->value[CPU] = cpu_share(t, row, past);
	row->value[OPS] = rate(t, row->requests, past->requests);
	row->value[SPARED] = rate(t, row->spared, past->spared);
	/* Of what programs asked for, so much needed no layer below the cache. */
	hits = row->hits - past->hits + row->spared - past->spared;
	all = hits + row->misses - past->misses;
	row->value[HIT] = all && all < UINT64_MAX / 2 ? 100.0 * hits / all : -1;
	row->value[THROTTLED] = rate(t, row->throttled_ns, past->throttled_ns) / 1e6;
}

static struct top_row *row_new(struct top *t, const char *pool, const char *name, int level)
{
	struct top_row *row = &t->row[t->rows < TOP_ROWS - 1 ? t->rows++ : TOP_ROWS - 1];

	*row = (struct top_row){.level = level};
	snprintf(row->pool, sizeof(row->pool), "%s", pool);
	snprintf(row->name, sizeof(row->name), "%s", name);
	text_tame(row->name);
	return row;
}

/* Requests that waited for a limit are the pool's, too. */
static void row_limits(struct top_row *row, struct json_object *containers)
{
	json_object_object_foreach(containers, name, c) {
		(void)name;
		row->throttled_ns += json_number(c, "throttled_ns", 0);
	}
}

/* (The name says it by its end.) */
static bool has_ended(const char *container)
{
	size_t length = strlen(container);

	return length > 2 && !strcmp(container + length - 2, " +");
}

static void containers_add(struct top *t, const char *pool, struct json_object *containers)
{
	json_object_object_foreach(containers, name, c) {
		struct top_row *row;
		if (has_ended(name) || (!json_number(c, "requests", 0) && !spared(c)))
			continue;
		row = row_new(t, pool, name, 1);
		row->requests = json_number(c, "requests", 0);
		row->spared = spared(c);
		row->throttled_ns = json_number(c, "throttled_ns", 0);
		row_finish(t, row);
		row->value[HIT] = row->value[CPU] = -1;
	}
}

static void pool_add(struct top *t, struct json_object *pool)
{
	const char *name = json_string(pool, "pool"), *state = json_string(pool, "state");
	_cleanup_(json_put_p) struct json_object *stats = NULL;
	struct json_object *doors;
	struct top_row *row = row_new(t, name, name, 0);
	struct error error;

	snprintf(row->state, sizeof(row->state), "%s", state);
	cpu_time((pid_t)json_number(pool, "service", 0), &row->cpu_used, &row->cpu_age);
	top_ops_look(t, name, row);
	stats = figures_stats(name, &error);
	doors = json_child(stats, "doors", json_type_object);
	if (doors) {
		json_object_object_foreach(doors, door, figures) {
			(void)door;
			row->requests += json_number(figures, "requests", 0);
		}
	}
	row->spared = spared(json_child(stats, "spared", json_type_object));
	if (json_child(stats, "cache", json_type_object))
		row_cache(row, json_child(stats, "cache", json_type_object));
	if (json_child(stats, "containers", json_type_object))
		row_limits(row, json_child(stats, "containers", json_type_object));
	row_finish(t, row);
	if (json_child(stats, "containers", json_type_object))
		containers_add(t, name, json_child(stats, "containers", json_type_object));
}

int top_look(struct top *t)
{
	_cleanup_(json_put_p) struct json_object *pools = figures_pools();

	if (!pools)
		return EXIT_OURS;
	memcpy(t->past, t->row, sizeof(t->past));
	t->pasts = t->rows;
	t->rows = t->ops = 0;
	t->before_ms = t->at_ms;
	t->at_ms = now_ms();
	for (size_t i = 0; i < json_object_array_length(pools); i++)
		pool_add(t, json_object_array_get_idx(pools, i));
	return 0;
}
