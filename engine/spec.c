/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cluster.h"
#include "engine/cpus.h"
#include "engine/spec-keys.h"
#include "engine/spec.h"
#include "engine/poolfile.h"
#include "engine/volume.h"
#include "ipc/wire.h"
#include "libservices/libservice.h"

struct check {
	const struct origin *origin;
	struct error *error;
	const char *pool;
};

/* Says what is wrong with `at`, as `file:line: sentence` if it came from a file. */
static int fail(const struct check *c, struct json_object *at, const char *format, ...) _printf_(3, 4);
static int fail(const struct check *c, struct json_object *at, const char *format, ...)
{
	char sentence[480];
	int line = origin_line(c->origin, at);
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	if (line)
		return error_set(c->error, -EINVAL, "%s:%d: %s", c->origin->file, line, sentence);
	if (c->origin && c->origin->file)
		return error_set(c->error, -EINVAL, "%s: %s", c->origin->file, sentence);
	return error_set(c->error, -EINVAL, "%s", sentence);
}

/* ---- scalars and sections -------------------------------------------------------------------- */

static int check_value(const struct check *c, struct json_object *object, const char *key,
		       const struct spec_key *entry, struct json_object *value)
{
	struct error why;
	char text[256];

	if (!value || json_object_is_type(value, json_type_object) ||
	    json_object_is_type(value, json_type_array))
		return fail(c, value, "'%s' in pool '%s' must be %s", key, c->pool,
			    spec_kind_name(entry->kind));
	if (spec_value(entry, json_object_get_string(value), text, sizeof(text), &why) < 0)
		return fail(c, value, "'%s' in pool '%s': %s", key, c->pool, why.text);
	if (strcmp(text, json_object_get_string(value)))
		json_object_object_add(object, key, json_object_new_string(text));
	return 0;
}

static int check_key(const struct check *c, const struct spec_key *keys, const char *key,
		     struct json_object *value, const struct spec_key **ret)
{
	const char *names[SPEC_KEYS_MAX + 1], *near;

	*ret = spec_key_find(keys, key);
	if (*ret)
		return 0;
	spec_key_names(keys, names);
	near = ls_nearest(key, names);
	return fail(c, value,
		    near ? "unknown key '%s' in pool '%s'; did you mean '%s'?" :
			   "unknown key '%s' in pool '%s'",
		    key, c->pool, near);
}

/* `cache: {flush_interval: 5s}` is `flush: {interval: 5s}`. */
static int move_alias(const struct check *c, struct json_object *spec, const struct spec_key *entry,
		      struct json_object *value)
{
	const char *dot = strchr(entry->alias, '.');
	char section[32];
	struct json_object *to;

	snprintf(section, sizeof(section), "%.*s", (int)(dot - entry->alias), entry->alias);
	to = json_child(spec, section, json_type_object);
	if (!to)
		json_object_object_add(spec, section, to = json_object_new_object());
	if (json_object_object_get_ex(to, dot + 1, NULL))
		return fail(c, value, "'%s' in pool '%s' is '%s', which is there already", entry->name,
			    c->pool, entry->alias);
	json_object_object_add(to, dot + 1, json_object_get(value));
	return 0;
}

static int check_section(const struct check *c, struct json_object *spec, const struct spec_key *section)
{
	struct json_object *object;

	if (!json_object_object_get_ex(spec, section->name, &object))
		return 0;
	if (!json_object_is_type(object, json_type_object))
		return fail(c, object, "'%s' in pool '%s' must be a mapping of settings", section->name,
			    c->pool);
	json_object_object_foreach(object, key, value) {
		const struct spec_key *entry;
		int e = check_key(c, section->section, key, value, &entry);
		if (e == 0)
			e = check_value(c, object, key, entry, value);
		if (e == 0 && entry->alias) {
			json_object_object_get_ex(object, key, &value);
			e = move_alias(c, spec, entry, value);
			if (e == 0)
				json_object_object_del(object, key);
		}
		if (e < 0)
			return e;
	}
	if (json_object_object_length(object) == 0)
		json_object_object_del(spec, section->name);
	return 0;
}

/* ---- mounts ---------------------------------------------------------------------------------- */

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '\0' || path[n] == '/');
}

/* Absolute, without "//", "/./" and an ending slash. */
static int check_path(const struct check *c, struct json_object *at, const char *path,
		      char ret[static WIRE_MOUNT_PATH_MAX])
{
	size_t len = 0;

	if (path[0] != '/')
		return fail(c, at,
			    "mount point '%s' in pool '%s' must be an absolute path; did you mean '/%s'?",
			    path, c->pool, path);
	if (strlen(path) >= WIRE_MOUNT_PATH_MAX)
		return fail(c, at, "mount point '%.60s...' in pool '%s' is longer than %d bytes", path,
			    c->pool, WIRE_MOUNT_PATH_MAX - 1);
	for (const char *p = path; *p;) {
		size_t n = strcspn(p += strspn(p, "/"), "/");
		if (n == 2 && !strncmp(p, "..", 2))
			return fail(c, at, "mount point '%s' in pool '%s' must not contain '..'", path,
				    c->pool);
		if (n && !(n == 1 && *p == '.'))
			len += snprintf(ret + len, WIRE_MOUNT_PATH_MAX - len, "/%.*s", (int)n, p);
		p += n;
	}
	if (len == 0)
		return fail(c, at, "pool '%s' cannot mount at '/'; choose a directory below it", c->pool);
	if (is_below(WIRE_POOL_DIR, ret) || is_below(ret, WIRE_POOL_DIR) || is_below(ret, WIRE_ROOTS) || is_below(ret, "/proc") ||
	    is_below("/dev/shm", ret))
		return fail(c, at, "pool '%s' cannot mount at '%s', which the pool itself needs", c->pool,
			    ret);
	return 0;
}

/* The value in the stack that the sentence puts into quotes first: what it is about, with its line. */
static struct json_object *quoted_in(struct json_object *json, const char *word)
{
	struct json_object *found = NULL;

	if (json_object_is_type(json, json_type_string))
		return strcmp(json_object_get_string(json), word) ? NULL : json;
	for (size_t i = 0;
	     json_object_is_type(json, json_type_array) && !found && i < json_object_array_length(json);
	     i++)
		found = quoted_in(json_object_array_get_idx(json, i), word);
	if (!json_object_is_type(json, json_type_object))
		return found;
	json_object_object_foreach(json, key, value) {
		if (!found)
			found = strcmp(key, word) ? quoted_in(value, word) : value;
	}
	return found;
}

/* What stands nowhere, for it was filled in, has its stack's line. */
static struct json_object *culprit(const struct check *c, struct json_object *stack, const char *sentence)
{
	struct json_object *found = NULL;
	char word[128];

	for (const char *q = strchr(sentence, '\''); q && !found; q = strchr(q + 1, '\'')) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(q + 1, "'"), q + 1);
		found = quoted_in(stack, word);
		q = strchr(q + 1, '\'');
		if (!q)
			break;
	}
	return origin_line(c->origin, found) ? found : stack;
}

struct host_check {
	const struct check *check;
	struct json_object *stack;
};

static int check_host(const char *type, struct json_object *config, void *arg)
{
	struct host_check *h = arg;
	const char *path = json_string(config, "path");
	struct json_object *at;
	struct stat st;

	if (!strcmp(type, "cache") && json_object_object_get_ex(config, "dir", NULL))
		return fail(h->check, h->stack, "unknown key 'dir' of cache in pool '%s': descriptors are the engine's",
			    h->check->pool);
	if (strcmp(type, "host") || !path)
		return 0;
	if (json_object_object_get_ex(config, "fd", NULL))
		return fail(h->check, h->stack,
			    "unknown key 'fd' of host in pool '%s': descriptors are the engine's",
			    h->check->pool);
	at = origin_string(h->check->origin, path, origin_line(h->check->origin, h->stack));
	if (!at)
		at = h->stack;
	if (path[0] != '/')
		return fail(h->check, at, "'%s' in pool '%s' must be an absolute path; did you mean '/%s'?",
			    path, h->check->pool, path);
	if (stat(path, &st) < 0)
		return fail(h->check, at, "directory '%s' of pool '%s': %s", path, h->check->pool,
			    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(h->check, at, "'%s' of pool '%s' is not a directory", path, h->check->pool);
	return 0;
}

static int check_volume(const char *type, struct json_object *config, void *arg)
{
	struct host_check *h = arg;
	struct json_object *at = NULL;
	struct error why;

	if (strcmp(type, "volume") || volume_check(config, h->check->pool, &at, &why) == 0)
		return 0;
	if (at)
		at = origin_string(h->check->origin, json_object_get_string(at), origin_line(h->check->origin, h->stack));
	return fail(h->check, at ? at : h->stack, "%s", why.text);
}

static int check_cluster(const char *type, struct json_object *config, void *arg)
{
	struct host_check *h = arg;
	struct error why;

	if (cluster_check(type, config, h->check->pool, &why) == 0)
		return 0;
	return fail(h->check, culprit(h->check, h->stack, why.text), "%s", why.text);
}

static int check_clusters(const char *type, struct json_object *config, void *arg)
{
	return cluster_each(type, config, check_cluster, arg);
}

static int check_stack(const struct check *c, const char *path, struct json_object *stack)
{
	struct host_check host = {c, stack};
	struct error why;
	char sentence[400];
	int e;

	if (!json_object_is_type(stack, json_type_object))
		return fail(c, stack, "mount '%s' in pool '%s' must be a layer, such as {host: /srv/data}",
			    path, c->pool);
	stack_fill_empty(stack);
	if (volume_words_lower(stack, &why) < 0)
		return fail(c, culprit(c, stack, why.text), "mount '%s' in pool '%s': %s", path, c->pool, why.text);
	if (ls_stack_check(stack, sentence, sizeof(sentence)) < 0)
		return fail(c, culprit(c, stack, sentence), "mount '%s' in pool '%s': %s", path, c->pool,
			    sentence);
	if (stack_height(stack) > SPEC_LAYERS_MAX)
		return fail(c, stack, "mount '%s' in pool '%s' is a stack of more than %d layers", path,
			    c->pool, SPEC_LAYERS_MAX);
	e = stack_walk(stack, check_host, &host);
	if (e == 0)
		e = stack_walk(stack, check_clusters, &host);
	return e < 0 ? e : stack_walk(stack, check_volume, &host);
}

static bool is_nested(struct json_object *mounts, const char *path)
{
	json_object_object_foreach(mounts, other, stack) {
		(void)stack;
		if (strcmp(other, path) && is_below(path, other))
			return true;
	}
	return false;
}

/* A mount point that the host lacks is made; one that is there, or on the way, must be a directory. */
static int check_places(const struct check *c, struct json_object *mounts)
{
	json_object_object_foreach(mounts, path, stack) {
		struct stat st;
		if (is_nested(mounts, path))
			continue;
		errno = 0;
		if (stat(path, &st) == 0 ? !S_ISDIR(st.st_mode) : errno == ENOTDIR)
			return fail(c, stack, "mount point '%s' in pool '%s' is not a directory", path, c->pool);
		if (errno == ENAMETOOLONG || errno == ELOOP)
			return fail(c, stack, "mount point '%s' in pool '%s': %s", path, c->pool, strerror(errno));
	}
	return 0;
}

static int check_mounts(const struct check *c, struct json_object *spec)
{
	_cleanup_(json_put_p) struct json_object *clean = json_object_new_object();
	struct json_object *mounts;

	if (json_object_object_get_ex(spec, "roots", &mounts)) {
		int e = check_stack(c, "roots", mounts);
		if (e < 0 || !json_object_object_get_ex(spec, "mounts", NULL))
			return e;
	}
	if (!json_object_object_get_ex(spec, "mounts", &mounts))
		return fail(c, spec, "pool '%s' has no 'mounts'", c->pool);
	if (!json_object_is_type(mounts, json_type_object) || !json_object_object_length(mounts))
		return fail(c, mounts, "'mounts' in pool '%s' must map paths to stacks", c->pool);
	if (json_object_object_length(mounts) > WIRE_MOUNTS_FIXED - 1)
		return fail(c, mounts, "pool '%s' has more than %d mounts", c->pool, WIRE_MOUNTS_FIXED - 1);
	json_object_object_foreach(mounts, key, stack) {
		char path[WIRE_MOUNT_PATH_MAX] = "";
		int e = check_path(c, stack, key, path);
		if (e == 0 && json_object_object_get_ex(clean, path, NULL))
			e = fail(c, stack, "mount point '%s' in pool '%s' is in use already", path,
				 c->pool);
		if (e == 0)
			e = check_stack(c, path, stack);
		if (e < 0)
			return e;
		json_object_object_add(clean, path, json_object_get(stack));
	}
	json_object_object_add(spec, "mounts", json_object_get(clean));
	return check_places(c, clean);
}

/* ---- pools ----------------------------------------------------------------------------------- */

static int check_name(const struct check *c, struct json_object *at)
{
	size_t len = strlen(c->pool);

	if (len == 0 || len > SPEC_NAME_MAX || !isalnum((unsigned char)c->pool[0]))
		return fail(c, at,
			    "'%s' cannot be a pool's name: it has 1 to %d letters, digits, '-' and '_'",
			    c->pool, SPEC_NAME_MAX);
	for (const char *p = c->pool; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return fail(c, at,
				    "'%s' cannot be a pool's name: '%c' is not a letter, digit, '-' or '_'",
				    c->pool, *p);
	return 0;
}

void spec_order(struct json_object *spec)
{
	for (const struct spec_key *k = spec_pool_keys; k->name; k++) {
		struct json_object *value;
		if (!json_object_object_get_ex(spec, k->name, &value))
			continue;
		json_object_get(value);
		json_object_object_del(spec, k->name);
		json_object_object_add(spec, k->name, value);
	}
}

int spec_check(const char *name, struct json_object *spec, const struct origin *origin, struct error *error)
{
	struct check c = {origin, error, name};
	int e = check_name(&c, spec);

	if (e < 0)
		return e;
	if (!json_object_is_type(spec, json_type_object))
		return fail(&c, spec, "pool '%s' must be a mapping with 'mounts' and settings", name);
	json_object_object_foreach(spec, key, value) {
		const struct spec_key *entry;
		e = check_key(&c, spec_pool_keys, key, value, &entry);
		if (e == 0 && entry->kind != SPEC_SECTION && entry->kind != SPEC_MOUNTS &&
		    entry->kind != SPEC_STACK)
			e = check_value(&c, spec, key, entry, value);
		if (e < 0)
			return e;
	}
	for (const struct spec_key *k = spec_pool_keys; k->name && e == 0; k++)
		if (k->kind == SPEC_SECTION)
			e = check_section(&c, spec, k);
	if (e == 0)
		e = check_mounts(&c, spec);
	if (e == 0)
		spec_order(spec);
	return e;
}

int spec_check_file(struct json_object *file, const struct origin *origin, struct error *error)
{
	struct check c = {origin, error, ""};
	struct json_object *pools, *at, *in;
	const char *path;
	struct error why;
	int e = 0;

	if (!json_object_is_type(file, json_type_object))
		return fail(&c, file, "a pool file begins with 'pools:'");
	json_object_object_foreach(file, key, value) {
		const char *const names[] = {"pools", NULL};
		if (!strcmp(key, "pools"))
			continue;
		return fail(&c, value,
			    ls_nearest(key, names) ? "unknown key '%s'; did you mean '%s'?" :
						     "unknown key '%s'",
			    key, names[0]);
	}
	if (!json_object_object_get_ex(file, "pools", &pools))
		return fail(&c, file, "a pool file begins with 'pools:'");
	if (!json_object_is_type(pools, json_type_object) || !json_object_object_length(pools))
		return fail(&c, pools, "'pools' must map names to pools");
	json_object_object_foreach(pools, name, spec) {
		if (e == 0)
			e = spec_check(name, spec, origin, error);
	}
	if (e == 0 && volume_check_apart(pools, &path, &in, &why) < 0) {
		at = origin_string(origin, path, origin_line(origin, in));
		e = fail(&c, at ? at : in, "%s", why.text);
	}
	return e;
}

struct json_object *spec_settings(struct json_object *spec)
{
	struct json_object *flat = json_object_new_object();

	for (const struct spec_key *k = spec_pool_keys; k->name; k++) {
		struct json_object *section = json_child(spec, k->name, json_type_object);
		if (k->kind == SPEC_TIME && json_string(spec, k->name))
			json_set(flat, k->name, "%s", json_string(spec, k->name));
		if (k->kind != SPEC_SECTION || !section)
			continue;
		json_object_object_foreach(section, key, value) {
			char name[128];
			snprintf(name, sizeof(name), "%s.%s", k->name, key);
			json_object_object_add(flat, name, json_object_get(value));
		}
	}
	return flat;
}
