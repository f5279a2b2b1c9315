/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the containers' histograms (service/meter.h). A thread takes one when it first serves an operation of a
 * container by a door, and then counts in it without asking anybody; whoever gives a container's row to another gives
 * these back. A thread that counts for a container whose row is given away in that moment counts one operation too many
 * for the next.
 */
#pragma once

#include "service/meter.h"

/* An operation of that container. `stage_ns` of one whose stages were looked at, or NULL. */
void histogram_record(struct meter *meter, struct meter_shard *shard, unsigned row, unsigned door, unsigned op, uint64_t ns,
		      int64_t result, uint64_t bytes, const uint64_t stage_ns[STAGE_MAX]);
/* The row is to be another container's. */
void histogram_give(struct meter *meter, unsigned row);
