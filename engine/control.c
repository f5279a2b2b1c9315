/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of io.polytropon (engine/io.polytropon.varlink), in a table. A method answers its client now,
 * or leaves in the client what it waits for, and the answer comes from control_pool_changed,
 * control_pool_gone or the service's reply.
 */
#include <errno.h>
#include <string.h>

#include "engine/client.h"
#include "engine/io.polytropon.varlink.h"
#include "engine/table.h"
#include "libservices/libservice.h"

enum { PARAMETERS_MAX = 5, POOL_NAMES_MAX = 256 };

struct parameter {
	const char *name;
	enum json_type type;
	bool optional;
};

struct method {
	const char *name;
	void (*run)(struct client *client, struct json_object *parameters);
	struct parameter parameter[PARAMETERS_MAX];
};

void control_forget(struct client *client)
{
	json_object_put(client->starting);
	json_object_put(client->ending);
	json_object_put(client->results);
	free(client->changes);
	client->starting = client->ending = client->results = NULL;
	client->changes = NULL;
	client->change_next = client->change_count = 0;
}

/* ---- pools by name ------------------------------------------------------------------------------- */

static const char *nearest_pool(struct engine *engine, const char *name)
{
	const char *names[POOL_NAMES_MAX + 1] = {};
	struct pool *pool;
	size_t n = 0;

	TAILQ_FOREACH(pool, &engine->pools, link)
		if (n < POOL_NAMES_MAX)
			names[n++] = pool->name;
	return ls_nearest(name, names);
}

/* NULL: there is none, and the client has its answer. */
static struct pool *find_pool(struct client *client, const char *name)
{
	struct pool *pool = engine_pool(client->engine, name);
	struct json_object *parameters;
	const char *near;

	if (pool)
		return pool;
	near = nearest_pool(client->engine, name);
	parameters = json_object_new_object();
	json_set(parameters, "pool", "%s", name);
	json_set(parameters, "message", near ? "no pool '%s' runs; did you mean '%s'?" : "no pool '%s' runs", name,
		 near);
	client_error(client, "NoPool", parameters);
	return NULL;
}

/* The names given, or of all pools. NULL: one is unknown, and the client has its answer. */
static struct json_object *pool_names(struct client *client, struct json_object *parameters)
{
	struct json_object *given = json_child(parameters, "pools", json_type_array), *list;
	struct pool *pool;

	list = json_object_new_array();
	if (!given || !json_object_array_length(given)) {
		TAILQ_FOREACH(pool, &client->engine->pools, link)
			json_object_array_add(list, json_object_new_string(pool->name));
		return list;
	}
	for (size_t i = 0; i < json_object_array_length(given); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(given, i));
		if (!find_pool(client, name ? name : "")) {
			json_object_put(list);
			return NULL;
		}
		json_object_array_add(list, json_object_new_string(name));
	}
	return list;
}

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

/* ---- Up and Down ------------------------------------------------------------------------------- */

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

static void method_up(struct client *client, struct json_object *parameters)
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

static void method_down(struct client *client, struct json_object *parameters)
{
	struct json_object *names = pool_names(client, parameters);

	if (!names)
		return;
	client->results = json_object_new_object();
	json_object_object_add(client->results, "pools", names);
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

/* ---- Ps and Dump ------------------------------------------------------------------------------- */

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
			json_object_new_boolean(places && json_true(json_object_array_get_idx(places, i++), "fuse")));
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
	json_object_object_add(o, "generation", json_object_new_int64(pool->table ? pool->table->generation : 0));
	json_object_object_add(o, "mounts", mounts_json(pool));
	json_object_object_add(o, "containers", containers_json(pool));
	json_object_object_add(o, "warnings", json_object_get(pool->warnings));
	return o;
}

static void method_ps(struct client *client, struct json_object *parameters)
{
	struct json_object *reply = json_object_new_object(), *list = json_object_new_array();
	struct pool *pool;

	TAILQ_FOREACH(pool, &client->engine->pools, link)
		json_object_array_add(list, pool_json(pool));
	json_object_object_add(reply, "pools", list);
	client_reply(client, reply, -1);
}

static void method_dump(struct client *client, struct json_object *parameters)
{
	struct json_object *names = pool_names(client, parameters), *reply, *pools;

	if (!names)
		return;
	reply = json_object_new_object();
	pools = json_object_new_object();
	for (size_t i = 0; i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));
		json_object_object_add(pools, name, json_object_get(engine_pool(client->engine, name)->spec));
	}
	json_object_put(names);
	json_object_object_add(reply, "pools", pools);
	client_reply(client, reply, -1);
}

/* ---- Stats and Set: the service answers ---------------------------------------------------------- */

/* False: its service cannot be asked, and the client has its answer. */
static bool service_is_there(struct client *client, const struct pool *pool)
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
		client_fail(client, "Failed", "the service of pool '%s' has no figures: %s", call->pool->name,
			    json_string(reply, "error") ? json_string(reply, "error") : "no reason given");
	} else if (client) {
		parameters = json_object_new_object();
		json_object_object_add(parameters, "stats", json_object_get(stats));
		client_reply(client, parameters, -1);
	}
	free(call);
}

static struct service_call *call_new(struct client *client,
				     void (*done)(struct service_call *, struct json_object *))
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

static void method_stats(struct client *client, struct json_object *parameters)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct pool *pool = find_pool(client, json_string(parameters, "pool"));
	struct service_call *call;

	if (!pool || !service_is_there(client, pool) || !(call = call_new(client, stats_done)))
		return;
	json_set(question, "method", "stats");
	service_ask(pool, call, question);
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
			    json_string(reply, "error") ? json_string(reply, "error") : "the service refuses");
	else
		set_next(client, pool);
}

static void set_by_service(struct client *client, struct pool *pool, const struct change *change)
{
	_cleanup_(json_put_p) struct json_object *question = json_object_new_object();
	struct service_call *call;

	if (!service_is_there(client, pool) || !(call = call_new(client, set_done)))
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

static void method_set(struct client *client, struct json_object *parameters)
{
	struct json_object *settings = json_child(parameters, "settings", json_type_object);
	struct pool *pool = find_pool(client, json_string(parameters, "pool"));
	struct error error;

	if (!pool)
		return;
	client->changes = calloc(json_object_object_length(settings) + 1, sizeof(struct change));
	json_object_object_foreach(settings, key, value) {
		const char *text = json_object_get_string(value);
		if (client->changes && change_resolve(pool->spec, key, text ? text : "",
						      &client->changes[client->change_count++], &error) == 0)
			continue;
		client_fail(client, "Refused", "%s", client->changes ? error.text : "no memory");
		return;
	}
	set_next(client, pool);
}

/* ---- Enter and Join ------------------------------------------------------------------------------ */

static bool can_enter(struct client *client, const struct pool *pool)
{
	if (pool->was_up && pool->init && (pool->state == POOL_UP || pool->state == POOL_RESTARTING))
		return true;
	client_fail(client, "Failed", "pool '%s' is %s; nothing can run in it%s%s", pool->name,
		    pool_state_name(pool->state), pool->error.text[0] ? ": " : "", pool->error.text);
	return false;
}

static void method_enter(struct client *client, struct json_object *parameters)
{
	struct pool *pool = find_pool(client, json_string(parameters, "pool"));
	struct json_object *reply;
	const char *cpus;

	if (!pool || !can_enter(client, pool))
		return;
	reply = json_object_new_object();
	cpus = json_string(pool->spec, "cpus");
	json_object_object_add(reply, "user", json_object_new_boolean(json_true(pool->spec, "user")));
	json_object_object_add(reply, "network", json_object_new_boolean(json_true(pool->spec, "network")));
	json_object_object_add(
		reply, "preload",
		json_object_new_boolean(faccessat(pool_fd(pool, BUILD_DIR), "preload.so", R_OK, 0) == 0));
	if (cpus && !(pool->group.have & 1u << GROUP_CPUSET))
		json_set(reply, "cpus", "%s", cpus);
	client_reply(client, reply, pool_fd(pool, BUILD_INIT));
}

static void method_join(struct client *client, struct json_object *parameters)
{
	struct pool *pool = find_pool(client, json_string(parameters, "pool"));
	pid_t pid = json_number(parameters, "pid", 0);
	struct container *c;
	struct error error;

	if (!pool || !can_enter(client, pool))
		return;
	if (pid <= 0) {
		client_fail(client, "Refused", "'pid' must be a process");
		return;
	}
	if (group_join(&pool->group, pid, &error) < 0) {
		client_fail(client, "Failed", "%s", error.text);
		return;
	}
	c = container_new(pool, client);
	if (c) {
		c->pid = pid;
		c->listed = json_true(parameters, "listed");
		snprintf(c->command, sizeof(c->command), "%s", json_string(parameters, "command"));
	}
	client_reply(client, NULL, -1);
}

/* ---- the service interface of Varlink, and the table --------------------------------------------- */

static void method_get_version(struct client *client, struct json_object *parameters)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "version", json_object_new_int(1));
	client_reply(client, reply, -1);
}

static void method_get_info(struct client *client, struct json_object *parameters)
{
	static const char *const interfaces[] = {"org.varlink.service", "io.polytropon"};
	struct json_object *reply = json_object_new_object();

	json_set(reply, "vendor", "polytropon");
	json_set(reply, "product", "polytropon engine");
	json_set(reply, "version", "%s", POLYTROPON_VERSION);
	json_set(reply, "url", "%s", "");
	json_object_object_add(reply, "interfaces", json_strings(interfaces, ARRAY_LEN(interfaces)));
	client_reply(client, reply, -1);
}

static void method_describe(struct client *client, struct json_object *parameters)
{
	struct json_object *reply, *wrong;

	if (!strcmp(json_string(parameters, "interface"), "io.polytropon")) {
		reply = json_object_new_object();
		json_object_object_add(reply, "description", json_object_new_string(io_polytropon_varlink));
		client_reply(client, reply, -1);
		return;
	}
	wrong = json_object_new_object();
	json_set(wrong, "interface", "%s", json_string(parameters, "interface"));
	client_error(client, "org.varlink.service.InterfaceNotFound", wrong);
}

static const struct method methods[] = {
	{"org.varlink.service.GetInfo", method_get_info},
	{"org.varlink.service.GetInterfaceDescription", method_describe, {{"interface", json_type_string}}},
	{"io.polytropon.GetVersion", method_get_version},
	{"io.polytropon.Up", method_up, {{"pools", json_type_object}}},
	{"io.polytropon.Ps", method_ps},
	{"io.polytropon.Stats", method_stats, {{"pool", json_type_string}}},
	{"io.polytropon.Set", method_set, {{"pool", json_type_string}, {"settings", json_type_object}}},
	{"io.polytropon.Dump", method_dump, {{"pools", json_type_array, true}}},
	{"io.polytropon.Down", method_down, {{"pools", json_type_array, true}}},
	{"io.polytropon.Enter", method_enter, {{"pool", json_type_string}}},
	{"io.polytropon.Join",
	 method_join,
	 {{"pool", json_type_string},
	  {"pid", json_type_int},
	  {"listed", json_type_boolean},
	  {"command", json_type_string}}},
};

/* The name of a parameter that is missing, unknown or of the wrong type; NULL: all are right. */
static const char *wrong_parameter(const struct method *m, struct json_object *parameters)
{
	for (const struct parameter *p = m->parameter; p < m->parameter + PARAMETERS_MAX && p->name; p++) {
		struct json_object *given = NULL;
		json_object_object_get_ex(parameters, p->name, &given);
		if (given ? !json_object_is_type(given, p->type) : !p->optional)
			return p->name;
	}
	json_object_object_foreach(parameters, key, value) {
		const struct parameter *p = m->parameter;
		(void)value;
		while (p < m->parameter + PARAMETERS_MAX && p->name && strcmp(p->name, key))
			p++;
		if (p == m->parameter + PARAMETERS_MAX || !p->name)
			return key;
	}
	return NULL;
}

static void method_unknown(struct client *client, const char *name)
{
	const char *names[ARRAY_LEN(methods) + 1] = {}, *near;
	struct json_object *parameters = json_object_new_object();

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		names[i] = methods[i].name;
	near = ls_nearest(name, names);
	json_set(parameters, "method", "%s", name);
	json_set(parameters, "message", near ? "unknown method '%s'; did you mean '%s'?" : "unknown method '%s'", name,
		 near);
	client_error(client, "org.varlink.service.MethodNotFound", parameters);
}

static void method_run(struct client *client, const struct method *m, struct json_object *parameters)
{
	const char *wrong = wrong_parameter(m, parameters);
	struct json_object *answer;

	if (!wrong) {
		m->run(client, parameters);
		return;
	}
	answer = json_object_new_object();
	json_set(answer, "parameter", "%s", wrong);
	json_set(answer, "message", "parameter '%s' of %s is missing, unknown or of the wrong type", wrong, m->name);
	client_error(client, "org.varlink.service.InvalidParameter", answer);
}

void control_call(struct client *client, struct json_object *message)
{
	_cleanup_(json_put_p) struct json_object *none = json_object_new_object();
	struct json_object *given = NULL;
	const char *name = json_string(message, "method");

	json_object_object_get_ex(message, "parameters", &given);
	for (size_t i = 0; name && i < ARRAY_LEN(methods); i++)
		if (!strcmp(methods[i].name, name)) {
			method_run(client, &methods[i], json_object_is_type(given, json_type_object) ? given : none);
			return;
		}
	method_unknown(client, name ? name : "");
}
