/* SPDX-License-Identifier: Apache-2.0 */
/* `metrics`, in parts: what it is made from (cmd-metrics.c), its text (metrics-text.c, metrics-ops.c, metrics-pools.c) and who
 * may fetch it (metrics-serve.c). */
#pragma once

#include <stdio.h>

#include "engine/command.h"
#include "service/meter.h"

enum { METRICS_POOLS = 1024 };

struct source_pool {
	const char *name, *state;
	int64_t restarts;
	double cpu; /* seconds of its service; negative: not known */
	struct meter *meter;
	struct json_object *stats;
};

struct sources {
	struct json_object *pools;
	struct source_pool pool[METRICS_POOLS];
	unsigned count;
};

/* A label's value may have anything in it, as paths do. */
void metrics_label(FILE *out, const char *key, const char *value);
/* A container's name, without the sign that it has ended: it is the same container still. */
void metrics_container(FILE *out, const char *name);
/* The lines before a family's samples. */
void metrics_family(FILE *out, const char *name, const char *type, const char *help);

/* Operations by door: of pools, and of their containers. */
void metrics_ops(FILE *out, const struct sources *s);
void metrics_container_ops(FILE *out, const struct sources *s);
/* What there is of a pool, of its containers without their operations, of limits and caches. */
void metrics_pools(FILE *out, const struct sources *s);
void metrics_containers(FILE *out, const struct sources *s);
void metrics_spared(FILE *out, const struct sources *s);
void metrics_limits(FILE *out, const struct sources *s);
void metrics_caches(FILE *out, const struct sources *s);

/* All of it, as it is now. */
void metrics_write(FILE *out);
/* Serves it, until a signal comes or nobody can be served. An exit status. */
int metrics_serve_unix(const char *path);
int metrics_serve_loopback(const struct command *command, const char *address);
