/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's service measures, as it lies in memory that it shares with its engine: the engine makes the memory
 * before the first service and keeps it, so whoever has it can read it without asking anybody, also when the service
 * hangs or is dead, and the next service goes on counting.
 *
 * Each thread of the service counts in a shard of its own, with plain stores. Readers sum the shards up; what they read
 * may be an operation or two behind. Threads that find no shard left share the last one, where a count may be lost.
 *
 * Latencies are kept in histograms with METER_STEPS steps for each power of two: a value read from one is within 1.6 %
 * of the true one. Most cells stay untouched, and have no memory: look at `count` first, for reading makes some.
 *
 * Containers have histograms of their own, half as fine (3.1 %), for each door's operations and for the stages of those
 * whose layers were looked at. There is one for each thread and each operation that a container really has, of
 * METER_HISTOGRAMS in all, which is at most 10 MiB a pool. When these are used up the others are counted in `histograms_missed`,
 * until a container has ended whose row is needed.
 */
#pragma once

#include <stdint.h>
#include "ipc/wire.h"
#include "libservices/stage.h"

enum {
	METER_MAGIC = 0x544d4c50, /* "PLMT" */
	METER_VERSION = 3,
	METER_DOORS = 2, /* preload, FUSE */
	METER_OPS = 64,
	METER_SHARDS = 48,
	METER_STEPS = 32,
	METER_OCTAVES = 36, /* from 32 ns to half an hour */
	METER_BUCKETS = METER_STEPS * (METER_OCTAVES + 1),
	METER_CONTAINERS = 64, /* the first is for what belongs to none */
	METER_SECONDS = 128,   /* of history */
	METER_CPUS = 16,       /* queues */
	METER_SLOW = 256,      /* slow operations remembered */
	METER_EVENTS = 4096,   /* of a trace */
	METER_PATH = 112,
	METER_SERIES = METER_OPS + 16, /* of a container: operations, then stages */
	METER_HISTOGRAMS = 2048,
};
#define METER_SLOW_NS (10 * 1000 * 1000ull)

struct meter_cell {
	uint64_t count, errors, bytes, time_ns, max_ns;
	uint64_t sampled;             /* operations whose layers were looked at */
	uint64_t stage_ns[STAGE_MAX]; /* of the sampled; QUEUE: of `queued` */
	uint64_t queued;              /* operations whose wait in the queue is known */
	uint64_t pad;
};

/* How busy the service was in one second. */
struct meter_second {
	uint64_t second; /* CLOCK_MONOTONIC */
	uint64_t device_ns, bytes, ops;
	uint64_t busy_ns; /* serving, but for waiting for the device */
};

struct meter_shard {
	uint32_t owner; /* 1: a thread has it */
	uint32_t cpu;   /* the queue's core; UINT32_MAX: any */
	uint64_t pad[7];
	struct meter_cell cell[METER_DOORS][METER_OPS];
	struct {
		uint64_t count, errors, bytes, time_ns;
		uint64_t throttled, throttled_ns; /* requests that waited for a limit, and for how long */
	} container[METER_CONTAINERS];
	struct meter_second second[METER_SECONDS];
	uint64_t bucket[METER_DOORS][METER_OPS][METER_BUCKETS];
	uint16_t histogram[METER_CONTAINERS][METER_DOORS][METER_SERIES]; /* numbers in meter.histogram, + 1; 0: none */
} __attribute__((aligned(4096)));

struct meter_histogram {
	struct meter_cell cell; /* `queued` is `sampled` */
	uint64_t bucket[METER_BUCKETS / 2];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct meter_histogram) * METER_HISTOGRAMS < 10 << 20, "as is said above");
_Static_assert(METER_OPS + STAGE_MAX <= METER_SERIES && METER_HISTOGRAMS < UINT16_MAX, "a number for each");

/* An operation that took METER_SLOW_NS or longer. `seq` is even while it is written: odd and equal before and after a
 * look, it was read whole. */
struct meter_slow {
	uint64_t seq;
	uint64_t ended_ns; /* CLOCK_MONOTONIC */
	uint64_t ns;
	uint64_t stage_ns[STAGE_MAX];
	int64_t result;
	uint32_t pid;
	uint32_t cpu; /* that served it */
	uint8_t door, op, sampled, pad[5];
	uint64_t ino;
	uint32_t container, pad2; /* its first process; 0: none */
	char path[METER_PATH];    /* as the client gave it, ended by NUL; perhaps cut, or empty */
};

struct meter_event {
	uint64_t seq; /* number of the event, + 1; written last */
	uint64_t ended_ns, ns, queue_ns;
	uint64_t ino, offset, length;
	int64_t result;
	uint32_t pid, cpu;
	uint8_t door, op, pad[6];
	char path[METER_PATH]; /* as the client gave it, ended by NUL; perhaps cut */
};

/* Programs of the pool: what `polytropon run` or `exec` started, and all that it started. */
struct meter_container {
	uint32_t pid; /* of the first process, in the host's PID namespace; 0: the row is free */
	uint32_t processes; /* that ever spoke to the service */
	char name[24];
	uint64_t pad[4];
	uint64_t count[64]; /* enum wire_count: of its processes that have ended */
};

struct meter {
	uint32_t magic, version;
	uint32_t size, generation;
	/* Written by who traces: until then (CLOCK_MONOTONIC ns) operations are put into `event`. */
	uint64_t trace_until;
	uint64_t events; /* so many ever */
	uint64_t slows;
	uint64_t started_ns;
	uint64_t histograms_missed;
	uint64_t histogram_taken[METER_HISTOGRAMS / 64]; /* a bit for each */
	uint64_t pad[25];
	struct meter_container container[METER_CONTAINERS];
	struct meter_slow slow[METER_SLOW];
	struct meter_event event[METER_EVENTS];
	struct meter_shard shard[METER_SHARDS];
	struct meter_histogram histogram[METER_HISTOGRAMS];
};

struct json_object;

static inline unsigned meter_bucket(uint64_t ns)
{
	unsigned log, index;

	if (ns < METER_STEPS)
		return (unsigned)ns;
	log = 63 - (unsigned)__builtin_clzll(ns);
	index = (log - 4) * METER_STEPS + ((ns >> (log - 5)) & (METER_STEPS - 1));
	return index < METER_BUCKETS ? index : METER_BUCKETS - 1;
}

/* The middle of a bucket. */
static inline uint64_t meter_value(unsigned index)
{
	unsigned octave = index / METER_STEPS;

	if (octave <= 1)
		return index;
	return ((uint64_t)(METER_STEPS + index % METER_STEPS) << (octave - 1)) + (1ull << (octave - 2));
}

/* One door's operation, summed up over the shards. */
struct meter_sum {
	struct meter_cell cell;
	uint64_t bucket[METER_BUCKETS];
};

const char *meter_op_name(unsigned op);
const char *meter_door_name(unsigned door);
const char *meter_stage_name(unsigned stage);
const char *meter_count_name(unsigned count); /* of enum wire_count */

/* Memory of zeros that is a meter: to be made by the engine. -errno, or a descriptor. */
int meter_make(void);
/* NULL: it is none. */
struct meter *meter_map(int fd);
struct meter *meter_unmap(struct meter *meter);

/* False: there is nothing. */
bool meter_sum(const struct meter *meter, unsigned door, unsigned op, struct meter_sum *ret);
void meter_cell_add(struct meter_cell *to, const struct meter_cell *from);
/* {"count": .., "errors": .., "mean_ns": .., "p50_ns": .., ...} of an operation that there was. */
struct json_object *meter_sum_json(const struct meter_sum *sum, unsigned op);
/* Percentile (0..1), in ns; 0 if it is empty. */
uint64_t meter_percentile(const struct meter_sum *sum, double p);
/* {"preload": {"requests": .., "ops": {"read": {"count": .., "p50_ns": .., "stages": {..}}}}, ...} */
struct json_object *meter_doors_json(const struct meter *meter);
/* Slow operations, the latest first, each with the stage where it lost most. */
struct json_object *meter_slow_json(const struct meter *meter);
/* The same of a container's row. `series` is an operation or, beyond METER_OPS, a stage. */
bool meter_sum_container(const struct meter *meter, unsigned row, unsigned door, unsigned series, struct meter_sum *ret);
/* {"preload": {"ops": {"read": ..}, "stages": {"cache": {"count": .., "p50_ns": ..}}}, ...}; of doors that it used. */
struct json_object *meter_container_json(const struct meter *meter, unsigned row);
/* {"others": {}, "4711 sh": {}}: the containers that there are, for when there is no service to tell more of them. */
struct json_object *meter_containers_json(const struct meter *meter);
/* Adds "doors" to each of `containers`, as the service names them: "4711 sh" is in the row of process 4711. */
void meter_containers_add(const struct meter *meter, struct json_object *containers);
/* The row of a container by its name, as the service gives it. -1: there is none. */
int meter_container_row(const struct meter *meter, const char *name);
/* {"used": .., "limit": .., "missed": ..} */
struct json_object *meter_histograms_json(const struct meter *meter);
/* What the service's threads did on one core (UINT32_MAX: on all) in some seconds. */
void meter_busy(const struct meter *meter, uint32_t cpu, uint64_t from, uint64_t until, struct meter_second *ret);
