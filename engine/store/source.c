/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine/store/source.h"

enum { INDEX_DEPTH = 4, JSON_DEPTH = 64 };

/* ---- files ------------------------------------------------------------------------------------- */

/* Links may lead about in the directory, never out of it. */
static int open_file(int dir, const char *path, struct error *error)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_(close_p) int fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(error, errno, "open '%s' of the image", path);
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "'%s' of the image is no regular file", path);
	return take_fd(&fd);
}

static int read_file(int dir, const char *path, char **ret, size_t *ret_size, struct error *error)
{
	_cleanup_(close_p) int fd = open_file(dir, path, error);
	_cleanup_(free_p) char *text = NULL;
	size_t size = 0;
	ssize_t n = 1;

	if (fd < 0)
		return fd;
	while (n > 0) {
		char *grown = size <= STORE_JSON_MAX ? realloc(text, size + 65536 + 1) : NULL;
		if (!grown)
			return error_set(error, -EFBIG, "'%s' of the image is too large", path);
		text = grown;
		n = read(fd, text + size, 65536);
		if (n > 0)
			size += n;
	}
	if (n < 0)
		return error_errno(error, errno, "read '%s' of the image", path);
	text[size] = '\0';
	*ret = text;
	*ret_size = size;
	text = NULL;
	return 0;
}

static struct json_object *parse(const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *json = tokener ? json_tokener_parse_ex(tokener, text, size) : NULL;

	if (tokener && json_tokener_get_error(tokener) != json_tokener_success) {
		json_object_put(json);
		json = NULL;
	}
	if (tokener)
		json_tokener_free(tokener);
	return json;
}

static int read_json(int dir, const char *path, struct json_object **ret, struct error *error)
{
	_cleanup_(free_p) char *text = NULL;
	size_t size;
	int r = read_file(dir, path, &text, &size, error);

	if (r < 0)
		return r;
	*ret = parse(text, size);
	return *ret ? 0 : error_set(error, -EINVAL, "'%s' of the image is not JSON", path);
}

/* ---- blobs ------------------------------------------------------------------------------------- */

static int wrong(struct error *error, const char *what)
{
	return error_set(error, -EINVAL, "the image's description is wrong: %s", what);
}

static int blob_path(struct json_object *descriptor, char *ret, size_t size, char hex[static DIGEST_HEX],
		     struct error *error)
{
	const char *words = json_string(descriptor, "digest"), *digits = digest_of_words(words);

	if (!digits)
		return wrong(error, words ? "a digest is not of sha256" : "a digest is missing");
	snprintf(hex, DIGEST_HEX, "%s", digits);
	snprintf(ret, size, "blobs/sha256/%s", digits);
	return 0;
}

static int blob_read(int dir, struct json_object *descriptor, char **ret, size_t *ret_size, struct error *error)
{
	char path[200], wanted[DIGEST_HEX], got[DIGEST_HEX];
	struct digest *d;
	int r = blob_path(descriptor, path, sizeof(path), wanted, error);

	if (r == 0)
		r = read_file(dir, path, ret, ret_size, error);
	if (r < 0)
		return r;
	d = digest_new();
	if (!d)
		return error_errno(error, ENOMEM, "check '%s'", path);
	digest_add(d, *ret, *ret_size);
	digest_hex(d, got);
	digest_free(d);
	if (!strcmp(got, wanted))
		return 0;
	free(*ret);
	*ret = NULL;
	return error_set(error, -EBADMSG, "'%s' of the image does not match its digest", path);
}

static int blob_json(int dir, struct json_object *descriptor, struct json_object **ret, struct error *error)
{
	_cleanup_(free_p) char *text = NULL;
	size_t size;
	int r = blob_read(dir, descriptor, &text, &size, error);

	if (r < 0)
		return r;
	*ret = parse(text, size);
	return *ret ? 0 : wrong(error, "a blob that should be JSON is not");
}

/* ---- the image that is meant ------------------------------------------------------------------- */

static bool is_ours(struct json_object *descriptor)
{
	struct json_object *platform = json_child(descriptor, "platform", json_type_object);
	const char *os = json_string(platform, "os"), *machine = json_string(platform, "architecture");

	return os && machine && !strcmp(os, "linux") && !strcmp(machine, "amd64");
}

/* The only one, or the only one for this kind of machine. */
static struct json_object *choose(struct json_object *manifests)
{
	size_t n = manifests ? json_object_array_length(manifests) : 0, found = 0;
	struct json_object *chosen = NULL;

	if (n == 1)
		return json_object_array_get_idx(manifests, 0);
	for (size_t i = 0; i < n; i++)
		if (is_ours(json_object_array_get_idx(manifests, i))) {
			chosen = json_object_array_get_idx(manifests, i);
			found++;
		}
	return found == 1 ? chosen : NULL;
}

/* Indexes may lead to indexes. */
static int find_manifest(int dir, struct json_object *index, struct json_object **ret, struct error *error)
{
	struct json_object *at = json_object_get(index);
	int r = 0;

	for (int depth = 0; r == 0 && json_child(at, "manifests", json_type_array); depth++) {
		struct json_object *next = choose(json_child(at, "manifests", json_type_array)), *read = NULL;
		if (depth == INDEX_DEPTH)
			r = wrong(error, "its indexes lead on and on");
		else if (!next)
			r = error_set(error, -EINVAL,
				      "there is not exactly one image for linux/amd64; make a layout of one image");
		else
			r = blob_json(dir, next, &read, error);
		if (r == 0) {
			json_object_put(at);
			at = read;
		}
	}
	if (r < 0)
		json_object_put(at);
	else
		*ret = at;
	return r;
}

/* ---- layers ------------------------------------------------------------------------------------ */

static int take_diff_ids(struct source *s, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *config = parse(s->config, s->config_size);
	struct json_object *ids = json_child(json_child(config, "rootfs", json_type_object), "diff_ids",
					     json_type_array);

	if (!ids)
		return wrong(error, "its configuration has no rootfs.diff_ids");
	s->layer_count = json_object_array_length(ids);
	if (s->layer_count == 0 || s->layer_count > STORE_LAYERS_MAX)
		return wrong(error, "it has no layers, or too many");
	s->layer = calloc(s->layer_count, sizeof(*s->layer));
	if (!s->layer)
		return error_errno(error, ENOMEM, "read the image");
	for (size_t i = 0; i < s->layer_count; i++) {
		const char *hex = digest_of_words(json_object_get_string(json_object_array_get_idx(ids, i)));
		if (!hex)
			return wrong(error, "a diff id is no digest of sha256");
		snprintf(s->layer[i].diff_id, DIGEST_HEX, "%s", hex);
	}
	return 0;
}

static int take_blobs(struct source *s, struct json_object *layers, struct error *error)
{
	int r = 0;

	if (!layers || json_object_array_length(layers) != s->layer_count)
		return wrong(error, "its manifest and its configuration differ in the number of layers");
	for (size_t i = 0; r == 0 && i < s->layer_count; i++)
		r = blob_path(json_object_array_get_idx(layers, i), s->layer[i].path, sizeof(s->layer[i].path),
			      s->layer[i].packed, error);
	return r;
}

static int layout_open(struct source *s, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *index = NULL, *manifest = NULL;
	int r = read_json(s->dir, "index.json", &index, error);

	if (r == 0)
		r = find_manifest(s->dir, index, &manifest, error);
	if (r == 0)
		r = blob_read(s->dir, json_child(manifest, "config", json_type_object), &s->config, &s->config_size,
			      error);
	if (r == 0)
		r = take_diff_ids(s, error);
	return r == 0 ? take_blobs(s, json_child(manifest, "layers", json_type_array), error) : r;
}

static int docker_open(struct source *s, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *list = NULL;
	struct json_object *one, *layers;
	const char *config;
	int r = read_json(s->dir, "manifest.json", &list, error);

	if (r < 0)
		return r;
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != 1)
		return wrong(error, "its manifest.json does not name exactly one image");
	one = json_object_array_get_idx(list, 0);
	config = json_string(one, "Config");
	if (!config)
		return wrong(error, "its manifest.json names no configuration");
	r = read_file(s->dir, config, &s->config, &s->config_size, error);
	if (r == 0)
		r = take_diff_ids(s, error);
	layers = json_child(one, "Layers", json_type_array);
	if (r == 0 && (!layers || json_object_array_length(layers) != s->layer_count))
		r = wrong(error, "its manifest and its configuration differ in the number of layers");
	for (size_t i = 0; r == 0 && i < s->layer_count; i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(layers, i));
		if (!path || strlen(path) >= sizeof(s->layer[i].path))
			r = wrong(error, "a layer has no path");
		else
			strcpy(s->layer[i].path, path);
	}
	return r;
}

enum source_kind source_kind(int dir)
{
	struct error ignored;
	_cleanup_(close_p) int layout = open_file(dir, "oci-layout", &ignored);
	_cleanup_(close_p) int docker = open_file(dir, "manifest.json", &ignored);

	return layout >= 0 ? SOURCE_LAYOUT : docker >= 0 ? SOURCE_DOCKER : SOURCE_TREE;
}

int source_open(int dir, enum source_kind kind, struct source *ret, struct error *error)
{
	struct source s = {.dir = dir};
	int r = kind == SOURCE_LAYOUT ? layout_open(&s, error) : docker_open(&s, error);

	if (r < 0)
		source_fini(&s);
	else
		*ret = s;
	return r;
}

void source_fini(struct source *source)
{
	free(source->config);
	free(source->layer);
	*source = (struct source){.dir = -1};
}

int source_layer_open(const struct source *source, size_t i, struct error *error)
{
	return open_file(source->dir, source->layer[i].path, error);
}
