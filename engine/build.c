/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/build.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/cluster.h"
#include "engine/cpus.h"
#include "engine/init.h"
#include "engine/mimic.h"
#include "engine/mounts.h"
#include "engine/parcel.h"
#include "engine/pool-dir.h"
#include "engine/spec.h"
#include "engine/table.h"
#include "engine/title.h"
#include "engine/volume.h"

enum { BUILD_HOSTS_MAX = 1024 };

struct build_mount {
	const char *path; /* as the spec has it */
	char real[PATH_MAX];
	struct fuse_mount fuse; /* device -1: none */
	bool nested;            /* inside another mount of this pool */
};

struct build {
	int socket;
	const char *pool;
	struct json_object *spec;
	const struct group *group;
	struct build_mount mount[WIRE_MOUNTS_FIXED];
	size_t mount_count;
	int host[BUILD_HOSTS_MAX];
	size_t host_count;
	bool one_core;
	struct pool_dir dir;
	char dir_path[PATH_MAX];
	pid_t init;
	int init_fd, hold;
	struct json_object *warnings;
	struct error error;
};

/* ---- before the namespace is ours: what belongs to the host ------------------------------------ */

static int enter_limits(struct build *b)
{
	const char *cpus = json_string(b->spec, "cpus");
	cpu_set_t set;

	cpus_allowed(&set);
	if (cpus)
		cpus_parse(cpus, &set);
	b->one_core = CPU_COUNT(&set) == 1;
	if (cpus && !(b->group->have & 1u << GROUP_CPUSET))
		sched_setaffinity(0, sizeof(set), &set);
	return group_join(b->group, getpid(), &b->error);
}

static int open_cluster(const char *type, struct json_object *config, void *arg)
{
	struct build *b = arg;
	int r;

	if (b->host_count + CLUSTER_FDS > BUILD_HOSTS_MAX)
		return error_set(&b->error, -ENOSPC, "more than %d host layers and images", BUILD_HOSTS_MAX);
	r = cluster_open(config, b->host + b->host_count, &b->error);
	if (r < 0)
		return r;
	b->host_count += r;
	return 0;
}

static int open_volume(struct build *b, struct json_object *config)
{
	struct images volume;
	int r = images_prepare(config, &volume, b->warnings, &b->error);

	if (r < 0)
		return r;
	for (size_t i = 0; i < volume.count && r == 0; i++) {
		if (b->host_count == BUILD_HOSTS_MAX)
			r = error_set(&b->error, -ENOSPC, "more than %d host layers and images", BUILD_HOSTS_MAX);
		else
			b->host[b->host_count++] = take_fd(&volume.image[i].fd);
	}
	images_fini(&volume);
	return r < 0 ? r : cluster_each("volume", config, open_cluster, b);
}

/* The service gets the directory, not its path: whatever is mounted there later, it is the one that was
 * meant. */
static int open_host(const char *type, struct json_object *config, void *arg)
{
	struct build *b = arg;
	const char *path = json_string(config, "path");
	int fd;

	if (!strcmp(type, "volume"))
		return open_volume(b, config);
	if (strcmp(type, "host"))
		return cluster_each(type, config, open_cluster, b);
	if (b->host_count == BUILD_HOSTS_MAX)
		return error_set(&b->error, -ENOSPC, "more than %d host layers", BUILD_HOSTS_MAX);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(&b->error, errno, "open directory '%s'", path);
	b->host[b->host_count++] = fd;
	return 0;
}

static int open_hosts(struct build *b)
{
	struct json_object *mounts = json_child(b->spec, "mounts", json_type_object);

	json_object_object_foreach(mounts, path, stack) {
		int r = stack_walk(stack, open_host, b);
		if (r < 0)
			return r;
		b->mount[b->mount_count++] = (struct build_mount){.path = path, .fuse = {-1, -1, 0}};
	}
	return 0;
}

static void make_fuse(struct build *b)
{
	struct error why;

	for (size_t i = 0; i < b->mount_count; i++) {
		if (mount_fuse(b->pool, &b->mount[i].fuse, &why) == 0)
			continue;
		json_say(
			b->warnings,
			"no FUSE mount at '%s': %s; static programs and whatever the preload library hands to the "
			"kernel will not see its files",
			b->mount[i].path, why.text);
	}
}

/* ---- in the pool's mount namespace ------------------------------------------------------------- */

/* What is mounted on the host later is seen; what is mounted here never leaves. */
static int own_mounts(struct build *b)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(&b->error, errno, "make a mount namespace");
	return 0;
}

/* POSIX shared memory and semaphores are files: an IPC namespace without this would share them. */
static int own_shm(struct build *b)
{
	_cleanup_(close_p) int shm = -1;

	if (access("/dev/shm", F_OK) < 0)
		return 0;
	shm = mount_tmpfs("mode=1777", &b->error);
	return shm < 0 ? shm : mount_attach(shm, "/dev/shm", &b->error);
}

static bool is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

static void find_nested(struct build *b)
{
	for (size_t i = 0; i < b->mount_count; i++)
		for (size_t k = 0; k < b->mount_count; k++)
			if (is_inside(b->mount[i].path, b->mount[k].path))
				b->mount[i].nested = true;
}

/* All mount points come before all mounts: a new root would leave mounts behind. */
static int make_mount_points(struct build *b)
{
	struct mimic mimic = {};
	int r = mimic_directory(&mimic, WIRE_POOL_DIR, b->dir_path, &b->error);

	for (size_t i = 0; i < b->mount_count && r == 0; i++) {
		struct build_mount *m = &b->mount[i];
		if (!m->nested)
			r = mimic_directory(&mimic, m->path, m->real, &b->error);
		else
			snprintf(m->real, sizeof(m->real), "%s", m->path);
		if (r == 0 && strlen(m->real) >= WIRE_MOUNT_PATH_MAX)
			r = error_errno(&b->error, ENAMETOOLONG, "mount point '%s'", m->real);
		if (r == 0 && (!strcmp(b->dir_path, m->real) || is_inside(b->dir_path, m->real)))
			r = error_set(&b->error, -EBUSY, "mount point '%s' would hide the pool's own '%s'",
				      m->path, b->dir_path);
		for (size_t k = 0; k < i && r == 0; k++)
			if (!strcmp(m->real, b->mount[k].real))
				r = error_set(&b->error, -EBUSY,
					      "mount points '%s' and '%s' are one directory",
					      b->mount[k].path, m->path);
	}
	return r;
}

static int attach(struct build *b, bool nested)
{
	int r = 0;

	for (size_t i = 0; i < b->mount_count && r == 0; i++)
		if (b->mount[i].nested == nested && b->mount[i].fuse.mount >= 0)
			r = mount_attach_last(&b->mount[i].fuse.mount, b->mount[i].real, &b->error);
	if (r == -ENOENT && nested)
		r = error_set(&b->error, r,
			      "%s (a mount point inside another mount is a directory of that mount)",
			      strdupa(b->error.text));
	return r;
}

static int fill_table(struct build *b)
{
	struct wire_table *table = table_map(b->dir.table);

	if (!table)
		return error_errno(&b->error, errno, "map the pool's table");
	for (size_t i = 0; i < b->mount_count; i++) {
		struct wire_mount *m = &table->mount[i];
		m->dev = b->mount[i].fuse.dev;
		m->flags = b->mount[i].fuse.device >= 0 ? WIRE_MOUNT_FUSE : 0;
		m->path_len = snprintf(m->path, sizeof(m->path), "%s", b->mount[i].real);
	}
	table->mount_count = b->mount_count;
	table_unmap(table);
	return 0;
}

/* ---- init -------------------------------------------------------------------------------------- */

/* Its parent is to be the engine, whose death it must feel, not this process. */
static int spawn_init(struct build *b)
{
	bool network = json_true(b->spec, "network"), user = json_true(b->spec, "user");
	int hold[2], pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			 (network ? CLONE_NEWNET : 0) | (user ? CLONE_NEWUSER : 0),
		.pidfd = (uintptr_t)&pidfd,
	};
	long pid;

	if (pipe2(hold, O_CLOEXEC) < 0)
		return error_errno(&b->error, errno, "make a pipe");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		init_run(hold[0], b->pool, network);
	close(hold[0]);
	b->hold = hold[1];
	if (pid < 0)
		return error_errno(&b->error, errno, "make the pool's namespaces");
	b->init = pid;
	b->init_fd = pidfd;
	return 0;
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	_cleanup_(close_p) int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/*
 * Ids mean the same inside and outside, so that both doors show the same owners; what the namespace takes
 * away is every capability over the host.
 */
static int map_users(struct build *b)
{
	static const char all[] = "0 0 4294967295";
	int r = 0;

	if (json_true(b->spec, "user"))
		r = write_file(b->init, "uid_map", all);
	if (r == 0 && json_true(b->spec, "user"))
		r = write_file(b->init, "gid_map", all);
	return r < 0 ? error_errno(&b->error, r, "map the users of pool '%s'", b->pool) : 0;
}

/* A proc file system shows its mounter's PID namespace, which only a child of ours can be in. */
static int own_proc(struct build *b)
{
	int status = 0;
	pid_t pid;

	if (setns(b->init_fd, CLONE_NEWPID) < 0)
		return error_errno(&b->error, errno, "enter the pool's PID namespace");
	pid = fork();
	if (pid == 0) {
		status = mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
		_exit(status < 0 ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		return error_errno(&b->error, pid < 0 ? errno : WEXITSTATUS(status),
				   "mount '/proc' for the pool");
	return 0;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static int build(struct build *b)
{
	int r = enter_limits(b);

	if (r == 0)
		r = open_hosts(b);
	if (r < 0)
		return r;
	make_fuse(b);
	find_nested(b);
	r = own_mounts(b);
	if (r == 0)
		r = own_shm(b);
	if (r == 0)
		r = make_mount_points(b);
	if (r == 0)
		r = pool_dir_make(b->dir_path, b->pool, b->one_core, &b->dir, b->warnings, &b->error);
	if (r == 0)
		r = fill_table(b);
	if (r == 0)
		r = attach(b, false);
	if (r == 0)
		r = spawn_init(b);
	if (r == 0)
		r = map_users(b);
	/* A pool that exceeds its memory loses a program, not all of them. */
	if (r == 0)
		write_file(b->init, "oom_score_adj", "-1000");
	return r < 0 ? r : own_proc(b);
}

static struct json_object *mounts_json(struct build *b)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < b->mount_count; i++) {
		struct json_object *m = json_object_new_object();
		json_object_object_add(m, "path", json_object_new_string(b->mount[i].real));
		json_object_object_add(m, "dev", json_object_new_int64(b->mount[i].fuse.dev));
		json_object_object_add(m, "fuse", json_object_new_boolean(b->mount[i].fuse.device >= 0));
		json_object_array_add(list, m);
	}
	return list;
}

static int answer(struct build *b)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	int fds[BUILD_FDS + BUILD_HOSTS_MAX + 2 * WIRE_MOUNTS_FIXED] = {
		[BUILD_INIT] = b->init_fd,    [BUILD_HOLD] = b->hold,         [BUILD_DIR] = b->dir.dir,
		[BUILD_TABLE] = b->dir.table, [BUILD_LISTEN] = b->dir.listen,
	};
	size_t n = BUILD_FDS;

	for (size_t i = 0; i < b->host_count; i++)
		fds[n++] = b->host[i];
	for (size_t i = 0; i < b->mount_count; i++)
		if (b->mount[i].fuse.device >= 0) {
			fds[n++] = b->mount[i].fuse.device;
			fds[n++] = b->mount[i].fuse.mount;
		}
	json_object_object_add(json, "ok", json_object_new_boolean(true));
	json_object_object_add(json, "init", json_object_new_int(b->init));
	json_object_object_add(json, "mounts", mounts_json(b));
	json_object_object_add(json, "warnings", json_object_get(b->warnings));
	return parcel_send(b->socket, json, fds, n);
}

static void answer_short(int socket, int r, const struct error *error)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();

	json_object_object_add(json, "ok", json_object_new_boolean(r == 0));
	if (r < 0)
		json_object_object_add(json, "error", json_object_new_string(error->text));
	parcel_send(socket, json, NULL, 0);
}

/* What the engine holds from here on must not be held here too: it ends when the engine lets go. */
static void close_sent(struct build *b)
{
	close_p(&b->hold);
	for (size_t i = 0; i < b->mount_count; i++)
		close_p(&b->mount[i].fuse.device);
}

void build_run(int socket, const char *pool, struct json_object *spec, const struct group *group)
{
	struct build b = {.socket = 3, .pool = pool, .spec = spec, .group = group};
	char go;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	title_set("polytropon builds pool %s", pool);
	if (dup2(socket, 3) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	umask(022);
	b.warnings = json_object_new_array();
	b.init_fd = b.hold = -1;
	r = build(&b);
	if (r == 0)
		r = answer(&b) < 0 ? error_set(&b.error, -EIO, "the engine does not listen") : 0;
	if (r < 0) {
		answer_short(b.socket, r, &b.error);
		_exit(1);
	}
	close_sent(&b);
	if (read(b.socket, &go, 1) != 1)
		_exit(1);
	r = attach(&b, true);
	answer_short(b.socket, r, &b.error);
	_exit(r < 0);
}
