/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/runtime-dir.h"

/* A file's key, and that of its descriptor. */
static const struct {
	const char *path, *fd;
} files[CLUSTER_FDS] = {{"keyring", "fd"}, {"conf", "conf_fd"}};

static const char *path_of(struct json_object *config, unsigned i)
{
	const char *path = json_string(config, files[i].path);

	return path && *path ? path : NULL;
}

static int area_each(struct json_object *area, cluster_fn *fn, void *arg)
{
	json_object_object_foreach(area, type, body)
	{
		struct json_object *below = json_child(body, "below", json_type_array);
		int r = !strcmp(type, "rbd") ? fn(type, body, arg) : 0;

		for (size_t i = 0; r == 0 && below && i < json_object_array_length(below); i++)
			r = area_each(json_object_array_get_idx(below, i), fn, arg);
		return r;
	}
	return 0;
}

int cluster_each(const char *type, struct json_object *config, cluster_fn *fn, void *arg)
{
	if (!strcmp(type, "ceph"))
		return fn(type, config, arg);
	if (strcmp(type, "volume"))
		return 0;
	return area_each(json_child(config, "area", json_type_object), fn, arg);
}

static int found(const char *type, struct json_object *config, void *arg)
{
	return 1;
}

bool cluster_has_area(struct json_object *area)
{
	return area_each(area, found, NULL);
}

int cluster_check(const char *type, struct json_object *config, const char *pool, struct error *error)
{
	for (unsigned i = 0; i < CLUSTER_FDS; i++) {
		const char *path = path_of(config, i);
		if (json_object_object_get_ex(config, files[i].fd, NULL))
			return error_set(error, -EINVAL, "unknown key '%s' of %s in pool '%s': descriptors are the engine's",
					 files[i].fd, type, pool);
		if (path && path[0] != '/')
			return error_set(error, -EINVAL, "%s '%s' in pool '%s' must be an absolute path; did you mean '/%s'?",
					 files[i].path, path, pool, path);
		if (path && access(path, R_OK) < 0)
			return error_set(error, -EINVAL, "%s '%s' of pool '%s': %s", files[i].path, path, pool,
					 strerror(errno));
	}
	if (!path_of(config, 0))
		return error_set(error, -EINVAL, "%s in pool '%s' needs 'keyring': the file with the client's key", type, pool);
	return 0;
}

unsigned cluster_count(struct json_object *config)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLUSTER_FDS; i++)
		n += path_of(config, i) != NULL;
	return n;
}

int cluster_open(struct json_object *config, int ret[static CLUSTER_FDS], struct error *error)
{
	int n = 0;

	for (unsigned i = 0; i < CLUSTER_FDS; i++) {
		const char *path = path_of(config, i);
		int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (!path)
			continue;
		if (fd < 0) {
			int r = error_errno(error, errno, "open %s '%s'", files[i].path, path);
			while (n > 0)
				close(ret[--n]);
			return r;
		}
		ret[n++] = fd;
	}
	return n;
}

/* Of this host until it boots again, of this engine, of this pool. */
static void put_identity(struct json_object *config, const char *pool, int place)
{
	char boot[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, boot, sizeof(boot) - 1) < 36)
		boot[0] = '\0';
	if (fd >= 0)
		close(fd);
	boot[36] = '\0';
	if (boot[0])
		json_set(config, "identity", "polytropon:%s:%s:%s:%d", boot, runtime_dir(), pool, place);
}

void cluster_put(struct json_object *config, const char *pool, int *next)
{
	const char *given = json_string(config, "identity");

	if (!given || !*given)
		put_identity(config, pool, *next);
	for (unsigned i = 0; i < CLUSTER_FDS; i++)
		if (path_of(config, i))
			json_object_object_add(config, files[i].fd, json_object_new_int((*next)++));
}
