/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant can change while the pool runs: `timeout`, `cache.*` and `flush.*`, which all mounts of the pool have in
 * common, and options of layers as `<layer>.<option>` or `<mount path>.<layer>.<option>`.
 */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "service/cred.h"
#include "service/limit.h"
#include "service/service.h"
#include "service/share.h"
#include "service/stats.h"

/* A key, and the caches' option behind it. */
static const struct {
	const char *key, *option;
} cache_keys[] = {
	{"cache.size", "size"},
	{"cache.floor", "floor"},
	{"cache.readahead", "readahead"},
	{"cache.policy", "policy"},
	{"flush.interval", "flush_interval"},
	{"flush.dirty_ratio", "dirty_ratio"},
	{"flush.background_ratio", "background_ratio"},
	{"flush.batch", "batch"},
	{"flush.on_close", "flush_on_close"},
};

enum { CACHE_KEYS = sizeof(cache_keys) / sizeof(cache_keys[0]) };

#define PASS_KEY "fuse.passthrough"
#define MEASURE_KEY "stats.measure"

static int pass_set(const char *value, char *error, size_t size)
{
	int r = share_pass_set(value);

	if (r < 0)
		snprintf(error, size, PASS_KEY ": '%s' is neither auto, always nor off", value);
	return r;
}

static int measure_set(const char *value, char *error, size_t size)
{
	bool on = !strcmp(value, "true");

	if (!on && strcmp(value, "false") != 0) {
		snprintf(error, size, MEASURE_KEY ": '%s' is neither true nor false", value);
		return -EINVAL;
	}
	stat_measure(on);
	return 0;
}

/* For the service's own flusher, of stacks without a cache. */
static int interval_set(struct service *s, const char *value, char *error, size_t size)
{
	uint64_t ns;

	if (ls_parse_time(value, &ns) < 0) {
		snprintf(error, size, "flush.interval: '%s' is not a time such as 250ms or 5s", value);
		return -EINVAL;
	}
	__atomic_store_n(&s->settings.flush_interval, ns, __ATOMIC_RELEASE);
	return 0;
}

static int timeout_set(const char *value, char *error, size_t size)
{
	uint64_t ns;

	if (ls_parse_time(value, &ns) < 0 || ns > INT64_MAX / 2) {
		snprintf(error, size, "timeout: '%s' is not a time such as 250ms or 5s", value);
		return -EINVAL;
	}
	__atomic_store_n(&cred_timeout, ns, __ATOMIC_RELAXED);
	return 0;
}

static const struct ls_option *option_find(const struct ls_type *type, const char *name)
{
	for (const struct ls_option *o = type->options; o && o->name; o++)
		if (!strcmp(o->name, name))
			return o;
	return NULL;
}

/* In every cache of a stack: each branch of a union has one. */
static int caches_set(struct ls *ls, const char *option, const char *value, bool *found, char *error, size_t size)
{
	int r = 0;

	if (!strcmp(ls->type->name, "cache")) {
		*found = true;
		r = ls_option_set(ls, option, value, error, size);
	}
	for (unsigned i = 0; i < ls->below_count && r == 0; i++)
		r = caches_set(ls->below[i], option, value, found, error, size);
	return r;
}

/*
 * For all caches of the pool. At the start a pool may do without a cache: what its file says of one is no error. Later
 * it would be a word that has no effect.
 */
static int cache_set(struct service *s, unsigned key, const char *value, char *error, size_t size)
{
	bool found = false;
	uint64_t n = 1;
	int r = 0;

	/* "None" in the pool's file is not meant for a stack that has one of its own. */
	if (!s->back && !strcmp(cache_keys[key].key, "cache.size") && ls_parse_size(value, &n) == 0 && n == 0)
		return 0;
	if (!strcmp(cache_keys[key].key, "flush.interval")) {
		r = interval_set(s, value, error, size);
		found = true;
	}
	for (unsigned m = 0; m < s->mount_count && r == 0; m++)
		r = caches_set(service_stack(s, m), cache_keys[key].option, value, &found, error, size);
	if (r == 0 && !found && s->back) {
		snprintf(error, size, "%s: no mount of this pool has a cache", cache_keys[key].key);
		r = -EINVAL;
	}
	return r;
}

/* Sets layer.option in every stack that has the layer, or in the one at `mount` if that is not NULL. */
static int layer_set(struct service *s, const char *mount, const char *layer, const char *option, const char *value,
		     char *error, size_t size)
{
	bool found = false;

	for (unsigned m = 0; m < s->mount_count; m++) {
		struct ls *ls = ls_stack_find(service_stack(s, m), layer);
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
	const char *candidates[80];
	unsigned n = 0, named = 0;

	for (; n < CACHE_KEYS; n++)
		candidates[n] = cache_keys[n].key;
	candidates[n++] = "timeout";
	for (const char *const *k = limit_keys; *k; k++)
		candidates[n++] = *k;
	for (unsigned m = 0; m < s->mount_count; m++)
		for (struct ls *ls = service_stack(s, m); ls; ls = ls->below_count ? ls->below[0] : NULL)
			for (const struct ls_option *o = ls->type->options; o && o->name && named < 64; o++)
				if (o->live) {
					snprintf(names[named], sizeof(names[named]), "%s.%s", ls->type->name, o->name);
					candidates[n++] = names[named++];
				}
	candidates[n++] = PASS_KEY;
	candidates[n++] = MEASURE_KEY;
	candidates[n] = NULL;
	return ls_nearest(key, candidates);
}

int setting_set(struct service *s, const char *key, const char *value, char *error, size_t size)
{
	char buf[512], *option, *layer, *mount = NULL;
	const char *near;
	int r = -ENOENT;

	if (!strcmp(key, PASS_KEY))
		return pass_set(value, error, size);
	if (!strcmp(key, MEASURE_KEY))
		return measure_set(value, error, size);
	r = limit_set(LIMIT_POOL, key, value, error, size);
	if (r == 0 && s->back)
		share_limited(s);
	if (r != -ENOENT)
		return r;
	if (!strcmp(key, "timeout"))
		return timeout_set(value, error, size);
	for (unsigned i = 0; i < CACHE_KEYS; i++)
		if (!strcmp(key, cache_keys[i].key))
			return cache_set(s, i, value, error, size);
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
	json_object_object_add(o, "timeout",
			       json_object_new_int64((int64_t)__atomic_load_n(&cred_timeout, __ATOMIC_RELAXED)));
	json_object_object_add(o, "io", limit_json(LIMIT_POOL));
	return o;
}
