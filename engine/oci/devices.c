/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev of a container. A user namespace may not make device nodes; then the ones of the view that the container comes
 * from are bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/oci/inside.h"

static const struct device {
	const char *path;
	unsigned type, major, minor, mode;
} usual[] = {
	{"/dev/null", S_IFCHR, 1, 3, 0666},   {"/dev/zero", S_IFCHR, 1, 5, 0666},   {"/dev/full", S_IFCHR, 1, 7, 0666},
	{"/dev/random", S_IFCHR, 1, 8, 0666}, {"/dev/urandom", S_IFCHR, 1, 9, 0666}, {"/dev/tty", S_IFCHR, 5, 0, 0666},
};

static const char *const links[][2] = {
	{"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"}, {"/dev/ptmx", "pts/ptmx"},
};

/* /dev is looked up once: its way may lead through a file system that is asked for every step. */
struct devices {
	int root, dev;
	struct error *error;
};

/* The directory of the path below the root, made if it is missing; *ret_name is the rest. */
static int parent_of(const struct devices *d, const char *path, const char **ret_name)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || !slash[1])
		return -EINVAL;
	*ret_name = path + (slash - dir) + 1;
	*slash = '\0';
	if (!strcmp(dir, "/dev"))
		return fcntl(d->dev, F_DUPFD_CLOEXEC, 0);
	return root_open(d->root, *dir ? dir : ".", true, true);
}

/* A link that the image has there leads to somewhere below the root. */
static int bind_instead(const struct devices *d, const struct device *device, int dir, const char *name)
{
	_cleanup_(close_p) int target = -1;
	struct stat st;

	if (mknodat(dir, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return error_errno(d->error, errno, "make '%s'", device->path);
	target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target >= 0 && fstat(target, &st) == 0 && S_ISLNK(st.st_mode)) {
		close(target);
		target = root_open(d->root, device->path, true, false);
	}
	if (target < 0)
		return error_errno(d->error, errno, "make '%s'", device->path);
	return mount_bind(device->path, target, 0, false, d->error);
}

static int device_make(const struct devices *d, const struct device *device, uid_t uid, gid_t gid)
{
	const char *name;
	_cleanup_(close_p) int dir = parent_of(d, device->path, &name);

	if (dir < 0)
		return error_errno(d->error, dir, "make '%s'", device->path);
	if (mknodat(dir, name, device->type | device->mode, makedev(device->major, device->minor)) == 0) {
		if (fchmodat(dir, name, device->mode, 0) < 0 || fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
			return error_errno(d->error, errno, "make '%s'", device->path);
		return 0;
	}
	/* What is there may be the image's own, of any kind: it is covered. */
	if (errno != EPERM && errno != EEXIST)
		return error_errno(d->error, errno, "make '%s'", device->path);
	return bind_instead(d, device, dir, name);
}

static unsigned type_of(const char *word)
{
	return !strcmp(word, "b") ? S_IFBLK : !strcmp(word, "p") ? S_IFIFO : S_IFCHR;
}

static int device_given(const struct devices *devices, struct json_object *json)
{
	const char *path = json_string(json, "path"), *type = json_string(json, "type");
	struct device d = {.path = path,
			   .major = json_number(json, "major", 0),
			   .minor = json_number(json, "minor", 0),
			   .mode = json_number(json, "fileMode", 0666) & 0777};

	if (!path || *path != '/' || !type)
		return error_set(devices->error, -EINVAL, "a device has no path or no type");
	d.type = type_of(type);
	return device_make(devices, &d, json_number(json, "uid", 0), json_number(json, "gid", 0));
}

/* Not every root has /dev/pts, nor wants these; so what is there stays, and a failure is no reason to give up. */
static void links_make(const struct devices *d)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		const char *name;
		_cleanup_(close_p) int dir = parent_of(d, links[i][0], &name);
		if (dir >= 0)
			symlinkat(links[i][1], dir, name);
	}
}

static bool is_given(struct json_object *list, const char *path)
{
	for (size_t i = 0; i < json_length(list); i++) {
		const char *p = json_string(json_object_array_get_idx(list, i), "path");
		if (p && !strcmp(p, path))
			return true;
	}
	return false;
}

/* One that comes with a whole /dev of somebody else's is left as it is. */
static bool has_own_dev(const struct bundle *b)
{
	struct json_object *list = json_child(b->config, "mounts", json_type_array);

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i);
		const char *where = json_string(m, "destination"), *type = json_string(m, "type");
		if (where && type && !strcmp(where, "/dev") && !strcmp(type, "bind"))
			return true;
	}
	return false;
}

static int make_all(const struct devices *d, struct json_object *list)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(usual) && r == 0; i++)
		if (!is_given(list, usual[i].path))
			r = device_make(d, &usual[i], 0, 0);
	for (size_t i = 0; i < json_length(list) && r == 0; i++)
		r = device_given(d, json_object_array_get_idx(list, i));
	if (r == 0)
		links_make(d);
	return r;
}

int devices_make(const struct bundle *bundle, int root, struct error *error)
{
	struct devices d = {.root = root, .error = error};
	int r;

	if (has_own_dev(bundle))
		return 0;
	d.dev = root_open(root, "/dev", true, true);
	if (d.dev < 0)
		return error_errno(error, d.dev, "make '/dev'");
	r = make_all(&d, json_at(bundle->config, "linux.devices", json_type_array));
	close(d.dev);
	return r;
}
