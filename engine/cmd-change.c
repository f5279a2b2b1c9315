/* SPDX-License-Identifier: Apache-2.0 */
/* `set`, `dump` and `down`. */
#include <errno.h>
#include <string.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/poolfile.h"

static int no_option(const struct command *command, const struct option_row *option, const char *value,
		     void *arg)
{
	return 0;
}

/* A call whose answer is wanted; -ENOENT: no engine runs. Otherwise an exit status. */
static int call_on(int connection, const char *method, struct json_object *parameters,
		   struct json_object **ret)
{
	struct error error;
	int r;

	if (connection < 0) {
		json_object_put(parameters);
		return connection == -ENOENT ? -ENOENT : EXIT_OURS;
	}
	r = engine_call(connection, method, parameters, ret, NULL, &error);
	if (r == CALL_ENDING)
		return -ENOENT;
	if (r != CALL_OK)
		return complain("%s", error.text) && r == CALL_REFUSED ? EXIT_USAGE : EXIT_OURS;
	return 0;
}

static int call(const char *method, struct json_object *parameters, struct json_object **ret)
{
	_cleanup_(close_p) int connection = command_connect();

	return call_on(connection, method, parameters, ret);
}

static struct json_object *pool_list(char **argv)
{
	struct json_object *parameters = json_object_new_object(), *pools = json_object_new_array();

	for (; *argv; argv++)
		json_object_array_add(pools, json_object_new_string(*argv));
	json_object_object_add(parameters, "pools", pools);
	return parameters;
}

const struct option_row set_options[] = {
	{"container", "NAME", "of this container, by its name or the pid that `ps` shows: keys of io"},
	{},
};

static int take_set_option(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	*(const char **)arg = value;
	return 0;
}

/* A container is listed as "NAME: command", a program as its command. */
static bool container_is(struct json_object *c, const char *name)
{
	const char *command = json_string(c, "command");
	size_t n = strlen(name);
	char pid[16];

	snprintf(pid, sizeof(pid), "%lld", (long long)json_number(c, "pid", 0));
	return !strcmp(name, pid) || (!strncmp(command, name, n) && command[n] == ':');
}

/* Adds the pid of a container to the parameters of Limit. 0, or an exit status after a sentence. */
static int container_find(struct json_object *parameters, const char *pool, const char *name)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct json_object *pools, *list, *c;
	int r = call("Ps", json_object_new_object(), &reply);

	if (r != 0)
		return r;
	pools = json_child(reply, "pools", json_type_array);
	for (size_t i = 0; i < json_object_array_length(pools); i++) {
		if (strcmp(json_string(json_object_array_get_idx(pools, i), "pool"), pool))
			continue;
		list = json_child(json_object_array_get_idx(pools, i), "containers", json_type_array);
		for (size_t k = 0; k < json_object_array_length(list); k++) {
			c = json_object_array_get_idx(list, k);
			if (!container_is(c, name))
				continue;
			json_object_object_add(parameters, "pid", json_object_new_int(json_number(c, "pid", 0)));
			return 0;
		}
	}
	complain("pool '%s' runs no container '%s'; `polytropon ps` lists them", pool, name);
	return EXIT_USAGE;
}

int cmd_set(const struct command *command, char **argv)
{
	struct json_object *parameters, *settings;
	const char *pool, *container = NULL;
	int r = options_take(command, &argv, take_set_option, &container);

	if (r != 0)
		return r;
	pool = argv[0];
	if (pool)
		argv++;
	r = options_take(command, &argv, take_set_option, &container);
	if (r != 0)
		return r;
	if (!pool || !argv[0])
		return misuse(command, "it takes a pool and one or more KEY=VALUE");
	parameters = json_object_new_object();
	settings = json_object_new_object();
	json_set(parameters, "pool", "%s", pool);
	json_object_object_add(parameters, "settings", settings);
	for (; *argv && r == 0; argv++) {
		char *equals = strchr(*argv, '=');
		if (!equals) {
			r = misuse(command, "'%s' is not KEY=VALUE", *argv);
			break;
		}
		*equals = '\0';
		json_object_object_add(settings, *argv, json_object_new_string(equals + 1));
	}
	if (r == 0)
		r = command_needs_root(command);
	if (r == 0 && container)
		r = container_find(parameters, pool, container);
	if (r != 0) {
		json_object_put(parameters);
		return r == -ENOENT ? complain("no pool '%s' runs, nor any other", pool) : r;
	}
	r = call(container ? "Limit" : "Set", parameters, NULL);
	return r == -ENOENT ? complain("no pool '%s' runs, nor any other", pool) : r;
}

const struct option_row dump_options[] = {
	{"image", "IMAGE", "of the volume in this image, not of pools"},
	{"json", NULL, "print JSON"},
	{},
};

struct dump {
	char *image;
	bool json;
};

static int take_dump_option(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct dump *d = arg;

	if (!strcmp(o->name, "image"))
		d->image = (char *)value;
	else
		d->json = true;
	return 0;
}

int cmd_dump(const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	char *words[4] = {};
	struct dump d = {};
	size_t count = 0;
	int r = options_take(command, &argv, take_dump_option, &d);

	while (r == 0 && d.image && *argv && count < ARRAY_LEN(words) - 1) {
		words[count++] = *argv++;
		r = options_take(command, &argv, take_dump_option, &d);
	}
	if (r == 0 && d.image)
		return dump_image(command, d.image, words, d.json);
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	r = call("Dump", pool_list(argv), &reply);
	if (r == -ENOENT && argv[0])
		return complain("no pool '%s' runs, nor any other", argv[0]);
	if (r == -ENOENT)
		return complain("no pools run");
	if (r != 0)
		return r;
	if (d.json) {
		puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		return 0;
	}
	return yaml_print(reply, stdout) < 0 ? complain("the pools cannot be printed") : 0;
}

/* With its last pool the engine ends: so does this, so that nothing is left when it says so. */
static void wait_for_end(int connection)
{
	char byte;

	while (read(connection, &byte, 1) > 0)
		;
}

int cmd_down(const struct command *command, char **argv)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	_cleanup_(close_p) int connection = -1;
	int r = options_take(command, &argv, no_option, NULL);

	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	connection = command_connect();
	r = call_on(connection, "Down", pool_list(argv), &reply);
	if (r == -ENOENT)
		return argv[0] ? complain("no pool '%s' runs, nor any other", argv[0]) : 0;
	if (r == 0 && json_true(reply, "ending"))
		wait_for_end(connection);
	return r;
}
