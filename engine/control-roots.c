/* SPDX-License-Identifier: Apache-2.0 */
/* Root, Clone, Containers and RemoveContainer: the containers of a pool, in its store. */
#include <string.h>

#include "engine/control.h"
#include "engine/roots.h"

/* The pool, if it can be asked; else the client has its answer. */
static struct pool *pool_with_roots(struct client *client, struct json_object *parameters)
{
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));

	if (!pool || !control_service_is_there(client, pool))
		return NULL;
	if (roots_are_there(pool))
		return pool;
	client_fail(client, "Refused", "pool '%s' has no containers: its file has no 'roots'", pool->name);
	return NULL;
}

void root_answer(struct client *client, const struct root *root, const char *error)
{
	struct json_object *reply;

	if (error) {
		client_fail(client, "Failed", "%s", error);
		return;
	}
	reply = json_object_new_object();
	json_set(reply, "path", "%s", root->path);
	json_object_object_add(reply, "dev", json_object_new_int64(root->fuse.dev));
	json_object_object_add(reply, "mount", json_object_new_int(root->slot));
	client_reply(client, reply, -1);
}

void control_root(struct client *client, struct json_object *parameters)
{
	struct pool *pool = pool_with_roots(client, parameters);
	const char *name = json_string(parameters, "name");

	if (!pool)
		return;
	if (!*name || strlen(name) > ROOT_NAME_MAX || strchr(name, '/') || *name == '.')
		client_fail(client, "Refused", "'%.70s' is no container's name", name);
	else
		root_want(pool, name, client);
}

static void done(struct service_call *call, struct json_object *reply)
{
	struct client *client = call->client;
	struct json_object *parameters, *list = NULL;

	if (client && !reply) {
		client_fail(client, "Failed", "the service of pool '%s' ended before it answered", call->pool->name);
	} else if (client && !json_true(reply, "ok")) {
		client_fail(client, "Failed", "%s",
			    json_string(reply, "error") ? json_string(reply, "error") : "no reason given");
	} else if (client) {
		parameters = json_object_new_object();
		if (json_object_object_get_ex(reply, "containers", &list))
			json_object_object_add(parameters, "containers", json_object_get(list));
		client_reply(client, parameters, -1);
	}
	free(call);
}

static void ask(struct client *client, struct json_object *parameters, const char *method)
{
	static const char *const keys[] = {"source", "name"};
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct pool *pool = pool_with_roots(client, parameters);
	struct service_call *call = pool ? control_call_new(client, done) : NULL;

	if (!call)
		return;
	json_set(question, "method", "%s", method);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (json_string(parameters, keys[i]))
			json_object_object_add(question, keys[i], json_object_new_string(json_string(parameters, keys[i])));
	service_ask(pool, call, question);
}

void control_clone(struct client *client, struct json_object *parameters)
{
	ask(client, parameters, "clone");
}

void control_remove_container(struct client *client, struct json_object *parameters)
{
	ask(client, parameters, "clone-remove");
}

void control_containers(struct client *client, struct json_object *parameters)
{
	ask(client, parameters, "clone-list");
}
