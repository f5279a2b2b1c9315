/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "service/clone.h"
#include "service/fail.h"

/* A name is one of a directory, and one that people can type. */
static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= CLONE_NAME_MAX && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@+") == len;
}

static int name_check(const char *name, char *error, size_t size)
{
	return name_is_good(name) ? 0
				  : fail(error, size, -EINVAL,
					 "'%.70s' cannot be a container's name: it has 1 to %d letters, digits and "
					 "'._-:@+', and does not begin with '.'",
					 name, CLONE_NAME_MAX);
}

static int dir_of(struct store *st, const char *parent, const char *name, struct ls_inode **ret)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", parent, name);
	return store_dir(st, path, ret, NULL);
}

int clone_prepare(struct store *st, char *error, size_t size)
{
	static const char *const names[] = {"layers", "images", "containers", "frozen", "trash"};
	struct ls_inode *dir;
	int r = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++) {
		r = store_make(st, st->ls->root, names[i], 0700, &dir);
		if (r == 0)
			store_put(st, dir);
		else
			fail(error, size, r, "the containers' store: make '%s': %s", names[i], strerror(-r));
	}
	return r;
}

/* ---- lists of layers -------------------------------------------------------------------------------- */

static unsigned lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text += *text == '\n') {
		size_t len = strcspn(text, "\n");
		n += len > 0;
		text += len;
	}
	return n;
}

/* The layers of an image, as a container's lowers: digests become paths. */
static int image_lowers(struct store *st, struct ls_inode *image, char **ret)
{
	char *digests, *lowers, *save = NULL;
	size_t used = 0;
	int r = store_read(st, image, "layers", &digests);

	if (r < 0)
		return r;
	lowers = calloc(1, 2 * strlen(digests) + 16 * (lines_of(digests) + 1));
	for (char *line = strtok_r(digests, "\n", &save); line && lowers; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "sha256:", 7))
			line += 7;
		used += sprintf(lowers + used, "layers/%s\n", line);
	}
	free(digests);
	*ret = lowers;
	return lowers ? 0 : -ENOMEM;
}

/* ---- making ----------------------------------------------------------------------------------------- */

/* The root directory of an upper is to the container what the one below it was. */
static int upper_make(struct store *st, struct ls_inode *container, const char *lowers)
{
	enum { SET = LS_SET_MODE | LS_SET_UID | LS_SET_GID | LS_SET_ATIME | LS_SET_MTIME };
	char first[PATH_MAX];
	struct ls_inode *upper, *below;
	struct ls_attr attr, after;
	int r = store_make(st, container, "upper", 0755, &upper);

	if (r < 0)
		return r;
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(lowers, "\n"), lowers);
	if (*first) {
		r = store_dir(st, first, &below, &attr);
		if (r == 0) {
			store_put(st, below);
			r = ls_setattr(st->ls, &st->call, upper, NULL, &attr, SET, &after);
		}
	}
	store_put(st, upper);
	return r;
}

/* All of it under a name that is none, then at once. */
static int container_make(struct store *st, const char *name, const char *lowers)
{
	struct ls_inode *containers, *dir, *work;
	char fresh[CLONE_NAME_MAX + 8];
	bool stop = false;
	int r = store_dir(st, "containers", &containers, NULL);

	if (r < 0)
		return r;
	snprintf(fresh, sizeof(fresh), ".%s.new", name);
	store_remove(st, containers, fresh, &stop); /* a crash left it */
	r = store_make(st, containers, fresh, 0700, &dir);
	if (r == 0) {
		r = upper_make(st, dir, lowers);
		if (r == 0)
			r = store_make(st, dir, "work", 0700, &work);
		if (r == 0) {
			store_put(st, work);
			r = store_write(st, dir, "lowers", lowers);
		}
		store_put(st, dir);
	}
	if (r == 0)
		r = ls_rename(st->ls, &st->call, containers, fresh, containers, name, 1 /* RENAME_NOREPLACE */);
	if (r < 0)
		store_remove(st, containers, fresh, &stop);
	store_put(st, containers);
	return r;
}

/* ---- freezing --------------------------------------------------------------------------------------- */

static void id_new(char id[static 24])
{
	uint64_t n = 0;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		n = (uintptr_t)id;
	snprintf(id, 24, "%016llx", (unsigned long long)n);
}

static bool id_is_good(const char *id)
{
	return strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16;
}

/* The upper becomes the first of the lowers. Each step may have been done already. */
static int freeze_do(struct store *st, struct ls_inode *container, const char *id)
{
	char line[32], *lowers, *more = NULL;
	struct ls_inode *frozen;
	int r = store_dir(st, "frozen", &frozen, NULL);

	if (r < 0)
		return r;
	snprintf(line, sizeof(line), "frozen/%s\n", id);
	r = store_has(st, frozen, id);
	if (r == 0)
		r = ls_rename(st->ls, &st->call, container, "upper", frozen, id, 0);
	store_put(st, frozen);
	if (r >= 0)
		r = store_read(st, container, "lowers", &lowers);
	if (r < 0)
		return r;
	if (strncmp(lowers, line, strlen(line)) != 0 && asprintf(&more, "%s%s", line, lowers) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = upper_make(st, container, line);
	if (r == 0 && more)
		r = store_write(st, container, "lowers", more);
	if (r == 0)
		r = ls_unlink(st->ls, &st->call, container, "freezing");
	free(more);
	free(lowers);
	return r;
}

/* What was begun and not finished. */
static int freeze_finish(struct store *st, struct ls_inode *container)
{
	char *id;
	int r = store_read(st, container, "freezing", &id);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = id_is_good(id) ? freeze_do(st, container, id) : -EINVAL;
	free(id);
	return r;
}

static int container_open(struct store *st, const char *name, struct ls_inode **ret)
{
	int r = dir_of(st, "containers", name, ret);

	if (r < 0)
		return r;
	r = freeze_finish(st, *ret);
	if (r < 0)
		store_put(st, *ret);
	return r;
}

/* Has anything been changed in the container? */
static int upper_is_used(struct store *st, struct ls_inode *container)
{
	struct ls_inode *upper;
	struct ls_attr attr;
	char *names;
	int r = ls_lookup(st->ls, &st->call, container, "upper", &upper, &attr);

	if (r < 0)
		return r;
	r = S_ISDIR(attr.mode) ? store_list(st, upper, &names) : -ENOTDIR;
	store_put(st, upper);
	if (r < 0)
		return r;
	r = *names != 0;
	free(names);
	return r;
}

static int freeze(struct store *st, struct ls_inode *container)
{
	char id[24];
	int r = upper_is_used(st, container);

	if (r <= 0)
		return r;
	id_new(id);
	r = store_write(st, container, "freezing", id);
	return r < 0 ? r : freeze_do(st, container, id);
}

/* ---- the operations ---------------------------------------------------------------------------------- */

/* What a clone is to stand on. What would be too much is refused before anything is frozen: it is in use. */
static int container_lowers(struct store *st, struct ls_inode *dir, char **ret)
{
	char *lowers;
	int used = upper_is_used(st, dir), r = used < 0 ? used : store_read(st, dir, "lowers", &lowers);

	if (r == 0) {
		r = lines_of(lowers) + used > CLONE_LOWERS_MAX ? -E2BIG : 0;
		free(lowers);
	}
	if (r == 0)
		r = freeze(st, dir);
	return r < 0 ? r : store_read(st, dir, "lowers", ret);
}

static int source_lowers(struct store *st, const char *source, bool running, char **ret, char *error, size_t size)
{
	struct ls_inode *dir;
	int r = dir_of(st, "images", source, &dir);

	if (r == 0) {
		r = image_lowers(st, dir, ret);
		store_put(st, dir);
		return r < 0 ? fail(error, size, r, "image '%s': its layers: %s", source, strerror(-r)) : 0;
	}
	r = r == -ENOENT ? container_open(st, source, &dir) : r;
	if (r == -ENOENT)
		return fail(error, size, r, "there is no image and no container '%s'", source);
	if (r < 0)
		return fail(error, size, r, "'%s': %s", source, strerror(-r));
	if (running) {
		r = fail(error, size, -EBUSY, "container '%s' runs; a clone is made of one that does not", source);
	} else {
		r = container_lowers(st, dir, ret);
		if (r == -E2BIG)
			fail(error, size, r,
			     "a clone of container '%s' would stand on more than %d layers; import its tree as an image",
			     source, CLONE_LOWERS_MAX);
		else if (r < 0)
			fail(error, size, r, "container '%s': %s", source, strerror(-r));
	}
	store_put(st, dir);
	return r;
}

static int name_is_free(struct store *st, const char *name, char *error, size_t size)
{
	struct ls_inode *containers;
	int r = store_dir(st, "containers", &containers, NULL);

	if (r == 0) {
		r = store_has(st, containers, name);
		store_put(st, containers);
	}
	if (r == 1)
		return fail(error, size, -EEXIST, "there is a container '%s' already", name);
	return r < 0 ? fail(error, size, r, "the containers' store: %s", strerror(-r)) : 0;
}

int clone_make(struct store *st, const char *source, const char *name, bool (*in_use)(void *arg, const char *name),
	       void *arg, char *error, size_t size)
{
	char *lowers;
	int r = name_check(name, error, size);

	if (r == 0)
		r = name_check(source, error, size);
	if (r == 0)
		r = name_is_free(st, name, error, size);
	if (r == 0)
		r = source_lowers(st, source, in_use(arg, source), &lowers, error, size);
	if (r < 0)
		return r;
	if (lines_of(lowers) > CLONE_LOWERS_MAX)
		r = fail(error, size, -E2BIG, "image '%s' has %u layers, and %d is the most", source, lines_of(lowers),
			 CLONE_LOWERS_MAX);
	if (r == 0) {
		r = container_make(st, name, lowers);
		if (r < 0)
			fail(error, size, r, "make container '%s': %s", name, strerror(-r));
	}
	free(lowers);
	return r;
}

int clone_remove(struct store *st, const char *name, char *error, size_t size)
{
	struct ls_inode *containers, *trash;
	char id[24];
	int r = name_check(name, error, size);

	if (r < 0)
		return r;
	r = store_dir(st, "containers", &containers, NULL);
	if (r == 0) {
		r = store_dir(st, "trash", &trash, NULL);
		if (r == 0) {
			id_new(id);
			r = ls_rename(st->ls, &st->call, containers, name, trash, id, 0);
			store_put(st, trash);
		}
		store_put(st, containers);
	}
	if (r == -ENOENT)
		return fail(error, size, r, "there is no container '%s'", name);
	return r < 0 ? fail(error, size, r, "remove container '%s': %s", name, strerror(-r)) : 0;
}

/* ---- what there is ------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct json_object *container_json(struct store *st, const char *name)
{
	struct json_object *o = json_object_new_object();
	struct ls_inode *dir;
	char *lowers;

	json_object_object_add(o, "name", json_object_new_string(name));
	if (dir_of(st, "containers", name, &dir) < 0)
		return o;
	if (store_read(st, dir, "lowers", &lowers) == 0) {
		json_object_object_add(o, "layers", json_object_new_int(lines_of(lowers)));
		free(lowers);
	}
	json_object_object_add(o, "changed", json_object_new_boolean(upper_is_used(st, dir) == 1));
	store_put(st, dir);
	return o;
}

/* Pointers to the good names of a list; the caller's to free. */
static const char **names_sort(const char *names, size_t *ret_count)
{
	const char **sorted;
	size_t n = 0;

	for (const char *name = names; *name; name += strlen(name) + 1)
		n++;
	sorted = calloc(n + 1, sizeof(*sorted));
	*ret_count = 0;
	for (const char *name = names; *name && sorted; name += strlen(name) + 1)
		if (name_is_good(name))
			sorted[(*ret_count)++] = name;
	if (sorted)
		qsort(sorted, *ret_count, sizeof(*sorted), by_name);
	return sorted;
}

int clone_list(struct store *st, struct json_object **ret, char *error, size_t size)
{
	struct ls_inode *containers;
	const char **sorted = NULL;
	char *names = NULL;
	size_t count = 0;
	int r = store_dir(st, "containers", &containers, NULL);

	if (r == 0) {
		r = store_list(st, containers, &names);
		store_put(st, containers);
	}
	if (r == 0 && !(sorted = names_sort(names, &count)))
		r = -ENOMEM;
	if (r == 0) {
		*ret = json_object_new_array();
		for (size_t i = 0; i < count; i++)
			json_object_array_add(*ret, container_json(st, sorted[i]));
	} else {
		fail(error, size, r, "the containers' store: %s", strerror(-r));
	}
	free(sorted);
	free(names);
	return r;
}

/* ---- branches -------------------------------------------------------------------------------------------- */

#define LAYERS "layers/"

void clone_branches_fini(struct store *st, struct clone_branches *branches)
{
	while (branches->count)
		store_put(st, branches->dir[--branches->count]);
}

static int branch_add(struct store *st, struct ls_inode *layers, const char *path, struct clone_branches *b, const char *name,
		      char *error, size_t size)
{
	bool below = layers && !strncmp(path, LAYERS, sizeof(LAYERS) - 1);
	int r = b->count > CLONE_LOWERS_MAX ? -E2BIG :
		store_dir_below(st, below ? layers : st->ls->root, below ? path + sizeof(LAYERS) - 1 : path, &b->dir[b->count],
				&b->attr[b->count]);

	if (r < 0)
		return fail(error, size, r, "container '%s': its layer '%.200s': %s", name, path, strerror(-r));
	b->count++;
	return 0;
}

/* Most are layers, a hundred perhaps: the directory that these are in stays open meanwhile. */
static int lowers_add(struct store *st, char *lowers, struct clone_branches *b, const char *name, char *error,
		      size_t size)
{
	struct ls_inode *layers = NULL;
	char *save = NULL;
	int r = 0;

	if (store_dir(st, LAYERS, &layers, NULL) < 0)
		layers = NULL;
	for (char *line = strtok_r(lowers, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save))
		r = branch_add(st, layers, line, b, name, error, size);
	store_put(st, layers);
	return r;
}

int clone_branches(struct store *st, const char *name, struct clone_branches *ret, char *error, size_t size)
{
	char path[CLONE_NAME_MAX + 32], *lowers;
	struct ls_inode *dir;
	int r = name_check(name, error, size);

	ret->count = 0;
	if (r < 0)
		return r;
	r = container_open(st, name, &dir);
	if (r == -ENOENT)
		return fail(error, size, r, "there is no container '%s'", name);
	if (r == 0) {
		r = store_read(st, dir, "lowers", &lowers);
		store_put(st, dir);
	}
	if (r < 0)
		return fail(error, size, r, "container '%s': %s", name, strerror(-r));
	snprintf(path, sizeof(path), "containers/%s/upper", name);
	r = branch_add(st, NULL, path, ret, name, error, size);
	if (r == 0)
		r = lowers_add(st, lowers, ret, name, error, size);
	free(lowers);
	if (r < 0)
		clone_branches_fini(st, ret);
	return r;
}
