/* SPDX-License-Identifier: Apache-2.0 */
/* `clone`: containers in a pool's store, made of images and of each other. */
#include <errno.h>
#include <string.h>

#include "engine/command.h"
#include "engine/conversation.h"

const struct option_row clone_options[] = {
	{"rm", NULL, "remove containers of the pool instead: POOL NAME..."},
	{"list", NULL, "list its containers instead: POOL"},
	{"json", NULL, "the list as JSON"},
	{},
};

struct wish {
	bool remove, list, json;
};

static int take_option(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct wish *w = arg;

	w->remove |= !strcmp(o->name, "rm");
	w->list |= !strcmp(o->name, "list");
	w->json |= !strcmp(o->name, "json");
	return 0;
}

static int ask(int connection, const char *method, const char *pool, const char *source, const char *name,
	       struct json_object **ret)
{
	struct json_object *parameters = json_object_new_object();
	struct error error;

	json_set(parameters, "pool", "%s", pool);
	if (source)
		json_object_object_add(parameters, "source", json_object_new_string(source));
	if (name)
		json_object_object_add(parameters, "name", json_object_new_string(name));
	return engine_call(connection, method, parameters, ret, NULL, &error) == CALL_OK ? 0 : complain("%s", error.text);
}

static int print_list(int connection, const char *pool, bool json)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct json_object *list;
	int r = ask(connection, "Containers", pool, NULL, NULL, &reply);

	if (r != 0)
		return r;
	list = json_child(reply, "containers", json_type_array);
	if (json) {
		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		return 0;
	}
	printf("%-32s %6s %s\n", "NAME", "LAYERS", "CHANGED");
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		printf("%-32s %6lld %s\n", json_string(o, "name"), (long long)json_number(o, "layers", 0),
		       json_true(o, "changed") ? "yes" : "no");
	}
	return 0;
}

/* argv: the words after POOL and, of a clone, SRC. One that fails does not keep the others from being tried. */
static int each(int connection, const char *method, const char *pool, const char *source, char **argv)
{
	int r = 0;

	for (; *argv; argv++) {
		int one = ask(connection, method, pool, source, *argv, NULL);
		r = one ? one : r;
	}
	return r;
}

static int check(const struct command *command, const struct wish *w, int count)
{
	if (w->list && w->remove)
		return misuse(command, "--list and --rm are two different things");
	if (w->json && !w->list)
		return misuse(command, "--json goes with --list");
	if (w->list)
		return count == 1 ? 0 : misuse(command, "--list takes one pool");
	if (w->remove)
		return count >= 2 ? 0 : misuse(command, "--rm takes a pool and names of containers");
	return count >= 3 ? 0 : misuse(command, "it takes a pool, an image or container, and new names");
}

int cmd_clone(const struct command *command, char **argv)
{
	_cleanup_(close_p) int connection = -1;
	struct wish w = {};
	int r = options_take(command, &argv, take_option, &w), count = 0;

	while (r == 0 && argv[count])
		count++;
	if (r == 0)
		r = check(command, &w, count);
	if (r == 0)
		r = command_needs_root(command);
	if (r != 0)
		return r;
	connection = command_connect();
	if (connection == -ENOENT)
		return complain("no pool '%s' runs, nor any other", argv[0]);
	if (connection < 0)
		return EXIT_OURS;
	if (w.list)
		return print_list(connection, argv[0], w.json);
	if (w.remove)
		return each(connection, "RemoveContainer", argv[0], NULL, argv + 1);
	return each(connection, "Clone", argv[0], argv[1], argv + 2);
}
