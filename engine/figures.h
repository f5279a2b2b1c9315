/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of running pools, for the commands that show them. */
#pragma once

#include "engine/util.h"
#include "service/meter.h"

/* The running pools as `ps --json` has them; an empty list if there are none. NULL after a sentence. */
struct json_object *figures_pools(void);
/*
 * What a pool's service counted. Without a service that answers, what it measured until then, and "note", why. NULL
 * with a sentence: there is no such pool.
 */
struct json_object *figures_stats(const char *pool, struct error *error);
/* The same, with what each container's operations took, and "histograms", how many of these there are. */
struct json_object *figures_stats_whole(const char *pool, struct error *error);
/* Of these, the containers of that number or name. NULL with a sentence: there is none. */
struct json_object *figures_containers_called(struct json_object *stats, const char *word, struct error *error);
void containers_print(struct json_object *containers);
/* What the service measures, mapped; NULL with a sentence. */
struct meter *figures_meter(const char *pool, struct error *error);
/* The pool's processes and what they counted of themselves. NULL with a sentence. */
struct json_object *figures_processes(const char *pool, struct error *error);
/* Slow operations of the pool, each with `neighbour`, the pool that was busiest on the same core or device then. */
struct json_object *figures_slow(const char *pool, struct error *error);

/* cmd-show.c */
void json_print(struct json_object *json);
void stats_print(struct json_object *stats, const char *title);
/* "12.3M", and times: "1.5ms". */
const char *figure_bytes(double bytes, char buf[static 16]);
const char *figure_time(double ns, char buf[static 16]);
