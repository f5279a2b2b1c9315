/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's service: its start, its questions and answers, its deaths. See service/boot.h.
 *
 * The service runs in the pool's cgroup, in the host's PID and user namespaces, in a mount namespace of its
 * own. It gets all that it may touch as descriptors. It cannot start in an empty root, where there is no
 * loader; so when it has answered the boot message, and before a client is told that the pool is up, a
 * child enters its mount namespace and puts a read-only root under it with nothing but /proc
 * (service_lock_in): pivot_root moves the root of every process of a namespace. /proc, which it has as a
 * descriptor anyway, is how an O_PATH descriptor is opened anew on kernels without the newer calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/cache.h"
#include "engine/cluster.h"
#include "engine/cpus.h"
#include "engine/engine.h"
#include "engine/mounts.h"
#include "engine/programs.h"
#include "engine/reaper.h"
#include "engine/roots.h"
#include "engine/table.h"
#include "engine/volume.h"
#include "service/boot.h"

/* ---- the boot message -------------------------------------------------------------------------- */

/* The descriptors of the place after BUILD_FDS are the hosts' and the FUSE devices'; those named here come
 * before them. */
enum { BOOT_LISTEN, BOOT_TABLE, BOOT_PROC, BOOT_CACHE, BOOT_CACHE_LARGE, BOOT_METER, BOOT_PLACE };

static int put_name(struct json_object *file, void *arg)
{
	json_set(arg, "name", "volume on '%s'", json_string(file, "path"));
	return 1;
}

static int put_image_fd(struct json_object *file, void *arg)
{
	int *next = arg;

	images_put_fd(file, (*next)++);
	return 0;
}

/* It is called by its first image in what the service says of it. */
static void put_volume_fds(struct json_object *config, int *next)
{
	struct json_object *area = json_child(config, "area", json_type_object);

	images_each(area, put_image_fd, next);
	if (!json_object_object_get_ex(config, "name", NULL))
		images_each(area, put_name, config);
}

struct put {
	const struct pool *pool;
	int next;
};

static int put_cluster_fds(const char *type, struct json_object *config, void *arg)
{
	struct put *put = arg;

	cluster_put(config, put->pool->name, &put->next);
	return 0;
}

static int put_host_fd(const char *type, struct json_object *config, void *arg)
{
	struct put *put = arg;

	if (!strcmp(type, "host"))
		json_object_object_add(config, "fd", json_object_new_int(put->next++));
	if (!strcmp(type, "volume"))
		put_volume_fds(config, &put->next);
	return cluster_each(type, config, put_cluster_fds, put);
}

static struct json_object *boot_mounts(const struct pool *pool)
{
	struct json_object *stacks = json_child(pool->spec, "mounts", json_type_object);
	struct json_object *places = json_child(pool->place.json, "mounts", json_type_array);
	struct json_object *list = json_object_new_array();
	struct put put = {pool, BOOT_PLACE};
	size_t i = 0;

	json_object_object_foreach(stacks, path, stack) {
		struct json_object *m = json_object_new_object();
		struct json_object *place = json_object_array_get_idx(places, i++);
		struct json_object *copy = json_tokener_parse(json_object_to_json_string(stack));
		(void)path;
		stack_walk(copy, put_host_fd, &put);
		json_object_object_add(m, "path", json_object_new_string(json_string(place, "path")));
		json_object_object_add(m, "stack",
				       cache_put_on(pool->spec, copy, BOOT_CACHE, pool->cache_large < 0 ? -1 : BOOT_CACHE_LARGE));
		json_object_array_add(list, m);
	}
	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i);
		if (!json_true(json_object_array_get_idx(places, i), "fuse"))
			continue;
		json_object_object_add(m, "fuse", json_object_new_int(put.next++));
		json_object_object_add(m, "root", json_object_new_int(put.next++));
		json_object_object_add(m, "fuse_live", json_object_new_boolean(pool->fuse_live));
	}
	return list;
}

static struct json_object *boot_cpus(const struct pool *pool)
{
	const char *cpus = json_string(pool->spec, "cpus");
	cpu_set_t set;

	cpus_allowed(&set);
	if (cpus)
		cpus_parse(cpus, &set);
	return cpus_json(&set);
}

/* By its number; 0 if it cannot be told. */
static int64_t mount_namespace(const struct pool *pool)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pool->init);
	return stat(path, &st) == 0 ? (int64_t)st.st_ino : 0;
}

static struct json_object *boot_limits(const struct pool *pool)
{
	struct json_object *list = json_object_new_array(), *o;
	struct container *c;

	TAILQ_FOREACH(c, &pool->containers, link) {
		if (!c->limits)
			continue;
		o = json_object_new_object();
		json_set(o, "pid", "%d", c->pid);
		json_object_object_add(o, "settings", json_object_get(c->limits));
		json_object_array_add(list, o);
	}
	return list;
}

static int boot_send(struct pool *pool)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	size_t place = pool->place.fd_count - BUILD_FDS, roots;
	int *fds = calloc(BOOT_PLACE + place + 2 * roots_count(pool), sizeof(int));
	int r;

	if (!fds)
		return error_errno(&pool->error, ENOMEM, "boot the service");
	fds[BOOT_LISTEN] = pool_fd(pool, BUILD_LISTEN);
	fds[BOOT_TABLE] = pool_fd(pool, BUILD_TABLE);
	fds[BOOT_PROC] = pool->engine->proc;
	fds[BOOT_CACHE] = pool->cache;
	fds[BOOT_CACHE_LARGE] = pool->cache_large >= 0 ? pool->cache_large : pool->cache;
	fds[BOOT_METER] = pool->meter >= 0 ? pool->meter : pool->cache;
	memcpy(fds + BOOT_PLACE, pool->place.fds + BUILD_FDS, place * sizeof(int));
	json_object_object_add(json, "method", json_object_new_string("boot"));
	json_object_object_add(json, "pool", json_object_new_string(pool->name));
	json_object_object_add(json, "generation", json_object_new_int64(pool->table->generation + 1));
	json_object_object_add(json, "listen", json_object_new_int(BOOT_LISTEN));
	json_object_object_add(json, "table", json_object_new_int(BOOT_TABLE));
	json_object_object_add(json, "proc", json_object_new_int(BOOT_PROC));
	json_object_object_add(json, "mnt_ns", json_object_new_int64(mount_namespace(pool)));
	json_object_object_add(json, "init", json_object_new_int(pool->init));
	if (pool->meter >= 0)
		json_object_object_add(json, "meter", json_object_new_int(BOOT_METER));
	json_object_object_add(json, "cpus", boot_cpus(pool));
	json_object_object_add(json, "settings", spec_settings(pool->spec));
	json_object_object_add(json, "mounts", boot_mounts(pool));
	json_object_object_add(json, "limits", boot_limits(pool));
	json_object_object_add(json, "roots", roots_boot(pool, fds + BOOT_PLACE + place, BOOT_PLACE + place, &roots));
	r = parcel_send(pool->service.socket.fd, json, fds, BOOT_PLACE + place + roots);
	free(fds);
	/* One that has ended already is noticed as a child, and knows better why. */
	if (r == -EPIPE || r == -ECONNRESET)
		return 0;
	return r < 0 ? error_errno(&pool->error, r, "send the boot message to the service") : 0;
}

/* ---- the process ------------------------------------------------------------------------------- */

static int child_prepare(struct pool *pool, struct error *error)
{
	const char *cpus = json_string(pool->spec, "cpus");
	sigset_t none;
	cpu_set_t set;
	int r = group_join(&pool->group, getpid(), error);

	if (r < 0)
		return r;
	if (cpus && !(pool->group.have & 1u << GROUP_CPUSET) && cpus_parse(cpus, &set) == 0)
		sched_setaffinity(0, sizeof(set), &set);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    chdir("/") < 0)
		return error_errno(error, errno, "make a mount namespace for the service");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

/* In the child. The answer of a service that could not start is a service's answer. */
static void child_run(struct pool *pool, const char *program, int socket)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	struct error error;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* No death signal: at the end of its engine the service reads the end of BOOT_FD, writes back and
	 * exits. The reaper sees to it that it does. */
	dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (child_prepare(pool, &error) == 0) {
		if (socket == BOOT_FD)
			fcntl(socket, F_SETFD, 0);
		else
			dup2(socket, BOOT_FD);
		/* The name is for people, and for finding who has an image. */
		execl(program, "polytropon-service", "--boot", pool->name, NULL);
		error_errno(&error, errno, "start '%s'", program);
		socket = BOOT_FD;
	}
	json_object_object_add(json, "ok", json_object_new_boolean(false));
	json_object_object_add(json, "error", json_object_new_string(error.text));
	parcel_send(socket, json, NULL, 0);
	_exit(1);
}

static void service_ready(struct source *source, uint32_t events);

static int spawn(struct pool *pool, const char *program)
{
	struct service *s = &pool->service;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(&pool->error, errno, "make the service's socket");
	s->pid = fork();
	if (s->pid == 0)
		child_run(pool, program, pair[1]);
	close(pair[1]);
	if (s->pid < 0) {
		s->pid = 0;
		close(pair[0]);
		return error_errno(&pool->error, errno, "start the service");
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	s->pidfd = pidfd_open(s->pid, 0);
	s->socket = (struct source){.fd = pair[0], .ready = service_ready};
	return loop_add(pool->engine->epoll, &s->socket, EPOLLIN);
}

int service_start(struct pool *pool)
{
	char program[PATH_MAX];
	struct error why;
	int r;

	if (program_service(program, &why) < 0)
		return error_set(&pool->error, -ENOENT, "no service program: %s", why.text);
	r = cache_dir_open(pool);
	if (r == 0)
		r = spawn(pool, program);
	if (r < 0)
		return r;
	pool->service.answered = false;
	reaper_pool(pool->engine->reaper, pool->name, &pool->group, pool->service.pidfd);
	return boot_send(pool);
}

void service_kill(struct pool *pool)
{
	if (pool->service.pid > 0)
		kill(pool->service.pid, SIGKILL);
}

/* It may have said why before it ended, and its end may be noticed first. */
static void last_words(struct pool *pool)
{
	struct parcel parcel = {};

	if (!pool->service.answered && pool->service.socket.fd >= 0 && !pool->error.text[0] &&
	    parcel_recv(pool->service.socket.fd, &parcel) == 1 && json_string(parcel.json, "error"))
		error_set(&pool->error, 0, "%s", json_string(parcel.json, "error"));
	parcel_fini(&parcel);
}

void service_ended(struct pool *pool, int status)
{
	struct service *s = &pool->service;

	last_words(pool);
	if (!pool->error.text[0] && WIFSIGNALED(status))
		error_set(&pool->error, 0, "its service was killed by signal %d", WTERMSIG(status));
	else if (!pool->error.text[0])
		error_set(&pool->error, 0, "its service ended with status %d", WEXITSTATUS(status));
	s->pid = 0;
	s->answered = false;
	close_p(&s->pidfd);
	loop_close(pool->engine->epoll, &s->socket);
	service_calls_fail(pool);
}

void service_fini(struct pool *pool)
{
	loop_close(pool->engine->epoll, &pool->service.socket);
	close_p(&pool->service.pidfd);
	service_calls_fail(pool);
}

/* ---- questions --------------------------------------------------------------------------------- */

static void told(struct service_call *call, struct json_object *reply)
{
	free(call);
}

void service_calls_fail(struct pool *pool)
{
	struct service_call *call;

	while ((call = TAILQ_FIRST(&pool->service.calls))) {
		TAILQ_REMOVE(&pool->service.calls, call, link);
		call->done(call, NULL);
	}
}

void service_ask(struct pool *pool, struct service_call *call, struct json_object *question)
{
	service_ask_with(pool, call, question, NULL, 0);
}

void service_ask_with(struct pool *pool, struct service_call *call, struct json_object *question, const int *fds,
		      size_t count)
{
	call->pool = pool;
	if (!pool->service.answered || parcel_send(pool->service.socket.fd, question, fds, count) < 0) {
		call->done(call, NULL);
		return;
	}
	TAILQ_INSERT_TAIL(&pool->service.calls, call, link);
}

void service_tell(struct pool *pool, const char *method)
{
	_cleanup_(json_put_p) struct json_object *json = json_object_new_object();
	struct service_call *call = calloc(1, sizeof(*call));

	json_object_object_add(json, "method", json_object_new_string(method));
	if (!call)
		return;
	call->done = told;
	service_ask(pool, call, json);
}

static void booted(struct pool *pool, struct json_object *reply)
{
	const char *error = json_string(reply, "error");

	if (json_true(reply, "ok")) {
		pool->service.answered = true;
		pool->fuse_live = true;
		if (pool->state != POOL_STOPPING)
			service_lock_in(pool);
		return;
	}
	error_set(&pool->error, -EIO, "%s", error ? error : "the service refused without a reason");
	pool_fail(pool);
}

static void service_ready(struct source *source, uint32_t events)
{
	struct pool *pool = container_of(source, struct pool, service.socket);
	struct parcel parcel = {};
	struct service_call *call;
	int r = parcel_recv(source->fd, &parcel);

	if (r < 0) {
		/* Its end is noticed as a child's; a service that talks nonsense is made to end. */
		loop_close(pool->engine->epoll, source);
		if (r != -ECONNRESET)
			service_kill(pool);
	} else if (r == 1 && !pool->service.answered) {
		booted(pool, parcel.json);
	} else if (r == 1 && (call = TAILQ_FIRST(&pool->service.calls))) {
		TAILQ_REMOVE(&pool->service.calls, call, link);
		call->done(call, parcel.json);
	}
	parcel_fini(&parcel);
}

/* ---- the empty root ---------------------------------------------------------------------------- */

/* A mount to be the root, with the caller's /proc in it; its descriptor. /proc stands for any directory
 * here. */
static int make_root(struct error *error)
{
	_cleanup_(close_p) int root = -1,
			       proc = open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr rdonly = {.attr_set = MOUNT_ATTR_RDONLY};

	if (proc < 0)
		return error_errno(error, errno, "copy the mount of '/proc'");
	root = mount_tmpfs("mode=0755,size=4k,nr_inodes=4", error);
	if (root < 0)
		return root;
	if (move_mount(root, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    mkdirat(root, "proc", 0555) < 0 ||
	    move_mount(proc, "", root, "proc", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    mount_setattr(root, "", AT_EMPTY_PATH, &rdonly, sizeof(rdonly)) < 0)
		return error_errno(error, errno, "make an empty root");
	return take_fd(&root);
}

static int lock_in(int pidfd, struct error *error)
{
	_cleanup_(close_p) int root = -1;

	if (setns(pidfd, CLONE_NEWNS) < 0)
		return error_errno(error, errno, "enter the service's mount namespace");
	root = make_root(error);
	if (root < 0)
		return root;
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return error_errno(error, errno, "give the service an empty root");
	return 0;
}

void service_lock_in(struct pool *pool)
{
	pool->locker = fork();
	if (pool->locker == 0) {
		struct error error;
		int r = lock_in(pool->service.pidfd, &error);
		if (r < 0)
			log_line("pool '%s': %s", pool->name, error.text);
		_exit(r < 0);
	}
	if (pool->locker < 0) {
		pool->locker = 0;
		error_errno(&pool->error, errno, "give the service an empty root");
		pool_fail(pool);
		return;
	}
	if (pool->state == POOL_BOOTING)
		pool->state = POOL_LOCKING;
}
