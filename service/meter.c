/* SPDX-License-Identifier: Apache-2.0 */
/* The meter's memory and its readers; service/stats.c writes it. */
#include <errno.h>
#include <fcntl.h>
#include <json.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/meter.h"
#include "service/stats.h"

_Static_assert((int)STAT_OP_MAX <= (int)METER_OPS, "a cell for each");

const char *meter_op_name(unsigned op)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		WIRE_OPS(X)
#undef X
			"lookup",
		"forget",
	};
	return op < sizeof(names) / sizeof(names[0]) ? names[op] : "unknown";
}

const char *meter_door_name(unsigned door)
{
	static const char *const names[METER_DOORS] = {"preload", "fuse"};

	return door < METER_DOORS ? names[door] : "unknown";
}

const char *meter_stage_name(unsigned stage)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		STAGES(X)
#undef X
	};
	return stage < STAGE_MAX ? names[stage] : "unknown";
}

const char *meter_count_name(unsigned count)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		WIRE_COUNTS(X)
#undef X
	};
	return count < WIRE_COUNT_MAX ? names[count] : "unknown";
}

/* ---- memory ------------------------------------------------------------------------------------ */

int meter_make(void)
{
	struct meter *meter;
	int fd = memfd_create("polytropon-meter", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(*meter)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		close(fd);
		return -ENOMEM;
	}
	meter = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (meter == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	meter->version = METER_VERSION;
	meter->size = sizeof(*meter);
	meter->magic = METER_MAGIC;
	munmap(meter, sizeof(*meter));
	return fd;
}

struct meter *meter_map(int fd)
{
	struct meter *meter;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*meter))
		return NULL;
	meter = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (meter == MAP_FAILED)
		return NULL;
	if (meter->magic == METER_MAGIC && meter->version == METER_VERSION)
		return meter;
	return meter_unmap(meter);
}

struct meter *meter_unmap(struct meter *meter)
{
	if (meter)
		munmap(meter, sizeof(*meter));
	return NULL;
}

/* ---- sums -------------------------------------------------------------------------------------- */

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

void meter_cell_add(struct meter_cell *to, const struct meter_cell *from)
{
	to->count += load(&from->count);
	to->errors += load(&from->errors);
	to->bytes += load(&from->bytes);
	to->time_ns += load(&from->time_ns);
	to->sampled += load(&from->sampled);
	to->queued += load(&from->queued);
	if (load(&from->max_ns) > to->max_ns)
		to->max_ns = load(&from->max_ns);
	for (unsigned i = 0; i < STAGE_MAX; i++)
		to->stage_ns[i] += load(&from->stage_ns[i]);
}

bool meter_sum(const struct meter *meter, unsigned door, unsigned op, struct meter_sum *ret)
{
	*ret = (struct meter_sum){0};
	for (const struct meter_shard *s = meter->shard; s < meter->shard + METER_SHARDS; s++) {
		/* (Of a shard that no thread has had there is no memory, and none is to be made.) */
		if (!s->owner || !load(&s->cell[door][op].count))
			continue;
		meter_cell_add(&ret->cell, &s->cell[door][op]);
		for (unsigned i = 0; i < METER_BUCKETS; i++)
			ret->bucket[i] += load(&s->bucket[door][op][i]);
	}
	return ret->cell.count > 0;
}

uint64_t meter_percentile(const struct meter_sum *sum, double p)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++)
		total += sum->bucket[i];
	for (unsigned i = 0; i < METER_BUCKETS && total; i++) {
		seen += sum->bucket[i];
		if (seen && seen >= total * p)
			return meter_value(i);
	}
	return 0;
}

void meter_busy(const struct meter *meter, uint32_t cpu, uint64_t from, uint64_t until, struct meter_second *ret)
{
	*ret = (struct meter_second){.second = from};
	for (const struct meter_shard *s = meter->shard; s < meter->shard + METER_SHARDS; s++) {
		if (!s->owner || (cpu != UINT32_MAX && s->cpu != cpu))
			continue;
		for (uint64_t i = from; i <= until && i - from < METER_SECONDS; i++) {
			const struct meter_second *second = &s->second[i % METER_SECONDS];
			if (load(&second->second) != i)
				continue;
			ret->busy_ns += load(&second->busy_ns);
			ret->device_ns += load(&second->device_ns);
			ret->bytes += load(&second->bytes);
			ret->ops += load(&second->ops);
		}
	}
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void put(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

/* Mean times of an operation's stages, in ns. */
static struct json_object *stages_json(const struct meter_cell *cell)
{
	struct json_object *o = json_object_new_object();

	put(o, "sampled", cell->sampled);
	for (unsigned i = 0; i < STAGE_MAX; i++) {
		uint64_t n = i == STAGE_QUEUE ? cell->queued : cell->sampled;
		if (n && cell->stage_ns[i])
			put(o, meter_stage_name(i), cell->stage_ns[i] / n);
	}
	return o;
}

struct json_object *meter_sum_json(const struct meter_sum *sum, unsigned op)
{
	struct json_object *o = json_object_new_object();
	const struct meter_cell *cell = &sum->cell;

	put(o, "count", cell->count);
	put(o, "errors", cell->errors);
	if (op == WIRE_READ || op == WIRE_WRITE || op == WIRE_COPY)
		put(o, "bytes", cell->bytes);
	put(o, "mean_ns", cell->time_ns / cell->count);
	put(o, "p50_ns", meter_percentile(sum, 0.50));
	put(o, "p99_ns", meter_percentile(sum, 0.99));
	put(o, "p999_ns", meter_percentile(sum, 0.999));
	put(o, "max_ns", cell->max_ns);
	return o;
}

struct json_object *meter_doors_json(const struct meter *meter)
{
	struct json_object *doors = json_object_new_object();
	struct meter_sum sum;

	for (unsigned d = 0; d < METER_DOORS; d++) {
		struct json_object *door = json_object_new_object(), *ops = json_object_new_object();
		struct json_object *stages = json_object_new_object();
		uint64_t requests = 0;
		for (unsigned op = 0; op < STAT_OP_MAX; op++) {
			if (!meter_sum(meter, d, op, &sum))
				continue;
			requests += sum.cell.count;
			json_object_object_add(ops, meter_op_name(op), meter_sum_json(&sum, op));
			if (sum.cell.sampled || sum.cell.queued)
				json_object_object_add(stages, meter_op_name(op), stages_json(&sum.cell));
		}
		put(door, "requests", requests);
		json_object_object_add(door, "ops", ops);
		json_object_object_add(door, "stages", stages);
		json_object_object_add(doors, meter_door_name(d), door);
	}
	return doors;
}

static struct json_object *slow_entry(const struct meter_slow *slow)
{
	struct json_object *o = json_object_new_object(), *stages = json_object_new_object();
	unsigned most = 0;

	for (unsigned i = 0; i < STAGE_MAX; i++) {
		if (slow->stage_ns[i])
			put(stages, meter_stage_name(i), slow->stage_ns[i]);
		if (slow->stage_ns[i] > slow->stage_ns[most])
			most = i;
	}
	put(o, "ended_ns", slow->ended_ns);
	json_object_object_add(o, "door", json_object_new_string(meter_door_name(slow->door)));
	json_object_object_add(o, "op", json_object_new_string(meter_op_name(slow->op)));
	put(o, "pid", slow->pid);
	if (slow->container)
		put(o, "container", slow->container);
	if (slow->path[0])
		json_object_object_add(o, "path", json_object_new_string_len(slow->path, (int)strnlen(slow->path, METER_PATH)));
	if (slow->ino)
		put(o, "ino", slow->ino);
	put(o, "ns", slow->ns);
	json_object_object_add(o, "result", json_object_new_int64(slow->result));
	if (slow->cpu != UINT32_MAX)
		put(o, "cpu", slow->cpu);
	json_object_object_add(o, "lost_in", json_object_new_string(meter_stage_name(most)));
	json_object_object_add(o, "stages", stages);
	return o;
}

struct json_object *meter_slow_json(const struct meter *meter)
{
	struct json_object *list = json_object_new_array();
	uint64_t next = load(&meter->slows);

	for (uint64_t i = next; i > 0 && next - i < METER_SLOW; i--) {
		const struct meter_slow *at = &meter->slow[(i - 1) % METER_SLOW];
		uint64_t seq = __atomic_load_n(&at->seq, __ATOMIC_ACQUIRE);
		struct meter_slow slow = *at;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (seq != 2 * i - 1 || load(&at->seq) != seq)
			continue;
		json_object_array_add(list, slow_entry(&slow));
	}
	return list;
}
