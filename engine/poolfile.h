/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON and back, keeping where each value stood.
 *
 * Every scalar becomes a string: what a word means is decided by the table that knows its key
 * (engine/spec.c), not by YAML's guesses. A key without a value gives an empty string.
 */
#pragma once

#include "engine/util.h"

/* Remembers lines by the object; holds a reference to each, so an address is never used twice. */
struct origin {
	char *file; /* NULL: not from a file */
	struct origin_mark {
		struct json_object *value;
		int line;
	} * marks;
	size_t count;
};

/* The line of a value (of its key, in a mapping), or 0. Takes a NULL origin. */
int origin_line(const struct origin *origin, struct json_object *value);
/* The first string from that line on that reads `text`; NULL if there is none. */
struct json_object *origin_string(const struct origin *origin, const char *text, int from_line);
void origin_fini(struct origin *origin);

/* Reads a file of one document: 0, or -errno with `file:line: sentence`. Origin is filled either way. */
int yaml_read(const char *path, struct json_object **ret, struct origin *origin, struct error *error);
/* Writes an object as a document. */
int yaml_print(struct json_object *json, FILE *out);
