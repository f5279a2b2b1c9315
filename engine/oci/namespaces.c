/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "engine/oci/bundle.h"
#include "engine/oci/namespaces.h"
#include "libservices/libservice.h"

/* In the order in which they are entered: the user namespace gives the right to the others. */
static const struct {
	const char *name, *file;
	int type;
} kinds[] = {
	{"user", "user", CLONE_NEWUSER}, {"pid", "pid", CLONE_NEWPID},  {"network", "net", CLONE_NEWNET},
	{"ipc", "ipc", CLONE_NEWIPC},    {"uts", "uts", CLONE_NEWUTS},  {"cgroup", "cgroup", CLONE_NEWCGROUP},
	{"mount", "mnt", CLONE_NEWNS},
};

static int kind_of(const char *name, struct error *error)
{
	const char *names[ARRAY_LEN(kinds) + 1] = {}, *near;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		names[i] = kinds[i].name;
		if (!strcmp(name, kinds[i].name))
			return kinds[i].type;
	}
	near = ls_nearest(name, names);
	return error_set(error, -EINVAL, near ? "unknown namespace '%s'; did you mean '%s'?" : "unknown namespace '%s'",
			 name, near);
}

static int join_add(struct namespaces *n, int type, const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(error, errno, "namespace '%s'", path);
	n->joined[n->joined_count].fd = fd;
	n->joined[n->joined_count++].type = type;
	return 0;
}

int namespaces_read(struct json_object *config, struct namespaces *ret, struct error *error)
{
	struct json_object *list = json_at(config, "linux.namespaces", json_type_array);
	struct namespaces n = {};
	int r = 0, seen = 0;

	for (size_t i = 0; i < json_length(list) && r >= 0; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *name = json_string(one, "type"), *path = json_string(one, "path");
		r = kind_of(name ? name : "", error);
		if (r >= 0 && seen & r)
			r = error_set(error, -EINVAL, "namespace '%s' is there twice", name);
		if (r < 0)
			break;
		seen |= r;
		if (path && *path)
			r = join_add(&n, r, path, error);
		else if (r == CLONE_NEWCGROUP)
			n.fresh_group = true;
		else
			n.fresh |= r;
	}
	if (r >= 0 && !(n.fresh & CLONE_NEWNS))
		r = error_set(error, -EINVAL, "a container needs a mount namespace of its own");
	if (r < 0)
		namespaces_fini(&n);
	else
		*ret = n;
	return r < 0 ? r : 0;
}

int namespaces_enter(struct namespaces *n, struct error *error)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (unsigned i = 0; i < n->joined_count; i++)
			if (n->joined[i].type == kinds[k].type && setns(n->joined[i].fd, kinds[k].type) < 0)
				return error_errno(error, errno, "enter the %s namespace", kinds[k].name);
	return 0;
}

int namespaces_enter_all(pid_t pid, struct error *error)
{
	_cleanup_(close_p) int fd = pidfd_open(pid, 0);
	struct stat theirs, ours;
	char path[64];
	int types = 0;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, kinds[k].file);
		if (stat(path, &theirs) < 0)
			return error_errno(error, errno, "the container's %s namespace", kinds[k].name);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[k].file);
		if (stat(path, &ours) < 0 || ours.st_ino != theirs.st_ino)
			types |= kinds[k].type;
	}
	if (types && setns(fd, types) < 0)
		return error_errno(error, errno, "enter the container");
	return 0;
}

void namespaces_fini(struct namespaces *n)
{
	while (n->joined_count)
		close(n->joined[--n->joined_count].fd);
}
