/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of the containers' histograms. The numbers that lead to them are in memory of the service: they may be any. */
#include <json.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/meter.h"
#include "service/stats.h"

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Half as fine: what lies in one bucket lies evenly in two of the sum's. */
static void histogram_add(struct meter_sum *to, const struct meter_histogram *from)
{
	meter_cell_add(&to->cell, &from->cell);
	for (unsigned i = 0; i < METER_BUCKETS / 2; i++) {
		uint64_t n = load(&from->bucket[i]);
		to->bucket[2 * i] += n - n / 2;
		to->bucket[2 * i + 1] += n / 2;
	}
}

bool meter_sum_container(const struct meter *meter, unsigned row, unsigned door, unsigned series, struct meter_sum *ret)
{
	*ret = (struct meter_sum){0};
	for (const struct meter_shard *s = meter->shard; s < meter->shard + METER_SHARDS; s++) {
		unsigned number = s->owner ? __atomic_load_n(&s->histogram[row][door][series], __ATOMIC_ACQUIRE) : 0;
		if (number && number <= METER_HISTOGRAMS)
			histogram_add(ret, &meter->histogram[number - 1]);
	}
	return ret->cell.count > 0;
}

static struct json_object *door_json(const struct meter *meter, unsigned row, unsigned door)
{
	struct json_object *o = json_object_new_object(), *ops = json_object_new_object();
	struct json_object *stages = json_object_new_object();
	struct meter_sum sum;

	for (unsigned op = 0; op < STAT_OP_MAX; op++)
		if (meter_sum_container(meter, row, door, op, &sum))
			json_object_object_add(ops, meter_op_name(op), meter_sum_json(&sum, op));
	for (unsigned i = 0; i < STAGE_MAX; i++)
		if (meter_sum_container(meter, row, door, METER_OPS + i, &sum))
			json_object_object_add(stages, meter_stage_name(i), meter_sum_json(&sum, METER_OPS + i));
	json_object_object_add(o, "ops", ops);
	json_object_object_add(o, "stages", stages);
	return o;
}

struct json_object *meter_container_json(const struct meter *meter, unsigned row)
{
	struct json_object *doors = json_object_new_object();

	for (unsigned d = 0; d < METER_DOORS; d++) {
		struct json_object *door = door_json(meter, row, d), *ops;
		if (json_object_object_get_ex(door, "ops", &ops) && json_object_object_length(ops))
			json_object_object_add(doors, meter_door_name(d), door);
		else
			json_object_put(door);
	}
	return doors;
}

int meter_container_row(const struct meter *meter, const char *name)
{
	unsigned long pid = strtoul(name, NULL, 10);

	for (int row = 1; pid && row < METER_CONTAINERS; row++)
		if (meter->container[row].pid == pid)
			return row;
	return pid ? -1 : 0;
}

struct json_object *meter_containers_json(const struct meter *meter)
{
	struct json_object *o = json_object_new_object();
	char name[48];

	json_object_object_add(o, "others", json_object_new_object());
	for (const struct meter_container *c = meter->container + 1; c < meter->container + METER_CONTAINERS; c++) {
		if (!c->pid)
			continue;
		snprintf(name, sizeof(name), "%u %.*s", c->pid, (int)sizeof(c->name), c->name);
		json_object_object_add(o, name, json_object_new_object());
	}
	return o;
}

void meter_containers_add(const struct meter *meter, struct json_object *containers)
{
	json_object_object_foreach(containers, name, container) {
		int row = meter_container_row(meter, name);
		if (row >= 0 && json_object_is_type(container, json_type_object))
			json_object_object_add(container, "doors", meter_container_json(meter, (unsigned)row));
	}
}

struct json_object *meter_histograms_json(const struct meter *meter)
{
	struct json_object *o = json_object_new_object();
	int used = 0;

	for (unsigned i = 0; i < METER_HISTOGRAMS / 64; i++)
		used += __builtin_popcountll(load(&meter->histogram_taken[i]));
	json_object_object_add(o, "used", json_object_new_int(used));
	json_object_object_add(o, "limit", json_object_new_int(METER_HISTOGRAMS));
	json_object_object_add(o, "missed", json_object_new_uint64(load(&meter->histograms_missed)));
	return o;
}
