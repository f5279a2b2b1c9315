/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "engine/oci/bundle.h"

struct json_object *json_at(struct json_object *json, const char *path, enum json_type type)
{
	char name[64];

	for (const char *dot; json && (dot = strchr(path, '.')); path = dot + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		json = json_child(json, name, json_type_object);
	}
	return json ? json_child(json, path, type) : NULL;
}

const char *json_text_at(struct json_object *json, const char *path)
{
	struct json_object *text = json_at(json, path, json_type_string);

	return text ? json_object_get_string(text) : NULL;
}

bool json_true_at(struct json_object *json, const char *path)
{
	struct json_object *flag = json_at(json, path, json_type_boolean);

	return flag && json_object_get_boolean(flag);
}

size_t json_length(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

const char *json_word(struct json_object *array, size_t i)
{
	struct json_object *word = i < json_length(array) ? json_object_array_get_idx(array, i) : NULL;

	return json_object_is_type(word, json_type_string) ? json_object_get_string(word) : "";
}

char **json_words(struct json_object *array)
{
	char **words = calloc(json_length(array) + 1, sizeof(*words));

	for (size_t i = 0; words && i < json_length(array); i++)
		words[i] = (char *)json_word(array, i);
	return words;
}

const char *bundle_annotation(const struct bundle *bundle, const char *name)
{
	return json_string(json_child(bundle->config, "annotations", json_type_object), name);
}

/* Other majors than 1 mean other things by the same words. */
static int check(const struct bundle *b, struct error *error)
{
	const char *version = json_string(b->config, "ociVersion");

	if (!version || strncmp(version, "1.", 2))
		return error_set(error, -EINVAL, "'%s/config.json': ociVersion '%s' is not 1.x", b->dir,
				 version ? version : "");
	if (!json_at(b->config, "root.path", json_type_string) && !bundle_annotation(b, "io.polytropon.root"))
		return error_set(error, -EINVAL, "'%s/config.json' has no root.path", b->dir);
	if (!json_child(b->config, "linux", json_type_object))
		return error_set(error, -EINVAL, "'%s/config.json' has no object 'linux'", b->dir);
	return 0;
}

int bundle_make(struct json_object *config, const char *dir, struct bundle *ret, struct error *error)
{
	struct bundle b = {.config = config};
	const char *root;
	int r;

	snprintf(b.dir, sizeof(b.dir), "%s", dir);
	r = check(&b, error);
	root = json_text_at(config, "root.path");
	if (r == 0 && root &&
	    snprintf(b.root, sizeof(b.root), "%s%s%s", *root == '/' ? "" : dir, *root == '/' ? "" : "/", root) >=
		    (int)sizeof(b.root))
		r = error_errno(error, ENAMETOOLONG, "'%s'", root);
	if (r < 0)
		bundle_fini(&b);
	else
		*ret = b;
	return r;
}

int bundle_open(const char *dir, const char *config_file, struct bundle *ret, struct error *error)
{
	char real[PATH_MAX], file[PATH_MAX + 16];
	struct json_object *config;

	if (!realpath(dir, real))
		return error_errno(error, errno, "bundle '%s'", dir);
	snprintf(file, sizeof(file), config_file ? "%s" : "%s/config.json", config_file ? config_file : real);
	if (access(file, R_OK) < 0)
		return error_errno(error, errno, "open '%s'", file);
	config = json_object_from_file(file);
	if (!json_object_is_type(config, json_type_object)) {
		json_object_put(config);
		return error_set(error, -EINVAL, "'%s' is no JSON object", file);
	}
	return bundle_make(config, real, ret, error);
}

void bundle_fini(struct bundle *bundle)
{
	json_object_put(bundle->config);
	bundle->config = NULL;
}
