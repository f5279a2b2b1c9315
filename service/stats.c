/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording costs a look at the time stamp counter and some stores to memory that is this thread's own. A thread has a
 * shard from its first operation until its end.
 */
#include <errno.h>
#include <json.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "libservices/libservice.h"
#include "service/histogram.h"
#include "service/probe.h"
#include "service/stats.h"

enum {
	CLOCK_MIN_NS = 1000 * 1000,        /* to measure the time stamp counter by */
	CLOCK_VALID_NS = 100 * 1000 * 1000, /* then it is compared again */
};

static struct meter *meter;
static uint64_t started_cycles; /* at meter->started_ns */
static pthread_key_t shard_key;
static bool unmeasured; /* atomic */
static _Thread_local struct meter_shard *mine;
static _Thread_local unsigned sample_in; /* so many operations */

/* CLOCK_MONOTONIC by the time stamp counter, of each thread. */
static _Thread_local struct {
	uint64_t cycles, valid, rate; /* rate: ns in 2^32 cycles; 0: not known yet */
	int64_t ns;
} watch;

int64_t stat_now(void)
{
	return ls_now();
}

static uint64_t cycles_ns(uint64_t cycles)
{
	return (uint64_t)((unsigned __int128)cycles * watch.rate >> 32);
}

static int64_t watch_renew(uint64_t cycles)
{
	int64_t ns = stat_now();

	if (!watch.ns) {
		watch.ns = (int64_t)meter->started_ns;
		watch.cycles = started_cycles;
	}
	if (ns - watch.ns < CLOCK_MIN_NS)
		return ns; /* too early to tell how fast it is */
	if (cycles > watch.cycles) {
		watch.rate = (uint64_t)(((unsigned __int128)(ns - watch.ns) << 32) / (cycles - watch.cycles));
		watch.valid = watch.rate ? (uint64_t)(((unsigned __int128)CLOCK_VALID_NS << 32) / watch.rate) : 0;
	}
	watch.cycles = cycles;
	watch.ns = ns;
	return ns;
}

static int64_t watch_now(uint64_t cycles)
{
	uint64_t since = cycles - watch.cycles;

	return watch.rate && since < watch.valid ? watch.ns + (int64_t)cycles_ns(since) : watch_renew(cycles);
}

/* ---- shards ------------------------------------------------------------------------------------ */

static void shard_give(void *arg)
{
	struct meter_shard *shard = arg;

	if (shard != &meter->shard[METER_SHARDS - 1])
		__atomic_store_n(&shard->owner, 2, __ATOMIC_RELEASE); /* free, and there are figures in it */
}

int stat_open(int fd)
{
	meter = fd >= 0 ? meter_map(fd) : NULL;
	if (fd < 0) {
		fd = meter_make();
		meter = meter_map(fd);
		if (fd >= 0)
			meter->generation = 0;
	}
	if (!meter)
		return -EPROTO;
	/* Those of a service that died. */
	for (unsigned i = 0; i < METER_SHARDS; i++)
		if (meter->shard[i].owner)
			meter->shard[i].owner = 2;
	meter->generation++;
	meter->started_ns = (uint64_t)stat_now();
	started_cycles = stage_cycles();
	return -pthread_key_create(&shard_key, shard_give);
}

struct meter *stat_meter(void)
{
	return meter;
}

static struct meter_shard *shard_take(uint32_t state)
{
	for (struct meter_shard *s = meter->shard; s < &meter->shard[METER_SHARDS - 1]; s++) {
		uint32_t owner = state;
		if (__atomic_compare_exchange_n(&s->owner, &owner, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return s;
	}
	return NULL;
}

void stat_thread(uint32_t cpu)
{
	/* First one that has had figures: so no more of them have memory than there were threads at one time. */
	struct meter_shard *s = shard_take(2);

	if (!s)
		s = shard_take(0);
	if (!s) {
		s = &meter->shard[METER_SHARDS - 1];
		s->owner = 1;
		cpu = UINT32_MAX;
	}
	s->cpu = cpu;
	mine = s;
	pthread_setspecific(shard_key, s);
}

/* ---- operations -------------------------------------------------------------------------------- */

static _Thread_local uint64_t waited_ns; /* for a limit, by what this thread serves next */

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

void stat_measure(bool on)
{
	__atomic_store_n(&unmeasured, !on, __ATOMIC_RELAXED);
}

static bool is_unmeasured(void)
{
	return __builtin_expect(__atomic_load_n(&unmeasured, __ATOMIC_RELAXED), 0);
}

static bool sample_due(void)
{
	if (sample_in--)
		return false;
	sample_in = STAGE_SAMPLE_QUICK - 1;
	return true;
}

/* A sample costs as much as a quick operation: where those are slow there can be more. */
static void sample_learn(uint64_t ns)
{
	if (ns > STAGE_QUICK_NS && sample_in >= STAGE_SAMPLE)
		sample_in = STAGE_SAMPLE - 1;
}

void stat_begin(void)
{
	struct stage_clock *c = &stage_clock;

	if (is_unmeasured())
		return;
	if (c->since)
		*c = (struct stage_clock){0}; /* else it has stood still since */
	c->runs = true;
	c->sampled = sample_due();
	c->since = c->sampled ? stage_cycles() : 0; /* 0: nobody needs to know before there is a wait */
}

/* Ends the thread's clock. */
static uint64_t clock_end(void)
{
	struct stage_clock *c = &stage_clock;
	uint64_t now = stage_cycles();

	if (c->runs && c->since)
		c->spent[c->now] += now - c->since;
	c->runs = c->sampled = false;
	return now;
}

static void record_second(uint64_t now_ns, uint64_t ns, uint64_t idle_ns, uint64_t device_ns, uint64_t bytes)
{
	struct meter_second *s = &mine->second[now_ns / 1000000000u % METER_SECONDS];

	if (s->second != now_ns / 1000000000u)
		*s = (struct meter_second){.second = now_ns / 1000000000u};
	add(&s->busy_ns, ns > idle_ns ? ns - idle_ns : 0);
	add(&s->ops, 1);
	if (device_ns)
		add(&s->device_ns, device_ns);
	if (bytes)
		add(&s->bytes, bytes);
}

static void slow_path(char to[static METER_PATH], const struct stat_about *about)
{
	bool named = about->path && *about->path;
	char *found = !named && about->find_path ? about->find_path(about->find_arg) : NULL;
	const char *path = named ? about->path : found;

	to[0] = 0;
	if (path)
		strncat(to, path, METER_PATH - 1);
	free(found);
}

static void record_slow(enum door door, unsigned op, uint64_t now, uint64_t ns, int64_t result,
			const struct stat_about *about, const uint64_t stage_ns[STAGE_MAX], bool sampled)
{
	uint64_t n = __atomic_fetch_add(&meter->slows, 1, __ATOMIC_RELAXED);
	struct meter_slow *s = &meter->slow[n % METER_SLOW];

	__atomic_store_n(&s->seq, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	s->ended_ns = now;
	s->ns = ns;
	s->result = result;
	s->pid = (uint32_t)about->pid;
	s->cpu = mine->cpu;
	s->door = (uint8_t)door;
	s->op = (uint8_t)op;
	s->sampled = sampled;
	s->ino = about->ino;
	s->container = meter->container[about->container].pid;
	slow_path(s->path, about);
	memcpy(s->stage_ns, stage_ns, sizeof(s->stage_ns));
	__atomic_store_n(&s->seq, 2 * n + 1, __ATOMIC_RELEASE);
}

static void record_event(enum door door, unsigned op, uint64_t now, uint64_t ns, uint64_t queue_ns, int64_t result,
			 const struct stat_about *about)
{
	uint64_t n = __atomic_fetch_add(&meter->events, 1, __ATOMIC_RELAXED);
	struct meter_event *e = &meter->event[n % METER_EVENTS];

	__atomic_store_n(&e->seq, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	e->ended_ns = now;
	e->ns = ns;
	e->queue_ns = queue_ns;
	e->ino = about->ino;
	e->offset = about->offset;
	e->length = about->length;
	e->result = result;
	e->pid = (uint32_t)about->pid;
	e->cpu = mine->cpu;
	e->door = (uint8_t)door;
	e->op = (uint8_t)op;
	e->path[0] = 0;
	if (about->path)
		strncat(e->path, about->path, METER_PATH - 1);
	__atomic_store_n(&e->seq, n + 1, __ATOMIC_RELEASE);
}

/* The time that a client says it waited. It may say anything, and wrongs nobody but itself. */
static uint64_t queue_ns(uint64_t sent, uint64_t now, uint64_t ns)
{
	uint64_t whole;

	if (!sent || sent > now || !watch.rate)
		return 0;
	whole = cycles_ns(now - sent);
	return whole > ns ? whole - ns : 0;
}

static void record_cell(struct meter_cell *cell, uint64_t ns, int64_t result, uint64_t bytes)
{
	add(&cell->count, 1);
	add(&cell->time_ns, ns);
	if (ns > cell->max_ns)
		__atomic_store_n(&cell->max_ns, ns, __ATOMIC_RELAXED);
	if (result < 0)
		add(&cell->errors, 1);
	if (bytes)
		add(&cell->bytes, bytes);
}

static void record_container(unsigned row, uint64_t ns, int64_t result, uint64_t bytes)
{
	add(&mine->container[row].count, 1);
	add(&mine->container[row].time_ns, ns);
	if (result < 0)
		add(&mine->container[row].errors, 1);
	if (bytes)
		add(&mine->container[row].bytes, bytes);
}

void stat_throttled(unsigned row, uint64_t ns)
{
	waited_ns = ns;
	add(&mine->container[row].throttled, 1);
	add(&mine->container[row].throttled_ns, ns);
}

int64_t stat_started(void)
{
	return is_unmeasured() ? 0 : stat_now() - (int64_t)waited_ns;
}

void stat_record_parked(enum door door, unsigned op, int64_t started_at, int64_t result,
			const struct stat_about *about)
{
	struct stage_clock outer = stage_clock;

	stage_clock.runs = stage_clock.sampled = false;
	stat_record(door, op, started_at, result, about);
	stage_clock = outer;
}

/* Who traced may have been killed. */
static bool trace_goes_on(uint64_t now)
{
	uint64_t until = __atomic_load_n(&meter->trace_until, __ATOMIC_RELAXED);

	if (until > now)
		return true;
	__atomic_compare_exchange_n(&meter->trace_until, &until, 0, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return false;
}

bool stat_traces(void)
{
	return __atomic_load_n(&meter->trace_until, __ATOMIC_RELAXED) > 0;
}

/* Of an operation that was not sampled, what it did not wait counts as the service's. */
static void stages_take(const struct stage_clock *c, bool sampled, uint64_t ns, uint64_t ret[STAGE_MAX])
{
	uint64_t waits = 0;

	for (unsigned i = sampled ? 0 : STAGE_DEVICE; i < STAGE_MAX && c->since; i++)
		if (i != STAGE_QUEUE && c->spent[i])
			waits += ret[i] = cycles_ns(c->spent[i]);
	if (!sampled)
		ret[STAGE_SERVICE] = ns > waits ? ns - waits : 0;
	ret[STAGE_LIMIT] = waited_ns;
	waited_ns = 0;
}

void stat_record(enum door door, unsigned op, int64_t started_at, int64_t result, const struct stat_about *about)
{
	static const struct stat_about nothing;
	struct stage_clock *c = &stage_clock;
	bool sampled = c->sampled, ran = c->runs;
	uint64_t cycles, now, ns, bytes = 0, stage_ns[STAGE_MAX] = {0};
	struct meter_cell *cell;

	if (is_unmeasured()) {
		c->runs = c->sampled = false;
		waited_ns = 0;
		return;
	}
	cycles = clock_end();
	now = (uint64_t)watch_now(cycles);
	ns = started_at && now > (uint64_t)started_at ? now - (uint64_t)started_at : 0;
	sample_learn(ns);
	if (!about)
		about = &nothing;
	if (!mine)
		stat_thread(UINT32_MAX);
	if (result > 0 && (op == WIRE_READ || op == WIRE_WRITE || op == WIRE_COPY))
		bytes = (uint64_t)result;
	cell = &mine->cell[door][op];
	record_cell(cell, ns, result, bytes);
	add(&mine->bucket[door][op][meter_bucket(ns)], 1);
	record_container(about->container, ns, result, bytes);
	stage_ns[STAGE_QUEUE] = queue_ns(about->sent, cycles, ns);
	if (about->sent) {
		add(&cell->queued, 1);
		add(&cell->stage_ns[STAGE_QUEUE], stage_ns[STAGE_QUEUE]);
	}
	if (ran)
		stages_take(c, sampled, ns, stage_ns);
	for (unsigned i = 0; i < STAGE_MAX && sampled; i++)
		if (i != STAGE_QUEUE && stage_ns[i])
			add(&cell->stage_ns[i], stage_ns[i]);
	if (sampled)
		add(&cell->sampled, 1);
	histogram_record(meter, mine, about->container, door, op, ns, result, bytes, sampled ? stage_ns : NULL);
	record_second(now, ns, stage_ns[STAGE_DEVICE] + stage_ns[STAGE_LIMIT], stage_ns[STAGE_DEVICE], bytes);
	if (__builtin_expect(ns + stage_ns[STAGE_QUEUE] >= METER_SLOW_NS, 0))
		record_slow(door, op, now, ns + stage_ns[STAGE_QUEUE], result, about, stage_ns, sampled);
	if (__builtin_expect(stat_traces(), 0) && trace_goes_on(now))
		record_event(door, op, now, ns, stage_ns[STAGE_QUEUE], result, about);
	probe_operation(door, op, about->pid, ns, result);
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
