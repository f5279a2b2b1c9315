/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle: a directory with a config.json of the OCI runtime specification, which is read as it is. What is ours is
 * under `annotations`:
 *
 *   io.polytropon.pool            the pool in which the container lives
 *   io.polytropon.root            the pool's container whose root it gets, in the place of root.path
 *   io.polytropon.io.iops ...     limits of its I/O, by their names in the pool's file
 *   io.polytropon.mount.<path>    a path of the pool that the container sees at <path>
 */
#pragma once

#include <limits.h>

#include "engine/util.h"

struct bundle {
	char dir[PATH_MAX];
	char root[PATH_MAX]; /* root.path, absolute */
	struct json_object *config;
};

/* config: another file than its config.json; NULL: that. */
int bundle_open(const char *dir, const char *config, struct bundle *ret, struct error *error);
/* The same of a configuration that is there already; takes it over. */
int bundle_make(struct json_object *config, const char *dir, struct bundle *ret, struct error *error);
void bundle_fini(struct bundle *bundle);

/* What is at "linux.resources.memory"; NULL if there is nothing of that type. */
struct json_object *json_at(struct json_object *json, const char *path, enum json_type type);
const char *json_text_at(struct json_object *json, const char *path);
bool json_true_at(struct json_object *json, const char *path);
const char *bundle_annotation(const struct bundle *bundle, const char *name);
/* The i-th string of an array; "" without. */
const char *json_word(struct json_object *array, size_t i);
size_t json_length(struct json_object *array);
/* A NULL-terminated copy of an array of strings, whose strings stay the array's; NULL without memory. */
char **json_words(struct json_object *array);
