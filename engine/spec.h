/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool is to be: the one vocabulary of pool file, control socket, `set` and `dump`.
 *
 * A spec is a JSON object of the pool file's shape whose scalars are all strings:
 *
 *   {"cpus": "0-1", "memory": "1G", "cache": {"size": "256M"}, "flush": {"interval": "5s"},
 *    "mounts": {"/data": {"host": {"path": "/srv/a"}}}}
 *
 * spec_check() makes it so, or says what is wrong. The command checks what it read, with lines; the engine
 * checks what it was sent, without.
 */
#pragma once

#include "engine/util.h"

struct origin;

enum {
	SPEC_NAME_MAX = 63,
	SPEC_LAYERS_MAX = 8, /* on each other: what parsers of JSON take by default, 32 levels, with room */
};

/* Checks and normalises {"pools": {name: spec}}: 0, or -EINVAL with a sentence. origin may be NULL. */
int spec_check_file(struct json_object *file, const struct origin *origin, struct error *error);
/* The same of one pool's spec. */
int spec_check(const char *name, struct json_object *spec, const struct origin *origin,
	       struct error *error);

/* "cache.size": "256M" and so on: the settings as `polytropon set` and the service know them. */
struct json_object *spec_settings(struct json_object *spec);

/* Gives the keys the order of the tables: what `dump` prints does not depend on how it came about. */
void spec_order(struct json_object *spec);

/* Calls fn for every layer of a checked stack, from the top down; stops at the first non-zero result. */
typedef int stack_fn(const char *type, struct json_object *config, void *arg);
int stack_walk(struct json_object *stack, stack_fn *fn, void *arg);

/* Gives layers that were written without anything, as `mem:`, an empty object. */
void stack_fill_empty(struct json_object *stack);
/* The layers on each other, in a checked stack. */
unsigned stack_height(struct json_object *stack);

/* One change of `polytropon set`, resolved. */
struct change {
	char key[512];              /* in full, as the service knows it: mounts./data.delay.read */
	char value[256];            /* normalised */
	bool engine;                /* the engine's own: memory, cpu_weight */
	struct json_object *target; /* the object of the spec that holds it, or NULL: to be made... */
	char section[32];           /* ...as this member of the spec */
	char field[64];
};

/* Resolves and checks; changes nothing. -EINVAL with a sentence that names the nearest key. */
int change_resolve(struct json_object *spec, const char *key, const char *value, struct change *ret,
		   struct error *error);
void change_apply(struct json_object *spec, const struct change *change);
