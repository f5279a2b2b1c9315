/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `polytropon set`: finds what a flat key means in a running pool's spec.
 *
 *   memory, cpu_weight            the engine's own
 *   timeout, cache.*, flush.*     the service's settings
 *   mounts.PATH.LAYER.OPTION      an option of a layer; LAYER.OPTION where one mount has such a layer
 *
 * The value is checked here with the tables that check the pool file, so that what `dump` prints later is
 * always a pool file that `up` accepts. The service has the last word before it is applied.
 */
#include <errno.h>
#include <string.h>

#include "engine/spec-keys.h"
#include "engine/spec.h"
#include "libservices/libservice.h"

struct layer_search {
	const char *type;
	struct json_object *config; /* the topmost layer of that type */
};

static int layer_match(const char *type, struct json_object *config, void *arg)
{
	struct layer_search *search = arg;

	if (strcmp(type, search->type))
		return 0;
	search->config = config;
	return 1;
}

static struct json_object *layer_find(struct json_object *stack, const char *type)
{
	struct layer_search search = {.type = type};

	stack_walk(stack, layer_match, &search);
	return search.config;
}

static int option_check(const char *type, const char *name, const struct ls_option **ret,
			struct error *error)
{
	const struct ls_type *layer = ls_type_find(type);
	const char *names[SPEC_KEYS_MAX + 1] = {}, *near;
	size_t n = 0;

	for (const struct ls_option *o = layer ? layer->options : NULL; o && o->name; o++) {
		if (!strcmp(o->name, name)) {
			*ret = o;
			return o->live ? 0 :
					 error_set(error, -EINVAL,
						   "'%s.%s' cannot be changed while the pool runs", type,
						   name);
		}
		if (o->live && n < SPEC_KEYS_MAX)
			names[n++] = o->name;
	}
	near = ls_nearest(name, names);
	return error_set(error, -EINVAL,
			 near ? "layer '%s' has no option '%s'; did you mean '%s'?" :
				"layer '%s' has no option '%s'",
			 type, name, near);
}

/* The layer's table has the check of a value, behind ls_stack_check: ask it about a stack of this layer
 * alone. */
static int option_value_check(struct json_object *stack, const char *type, const char *option,
			      const char *value, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *copy =
		json_tokener_parse(json_object_to_json_string(stack));
	struct json_object *config = layer_find(copy, type);
	char sentence[400];

	json_object_object_add(config, option, json_object_new_string(value));
	if (ls_stack_check(copy, sentence, sizeof(sentence)) < 0)
		return error_set(error, -EINVAL, "%s", sentence);
	return 0;
}

static int resolve_option(struct json_object *stack, const char *path, const char *type, const char *option,
			  struct change *c, struct error *error)
{
	const struct ls_option *entry;
	int e;

	c->target = layer_find(stack, type);
	if (!c->target)
		return error_set(error, -EINVAL, "the stack at '%s' has no layer '%s'", path, type);
	e = option_check(type, option, &entry, error);
	if (e == 0)
		e = option_value_check(stack, type, option, c->value, error);
	snprintf(c->key, sizeof(c->key), "mounts.%s.%s.%s", path, type, option);
	snprintf(c->field, sizeof(c->field), "%s", option);
	return e;
}

static bool split(const char *text, char *first, size_t size, const char **ret_rest)
{
	const char *dot = strchr(text, '.');

	if (!dot || (size_t)(dot - text) >= size)
		return false;
	snprintf(first, size, "%.*s", (int)(dot - text), text);
	*ret_rest = dot + 1;
	return true;
}

/* mounts.PATH.LAYER.OPTION; a path may have dots. */
static int resolve_mount(struct json_object *spec, const char *key, struct change *c, struct error *error)
{
	struct json_object *mounts = json_child(spec, "mounts", json_type_object);
	const char *names[64] = {}, *option, *near;
	size_t count = 0;
	char type[64];

	json_object_object_foreach(mounts, path, stack) {
		size_t n = strlen(path);
		if (!strncmp(key, path, n) && key[n] == '.' &&
		    split(key + n + 1, type, sizeof(type), &option))
			return resolve_option(stack, path, type, option, c, error);
		if (count < ARRAY_LEN(names) - 1)
			names[count++] = path;
	}
	near = ls_nearest(key, names);
	return error_set(error, -EINVAL,
			 "'mounts.%s' names no mount's option; write mounts.%s.LAYER.OPTION", key,
			 near ? near : names[0]);
}

/* LAYER.OPTION: the one mount whose stack has such a layer. */
static int resolve_layer(struct json_object *spec, const char *type, const char *option, struct change *c,
			 struct error *error)
{
	struct json_object *mounts = json_child(spec, "mounts", json_type_object), *found = NULL;
	const char *at = NULL;

	json_object_object_foreach(mounts, path, stack) {
		if (!layer_find(stack, type))
			continue;
		if (found)
			return error_set(
				error, -EINVAL,
				"'%s.%s' is not clear: '%s' and '%s' have a layer '%s'; write mounts.%s.%s.%s",
				type, option, at, path, type, at, type, option);
		found = stack;
		at = path;
	}
	return found ? resolve_option(found, at, type, option, c, error) : 1;
}

/* A key of the tables. 1: it is none of them. */
static int resolve_key(const struct spec_key *keys, const char *section, const char *name, struct change *c,
		       struct json_object *spec, struct error *error)
{
	const struct spec_key *entry = spec_key_find(keys, name);
	char value[sizeof(c->value)], alias[32];
	const char *rest;
	struct error why;

	if (!entry || entry->kind == SPEC_SECTION || entry->kind == SPEC_MOUNTS || entry->kind == SPEC_STACK)
		return 1;
	if (!entry->live)
		return error_set(error, -EINVAL, "'%s' cannot be changed while the pool runs", name);
	if (spec_value(entry, c->value, value, sizeof(value), &why) < 0)
		return error_set(error, -EINVAL, "'%s': %s", c->key, why.text);
	strcpy(c->value, value);
	if (entry->alias && split(entry->alias, alias, sizeof(alias), &rest)) {
		section = alias;
		name = rest;
	}
	snprintf(c->section, sizeof(c->section), "%s", section);
	snprintf(c->field, sizeof(c->field), "%s", name);
	snprintf(c->key, sizeof(c->key), "%s%s%s", section, *section ? "." : "", name);
	c->target = *section ? json_child(spec, section, json_type_object) : spec;
	c->engine = !*section && strcmp(name, "timeout");
	return 0;
}

static int unknown(const char *key, struct error *error)
{
	char space[64][64];
	const char *names[65] = {}, *near;
	size_t n = 0;

	for (const struct spec_key *k = spec_pool_keys; k->name; k++) {
		if (k->kind != SPEC_SECTION && k->live && n < 64)
			snprintf(space[n++], 64, "%s", k->name);
		for (const struct spec_key *s = k->section; s && s->name; s++)
			if (!s->alias && n < 64)
				snprintf(space[n++], 64, "%s.%s", k->name, s->name);
	}
	for (size_t i = 0; i < n; i++)
		names[i] = space[i];
	near = ls_nearest(key, names);
	return error_set(error, -EINVAL, near ? "unknown key '%s'; did you mean '%s'?" : "unknown key '%s'",
			 key, near);
}

int change_resolve(struct json_object *spec, const char *key, const char *value, struct change *ret,
		   struct error *error)
{
	struct change c = {};
	const struct spec_key *section;
	const char *rest;
	char first[64];
	int e;

	if (strlen(key) >= sizeof(c.key) || strlen(value) >= sizeof(c.value))
		return error_set(error, -EINVAL, "the key or value is too long");
	strcpy(c.key, key);
	strcpy(c.value, value);
	e = resolve_key(spec_pool_keys, "", key, &c, spec, error);
	if (e == 1 && split(key, first, sizeof(first), &rest)) {
		section = spec_key_find(spec_pool_keys, first);
		if (section && section->kind == SPEC_SECTION)
			e = resolve_key(section->section, first, rest, &c, spec, error);
		else if (section && section->kind == SPEC_MOUNTS)
			e = resolve_mount(spec, rest, &c, error);
		else
			e = resolve_layer(spec, first, rest, &c, error);
	}
	if (e == 1)
		return unknown(key, error);
	if (e == 0)
		*ret = c;
	return e;
}

void change_apply(struct json_object *spec, const struct change *c)
{
	struct json_object *target = c->target;

	if (!target)
		target = json_child(spec, c->section, json_type_object);
	if (!target)
		json_object_object_add(spec, c->section, target = json_object_new_object());
	json_object_object_add(target, c->field, json_object_new_string(c->value));
	spec_order(spec);
}
