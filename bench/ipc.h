/* SPDX-License-Identifier: Apache-2.0 */
/* bench-ipc: the groups of comparisons. */
#pragma once

#include "bench/compare.h"

void bench_trip(const struct bench *b);
void bench_queue(const struct bench *b);
void bench_copy(const struct bench *b);
