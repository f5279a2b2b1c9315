/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant can change while the pool runs: keys of the service itself, and options of layers as
 * `<layer>.<option>` or `<mount path>.<layer>.<option>`.
 */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "service/service.h"

static const char *const own_keys[] = {"flush.interval", NULL};

static int own_set(struct service *s, const char *value, char *error, size_t size)
{
	uint64_t ns;

	if (ls_parse_time(value, &ns) < 0) {
		snprintf(error, size, "flush.interval: '%s' is not a time such as 250ms or 5s", value);
		return -EINVAL;
	}
	__atomic_store_n(&s->settings.flush_interval, ns, __ATOMIC_RELEASE);
	return 0;
}

static const struct ls_option *option_find(const struct ls_type *type, const char *name)
{
	for (const struct ls_option *o = type->options; o && o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

/* Sets layer.option in every stack that has the layer, or in the one at `mount` if that is not NULL. */
static int layer_set(struct service *s, const char *mount, const char *layer, const char *option, const char *value,
		     char *error, size_t size)
{
	bool found = false;

	for (unsigned m = 0; m < s->mount_count; m++) {
		struct ls *ls = ls_stack_find(s->mount[m]->stack, layer);
		const struct ls_option *o = ls ? option_find(ls->type, option) : NULL;
		if (!o || (mount && strcmp(mount, s->mount[m]->path)))
			continue;
		found = true;
		if (!o->live || !ls->type->set) {
			snprintf(error, size, "%s.%s: cannot be changed while the pool runs", layer, option);
			return -EINVAL;
		}
		int r = ls->type->set(ls, option, value, error, size);
		if (r < 0)
			return r;
	}
	if (!found)
		return -ENOENT;
	return 0;
}

/* Every key that could be meant, for the nearest one. */
static const char *key_nearest(struct service *s, const char *key)
{
	static _Thread_local char names[64][64];
	const char *candidates[65];
	unsigned n = 0;

	for (; own_keys[n]; n++)
		candidates[n] = own_keys[n];
	for (unsigned m = 0; m < s->mount_count; m++)
		for (struct ls *ls = s->mount[m]->stack; ls; ls = ls->below_count ? ls->below[0] : NULL)
			for (const struct ls_option *o = ls->type->options; o && o->name && n < 64; o++)
				if (o->live) {
					snprintf(names[n], sizeof(names[n]), "%s.%s", ls->type->name, o->name);
					candidates[n] = names[n];
					n++;
				}
	candidates[n] = NULL;
	return ls_nearest(key, candidates);
}

int setting_set(struct service *s, const char *key, const char *value, char *error, size_t size)
{
	char buf[512], *option, *layer, *mount = NULL;
	const char *near;
	int r = -ENOENT;

	if (!strcmp(key, "flush.interval"))
		return own_set(s, value, error, size);
	snprintf(buf, sizeof(buf), "%s", key);
	option = strrchr(buf, '.');
	if (option) {
		*option++ = 0;
		layer = strrchr(buf, '.');
		if (layer) {
			*layer++ = 0;
			mount = !strncmp(buf, "mounts.", 7) ? buf + 7 : buf;
		} else {
			layer = buf;
		}
		r = layer_set(s, mount, layer, option, value, error, size);
	}
	if (r != -ENOENT)
		return r;
	near = key_nearest(s, key);
	snprintf(error, size, "unknown key '%s'%s%s%s", key, near ? ": did you mean '" : "", near ? near : "",
		 near ? "'?" : "");
	return -EINVAL;
}

struct json_object *setting_json(struct service *s)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "flush.interval",
			       json_object_new_int64(__atomic_load_n(&s->settings.flush_interval, __ATOMIC_RELAXED)));
	return o;
}
