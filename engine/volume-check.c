/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said about images without opening them. Whether they can be had is known when a pool starts;
 * but a pool file's mistakes are told before, with their lines.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/volume.h"
#include "libservices/libservice.h"

struct check {
	const char *pool;
	bool sized; /* the volume says its size */
	struct json_object *at;
	struct error *error;
};

static int check_directory(struct check *c, const char *path)
{
	char dir[PATH_MAX];
	struct stat st;
	char *slash;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return error_errno(c->error, ENAMETOOLONG, "image of pool '%s'", c->pool);
	slash = strrchr(dir, '/');
	slash[slash == dir] = '\0';
	if (stat(dir, &st) < 0)
		return error_errno(c->error, errno, "directory '%s' for an image of pool '%s'", dir,
				   c->pool);
	return S_ISDIR(st.st_mode)
		   ? 0
		   : error_set(c->error, -EINVAL, "'%s' of pool '%s' is not a directory", dir, c->pool);
}

static int check_absent(struct check *c, const char *path)
{
	int r = errno == ENOENT ? check_directory(c, path)
				: error_errno(c->error, errno, "image '%s' of pool '%s'", path, c->pool);

	if (r == 0 && path[strlen(path) - 1] == '/')
		r = error_set(c->error, -EINVAL, "image '%s' of pool '%s' is not there", path, c->pool);
	if (r == 0 && !c->sized)
		r = error_set(
		    c->error, -EINVAL,
		    "image '%s' of pool '%s' is not there; with 'size' beside it, it would be made", path,
		    c->pool);
	return r;
}

static int check_image(struct json_object *file, void *arg)
{
	struct check *c = arg;
	const char *path = json_string(file, "path");
	struct stat st;

	json_object_object_get_ex(file, "path", &c->at);
	if (json_object_object_get_ex(file, "fd", NULL))
		return error_set(c->error, -EINVAL,
				 "unknown key 'fd' in pool '%s': descriptors are the engine's", c->pool);
	if (!path)
		return error_set(c->error, -EINVAL, "a volume of pool '%s' has a part without 'image'",
				 c->pool);
	if (!*path)
		return c->sized
			   ? 0
			   : error_set(
				 c->error, -EINVAL,
				 "a volume of pool '%s' has no 'image', and no 'size' for a throw-away one",
				 c->pool);
	if (path[0] != '/')
		return error_set(c->error, -EINVAL,
				 "image '%s' in pool '%s' must be an absolute path; did you mean '/%s'?",
				 path, c->pool, path);
	if (stat(path, &st) < 0)
		return check_absent(c, path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(c->error, -EINVAL,
				 "image '%s' of pool '%s' is neither a file nor a block device", path,
				 c->pool);
	if (S_ISREG(st.st_mode) && st.st_size == 0 && !c->sized)
		return error_set(
		    c->error, -EINVAL,
		    "image '%s' of pool '%s' is empty; with 'size' beside it, a volume would be made", path,
		    c->pool);
	return 0;
}

int volume_check(struct json_object *config, const char *pool, struct json_object **ret_at,
		 struct error *error)
{
	struct check c = {.pool = pool, .sized = json_string(config, "size"), .error = error};
	int r = images_each(json_child(config, "area", json_type_object), check_image, &c);

	*ret_at = c.at;
	return r < 0 ? -EINVAL : 0;
}

/* ---- each image once ----------------------------------------------------------------------------- */

struct seen {
	const char *path, *pool;
	struct stat st; /* st_mode 0: it is not there */
};

struct census {
	const char *pool, *path; /* path: the one that is there twice */
	struct seen *seen;
	size_t count, max;
	struct error *error;
};

static bool is_same(const struct seen *a, const struct seen *b)
{
	if (!a->st.st_mode || !b->st.st_mode)
		return !strcmp(a->path, b->path);
	if (S_ISBLK(a->st.st_mode) && S_ISBLK(b->st.st_mode))
		return a->st.st_rdev == b->st.st_rdev;
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

static int count_image(struct json_object *file, void *arg)
{
	struct census *c = arg;
	struct seen here = {.path = json_string(file, "path"), .pool = c->pool}, *grown;

	if (!here.path || !*here.path)
		return 0;
	if (stat(here.path, &here.st) < 0)
		here.st.st_mode = 0;
	for (size_t i = 0; i < c->count; i++) {
		if (!is_same(&c->seen[i], &here))
			continue;
		c->path = here.path;
		return strcmp(c->seen[i].pool, here.pool)
			   ? error_set(c->error, -EINVAL,
				       "image '%s' of pool '%s' is one of pool '%s' already", here.path,
				       here.pool, c->seen[i].pool)
			   : error_set(c->error, -EINVAL, "image '%s' is in pool '%s' twice", here.path,
				       here.pool);
	}
	if (c->count == c->max) {
		grown = realloc(c->seen, (c->max = c->max * 2 + 16) * sizeof(*grown));
		if (!grown)
			return error_errno(c->error, ENOMEM, "images");
		c->seen = grown;
	}
	c->seen[c->count++] = here;
	return 0;
}

static int count_layer(const char *type, struct json_object *config, void *arg)
{
	return strcmp(type, "volume")
		   ? 0
		   : images_each(json_child(config, "area", json_type_object), count_image, arg);
}

int volume_check_apart(struct json_object *pools, const char **ret_path, struct json_object **ret_spec,
		       struct error *error)
{
	struct census c = {.error = error};
	int r = 0;

	json_object_object_foreach(pools, name, spec)
	{
		struct json_object *mounts = json_child(spec, "mounts", json_type_object);
		struct json_object *roots = json_child(spec, "roots", json_type_object);
		if (r < 0)
			continue;
		c.pool = name;
		*ret_spec = spec;
		if (roots)
			r = stack_walk(roots, count_layer, &c);
		if (!mounts)
			continue;
		json_object_object_foreach(mounts, path, stack)
		{
			(void)path;
			if (r == 0)
				r = stack_walk(stack, count_layer, &c);
		}
	}
	free(c.seen);
	*ret_path = c.path ? c.path : "";
	return r;
}
