/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run --root`. The process that made a container stays as long as it runs: the command itself, or with --detach a
 * child of it, which writes what the program says into a log of limited size. Its connection to the engine is what
 * keeps the root mounted and the container in the list of `ps`; its end is the end of the container's traces.
 */
#include "engine/oci/contain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/conversation.h"
#include "engine/oci/foreground.h"
#include "engine/oci/place.h"
#include "engine/oci/self.h"
#include "engine/runtime-dir.h"
#include "ipc/wire.h"

enum { CONFIG_MAX = 8 << 20, LOG_MAX = 8 << 20 };

void contain_root(const char *pool, char *ret, size_t size)
{
	snprintf(ret, size, "%s/containers/%s", runtime_dir(), pool);
}

void contain_log(const char *pool, const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "%s/containers/%s/%s.log", runtime_dir(), pool, name);
}

/* ---- the store ------------------------------------------------------------------------------------- */

static pid_t pid_of(int pidfd)
{
	char path[64], line[128];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	_cleanup_(fclose_p) FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	return pid;
}

/* By the pool's eyes, and along no links: what is in the store is the tenant's. */
struct json_object *contain_image(int init, const char *kind, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	char path[300];
	_cleanup_(close_p) int root = -1, fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/root" WIRE_ROOTS, pid_of(init));
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s/config.json", kind, name);
	fd = root < 0 ? -1 : syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > CONFIG_MAX)
		return NULL;
	return json_object_from_fd(fd);
}

/* A container remembers what its image said of it. */
static void keep_image_config(int init, const char *name, struct json_object *image)
{
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/root" WIRE_ROOTS, pid_of(init));
	_cleanup_(close_p) int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct open_how how = {.flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			       .mode = 0644,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	snprintf(path, sizeof(path), "containers/%s/config.json", name);
	_cleanup_(close_p) int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd >= 0)
		json_object_to_fd(fd, image, JSON_C_TO_STRING_PLAIN);
}

static int call(int connection, const char *method, const char *pool, const char *source, const char *name,
		struct json_object **ret, struct error *error)
{
	struct json_object *parameters = json_object_new_object();

	json_set(parameters, "pool", "%s", pool);
	if (source)
		json_set(parameters, "source", "%s", source);
	if (name)
		json_set(parameters, "name", "%s", name);
	return engine_call(connection, method, parameters, ret, NULL, error) == CALL_OK ? 0 : -EIO;
}

static bool is_container(struct json_object *reply, const char *name)
{
	struct json_object *list = json_child(reply, "containers", json_type_array);

	for (size_t i = 0; i < json_length(list); i++)
		if (!strcmp(json_string(json_object_array_get_idx(list, i), "name"), name))
			return true;
	return false;
}

/* Makes the container unless the root is one. *ret_made: it was made here. */
static int find_root(int connection, struct container_wish *w, bool *ret_made, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	static char name[32];
	int r = call(connection, "Containers", w->pool, NULL, NULL, &reply, error);

	*ret_made = false;
	if (r < 0)
		return r;
	if (is_container(reply, w->root)) {
		if (w->name)
			return error_set(error, -EINVAL, "'%s' is a container, which has its name", w->root);
		w->name = w->root;
		return 0;
	}
	if (!w->name) {
		snprintf(name, sizeof(name), "run-%d", getpid());
		w->name = name;
	}
	r = call(connection, "Clone", w->pool, w->root, w->name, NULL, error);
	*ret_made = r == 0;
	return r;
}

/* ---- making ---------------------------------------------------------------------------------------- */

struct contain {
	struct container_wish *wish;
	int connection;
	bool made, keep; /* keep: it stays when it ends */
	struct state state;
	struct place place;
	int master;
};

static int enter(int connection, const char *pool, int *ret_init, struct error *error)
{
	struct json_object *parameters = json_object_new_object();

	json_set(parameters, "pool", "%s", pool);
	return engine_call(connection, "Enter", parameters, NULL, ret_init, error) == CALL_OK ? 0 : -EIO;
}

static int make_bundle(struct contain *c, struct bundle *ret, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *image = NULL;
	_cleanup_(close_p) int init = -1;
	struct json_object *config;
	int r = enter(c->connection, c->wish->pool, &init, error);

	if (r < 0)
		return r;
	image = contain_image(init, c->made ? "images" : "containers", c->made ? c->wish->root : c->wish->name);
	if (image && c->keep && c->made)
		keep_image_config(init, c->wish->name, image);
	r = container_config(c->wish, image, &config, error);
	return r < 0 ? r : bundle_make(config, "/", ret, error);
}

/* What an engine or a machine that died left of its name is in nobody's way. */
static void forget_stopped(const char *root, const char *name)
{
	struct state old;
	struct error ignored;

	if (state_open(root, name, &old, &ignored) < 0)
		return;
	if (state_status(&old) == STATE_STOPPED || state_status(&old) == STATE_CREATING)
		oci_delete(&old, true, &ignored);
	state_fini(&old);
}

static int make(struct contain *c, struct error *error)
{
	char root[PATH_MAX];
	struct bundle bundle;
	int r = find_root(c->connection, c->wish, &c->made, error);

	if (r == 0)
		r = make_bundle(c, &bundle, error);
	if (r < 0)
		return r;
	contain_root(c->wish->pool, root, sizeof(root));
	forget_stopped(root, c->wish->name);
	r = oci_make_of(root, c->wish->name, &bundle, &(struct oci_create){}, &c->state, &c->place, &c->master, error);
	bundle_fini(&bundle);
	return r;
}

static void remove_it(struct contain *c)
{
	struct error error;

	if (c->made && !c->keep &&
	    call(c->connection, "RemoveContainer", c->wish->pool, NULL, c->wish->name, NULL, &error) < 0)
		complain("%s", error.text);
}

static void unmake(struct contain *c)
{
	struct error error;

	if (oci_delete(&c->state, true, &error) < 0)
		complain("%s", error.text);
	state_fini(&c->state);
	place_fini(&c->place);
	remove_it(c);
}

static int open_pool(struct contain *c)
{
	c->connection = command_connect();
	if (c->connection == -ENOENT)
		return complain("no pool '%s' runs, nor any other", c->wish->pool);
	return c->connection < 0 ? EXIT_OURS : 0;
}

/* ---- in the foreground ------------------------------------------------------------------------------- */

static int status_of(int r)
{
	return r == -ENOENT ? EXIT_NOT_FOUND : r == -EACCES ? EXIT_NOT_EXECUTABLE : EXIT_OURS;
}

static int run_here(struct contain *c)
{
	struct error error;
	pid_t pid;
	int r = make(c, &error);

	if (r < 0) {
		complain("%s", error.text);
		remove_it(c);
		return status_of(r);
	}
	pid = state_pid(&c->state);
	r = oci_start(&c->state, &error);
	if (r < 0) {
		complain("%s", error.text);
		r = status_of(r);
	} else {
		close_p(&c->state.lock);
		r = foreground_wait(pid, c->master);
	}
	close_p(&c->master);
	unmake(c);
	return r;
}

/* ---- in the background ------------------------------------------------------------------------------- */

/* A log of at most twice LOG_MAX bytes: the older half gives way. */
static int log_turn(int fd, const char *path)
{
	char old[PATH_MAX + 4];
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < LOG_MAX)
		return fd;
	snprintf(old, sizeof(old), "%s.1", path);
	if (fd >= 0)
		rename(path, old);
	close_p(&fd);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static void keep_log(const char *path, int from, pid_t pid)
{
	_cleanup_(close_p) int pidfd = pidfd_open(pid, 0);
	struct pollfd fds[] = {{from, POLLIN, 0}, {pidfd, POLLIN, 0}};
	char buf[16384];
	int log = log_turn(-1, path);
	ssize_t n = 1;

	while (poll(fds, 2, -1) > 0 || errno == EINTR) {
		if (fds[0].revents) {
			n = read(from, buf, sizeof(buf));
			log = log_turn(log, path);
			if (n > 0 && write(log, buf, n) < 0)
				n = 0;
			if (n <= 0)
				fds[0].fd = -1;
		} else if (fds[1].revents) {
			break;
		}
	}
	close_p(&log);
}

static void tell(int answer, const char *text)
{
	if (write(answer, text, strlen(text) + 1) < 0)
		_exit(EXIT_OURS);
	close(answer);
}

static void background(struct contain *c, int answer)
{
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char path[PATH_MAX];
	struct error error;
	pid_t pid;

	setsid();
	signal(SIGPIPE, SIG_IGN);
	if (open_pool(c) != 0 || pipe2(out, O_CLOEXEC) < 0)
		_exit(EXIT_OURS);
	dup2(null, STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	dup2(out[1], STDERR_FILENO);
	close(out[1]);
	if (make(c, &error) < 0) {
		tell(answer, error.text);
		remove_it(c);
		_exit(EXIT_OURS);
	}
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	pid = state_pid(&c->state);
	if (oci_start(&c->state, &error) < 0) {
		tell(answer, error.text);
	} else {
		close_p(&c->state.lock);
		tell(answer, "");
		contain_log(c->wish->pool, c->wish->name, path, sizeof(path));
		keep_log(path, out[0], pid);
		waitpid(pid, NULL, 0);
	}
	unmake(c);
	_exit(0);
}

static int run_detached(struct contain *c)
{
	char text[512] = "";
	int answer[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(answer, O_CLOEXEC) < 0)
		return complain("make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		close(answer[0]);
		background(c, answer[1]);
	}
	close(answer[1]);
	do
		n = read(answer[0], text, sizeof(text) - 1);
	while (n < 0 && errno == EINTR);
	close(answer[0]);
	if (pid < 0 || n < 1)
		return complain("the container's process ended before it began");
	return *text ? complain("%s", text) : 0;
}

int contain_run(struct container_wish *wish, bool detach)
{
	struct contain c = {.wish = wish, .connection = -1, .master = -1, .keep = wish->name};
	struct error error;
	int r;

	c.state.lock = -1;
	if (detach && wish->tty)
		return complain("--detach and --tty do not go together");
	if (self_protect(&error) < 0)
		return complain("%s", error.text);
	if (detach)
		return run_detached(&c);
	r = open_pool(&c);
	if (r == 0)
		r = run_here(&c);
	close_p(&c.connection);
	return r;
}

int contain_exec(const char *pool, const char *name, bool tty, char **argv)
{
	char root[PATH_MAX];
	struct oci oci = {.root = root};
	char *words[64] = {};
	struct error error;
	size_t n = 0;

	if (self_protect(&error) < 0)
		return complain("%s", error.text);
	contain_root(pool, root, sizeof(root));
	if (tty)
		words[n++] = "--tty";
	words[n++] = (char *)name;
	words[n++] = "--";
	while (*argv && n + 1 < ARRAY_LEN(words))
		words[n++] = *argv++;
	if (*argv)
		return complain("more than %zu words", ARRAY_LEN(words) - 4);
	return oci_exec(&oci, words);
}
