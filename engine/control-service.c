/* SPDX-License-Identifier: Apache-2.0 */
/* Stats and Set: the pool's service has the answer, or the last word. */
#include <fcntl.h>
#include <string.h>

#include "engine/control.h"
#include "engine/volume.h"

bool control_service_is_there(struct client *client, const struct pool *pool)
{
	if (pool->state == POOL_UP && pool->service.answered)
		return true;
	client_fail(client, "Failed", "pool '%s' is %s and has no service to ask%s%s", pool->name,
		    pool_state_name(pool->state), pool->error.text[0] ? ": " : "", pool->error.text);
	return false;
}

static void no_reply(struct client *client, const char *pool)
{
	client_fail(client, "Failed", "the service of pool '%s' ended before it answered", pool);
}

static void stats_done(struct service_call *call, struct json_object *reply)
{
	struct client *client = call->client;
	struct json_object *parameters, *stats = NULL;

	if (client && !reply) {
		no_reply(client, call->pool->name);
	} else if (client && !json_object_object_get_ex(reply, "stats", &stats)) {
		client_fail(client, "Failed", "the service of pool '%s' has no figures: %s",
			    call->pool->name,
			    json_string(reply, "error") ? json_string(reply, "error") : "no reason given");
	} else if (client) {
		parameters = json_object_new_object();
		json_object_object_add(parameters, "stats", json_object_get(stats));
		client_reply(client, parameters, -1);
	}
	free(call);
}

struct service_call *control_call_new(struct client *client, void (*done)(struct service_call *, struct json_object *))
{
	struct service_call *call = calloc(1, sizeof(*call));

	if (!call) {
		client_fail(client, "Failed", "no memory");
		return NULL;
	}
	call->client = client;
	call->done = done;
	return call;
}

void control_stats(struct client *client, struct json_object *parameters)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	struct service_call *call;

	if (!pool || !control_service_is_there(client, pool) || !(call = control_call_new(client, stats_done)))
		return;
	json_set(question, "method", "stats");
	service_ask(pool, call, question);
}

void control_processes(struct client *client, struct json_object *parameters)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	struct service_call *call;

	if (!pool || !control_service_is_there(client, pool) || !(call = control_call_new(client, stats_done)))
		return;
	json_set(question, "method", "processes");
	json_set(question, "after", "%lld", (long long)json_number(parameters, "after", 0));
	service_ask(pool, call, question);
}

/* Whoever has it needs nobody. */
void control_meter(struct client *client, struct json_object *parameters)
{
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	int fd;

	if (!pool)
		return;
	fd = fcntl(pool->meter, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		client_fail(client, "Failed", "pool '%s' has no memory for figures", pool->name);
	else
		client_reply(client, NULL, fd);
}

static void set_next(struct client *client, struct pool *pool);

static void set_done(struct service_call *call, struct json_object *reply)
{
	struct client *client = call->client;
	struct pool *pool = call->pool;
	struct change change = call->change;
	bool ok = reply && json_true(reply, "ok");

	free(call);
	if (ok)
		change_apply(pool->spec, &change);
	if (!client)
		return;
	if (!reply)
		no_reply(client, pool->name);
	else if (!ok)
		client_fail(client, "Failed", "%s=%s: %s", change.key, change.value,
			    json_string(reply, "error") ? json_string(reply, "error") :
							  "the service refuses");
	else
		set_next(client, pool);
}

static void set_by_service(struct client *client, struct pool *pool, const struct change *change)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct service_call *call;
	struct error error;

	if (!control_service_is_there(client, pool))
		return;
	if (volume_grow_live(pool, change, &error) < 0) {
		client_fail(client, "Failed", "%s", error.text);
		return;
	}
	if (!(call = control_call_new(client, set_done)))
		return;
	call->change = *change;
	json_set(question, "method", "set");
	json_set(question, "key", "%s", change->key);
	json_set(question, "value", "%s", change->value);
	service_ask(pool, call, question);
}

static void set_next(struct client *client, struct pool *pool)
{
	struct error error;

	while (client->change_next < client->change_count) {
		const struct change *change = &client->changes[client->change_next++];
		if (!change->engine) {
			set_by_service(client, pool, change);
			return;
		}
		if (group_limit(&pool->group, change->key, change->value, &error) < 0) {
			client_fail(client, "Failed", "%s", error.text);
			return;
		}
		change_apply(pool->spec, change);
	}
	client_reply(client, NULL, -1);
}

void control_set(struct client *client, struct json_object *parameters)
{
	struct json_object *settings = json_child(parameters, "settings", json_type_object);
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	struct error error;

	if (!pool)
		return;
	client->changes = calloc(json_object_object_length(settings) + 1, sizeof(struct change));
	json_object_object_foreach(settings, key, value) {
		const char *text = json_object_get_string(value);
		if (client->changes &&
		    change_resolve(pool->spec, key, text ? text : "",
				   &client->changes[client->change_count++], &error) == 0)
			continue;
		client_fail(client, "Refused", "%s", client->changes ? error.text : "no memory");
		return;
	}
	set_next(client, pool);
}
