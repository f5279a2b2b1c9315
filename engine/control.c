/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of io.polytropon (engine/io.polytropon.varlink), in a table; what they do is in control-*.c.
 * A method answers its client now, or leaves in the client what it waits for, and the answer comes from
 * control_pool_changed, control_pool_gone or the service's reply.
 */
#include <string.h>

#include "engine/control.h"
#include "engine/io.polytropon.varlink.h"
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

struct pool *control_pool(struct client *client, const char *name)
{
	struct pool *pool = engine_pool(client->engine, name);
	struct json_object *parameters;
	const char *near;

	if (pool)
		return pool;
	near = nearest_pool(client->engine, name);
	parameters = json_object_new_object();
	json_set(parameters, "pool", "%s", name);
	json_set(parameters, "message",
		 near ? "no pool '%s' runs; did you mean '%s'?" : "no pool '%s' runs", name, near);
	client_error(client, "NoPool", parameters);
	return NULL;
}

struct json_object *control_names(struct client *client, struct json_object *parameters)
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
		if (!control_pool(client, name ? name : "")) {
			json_object_put(list);
			return NULL;
		}
		json_object_array_add(list, json_object_new_string(name));
	}
	return list;
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
	{"io.polytropon.Up", control_up, {{"pools", json_type_object}}},
	{"io.polytropon.Ps", control_ps},
	{"io.polytropon.Stats", control_stats, {{"pool", json_type_string}}},
	{"io.polytropon.Processes", control_processes, {{"pool", json_type_string}, {"after", json_type_int, true}}},
	{"io.polytropon.Meter", control_meter, {{"pool", json_type_string}}},
	{"io.polytropon.Set", control_set, {{"pool", json_type_string}, {"settings", json_type_object}}},
	{"io.polytropon.Limit",
	 control_limit,
	 {{"pool", json_type_string}, {"pid", json_type_int}, {"settings", json_type_object}}},
	{"io.polytropon.Dump", control_dump, {{"pools", json_type_array, true}}},
	{"io.polytropon.Down", control_down, {{"pools", json_type_array, true}}},
	{"io.polytropon.Enter", control_enter, {{"pool", json_type_string}}},
	{"io.polytropon.Root", control_root, {{"pool", json_type_string}, {"name", json_type_string}}},
	{"io.polytropon.Clone",
	 control_clone,
	 {{"pool", json_type_string}, {"source", json_type_string}, {"name", json_type_string}}},
	{"io.polytropon.RemoveContainer",
	 control_remove_container,
	 {{"pool", json_type_string}, {"name", json_type_string}}},
	{"io.polytropon.Containers", control_containers, {{"pool", json_type_string}}},
	{"io.polytropon.Join",
	 control_join,
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
	json_set(parameters, "message",
		 near ? "unknown method '%s'; did you mean '%s'?" : "unknown method '%s'", name, near);
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
	json_set(answer, "message", "parameter '%s' of %s is missing, unknown or of the wrong type", wrong,
		 m->name);
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
			method_run(client, &methods[i],
				   json_object_is_type(given, json_type_object) ? given : none);
			return;
		}
	method_unknown(client, name ? name : "");
}
