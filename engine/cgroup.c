/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <libcgroup.h>
#include <signal.h>
#include <string.h>

#include "engine/cgroup.h"
#include "libservices/libservice.h"

#define GROUP_PARENT "polytropon"

static const struct controller {
	const char *name;
	const char *limit;   /* key of the spec */
	const char *file[2]; /* by version, 1 and 2 */
} controllers[GROUP_CONTROLLERS] = {
	[GROUP_CPUSET] = {"cpuset", "cpus", {"cpuset.cpus", "cpuset.cpus"}},
	[GROUP_CPU] = {"cpu", "cpu_weight", {"cpu.shares", "cpu.weight"}},
	[GROUP_MEMORY] = {"memory", "memory", {"memory.limit_in_bytes", "memory.max"}},
};

/* Where each controller is mounted; constant after groups_init. */
static struct {
	char *path; /* NULL: nowhere */
	bool unified;
} mounted[GROUP_CONTROLLERS];

static const char *reason(int code)
{
	return code == ECGOTHER ? strerror(cgroup_get_last_errno()) : cgroup_strerror(code);
}

void groups_init(void)
{
	if (cgroup_init() != 0)
		return;
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		char file[PATH_MAX];
		if (mounted[i].path ||
		    cgroup_get_subsys_mount_point(controllers[i].name, &mounted[i].path) != 0)
			continue;
		snprintf(file, sizeof(file), "%s/cgroup.controllers", mounted[i].path);
		mounted[i].unified = access(file, F_OK) == 0;
	}
}

/* The value of a file of the hierarchy's root, such as cpuset.mems, without its newline. */
static bool root_value(int i, const char *file, char *buf, size_t size)
{
	char path[PATH_MAX];
	_cleanup_(fclose_p) FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/%s", mounted[i].path, file);
	f = fopen(path, "re");
	if (!f || !fgets(buf, size, f))
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	return *buf;
}

/* What the spec's word is in the words of the controller. */
static void limit_text(int i, const char *value, char *buf, size_t size)
{
	uint64_t n = 0;

	snprintf(buf, size, "%s", value);
	if (i == GROUP_MEMORY && ls_parse_size(value, &n) == 0)
		snprintf(buf, size, "%llu", (unsigned long long)n);
	if (i == GROUP_CPU && !mounted[i].unified)
		snprintf(buf, size, "%d", atoi(value) * 1024 / 100 < 2 ? 2 : atoi(value) * 1024 / 100);
}

/* A v1 cpuset holds no process before it has cores and memory nodes, and inherits neither. */
static void fill_cpuset(struct cgroup_controller *c, bool cpus_given)
{
	char text[4096];

	if (!cpus_given && root_value(GROUP_CPUSET, "cpuset.cpus", text, sizeof(text)))
		cgroup_add_value_string(c, "cpuset.cpus", text);
	if (root_value(GROUP_CPUSET, "cpuset.mems", text, sizeof(text)))
		cgroup_add_value_string(c, "cpuset.mems", text);
}

static int create(int i, const char *name, const char *value)
{
	struct cgroup *g = cgroup_new_cgroup(name);
	struct cgroup_controller *c = g ? cgroup_add_controller(g, controllers[i].name) : NULL;
	char text[4096];
	int r = ECGFAIL;

	if (c && value) {
		limit_text(i, value, text, sizeof(text));
		cgroup_add_value_string(c, controllers[i].file[mounted[i].unified], text);
	}
	if (c && i == GROUP_CPUSET && !mounted[i].unified)
		fill_cpuset(c, value);
	if (c)
		r = cgroup_create_cgroup(g, 0);
	cgroup_free(&g);
	return r;
}

/* Another engine may remove the parent, empty for a moment, between the two steps. */
static int create_below_parent(int i, const char *name, const char *value)
{
	int r = 0;

	for (int try = 0; try < 3; try++) {
		r = create(i, GROUP_PARENT, NULL);
		if (r == 0)
			r = create(i, name, value);
		if (r == 0)
			break;
	}
	return r;
}

/* What the library returns does not tell whether a group that was not empty is still there. */
static int delete_one(int i, const char *name, int flags)
{
	struct cgroup *g = cgroup_new_cgroup(name);
	char path[PATH_MAX];

	if (g && cgroup_add_controller(g, controllers[i].name))
		cgroup_delete_cgroup_ext(g, flags);
	cgroup_free(&g);
	snprintf(path, sizeof(path), "%s/%s", mounted[i].path, name);
	return access(path, F_OK) < 0 ? 0 : -EBUSY;
}

static void not_enforced(int i, const char *value, const char *why, struct json_object *warnings)
{
	json_say(warnings, "the limit %s=%s is not enforced: %s%s", controllers[i].limit, value, why,
		 i == GROUP_CPUSET ?
			 "; its processes are bound to these cores instead, which they may change" :
			 "");
}

void group_make(struct group *group, const char *name, struct json_object *spec,
		struct json_object *warnings)
{
	char why[256];

	snprintf(group->name, sizeof(group->name), GROUP_PARENT "/%s", name);
	group->have = 0;
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		const char *value = json_string(spec, controllers[i].limit);
		int r;
		if (!mounted[i].path) {
			snprintf(why, sizeof(why), "the host has no cgroup controller '%s'",
				 controllers[i].name);
			if (value)
				not_enforced(i, value, why, warnings);
			continue;
		}
		r = create_below_parent(i, group->name, value);
		if (r == 0) {
			group->have |= 1u << i;
			continue;
		}
		snprintf(why, sizeof(why), "cgroup '%s/%s': %s", mounted[i].path, group->name, reason(r));
		delete_one(i, group->name, CGFLAG_DELETE_EMPTY_ONLY);
		if (value)
			not_enforced(i, value, why, warnings);
	}
}

int group_join(const struct group *group, pid_t pid, struct error *error)
{
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		struct cgroup *g;
		int r = ECGFAIL;
		if (!(group->have & 1u << i))
			continue;
		g = cgroup_new_cgroup(group->name);
		if (g && cgroup_add_controller(g, controllers[i].name))
			r = cgroup_attach_task_pid(g, pid);
		cgroup_free(&g);
		if (r != 0)
			return error_set(error, -EIO, "cgroup '%s/%s': %s", mounted[i].path, group->name,
					 reason(r));
	}
	return 0;
}

int group_limit(const struct group *group, const char *key, const char *value, struct error *error)
{
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		int r;
		if (strcmp(controllers[i].limit, key))
			continue;
		if (!(group->have & 1u << i))
			return error_set(error, -EOPNOTSUPP,
					 "'%s' cannot be set: the pool has no cgroup of controller '%s'",
					 key, controllers[i].name);
		r = create(i, group->name, value);
		return r == 0 ? 0 :
				error_set(error, -EIO, "'%s=%s': cgroup '%s/%s': %s", key, value,
					  mounted[i].path, group->name, reason(r));
	}
	return error_set(error, -EINVAL, "'%s' is not a limit", key);
}

void group_kill(const struct group *group)
{
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		pid_t *pids = NULL;
		int count = 0;
		if (!(group->have & 1u << i) ||
		    cgroup_get_procs((char *)group->name, (char *)controllers[i].name, &pids, &count) != 0)
			continue;
		for (int n = 0; n < count; n++)
			kill(pids[n], SIGKILL);
		free(pids);
	}
}

int group_remove(struct group *group, bool force)
{
	int flags =
		force ? CGFLAG_DELETE_IGNORE_MIGRATION | CGFLAG_DELETE_RECURSIVE : CGFLAG_DELETE_EMPTY_ONLY;

	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		if (!(group->have & 1u << i))
			continue;
		if (delete_one(i, group->name, flags) < 0 && !force)
			return -EBUSY;
		group->have &= ~(1u << i);
		delete_one(i, GROUP_PARENT, CGFLAG_DELETE_EMPTY_ONLY);
	}
	return 0;
}

/* Names end with the pid of their engine: alice.1234, run-1234; those of the host's daemon do not. */
static bool owner_lives(const char *name)
{
	const char *digits = name + strlen(name);

	while (digits > name && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (!*digits || digits == name || (digits[-1] != '.' && strncmp(name, "run-", 4)))
		return false;
	return kill(atoi(digits), 0) == 0 || errno != ESRCH;
}

void groups_clean(void)
{
	for (int i = 0; i < GROUP_CONTROLLERS; i++) {
		char path[PATH_MAX], name[300];
		struct dirent *d;
		DIR *dir;
		if (!mounted[i].path)
			continue;
		snprintf(path, sizeof(path), "%s/" GROUP_PARENT, mounted[i].path);
		dir = opendir(path);
		while (dir && (d = readdir(dir))) {
			snprintf(name, sizeof(name), GROUP_PARENT "/%s", d->d_name);
			if (d->d_type == DT_DIR && d->d_name[0] != '.' && !owner_lives(d->d_name))
				delete_one(i, name, CGFLAG_DELETE_EMPTY_ONLY);
		}
		if (!dir)
			continue;
		closedir(dir);
		delete_one(i, GROUP_PARENT, CGFLAG_DELETE_EMPTY_ONLY);
	}
}
