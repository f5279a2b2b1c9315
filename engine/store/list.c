/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store has, and what nothing names any more. A layer goes when no image names it and no container stands on
 * it: `layers` of images and `lowers` of containers say so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/store/store.h"

/* Calls fn for each name in the directory, whose names nobody adds to meanwhile. */
typedef int name_fn(const char *name, void *arg);

static int each_name(const char *directory, name_fn *fn, void *arg)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = fn(e->d_name, arg);
	closedir(d);
	return r;
}

static char *read_text(const char *path)
{
	_cleanup_(fclose_p) FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	if (f && getdelim(&text, &room, '\0', f) < 0 && text)
		text[0] = '\0';
	return text;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; text && *text; text++)
		n += *text == '\n';
	return n;
}

/* ---- ls ---------------------------------------------------------------------------------------- */

static int list_image(const char *name, void *arg)
{
	struct json_object *list = arg, *image = json_object_new_object(), *words;
	_cleanup_(json_put_p) struct json_object *config = NULL;
	_cleanup_(free_p) char *text = NULL, *layers = NULL;
	char path[300];

	snprintf(path, sizeof(path), "/images/%s/config.json", name);
	text = read_text(path);
	config = text ? json_tokener_parse(text) : NULL;
	snprintf(path, sizeof(path), "/images/%s/layers", name);
	layers = read_text(path);
	json_set(image, "image", "%s", name);
	json_object_object_add(image, "layers", json_object_new_int64(count_lines(layers)));
	json_set(image, "created", "%s", json_string(config, "created") ? json_string(config, "created") : "");
	words = json_child(config, "config", json_type_object);
	words = json_child(words, "Entrypoint", json_type_array) ? json_child(words, "Entrypoint", json_type_array) :
								   json_child(words, "Cmd", json_type_array);
	json_object_object_add(image, "command", words ? json_object_get(words) : json_object_new_array());
	json_object_array_add(list, image);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;

	return strcmp(json_string(*x, "image"), json_string(*y, "image"));
}

int store_list(struct json_object **ret, struct error *error)
{
	struct json_object *list = json_object_new_array();
	int r = each_name("/images", list_image, list);

	if (r < 0) {
		json_object_put(list);
		return error_errno(error, r, "read the images");
	}
	json_object_array_sort(list, by_name);
	*ret = list;
	return 0;
}

/* ---- rm ---------------------------------------------------------------------------------------- */

struct sweep {
	struct json_object *named; /* digests, as keys */
	const char *directory, *file;
	size_t removed;
};

/* A line of `layers` is a digest, one of `lowers` a path that may end in one. */
static void note_line(struct sweep *s, const char *line)
{
	const char *last = strrchr(line, '/');

	json_object_object_add(s->named, last ? last + 1 : line, NULL);
}

static int note_file(const char *name, void *arg)
{
	struct sweep *s = arg;
	_cleanup_(free_p) char *text = NULL;
	char path[400], *save = NULL;

	snprintf(path, sizeof(path), "/%s/%s/%s", s->directory, name, s->file);
	text = read_text(path);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		note_line(s, line);
	return 0;
}

static int sweep_layer(const char *name, void *arg)
{
	struct sweep *s = arg;
	char from[300], to[300];

	if (json_object_object_get_ex(s->named, name, NULL))
		return 0;
	/* What is half removed must not be found. */
	snprintf(from, sizeof(from), "/layers/%s", name);
	snprintf(to, sizeof(to), "/tmp/%s", name);
	if (rename(from, to) < 0 || store_remove(to) < 0)
		return -errno;
	s->removed++;
	return 0;
}

static int sweep(struct sweep *s)
{
	int r;

	s->named = json_object_new_object();
	s->directory = "images";
	s->file = "layers";
	r = each_name("/images", note_file, s);
	s->directory = "containers";
	s->file = "lowers";
	if (r == 0)
		r = each_name("/containers", note_file, s);
	if (r == 0)
		r = each_name("/layers", sweep_layer, s);
	json_object_put(s->named);
	return r;
}

int store_forget(const char *name, struct json_object **ret, struct error *error)
{
	struct sweep s = {};
	_cleanup_(close_p) int lock = -1;
	char path[256];
	int r = store_lock(&lock, error);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/images/%s", name);
	if (rename(path, "/tmp/image") < 0)
		return errno == ENOENT ? error_set(error, -ENOENT, "there is no image '%s'", name) :
					 error_errno(error, errno, "remove image '%s'", name);
	r = store_remove("/tmp/image");
	if (r == 0)
		r = sweep(&s);
	if (r < 0)
		return error_errno(error, r, "remove the layers of image '%s'", name);
	*ret = json_object_new_object();
	json_set(*ret, "image", "%s", name);
	json_object_object_add(*ret, "layers_removed", json_object_new_int64(s.removed));
	return 0;
}
