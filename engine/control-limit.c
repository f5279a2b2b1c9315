/* SPDX-License-Identifier: Apache-2.0 */
/* Limit: I/O limits of one container. The engine remembers them as long as it lives, for the next service. */
#include <errno.h>
#include <string.h>

#include "engine/control.h"
#include "engine/spec-keys.h"
#include "libservices/libservice.h"

static struct container *container_of_pid(struct pool *pool, pid_t pid)
{
	struct container *c;

	TAILQ_FOREACH(c, &pool->containers, link)
		if (c->pid == pid)
			return c;
	return NULL;
}

/* Of "web1: nginx -g" it is web1, of "/bin/dd if=x" dd: what figures call it. */
static const char *container_name(const struct container *c, char name[static 64])
{
	const char *slash;

	snprintf(name, 64, "%.*s", (int)strcspn(c->command, ": "), c->command);
	slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

static void limits_merge(struct pool *pool, pid_t pid, struct json_object *limits)
{
	struct container *c = container_of_pid(pool, pid);

	if (!c)
		return;
	if (!c->limits)
		c->limits = json_object_new_object();
	json_object_object_foreach(limits, key, value)
		json_object_object_add(c->limits, key, json_object_get(value));
}

static void limit_done(struct service_call *call, struct json_object *reply)
{
	struct client *client = call->client;
	bool ok = reply && json_true(reply, "ok");

	if (ok)
		limits_merge(call->pool, call->container, call->limits);
	if (client && ok)
		client_reply(client, NULL, -1);
	else if (client)
		client_fail(client, "Failed", "%s", reply && json_string(reply, "error") ? json_string(reply, "error") :
							       "the pool's service ended before it answered");
	json_object_put(call->limits);
	free(call);
}

static int limits_check(struct json_object *settings, struct json_object **ret, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *checked = json_object_new_object();
	const char *names[SPEC_KEYS_MAX + 1], *near;
	char value[64];
	struct error why;

	json_object_object_foreach(settings, key, given) {
		const char *text = json_object_get_string(given);
		const char *name = strncmp(key, "io.", 3) ? key : key + 3;
		const struct spec_key *k = strncmp(key, "io.", 3) ? NULL : spec_key_find(spec_io_keys, name);
		spec_key_names(spec_io_keys, names);
		near = ls_nearest(name, names);
		if (!k)
			return error_set(error, -EINVAL, near ? "a container has no setting '%s'; did you mean 'io.%s'?" :
								"a container has no setting '%s'", key, near);
		if (spec_value(k, text ? text : "", value, sizeof(value), &why) < 0)
			return error_set(error, -EINVAL, "'%s': %s", key, why.text);
		json_object_object_add(checked, key, json_object_new_string(value));
	}
	*ret = json_object_get(checked);
	return 0;
}

void control_limit(struct client *client, struct json_object *parameters)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object(), *limits = NULL;
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	pid_t pid = json_number(parameters, "pid", 0);
	struct container *container;
	struct service_call *call;
	struct error error;
	char name[64];

	if (!pool)
		return;
	if (limits_check(json_child(parameters, "settings", json_type_object), &limits, &error) < 0) {
		client_fail(client, "Refused", "%s", error.text);
		return;
	}
	container = pid > 0 ? container_of_pid(pool, pid) : NULL;
	if (!container) {
		client_fail(client, "Refused", "%d is no container of pool '%s'", pid, pool->name);
		return;
	}
	if (!control_service_is_there(client, pool) || !(call = control_call_new(client, limit_done)))
		return;
	call->container = pid;
	call->limits = json_object_get(limits);
	json_set(question, "method", "limit");
	json_set(question, "pid", "%d", pid);
	json_set(question, "name", "%s", container_name(container, name));
	json_object_object_add(question, "settings", json_object_get(limits));
	service_ask(pool, call, question);
}
