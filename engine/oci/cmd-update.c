/* SPDX-License-Identifier: Apache-2.0 */
/* `oci update`: other limits of a container that runs, as a file of the specification or as options, like other runtimes'. */
#include <errno.h>
#include <string.h>

#include "engine/oci/oci.h"
#include "libservices/libservice.h"

static const struct {
	const char *option, *section, *key;
	bool words; /* not a number */
} limits[] = {
	{"memory", "memory", "limit"},
	{"memory-swap", "memory", "swap"},
	{"memory-reservation", "memory", "reservation"},
	{"cpu-share", "cpu", "shares"},
	{"cpu-shares", "cpu", "shares"},
	{"cpu-quota", "cpu", "quota"},
	{"cpu-period", "cpu", "period"},
	{"cpuset-cpus", "cpu", "cpus", true},
	{"cpuset-mems", "cpu", "mems", true},
	{"pids-limit", "pids", "limit"},
	{"blkio-weight", "blockIO", "weight"},
};

struct update {
	const char *file;
	struct json_object *options; /* like linux.resources */
};

/* A size, or a number below zero. */
static bool number_of(const char *text, int64_t *ret)
{
	uint64_t n;
	char *end;

	if (*text == '-') {
		*ret = strtoll(text, &end, 10);
		return !*end;
	}
	if (ls_parse_size(text, &n) < 0 || n > INT64_MAX)
		return false;
	*ret = (int64_t)n;
	return true;
}

static int take_limit(const struct command *command, struct update *u, size_t i, const char *value)
{
	struct json_object *section = json_child(u->options, limits[i].section, json_type_object);
	int64_t n = 0;

	if (!limits[i].words && !number_of(value, &n))
		return misuse(command, "--%s '%s' is no number", limits[i].option, value);
	if (!section)
		json_object_object_add(u->options, limits[i].section, section = json_object_new_object());
	json_object_object_add(section, limits[i].key,
			       limits[i].words ? json_object_new_string(value) : json_object_new_int64(n));
	return 0;
}

static int take_update(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct update *u = arg;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (!strcmp(o->name, limits[i].option))
			return take_limit(command, u, i, value);
	u->file = value;
	return 0;
}

static int apply(const struct oci *oci, const char *id, struct json_object *resources, struct error *error)
{
	struct state state;
	int r = state_open(oci->root, id, &state, error);

	if (r < 0)
		return r;
	r = limits_apply(&state.limits, resources, error);
	state_fini(&state);
	return r;
}

static int update(const struct oci *oci, const char *id, const struct update *u, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *file = NULL;
	int r = 0;

	if (u->file) {
		file = json_object_from_file(strcmp(u->file, "-") ? u->file : "/dev/stdin");
		if (!json_object_is_type(file, json_type_object))
			return error_set(error, -EINVAL, "'%s' is no JSON object", u->file);
		r = apply(oci, id, file, error);
	}
	if (r == 0 && json_object_object_length(u->options))
		r = apply(oci, id, u->options, error);
	return r;
}

int oci_cmd_update(const struct oci *oci, const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *options = json_object_new_object();
	struct update u = {.options = options};
	struct error error;
	int r = options_take(command, &argv, take_update, &u);
	const char *id = r == 0 ? argv[0] : NULL;

	if (id) {
		argv++;
		r = options_take(command, &argv, take_update, &u);
	}
	if (r != 0)
		return r;
	if (!id || (!u.file && !json_object_object_length(options)))
		return misuse(command, "it needs --resources FILE or a limit, and a container");
	return update(oci, id, &u, &error) < 0 ? oci_fail(oci, &error) : 0;
}
