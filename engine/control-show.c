/* SPDX-License-Identifier: Apache-2.0 */
/* Ps and Dump: what there is. */
#include <string.h>

#include "engine/control.h"
#include "engine/roots.h"
#include "engine/table.h"
#include "engine/volume.h"

static int stack_name(const char *type, struct json_object *config, void *arg)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 256 - len, "%s%s", len ? " on " : "", type);
	return 0;
}

static struct json_object *mounts_json(const struct pool *pool)
{
	struct json_object *places = json_child(pool->place.json, "mounts", json_type_array);
	struct json_object *stacks = json_child(pool->spec, "mounts", json_type_object);
	struct json_object *list = json_object_new_array();
	size_t i = 0;

	json_object_object_foreach(stacks, path, stack) {
		struct json_object *m = json_object_new_object();
		char text[256] = "";
		stack_walk(stack, stack_name, text);
		json_set(m, "path", "%s", path);
		json_set(m, "stack", "%s", text);
		json_object_object_add(
			m, "fuse",
			json_object_new_boolean(places &&
						json_true(json_object_array_get_idx(places, i++), "fuse")));
		json_object_array_add(list, m);
	}
	return list;
}

static struct json_object *containers_json(const struct pool *pool)
{
	struct json_object *list = json_object_new_array();
	struct container *c;

	TAILQ_FOREACH(c, &pool->containers, link) {
		struct json_object *o;
		if (!c->listed)
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "pid", json_object_new_int(c->pid));
		json_set(o, "command", "%s", c->command);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *pool_json(const struct pool *pool)
{
	struct json_object *o = json_object_new_object();

	json_set(o, "pool", "%s", pool->name);
	json_set(o, "state", "%s", pool_state_name(pool->state));
	if (pool->error.text[0])
		json_set(o, "error", "%s", pool->error.text);
	json_object_object_add(o, "service", json_object_new_int(pool->service.pid));
	json_object_object_add(o, "init", json_object_new_int(pool->init));
	json_object_object_add(o, "restarts", json_object_new_int(pool->service.restarts));
	json_object_object_add(o, "generation",
			       json_object_new_int64(pool->table ? pool->table->generation : 0));
	json_object_object_add(o, "mounts", mounts_json(pool));
	json_object_object_add(o, "containers", containers_json(pool));
	json_object_object_add(o, "warnings", json_object_get(pool->warnings));
	return o;
}

void control_ps(struct client *client, struct json_object *parameters)
{
	struct json_object *reply = json_object_new_object(), *list = json_object_new_array();
	struct pool *pool;

	TAILQ_FOREACH(pool, &client->engine->pools, link)
		json_object_array_add(list, pool_json(pool));
	json_object_object_add(reply, "pools", list);
	client_reply(client, reply, -1);
}

/* A copy in the words of a pool file. */
static struct json_object *spec_words(struct json_object *spec)
{
	struct json_object *copy = json_tokener_parse(json_object_to_json_string(spec));
	struct json_object *mounts = json_child(copy, "mounts", json_type_object);

	json_object_object_foreach(mounts, path, stack) {
		(void)path;
		volume_words_raise(stack);
	}
	roots_raise(copy);
	return copy;
}

void control_dump(struct client *client, struct json_object *parameters)
{
	struct json_object *names = control_names(client, parameters), *reply, *pools;

	if (!names)
		return;
	reply = json_object_new_object();
	pools = json_object_new_object();
	for (size_t i = 0; i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		json_object_object_add(pools, name, spec_words(engine_pool(client->engine, name)->spec));
	}
	json_object_put(names);
	json_object_object_add(reply, "pools", pools);
	client_reply(client, reply, -1);
}
