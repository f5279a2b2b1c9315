/* SPDX-License-Identifier: Apache-2.0 */
/* bench-ipc: the groups of comparisons. */
#pragma once

#include "bench/compare.h"

/* A null request; false: it failed. */
struct front;
bool trip_null(struct front *f);

void bench_trip(const struct bench *b);
void bench_clients(const struct bench *b);
void bench_queue(const struct bench *b);
void bench_paper_queue(const struct bench *b);
void bench_copy(const struct bench *b);
