/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/oci/bundle.h"
#include "engine/oci/limits.h"

/* ---- hierarchies ------------------------------------------------------------------------------- */

static const char *const known[] = {"cpu",  "cpuacct",    "cpuset",   "memory",  "devices", "freezer",
				    "pids", "blkio",      "hugetlb",  "net_cls", "net_prio", "perf_event",
				    "rdma", "misc"};

static void hierarchy_add(struct limits *l, const struct mntent *m)
{
	struct limits_hierarchy *h = &l->hierarchy[l->count];

	if (l->count == LIMITS_HIERARCHIES || strlen(m->mnt_dir) >= sizeof(h->mount))
		return;
	*h = (struct limits_hierarchy){.unified = !strcmp(m->mnt_type, "cgroup2")};
	snprintf(h->mount, sizeof(h->mount), "%s", m->mnt_dir);
	for (size_t i = 0; i < ARRAY_LEN(known) && !h->unified; i++)
		if (hasmntopt(m, known[i]))
			snprintf(h->controllers + strlen(h->controllers),
				 sizeof(h->controllers) - strlen(h->controllers), "%s%s",
				 h->controllers[0] ? "," : "", known[i]);
	/* A hierarchy without controllers is somebody's own, such as systemd's. */
	l->count += h->unified || h->controllers[0];
}

void limits_init(struct limits *limits, const char *path)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	*limits = (struct limits){};
	snprintf(limits->path, sizeof(limits->path), "%s", path);
	while (f && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup") || !strcmp(m->mnt_type, "cgroup2"))
			hierarchy_add(limits, m);
	if (f)
		endmntent(f);
}

void limits_dir(const struct limits *limits, unsigned i, char *ret, size_t size)
{
	snprintf(ret, size, "%s%s", limits->hierarchy[i].mount, limits->path);
}

static bool has_controller(const struct limits_hierarchy *h, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = h->controllers; (p = strstr(p, name)); p += n)
		if ((p == h->controllers || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

static int write_text(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX];
	_cleanup_(close_p) int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool read_text(const char *dir, const char *file, char *buf, size_t size)
{
	char path[PATH_MAX];
	_cleanup_(fclose_p) FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "re");
	if (!f || !fgets(buf, size, f))
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

/* ---- making ------------------------------------------------------------------------------------ */

/* A v1 cpuset has neither cores nor memory at first, and holds no process then. */
static void inherit_cpuset(const char *dir, const char *parent)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char have[1024], text[1024];

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if ((!read_text(dir, files[i], have, sizeof(have)) || !have[0]) &&
		    read_text(parent, files[i], text, sizeof(text)))
			write_text(dir, files[i], text);
}

/* What the parent has its children may have, too. */
static void delegate(const char *parent)
{
	char have[512], one[64], *save = NULL;

	if (!read_text(parent, "cgroup.controllers", have, sizeof(have)))
		return;
	for (char *word = strtok_r(have, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		snprintf(one, sizeof(one), "+%s", word);
		write_text(parent, "cgroup.subtree_control", one);
	}
}

static int make_in(const struct limits *l, unsigned i)
{
	const struct limits_hierarchy *h = &l->hierarchy[i];
	char parent[PATH_MAX], dir[PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", h->mount);
	for (const char *p = l->path; *p;) {
		p += strcspn(p + 1, "/") + 1;
		snprintf(dir, sizeof(dir), "%s%.*s", h->mount, (int)(p - l->path), l->path);
		if (h->unified)
			delegate(parent);
		if (mkdir(dir, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (has_controller(h, "cpuset"))
			inherit_cpuset(dir, parent);
		snprintf(parent, sizeof(parent), "%s", dir);
	}
	return 0;
}

int limits_make(struct limits *limits, struct json_object *resources, struct error *error)
{
	char dir[PATH_MAX];
	int r;

	for (unsigned i = 0; limits->path[0] && i < limits->count; i++) {
		r = make_in(limits, i);
		limits_dir(limits, i, dir, sizeof(dir));
		if (r < 0)
			return error_errno(error, r, "make cgroup '%s'", dir);
		limits->devices_enforced |= has_controller(&limits->hierarchy[i], "devices");
	}
	return resources && limits->path[0] ? limits_apply(limits, resources, error) : 0;
}

/* ---- resources --------------------------------------------------------------------------------- */

static const struct resource {
	const char *key;        /* below linux.resources */
	const char *controller; /* of version 1 */
	const char *file[2];    /* by version; NULL: it has none */
} resources_known[] = {
	{"memory.limit", "memory", {"memory.limit_in_bytes", "memory.max"}},
	{"memory.reservation", "memory", {"memory.soft_limit_in_bytes", "memory.low"}},
	{"memory.swap", "memory", {"memory.memsw.limit_in_bytes", "memory.swap.max"}},
	{"cpu.shares", "cpu", {"cpu.shares", "cpu.weight"}},
	{"cpu.period", "cpu", {"cpu.cfs_period_us", NULL}},
	{"cpu.quota", "cpu", {"cpu.cfs_quota_us", "cpu.max"}},
	{"cpu.cpus", "cpuset", {"cpuset.cpus", "cpuset.cpus"}},
	{"cpu.mems", "cpuset", {"cpuset.mems", "cpuset.mems"}},
	{"pids.limit", "pids", {"pids.max", "pids.max"}},
	{"blockIO.weight", "blkio", {"blkio.weight", "io.bfq.weight"}},
};

/* In the words of the version: -1 is "max" in the newer, shares are weights, a quota has its period with it. */
static bool resource_text(const struct resource *k, struct json_object *resources, bool unified, char *ret, size_t size)
{
	struct json_object *number = json_at(resources, k->key, json_type_int);
	const char *words = json_text_at(resources, k->key);
	int64_t n = number ? json_object_get_int64(number) : 0;
	struct json_object *period = json_at(resources, "cpu.period", json_type_int);
	struct json_object *memory = json_at(resources, "memory.limit", json_type_int);

	if (words)
		snprintf(ret, size, "%s", words);
	if (!number || (n == 0 && strcmp(k->key, "cpu.quota")))
		return words && *words;
	if (!strcmp(k->key, "pids.limit") && n < 0)
		snprintf(ret, size, "max");
	else if (!unified)
		snprintf(ret, size, "%lld", (long long)n);
	else if (!strcmp(k->key, "cpu.shares"))
		snprintf(ret, size, "%lld", 1 + ((long long)n - 2) * 9999 / 262142);
	else if (!strcmp(k->key, "cpu.quota") && n > 0)
		snprintf(ret, size, "%lld %lld", (long long)n,
			 period ? (long long)json_object_get_int64(period) : 100000ll);
	else if (!strcmp(k->key, "memory.swap") && n > 0 && memory)
		snprintf(ret, size, "%lld", (long long)(n - json_object_get_int64(memory)));
	else if (n <= 0)
		snprintf(ret, size, "max");
	else
		snprintf(ret, size, "%lld", (long long)n);
	return true;
}

static int apply_one(const struct limits *l, const struct resource *k, struct json_object *resources,
		     struct error *error)
{
	int r = -ENOENT;
	char dir[PATH_MAX], text[512];

	for (unsigned i = 0; i < l->count; i++) {
		const struct limits_hierarchy *h = &l->hierarchy[i];
		if (!k->file[h->unified] || (!h->unified && !has_controller(h, k->controller)))
			continue;
		if (!resource_text(k, resources, h->unified, text, sizeof(text)))
			return 0;
		limits_dir(l, i, dir, sizeof(dir));
		r = write_text(dir, k->file[h->unified], text);
		if (r == 0)
			return 0;
	}
	/* Swap is accounted for on some hosts only, and without it nothing exceeds the limit of memory. */
	if (!k->file[1] || !strcmp(k->key, "memory.swap") || !resource_text(k, resources, true, text, sizeof(text)))
		return 0;
	return error_errno(error, r, "resource limit %s=%s", k->key, text);
}

/* Version 2 has no such switch: it is taken for what a group without it does. */
static int apply_oom(const struct limits *l, struct json_object *resources, struct error *error)
{
	char dir[PATH_MAX];
	int r = 0;

	if (!json_true_at(resources, "memory.disableOOMKiller"))
		return 0;
	for (unsigned i = 0; i < l->count && r == 0; i++) {
		if (l->hierarchy[i].unified || !has_controller(&l->hierarchy[i], "memory"))
			continue;
		limits_dir(l, i, dir, sizeof(dir));
		r = write_text(dir, "memory.oom_control", "1");
	}
	return r < 0 ? error_errno(error, r, "resource limit memory.disableOOMKiller") : 0;
}

static void device_text(struct json_object *rule, char *ret, size_t size)
{
	const char *type = json_string(rule, "type"), *access = json_string(rule, "access");
	struct json_object *major = json_child(rule, "major", json_type_int),
			   *minor = json_child(rule, "minor", json_type_int);
	char a[24] = "*", b[24] = "*";

	if (major && json_object_get_int64(major) >= 0)
		snprintf(a, sizeof(a), "%lld", (long long)json_object_get_int64(major));
	if (minor && json_object_get_int64(minor) >= 0)
		snprintf(b, sizeof(b), "%lld", (long long)json_object_get_int64(minor));
	if ((!type || !strcmp(type, "a")) && a[0] == '*' && b[0] == '*')
		snprintf(ret, size, "a");
	else
		snprintf(ret, size, "%s %s:%s %s", type ? type : "a", a, b, access ? access : "rwm");
}

/* Those that every container has, whatever the rules say. */
static const char *const devices_always[] = {"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
					     "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", "c *:* m", "b *:* m"};

static int apply_devices(const struct limits *l, struct json_object *rules, struct error *error)
{
	char dir[PATH_MAX], text[128];
	unsigned i = 0;
	int r = 0;

	while (i < l->count && !has_controller(&l->hierarchy[i], "devices"))
		i++;
	if (i == l->count || !json_length(rules))
		return 0;
	limits_dir(l, i, dir, sizeof(dir));
	for (size_t n = 0; n < json_length(rules) && r == 0; n++) {
		struct json_object *rule = json_object_array_get_idx(rules, n);
		device_text(rule, text, sizeof(text));
		r = write_text(dir, json_true(rule, "allow") ? "devices.allow" : "devices.deny", text);
	}
	for (size_t n = 0; n < ARRAY_LEN(devices_always) && r == 0; n++)
		r = write_text(dir, "devices.allow", devices_always[n]);
	return r < 0 ? error_errno(error, r, "device rule '%s' of cgroup '%s'", text, dir) : 0;
}

/* Names of the newer version, as they are. */
static int apply_unified(const struct limits *l, struct json_object *files, struct error *error)
{
	char dir[PATH_MAX];

	if (!files)
		return 0;
	for (unsigned i = 0; i < l->count; i++) {
		if (!l->hierarchy[i].unified)
			continue;
		limits_dir(l, i, dir, sizeof(dir));
		json_object_object_foreach(files, name, value) {
			int r = strchr(name, '/') ? -EINVAL : write_text(dir, name, json_object_get_string(value));
			if (r < 0)
				return error_errno(error, r, "resource limit unified.%s", name);
		}
	}
	return 0;
}

int limits_apply(const struct limits *limits, struct json_object *resources, struct error *error)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(resources_known) && r == 0; i++)
		r = apply_one(limits, &resources_known[i], resources, error);
	if (r == 0)
		r = apply_oom(limits, resources, error);
	if (r == 0)
		r = apply_devices(limits, json_child(resources, "devices", json_type_array), error);
	return r == 0 ? apply_unified(limits, json_child(resources, "unified", json_type_object), error) : r;
}

/* ---- processes --------------------------------------------------------------------------------- */

int limits_join(const struct limits *limits, pid_t pid, struct error *error)
{
	char dir[PATH_MAX], text[24];

	snprintf(text, sizeof(text), "%d", pid);
	for (unsigned i = 0; limits->path[0] && i < limits->count; i++) {
		limits_dir(limits, i, dir, sizeof(dir));
		int r = write_text(dir, "cgroup.procs", text);
		if (r < 0)
			return error_errno(error, r, "put process %d into cgroup '%s'", pid, dir);
	}
	return 0;
}

struct json_object *limits_processes(const struct limits *limits)
{
	struct json_object *list = json_object_new_array();
	char path[PATH_MAX];
	FILE *f = NULL;
	int pid;

	/* Every hierarchy has the same ones; the first that is still there tells. */
	for (unsigned i = 0; limits->path[0] && i < limits->count && !f; i++) {
		limits_dir(limits, i, path, sizeof(path) - 16);
		strcat(path, "/cgroup.procs");
		f = fopen(path, "re");
	}
	while (f && fscanf(f, "%d", &pid) == 1)
		json_object_array_add(list, json_object_new_int(pid));
	if (f)
		fclose(f);
	return list;
}

int limits_signal(const struct limits *limits, int signal)
{
	_cleanup_(json_put_p) struct json_object *list = limits_processes(limits);
	int n = json_length(list);

	for (int i = 0; i < n; i++)
		kill(json_object_get_int(json_object_array_get_idx(list, i)), signal);
	return n;
}

static const char *freezer(const struct limits *l, char *dir, size_t size, bool *ret_unified)
{
	for (unsigned i = 0; l->path[0] && i < l->count; i++)
		if (has_controller(&l->hierarchy[i], "freezer")) {
			limits_dir(l, i, dir, size);
			*ret_unified = false;
			return "freezer.state";
		}
	for (unsigned i = 0; l->path[0] && i < l->count; i++)
		if (l->hierarchy[i].unified) {
			limits_dir(l, i, dir, size);
			*ret_unified = true;
			return "cgroup.freeze";
		}
	return NULL;
}

int limits_freeze(const struct limits *limits, bool freeze, struct error *error)
{
	char dir[PATH_MAX];
	bool unified;
	const char *file = freezer(limits, dir, sizeof(dir), &unified);
	int r = -EOPNOTSUPP;

	if (file)
		r = write_text(dir, file, unified ? freeze ? "1" : "0" : freeze ? "FROZEN" : "THAWED");
	return r < 0 ? error_errno(error, r, "%s the container's cgroup", freeze ? "freeze" : "thaw") : 0;
}

bool limits_frozen(const struct limits *limits)
{
	char dir[PATH_MAX], text[32];
	bool unified;
	const char *file = freezer(limits, dir, sizeof(dir), &unified);

	return file && read_text(dir, file, text, sizeof(text)) && (text[0] == 'F' || text[0] == '1');
}

/* Groups that the container made inside of its own go first. */
static void remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];

	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			remove_tree(path);
	if (d)
		closedir(d);
	/* Those who have just died may be there for a moment. */
	for (int i = 0; i < 100 && rmdir(dir) < 0 && errno == EBUSY; i++)
		nanosleep(&(struct timespec){0, 5 * 1000 * 1000}, NULL);
}

/* Those above that are our own go with the last in them; one that is in use is not removed by rmdir. */
static void remove_parents(const struct limits *l, unsigned i)
{
	char dir[PATH_MAX];
	size_t mount = strlen(l->hierarchy[i].mount);

	limits_dir(l, i, dir, sizeof(dir));
	if (strncmp(l->path, "/polytropon", strlen("/polytropon")))
		return;
	for (char *slash = strrchr(dir, '/'); slash && slash > dir + mount; slash = strrchr(dir, '/')) {
		*slash = '\0';
		if (rmdir(dir) < 0)
			return;
	}
}

void limits_remove(const struct limits *limits)
{
	char dir[PATH_MAX];

	for (unsigned i = 0; limits->path[0] && limits->path[1] && i < limits->count; i++) {
		limits_dir(limits, i, dir, sizeof(dir));
		remove_tree(dir);
		remove_parents(limits, i);
	}
}
