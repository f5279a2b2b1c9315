/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/oci/console.h"
#include "engine/oci/hooks.h"
#include "engine/oci/namespaces.h"
#include "engine/oci/spawn.h"
#include "engine/oci/sync.h"
#include "engine/title.h"

/* ---- the container's first process -------------------------------------------------------------- */

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	_cleanup_(close_p) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		ioctl(fd, SIOCSIFFLAGS, &request);
}

/* Those of a namespace of its own; others are the host's. 0: none has it. */
static int sysctl_namespace(const char *key)
{
	static const char *const ipc[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
					  "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};

	if (!strncmp(key, "net.", 4))
		return CLONE_NEWNET;
	if (!strncmp(key, "fs.mqueue.", 10))
		return CLONE_NEWIPC;
	if (!strcmp(key, "kernel.domainname") || !strcmp(key, "kernel.hostname"))
		return CLONE_NEWUTS;
	if (!strncmp(key, "user.", 5))
		return CLONE_NEWUSER;
	for (size_t i = 0; i < ARRAY_LEN(ipc); i++)
		if (!strcmp(key, ipc[i]))
			return CLONE_NEWIPC;
	return 0;
}

static bool is_own(const struct namespaces *n, int type)
{
	for (unsigned i = 0; i < n->joined_count; i++)
		if (n->joined[i].type == type)
			return true;
	return n->fresh & type;
}

static int set_sysctls(struct json_object *config, const struct namespaces *n, struct error *error)
{
	struct json_object *list = json_at(config, "linux.sysctl", json_type_object);
	char path[256];

	if (!list)
		return 0;
	json_object_object_foreach(list, key, value) {
		_cleanup_(close_p) int fd = -1;
		const char *text = json_object_get_string(value);
		if (!is_own(n, sysctl_namespace(key)))
			return error_set(error, -EINVAL, "sysctl '%.60s' is of no namespace that the container has of its own", key);
		snprintf(path, sizeof(path), "/proc/sys/%s", key);
		for (char *p = path + strlen("/proc/sys/"); *p; p++)
			*p = *p == '.' ? '/' : *p;
		fd = strstr(path, "//") ? -1 : open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, text, strlen(text)) < 0)
			return error_errno(error, errno, "set sysctl '%s'", key);
	}
	return 0;
}

static int settle_in(struct spawn *s, const struct namespaces *n, struct error *error)
{
	const char *host = json_text_at(s->bundle->config, "hostname");
	const char *domain = json_text_at(s->bundle->config, "domainname");

	setsid();
	/* A process that entered as nobody that the namespace knows. */
	if (n->fresh & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return error_errno(error, errno, "become root of the user namespace");
	if (n->fresh_group && unshare(CLONE_NEWCGROUP) < 0)
		return error_errno(error, errno, "make a cgroup namespace");
	if (n->fresh & CLONE_NEWNET)
		loopback_up();
	if (host && *host && sethostname(host, strlen(host)) < 0)
		return error_errno(error, errno, "set the host name");
	if (domain && *domain && setdomainname(domain, strlen(domain)) < 0)
		return error_errno(error, errno, "set the domain name");
	return set_sysctls(s->bundle->config, n, error);
}

static int wants_terminal(const struct spawn *s)
{
	return !s->keep_stdio && json_true_at(s->bundle->config, "process.terminal");
}

/* Bound over /dev/console, as programs that log there expect it. */
static int terminal_make(struct spawn *s, int root, int *ret_slave, struct error *error)
{
	struct json_object *process = json_child(s->bundle->config, "process", json_type_object);
	_cleanup_(close_p) int target = -1;
	char slave[64];
	int master;

	if (!wants_terminal(s))
		return -1;
	master = console_make(root, process, ret_slave, error);
	if (master < 0)
		return -2;
	snprintf(slave, sizeof(slave), "/proc/self/fd/%d", *ret_slave);
	target = root_open(root, "/dev/console", true, false);
	if (target >= 0)
		mount_bind(slave, target, 0, false, &(struct error){});
	return master;
}

/* As long as the root can be written. If it cannot be made, it is missed when the program is to begin in it. */
static void make_cwd(struct spawn *s, int root)
{
	const char *cwd = json_text_at(s->bundle->config, "process.cwd");
	_cleanup_(close_p) int made = cwd && *cwd == '/' ? root_open(root, cwd, true, true) : -1;

	(void)made;
}

/* The root, up to where it could be entered. */
static int prepare_root(struct spawn *s, int *ret_root, struct error *error)
{
	int root = root_prepare(s->bundle, s->place->root, s->place->tree, error), r;

	if (root < 0)
		return root;
	*ret_root = root;
	r = mounts_make(s->bundle, root, s->limits, error);
	if (r == 0)
		make_cwd(s, root);
	if (r == 0)
		r = devices_make(s->bundle, root, error);
	return r == 0 && s->place->pool ? place_furnish(s->place, root, error) : r;
}

static int build_inside(struct spawn *s, const struct namespaces *n, int sync, int *ret_master, int *ret_slave,
			struct error *error)
{
	_cleanup_(close_p) int root = -1;
	int r = settle_in(s, n, error);

	if (r == 0)
		r = prepare_root(s, &root, error);
	if (r == 0)
		r = sync_send(sync, SYNC_MOUNTED, 0, NULL, -1);
	if (r == 0)
		r = sync_wait(sync, SYNC_GO, NULL, NULL, error);
	if (r == 0)
		r = hooks_run(s->bundle->config, "createContainer", s->state, error);
	if (r < 0)
		return r;
	*ret_master = terminal_make(s, root, ret_slave, error);
	if (*ret_master == -2)
		return -EIO;
	r = paths_hide(s->bundle, root, error);
	return r < 0 ? r : root_enter(root, error);
}

/* Whoever connects lets the program begin, and learns how that went; otherwise the runtime does. */
static int wait_for_go(struct spawn *s, int sync)
{
	struct error error;
	int fd;

	if (s->listen < 0) {
		if (sync_wait(sync, SYNC_GO, NULL, NULL, &error) < 0)
			_exit(1);
		return sync;
	}
	/* Nobody may be left to hear of it. */
	close(sync);
	do
		fd = accept4(s->listen, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		_exit(1);
	close(s->listen);
	return fd;
}

static void first_process(struct spawn *s, const struct namespaces *n, int sync)
{
	struct become b = {.process = json_child(s->bundle->config, "process", json_type_object),
			   .seccomp = json_at(s->bundle->config, "linux.seccomp", json_type_object),
			   .extra_env = s->place->env,
			   .preserve_fds = s->preserve_fds};
	char program[PATH_MAX];
	struct error error = {};
	int master = -1, slave = -1, go, r = 0;

	if (sync_wait(sync, SYNC_GO, NULL, NULL, &error) < 0)
		_exit(1);
	if (build_inside(s, n, sync, &master, &slave, &error) < 0)
		sync_give_up(sync, 0, &error);
	if (slave >= 0 && console_take(slave, &error) < 0)
		sync_give_up(sync, 0, &error);
	if (b.process && (r = process_find(&b, program, &error)) < 0)
		sync_give_up(sync, r, &error);
	if (sync_send(sync, SYNC_READY, 0, NULL, master) < 0)
		_exit(1);
	close_p(&master);
	title_set("polytropon container waits");
	go = wait_for_go(s, sync);
	if (!b.process)
		error_set(&error, -EINVAL, "config.json has no process to start");
	else if (hooks_run(s->bundle->config, "startContainer", s->state, &error) == 0)
		r = process_become(&b, program, NULL, NULL, &error);
	sync_give_up(go, r, &error);
}

/* ---- the one between ---------------------------------------------------------------------------- */

static int write_map(int proc, pid_t pid, const char *file, struct json_object *list)
{
	char path[64], text[4096];
	size_t len = 0;
	_cleanup_(close_p) int fd = -1;

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i);
		len += snprintf(text + len, len < sizeof(text) ? sizeof(text) - len : 0, "%lld %lld %lld\n",
				(long long)json_number(m, "containerID", 0), (long long)json_number(m, "hostID", 0),
				(long long)json_number(m, "size", 0));
		if (len >= sizeof(text))
			return -E2BIG;
	}
	snprintf(path, sizeof(path), "%d/%s", pid, file);
	fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, text, len) < 0 ? -errno : 0;
}

static int write_maps(const struct spawn *s, int proc, pid_t pid, struct error *error)
{
	int r = write_map(proc, pid, "uid_map", json_at(s->bundle->config, "linux.uidMappings", json_type_array));

	if (r == 0)
		r = write_map(proc, pid, "gid_map", json_at(s->bundle->config, "linux.gidMappings", json_type_array));
	return r < 0 ? error_errno(error, r, "map the users of the container") : 0;
}

static int enter_pool(struct place *place, struct error *error)
{
	int r;

	if (setns(place->init, CLONE_NEWNS) < 0)
		return error_errno(error, errno, "enter pool '%s'", place->pool);
	r = place_fetch(place, error);
	if (r == 0 && setns(place->init, place->namespaces) < 0)
		r = error_errno(error, errno, "enter pool '%s'", place->pool);
	return r;
}

/* In the words of the host, whose /proc this is. */
static pid_t host_pid(int proc, int pidfd)
{
	char path[64], line[128];
	int pid = 0;

	snprintf(path, sizeof(path), "self/fdinfo/%d", pidfd);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	_cleanup_(fclose_p) FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	return pid;
}

static void make_first(struct spawn *s, struct namespaces *n, int sync, int proc)
{
	int pidfd = -1;
	struct clone_args args = {.flags = CLONE_PARENT | CLONE_PIDFD | n->fresh, .pidfd = (uintptr_t)&pidfd};
	struct error error;
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		close(proc);
		first_process(s, n, sync);
	}
	if (pid < 0) {
		error_errno(&error, errno, "make the container's namespaces");
		sync_give_up(sync, 0, &error);
	}
	pid = host_pid(proc, pidfd);
	if (n->fresh & CLONE_NEWUSER && write_maps(s, proc, pid, &error) < 0) {
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		sync_give_up(sync, 0, &error);
	}
	_exit(sync_send(sync, SYNC_PID, pid, NULL, -1) < 0);
}

/* A new PID namespace is made only by who is in the one that it is to be nested in: one process more. */
static void nest(struct spawn *s, struct namespaces *n, int sync, int proc)
{
	struct clone_args args = {.flags = CLONE_PARENT};
	struct error error;
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		make_first(s, n, sync, proc);
	if (pid < 0) {
		error_errno(&error, errno, "enter pool '%s'", s->place->pool);
		sync_give_up(sync, 0, &error);
	}
	_exit(sync_send(sync, SYNC_NESTED, pid, NULL, -1) < 0);
}

static void between(struct spawn *s, struct namespaces *n, int sync, int runtime_end)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error error;

	close(runtime_end);
	close_p(&s->lock);
	if (s->place->pool && enter_pool(s->place, &error) < 0)
		sync_give_up(sync, 0, &error);
	if (namespaces_enter(n, &error) < 0)
		sync_give_up(sync, 0, &error);
	if (s->place->pool)
		nest(s, n, sync, proc);
	make_first(s, n, sync, proc);
}

/* ---- the runtime -------------------------------------------------------------------------------- */

static int hooks_of_runtime(struct spawn *s, struct error *error)
{
	int r = hooks_run(s->bundle->config, "prestart", s->state, error);

	return r == 0 ? hooks_run(s->bundle->config, "createRuntime", s->state, error) : r;
}

/* The one in the pool's PID namespace and the one that it makes may speak in any order. */
static int first_pid(struct spawn *s, struct sync_message *ret, struct error *error)
{
	struct sync_message m;
	pid_t nested = 0;
	int r = 0;

	ret->pid = 0;
	while (r == 0 && (!ret->pid || (s->place->pool && !nested))) {
		r = sync_wait(s->sync, SYNC_ANY, &m, NULL, error);
		if (r == 0 && m.kind == SYNC_NESTED)
			nested = m.pid;
		else if (r == 0 && m.kind == SYNC_PID)
			ret->pid = m.pid;
		else if (r == 0)
			r = error_set(error, -EPROTO, "the container's process says what it should not");
	}
	if (nested)
		waitpid(nested, NULL, __WALL);
	return r;
}

static int guide(struct spawn *s, struct error *error)
{
	struct sync_message m;
	int r = first_pid(s, &m, error);

	if (r < 0)
		return r;
	s->pid = m.pid;
	json_object_object_add(s->state, "pid", json_object_new_int(s->pid));
	r = s->join ? s->join(s->join_arg, s->pid, error) : limits_join(s->limits, s->pid, error);
	if (r == 0 && sync_send(s->sync, SYNC_GO, 0, NULL, -1) < 0)
		r = -EPIPE;
	if (r == 0)
		r = sync_wait(s->sync, SYNC_MOUNTED, NULL, NULL, error);
	if (r == 0)
		r = hooks_of_runtime(s, error);
	if (r == 0 && sync_send(s->sync, SYNC_GO, 0, NULL, -1) < 0)
		r = -EPIPE;
	return r == 0 ? sync_wait(s->sync, SYNC_READY, NULL, &s->master, error) : r;
}

int spawn_make(struct spawn *s, struct error *error)
{
	struct namespaces n;
	int pair[2], r = namespaces_read(s->bundle->config, &n, error);
	pid_t pid;

	s->pid = 0;
	s->sync = s->master = -1;
	if (r == 0)
		r = sync_pair(pair, error);
	if (r < 0)
		return r;
	s->sync = pair[0];
	pid = fork();
	if (pid == 0)
		between(s, &n, pair[1], pair[0]);
	close(pair[1]);
	r = pid < 0 ? error_errno(error, errno, "start a process") : guide(s, error);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	namespaces_fini(&n);
	if (r < 0 && s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, __WALL);
		s->pid = 0;
	}
	if (r < 0 || s->listen >= 0)
		close_p(&s->sync);
	return r;
}

/* The end of the connection without a word is the beginning of the program. */
int spawn_go(struct spawn *s, struct error *error)
{
	struct error why;
	int r = sync_send(s->sync, SYNC_GO, 0, NULL, -1);

	if (r == 0)
		r = sync_wait(s->sync, SYNC_READY, NULL, NULL, &why);
	close_p(&s->sync);
	return r == -ECONNRESET ? 0 : error_set(error, r, "%s", why.text);
}
