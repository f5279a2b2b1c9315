/* SPDX-License-Identifier: Apache-2.0 */
/* Up and Down: the answer comes when the pools have got there. */
#include <errno.h>
#include <string.h>

#include "engine/control.h"

static bool names_has(struct json_object *names, const char *name)
{
	for (size_t i = 0; names && i < json_object_array_length(names); i++) {
		const char *n = json_object_get_string(json_object_array_get_idx(names, i));
		if (n && !strcmp(n, name))
			return true;
	}
	return false;
}

static bool names_take(struct json_object *names, const char *name)
{
	for (size_t i = 0; names && i < json_object_array_length(names); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name))
			return json_object_array_del_idx(names, i, 1) == 0;
	return false;
}

static void result_add(struct client *client, struct pool *pool, bool ok)
{
	struct json_object *result = json_object_new_object();

	json_set(result, "pool", "%s", pool->name);
	json_object_object_add(result, "ok", json_object_new_boolean(ok));
	if (!ok)
		json_set(result, "error", "%s", pool->error.text);
	json_object_object_add(result, "warnings", json_object_get(pool->warnings));
	json_object_array_add(client->results, result);
}

static void settle(struct client *client, struct pool *pool, bool ok)
{
	struct json_object *parameters;

	if (!names_take(client->starting, pool->name))
		return;
	result_add(client, pool, ok);
	if (json_object_array_length(client->starting))
		return;
	parameters = json_object_new_object();
	json_object_object_add(parameters, "results", json_object_get(client->results));
	client_reply(client, parameters, -1);
}

void control_pool_changed(struct engine *engine, struct pool *pool)
{
	struct client *client;

	if (pool_is_settled(pool))
		TAILQ_FOREACH(client, &engine->clients, link)
			settle(client, pool, pool->state != POOL_FAILED);
}

void control_pool_gone(struct engine *engine, struct pool *pool)
{
	struct client *client;

	TAILQ_FOREACH(client, &engine->clients, link) {
		settle(client, pool, false);
		if (!names_take(client->ending, pool->name) || json_object_array_length(client->ending))
			continue;
		json_object_object_add(client->results, "ending", json_object_new_boolean(engine->ending));
		client_reply(client, json_object_get(client->results), -1);
	}
}

static int check_specs(struct client *client, struct json_object *pools, struct error *error)
{
	int r = 0;

	if (!json_object_object_length(pools))
		return error_set(error, -EINVAL, "no pools are given");
	json_object_object_foreach(pools, name, spec) {
		if (r < 0)
			break;
		r = spec_check(name, spec, NULL, error);
		if (r == 0 && engine_pool(client->engine, name))
			r = error_set(error, -EBUSY, "pool '%s' runs already", name);
	}
	return r;
}

void control_up(struct client *client, struct json_object *parameters)
{
	struct json_object *pools = json_child(parameters, "pools", json_type_object);
	struct error error;

	if (client->engine->ending) {
		client_fail(client, "Ending", "the engine is ending");
		return;
	}
	if (check_specs(client, pools, &error) < 0) {
		client_fail(client, "Refused", "%s", error.text);
		return;
	}
	client->starting = json_object_new_array();
	client->results = json_object_new_array();
	json_object_object_foreach(pools, name, spec) {
		if (pool_start(client->engine, name, spec))
			json_object_array_add(client->starting, json_object_new_string(name));
	}
	if (!json_object_array_length(client->starting))
		client_fail(client, "Failed", "no memory");
}

void control_down(struct client *client, struct json_object *parameters)
{
	struct json_object *names = control_names(client, parameters);

	if (!names)
		return;
	client->results = json_object_new_object();
	json_object_object_add(client->results, "pools", names);
	json_object_object_add(client->results, "ending", json_object_new_boolean(client->engine->ending));
	if (!json_object_array_length(names)) {
		client_reply(client, json_object_get(client->results), -1);
		return;
	}
	client->ending = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		if (names_has(client->ending, name))
			continue;
		json_object_array_add(client->ending, json_object_new_string(name));
		pool_stop(engine_pool(client->engine, name));
	}
}
