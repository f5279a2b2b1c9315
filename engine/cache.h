/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page cache of a pool: a layer on top of every stack, unless the stack has one or the pool has none,
 * and a tmpfs for the data that it shares with programs. The tmpfs has no path; the engine holds it, so
 * that it outlives services.
 */
#pragma once

#include "engine/pool.h"

/* The tmpfs, and the other, made when they are first needed. 0, or -errno with a sentence in pool->error. */
int cache_dir_open(struct pool *pool);
/*
 * Takes the stack of one mount over, and returns what the service is to open: the dump and everybody else
 * see the stack without what is put on it here. `dir` is the tmpfs's place among the boot message's
 * descriptors, `large` the other's, or -1.
 */
struct json_object *cache_put_on(struct json_object *spec, struct json_object *stack, int dir, int large);
