/* SPDX-License-Identifier: Apache-2.0 */
/* `ps`: what runs; and how figures are printed, as tables or as the JSON that they are made of. */
#include <errno.h>
#include <string.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/figures.h"

const struct option_row json_options[] = {
	{"json", NULL, "print JSON"},
	{},
};

static int take_json(const struct command *command, const struct option_row *option, const char *value,
		     void *arg)
{
	*(bool *)arg = true;
	return 0;
}

void json_print(struct json_object *json)
{
	puts(json_object_to_json_string_ext(json,
					    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* ---- ps ---------------------------------------------------------------------------------------- */

static void print_pid(int64_t pid)
{
	if (pid)
		printf("%8lld", (long long)pid);
	else
		printf("%8s", "-");
}

static void print_mounts(struct json_object *mounts)
{
	for (size_t i = 0; mounts && i < json_object_array_length(mounts); i++) {
		struct json_object *m = json_object_array_get_idx(mounts, i);
		_cleanup_(free_p) char *path = strdup(json_string(m, "path"));
		if (path)
			text_tame(path);
		printf("%s%s (%s%s)", i ? ", " : "  ", path ? path : "", json_string(m, "stack"),
		       json_true(m, "fuse") ? "" : ", no FUSE");
	}
	putchar('\n');
}

static void print_pool(struct json_object *pool)
{
	struct json_object *containers = json_child(pool, "containers", json_type_array);

	printf("%-16s %-10s", json_string(pool, "pool"), json_string(pool, "state"));
	print_pid(json_number(pool, "service", 0));
	print_pid(json_number(pool, "init", 0));
	printf(" %9lld", (long long)json_number(pool, "restarts", 0));
	print_mounts(json_child(pool, "mounts", json_type_array));
	if (json_string(pool, "error"))
		printf("  error: %s\n", json_string(pool, "error"));
	for (size_t i = 0; containers && i < json_object_array_length(containers); i++) {
		struct json_object *c = json_object_array_get_idx(containers, i);
		printf("  %-8lld %s\n", (long long)json_number(c, "pid", 0), json_string(c, "command"));
	}
}

static int print_pools(struct json_object *reply)
{
	struct json_object *pools = json_child(reply, "pools", json_type_array);

	printf("%-16s %-10s%8s%8s %9s  %s\n", "POOL", "STATE", "SERVICE", "INIT", "RESTARTS", "MOUNTS");
	for (size_t i = 0; pools && i < json_object_array_length(pools); i++)
		print_pool(json_object_array_get_idx(pools, i));
	return 0;
}

int cmd_ps(const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	_cleanup_(close_p) int connection = -1;
	struct error error;
	bool json = false;
	int r = options_take(command, &argv, take_json, &json);

	if (r == 0 && argv[0])
		r = misuse(command, "it takes no '%s'", argv[0]);
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	connection = command_connect();
	if (connection == -ENOENT) {
		reply = json_object_new_object();
		json_object_object_add(reply, "pools", json_object_new_array());
	} else if (connection < 0) {
		return EXIT_OURS;
	} else if (engine_call(connection, "Ps", NULL, &reply, NULL, &error) != CALL_OK) {
		return complain("%s", error.text);
	}
	if (!json)
		return print_pools(reply);
	json_print(json_child(reply, "pools", json_type_array));
	return 0;
}

/* ---- stats ------------------------------------------------------------------------------------- */

/* Members that are objects of scalars: rows of one table. */
static bool is_row(struct json_object *json)
{
	if (!json_object_is_type(json, json_type_object) || !json_object_object_length(json))
		return false;
	json_object_object_foreach(json, key, value) {
		(void)key;
		if (json_object_is_type(value, json_type_object) ||
		    json_object_is_type(value, json_type_array))
			return false;
	}
	return true;
}

static bool is_table(struct json_object *json)
{
	if (!json_object_is_type(json, json_type_object) || !json_object_object_length(json))
		return false;
	json_object_object_foreach(json, key, value) {
		(void)key;
		if (!is_row(value))
			return false;
	}
	return true;
}

/* Every key that a row has, in the order of their first appearance. */
static struct json_object *columns_of(struct json_object *table)
{
	struct json_object *columns = json_object_new_object();

	json_object_object_foreach(table, name, row) {
		(void)name;
		json_object_object_foreach(row, key, value) {
			(void)value;
			json_object_object_add(columns, key, NULL);
		}
	}
	return columns;
}

static int width_of(const char *key)
{
	return strlen(key) > 10 ? strlen(key) + 2 : 12;
}

static void print_table(struct json_object *table, const char *title)
{
	_cleanup_(json_put_p) struct json_object *columns = columns_of(table);

	printf("%-22s", title);
	json_object_object_foreach(columns, heading, unused) {
		(void)unused;
		printf("%*s", width_of(heading), heading);
	}
	putchar('\n');
	json_object_object_foreach(table, name, row) {
		printf("  %-20s", name);
		json_object_object_foreach(columns, key, none) {
			const char *text = json_string(row, key);
			(void)none;
			printf("%*s", width_of(key), text ? text : "-");
		}
		putchar('\n');
	}
}

void stats_print(struct json_object *stats, const char *title)
{
	json_object_object_foreach(stats, key, value) {
		char name[128];
		snprintf(name, sizeof(name), "%s%s%s", title, *title ? "." : "", key);
		if (is_table(value))
			print_table(value, name);
		else if (json_object_is_type(value, json_type_object))
			stats_print(value, name);
		else
			printf("%-34s%s\n", name, value ? json_object_get_string(value) : "-");
	}
}
