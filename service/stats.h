/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service did: requests, errors, bytes and latencies by door and operation.
 *
 * Latencies go to a histogram of 4 buckets for each power of two, so a percentile is within 19 % of the true
 * one. Counters are relaxed atomics of their own cache lines by operation.
 */
#pragma once

#include <stdint.h>
#include "ipc/wire.h"
#include "service/cred.h"

struct json_object;

/* Operations as people know them; the first are those of the wire. */
enum stat_op {
	STAT_LOOKUP = WIRE_OP_MAX,
	STAT_FORGET,
	STAT_OP_MAX
};

enum { STAT_BUCKETS = 4 * 40 };

struct stat_cell {
	uint64_t count, errors, bytes, time_ns;
	uint64_t bucket[STAT_BUCKETS];
};

const char *stat_name(unsigned op);
int64_t stat_now(void); /* CLOCK_MONOTONIC, ns */
void stat_record(enum door door, unsigned op, int64_t started_at, int64_t result);
/* Percentile (0..1) of a cell, in ns; 0 if it is empty. */
uint64_t stat_percentile(const struct stat_cell *cell, double p);
/* {"doors": {"preload": {"requests":..., "ops": {"read": {"count":..,"errors":..,"bytes":..,"p50_ns":..}}}}} */
struct json_object *stat_json(void);
/* What all layers of that type in a stack counted, together; the type has stats. NULL: there is none. */
struct json_object *stat_layers_json(const struct ls *stack, const char *type);
