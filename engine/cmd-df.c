/* SPDX-License-Identifier: Apache-2.0 */
/* `df`: how full the mounts of pools are, as their services say. */
#include <errno.h>
#include <string.h>

#include "engine/command.h"
#include "engine/conversation.h"

static int take_json(const struct command *command, const struct option_row *option, const char *value,
		     void *arg)
{
	*(bool *)arg = true;
	return 0;
}

/* ---- what there is ---------------------------------------------------------------------------------- */

static int ask(int connection, const char *method, const char *pool, struct json_object **ret,
	       struct error *error)
{
	struct json_object *parameters = NULL;

	if (pool) {
		parameters = json_object_new_object();
		json_set(parameters, "pool", "%s", pool);
	}
	return engine_call(connection, method, parameters, ret, NULL, error);
}

static void add_mounts(struct json_object *rows, const char *pool, struct json_object *mounts)
{
	static const char *const figures[] = {"size", "used", "available", "inodes", "inodes_free"};

	json_object_object_foreach(mounts, path, mount)
	{
		struct json_object *row = json_object_new_object();
		json_set(row, "pool", "%s", pool);
		json_set(row, "mount", "%s", path);
		json_set(row, "layer", "%s",
			 json_string(mount, "layer") ? json_string(mount, "layer") : "");
		for (size_t i = 0; i < ARRAY_LEN(figures); i++)
			json_object_object_add(row, figures[i],
					       json_object_new_int64(json_number(mount, figures[i], 0)));
		json_object_array_add(rows, row);
	}
}

/* A pool whose service does not answer has no figures; the others have. */
static int add_pool(struct json_object *rows, const char *pool, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	_cleanup_(close_p) int connection = command_connect();
	int r = connection < 0 ? CALL_FAILED : ask(connection, "Stats", pool, &reply, error);
	struct json_object *stats = json_child(reply, "stats", json_type_object);
	struct json_object *mounts = json_child(stats, "mounts", json_type_object);

	if (r == CALL_OK && mounts)
		add_mounts(rows, pool, mounts);
	return r;
}

static int add_all(struct json_object *rows)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	_cleanup_(close_p) int connection = command_connect();
	struct json_object *pools;
	struct error error;
	int status = 0;

	if (connection < 0)
		return connection == -ENOENT ? 0 : EXIT_OURS;
	if (ask(connection, "Ps", NULL, &reply, &error) != CALL_OK)
		return complain("%s", error.text);
	pools = json_child(reply, "pools", json_type_array);
	for (size_t i = 0; pools && i < json_object_array_length(pools); i++) {
		const char *name = json_string(json_object_array_get_idx(pools, i), "pool");
		if (add_pool(rows, name, &error) != CALL_OK)
			status = complain("%s", error.text);
	}
	return status;
}

static int add_one(struct json_object *rows, const char *pool)
{
	struct error error = {};
	int connection = command_connect(), r;

	if (connection == -ENOENT)
		return complain("no pool '%s' runs, nor any other", pool);
	close_p(&connection);
	r = add_pool(rows, pool, &error);
	return r == CALL_OK ? 0 : complain("%s", error.text);
}

/* ---- print ------------------------------------------------------------------------------------------ */

static const char *human(int64_t bytes, char buf[static 16])
{
	static const char units[] = "BKMGTP";
	double n = bytes;
	int unit = 0;

	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	snprintf(buf, 16, n < 10 && unit ? "%.1f%c" : "%.0f%c", n, units[unit]);
	return buf;
}

static void print_rows(struct json_object *rows)
{
	printf("%-16s %-24s %7s %7s %7s %5s %10s %s\n", "POOL", "MOUNT", "SIZE", "USED", "AVAIL", "USE%",
	       "INODES", "LAYER");
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int64_t used = json_number(row, "used", 0), available = json_number(row, "available", 0);
		char size_text[16], used_text[16], available_text[16];
		printf("%-16s %-24s %7s %7s %7s %4lld%% %10lld %s\n", json_string(row, "pool"),
		       json_string(row, "mount"), human(json_number(row, "size", 0), size_text),
		       human(used, used_text), human(available, available_text),
		       used + available
			   ? (long long)((used * 100 + used + available - 1) / (used + available))
			   : 0ll,
		       (long long)json_number(row, "inodes", 0), json_string(row, "layer"));
	}
}

int cmd_df(const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *rows = json_object_new_array();
	bool json = false;
	const char *pool = NULL;
	int r = options_take_word(command, &argv, take_json, &json, &pool);

	if (r == 0 && argv[0])
		r = misuse(command, "it takes one pool, or none for all");
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	r = pool ? add_one(rows, pool) : add_all(rows);
	if (json)
		puts(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PRETTY |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (r == 0 || json_object_array_length(rows))
		print_rows(rows);
	return r;
}
