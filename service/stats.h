/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service did, written into its meter (service/meter.h): operations, errors, bytes, latencies and stages by
 * door; operations by container; slow operations; a trace while somebody wants one.
 */
#pragma once

#include <stdint.h>
#include "ipc/wire.h"
#include "service/cred.h"
#include "service/meter.h"

struct json_object;
struct ls;

/* Operations as people know them; the first are those of the wire. */
enum stat_op {
	STAT_LOOKUP = WIRE_OP_MAX,
	STAT_FORGET,
	STAT_OP_MAX
};

/* What is known of an operation beside its time. */
struct stat_about {
	pid_t pid;
	unsigned container; /* row of meter.container */
	uint64_t sent;      /* time stamp counter, of whatever quality; 0: unknown */
	uint64_t ino, offset, length;
	const char *path; /* NULL: none */
	/* Asked for the path of what was slow, when that has none; to be freed, or NULL. NULL: nobody knows. */
	char *(*find_path)(void *arg);
	void *find_arg;
};

/* Before anything is recorded: the engine's memory, or without it (-1) some of our own. 0 or -errno. */
int stat_open(int fd);
struct meter *stat_meter(void);
/* The calling thread serves a queue on that core. */
void stat_thread(uint32_t cpu);

/* Whether anything is recorded, from now on. It is, until somebody says that it is not. */
void stat_measure(bool on);
int64_t stat_now(void); /* CLOCK_MONOTONIC, ns */
/* That, before what the thread serves next has waited for a limit; 0: nothing is recorded. */
int64_t stat_started(void);
/* Around an operation that one thread serves from its beginning to its end. */
void stat_begin(void);
void stat_record(enum door door, unsigned op, int64_t started_at, int64_t result, const struct stat_about *about);
/* The same of an operation that waited without a thread, and is answered by whatever thread came along. */
void stat_record_parked(enum door door, unsigned op, int64_t started_at, int64_t result,
			const struct stat_about *about);
/* What this thread serves next waited so long for a limit (service/limit.h), of that container or of all. */
void stat_throttled(unsigned container, uint64_t ns);
/* Somebody wants to see operations as they happen. */
bool stat_traces(void);

/* What all layers of that type in a stack counted, together; the type has stats. NULL: there is none. */
struct json_object *stat_layers_json(const struct ls *stack, const char *type);
