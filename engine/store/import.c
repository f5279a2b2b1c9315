/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An import: its source becomes layers that the store lacks, then the image that names them. Whatever ends it early
 * leaves complete layers, which the next one finds, and things in /tmp, which the next one removes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/store/source.h"

struct work {
	const struct import *import;
	size_t layer, layers;
	size_t made, found;
	uint64_t bytes, left_out;
	char (*digest)[DIGEST_HEX]; /* the lowest first */
	char *config;
	struct error *error;
};

/* ---- progress ---------------------------------------------------------------------------------- */

static void watch(void *arg, const struct layer_result *so_far)
{
	struct work *w = arg;

	fprintf(stderr, "\rlayer %zu of %zu: %" PRIu64 " MiB, %" PRIu64 " entries ", w->layer + 1, w->layers,
		so_far->bytes >> 20, so_far->entries);
}

static void watch_end(const struct work *w)
{
	if (w->import->progress)
		fputs("\r\033[K", stderr);
}

/* ---- layers ------------------------------------------------------------------------------------ */

static int layer_keep(const char *tree, const char *digest, struct error *error)
{
	char path[80];

	snprintf(path, sizeof(path), "/layers/%s", digest);
	if (rename(tree, path) < 0)
		return error_errno(error, errno, "put layer %.12s into the store", digest);
	return 0;
}

/* Into /tmp/<name>. What is wrong with it is said with its number. */
static int extract(struct work *w, int archive, const char *name, struct layer_result *ret)
{
	_cleanup_(close_p) int tree = -1;
	int r = store_temporary(name, &tree, w->error);

	if (r < 0)
		return r;
	r = layer_extract(archive, tree, &w->import->limits, w->import->progress ? watch : NULL, w, ret, w->error);
	watch_end(w);
	if (r == 0) {
		w->bytes += ret->bytes;
		w->left_out += ret->left_out;
		return 0;
	}
	return w->layers > 1 ? error_set(w->error, r, "layer %zu of %zu: %s", w->layer + 1, w->layers,
					 strdupa(w->error->text)) :
			       r;
}

static int layer_import(struct work *w, const struct source *s, size_t i)
{
	const struct source_layer *l = &s->layer[i];
	_cleanup_(close_p) int archive = -1;
	struct layer_result result;
	char name[32], tree[64];
	int r;

	if (store_has_layer(l->diff_id)) {
		w->found++;
		return 0;
	}
	archive = source_layer_open(s, i, w->error);
	if (archive < 0)
		return archive;
	snprintf(name, sizeof(name), "layer-%zu", i);
	snprintf(tree, sizeof(tree), "/tmp/%s", name);
	r = extract(w, archive, name, &result);
	if (r < 0)
		return r;
	if (l->packed[0] && strcmp(l->packed, result.packed))
		return error_set(w->error, -EBADMSG, "layer %zu does not match its digest", i + 1);
	if (strcmp(l->diff_id, result.plain))
		return error_set(w->error, -EBADMSG, "what layer %zu unpacks to does not match its diff id", i + 1);
	w->made++;
	return layer_keep(tree, l->diff_id, w->error);
}

static int digests_room(struct work *w, size_t count)
{
	w->digest = calloc(count, sizeof(*w->digest));
	w->layers = count;
	return w->digest ? 0 : error_errno(w->error, ENOMEM, "import");
}

static int import_described(struct work *w, int dir, enum source_kind kind)
{
	struct source s;
	int r = source_open(dir, kind, &s, w->error);

	if (r < 0)
		return r;
	r = digests_room(w, s.layer_count);
	for (w->layer = 0; r == 0 && w->layer < s.layer_count; w->layer++) {
		memcpy(w->digest[w->layer], s.layer[w->layer].diff_id, DIGEST_HEX);
		r = layer_import(w, &s, w->layer);
	}
	w->config = s.config;
	s.config = NULL;
	source_fini(&s);
	return r;
}

/* A tree that is an image by itself: one layer, and no more is known of it. */
static int import_tree(struct work *w, const char *tree, const struct layer_result *result)
{
	int r = digests_room(w, 1);

	if (r < 0)
		return r;
	memcpy(w->digest[0], result->plain, DIGEST_HEX);
	if (asprintf(&w->config,
		     "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
		     "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}",
		     result->plain) < 0)
		return error_errno(w->error, ENOMEM, "import");
	if (store_has_layer(result->plain)) {
		w->found++;
		return 0;
	}
	w->made++;
	return layer_keep(tree, result->plain, w->error);
}

/* What an archive contains says what it is. */
static int import_archive(struct work *w)
{
	_cleanup_(close_p) int tree = -1;
	struct layer_result result;
	int r;

	w->layers = 1;
	r = extract(w, w->import->source, "source", &result);
	if (r < 0)
		return r;
	tree = open("/tmp/source", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree < 0)
		return error_errno(w->error, errno, "open the unpacked archive");
	return source_kind(tree) == SOURCE_TREE ? import_tree(w, "/tmp/source", &result) :
						  import_described(w, tree, source_kind(tree));
}

static int import_directory(struct work *w)
{
	enum source_kind kind = source_kind(w->import->source);
	_cleanup_(close_p) int archive = -1;
	struct layer_result result;
	int status = 0;
	pid_t pid;
	int r;

	/* A root file system may well have a file manifest.json in its root. */
	if (kind == SOURCE_LAYOUT)
		return import_described(w, w->import->source, kind);
	w->layers = 1;
	pid = layer_pack(w->import->source, &archive, w->error);
	if (pid < 0)
		return pid;
	r = extract(w, archive, "source", &result);
	if (r < 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || (r == 0 && status != 0))
		r = r < 0 ? r : error_set(w->error, -EIO, "the directory cannot be read to its end");
	return r < 0 ? r : import_tree(w, "/tmp/source", &result);
}

/* ---- the image --------------------------------------------------------------------------------- */

static char *layers_text(const struct work *w)
{
	char *text = malloc(w->layers * DIGEST_HEX + 1), *p = text;

	for (size_t i = w->layers; text && i-- > 0;)
		p += sprintf(p, "%s\n", w->digest[i]);
	return text;
}

static int image_keep(struct work *w)
{
	_cleanup_(free_p) char *layers = layers_text(w);
	_cleanup_(close_p) int dir = -1;
	char path[256];
	int r;

	if (!layers)
		return error_errno(w->error, ENOMEM, "import");
	r = store_temporary("image", &dir, w->error);
	if (r < 0)
		return r;
	r = store_write_file(dir, "config.json", w->config, strlen(w->config));
	if (r == 0)
		r = store_write_file(dir, "layers", layers, strlen(layers));
	/* First everything that it names is on disk, then the name. */
	if (r == 0 && syncfs(dir) < 0)
		r = -errno;
	if (r < 0)
		return error_errno(w->error, r, "write the image");
	snprintf(path, sizeof(path), "/images/%s", w->import->name);
	if (renameat2(AT_FDCWD, "/tmp/image", AT_FDCWD, path,
		      w->import->replace && access(path, F_OK) == 0 ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
		return error_errno(w->error, errno, "name the image '%s'", w->import->name);
	return 0;
}

static struct json_object *report(const struct work *w)
{
	struct json_object *json = json_object_new_object();

	json_set(json, "image", "%s", w->import->name);
	json_object_object_add(json, "layers", json_object_new_int64(w->layers));
	json_object_object_add(json, "layers_found", json_object_new_int64(w->found));
	json_object_object_add(json, "bytes", json_object_new_int64(w->bytes));
	json_object_object_add(json, "left_out", json_object_new_int64(w->left_out));
	return json;
}

static int import_source(struct work *w)
{
	struct stat st;

	if (fstat(w->import->source, &st) < 0)
		return error_errno(w->error, errno, "look at the source");
	return S_ISDIR(st.st_mode) ? import_directory(w) : import_archive(w);
}

static int is_there(const struct import *import)
{
	char path[256];

	snprintf(path, sizeof(path), "/images/%s", import->name);
	return access(path, F_OK) == 0;
}

int store_import(const struct import *import, struct json_object **ret, struct error *error)
{
	struct work w = {.import = import, .error = error};
	_cleanup_(close_p) int lock = -1;
	int r = store_lock(&lock, error);

	if (r < 0)
		return r;
	if (!import->replace && is_there(import))
		return error_set(error, -EEXIST, "image '%s' is there already; --replace replaces it", import->name);
	r = import_source(&w);
	if (r == 0)
		r = image_keep(&w);
	if (r == 0)
		*ret = report(&w);
	store_remove("/tmp/source");
	store_remove("/tmp/image");
	free(w.digest);
	free(w.config);
	return r;
}
