/* SPDX-License-Identifier: Apache-2.0 */
/* A container's beginning and its end. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/conversation.h"
#include "engine/oci/console.h"
#include "engine/oci/hooks.h"
#include "engine/oci/oci.h"
#include "engine/oci/place.h"
#include "engine/oci/spawn.h"
#include "engine/oci/sync.h"
#include "engine/title.h"

/* cgroupsPath as it is, or in systemd's words "slice:prefix:name", which mean a path as well. */
static void group_path(const struct state *s, const struct place *place, char *ret, size_t size)
{
	const char *given = json_text_at(s->bundle.config, "linux.cgroupsPath");
	char slice[200], prefix[100], name[200];

	if (place->group[0])
		snprintf(ret, size, "/%s/%s", place->group, s->id);
	else if (!given || !*given)
		snprintf(ret, size, "/polytropon-oci/%s", s->id);
	else if (sscanf(given, "%199[^:/]:%99[^:/]:%199[^:/]", slice, prefix, name) == 3)
		snprintf(ret, size, "/%s/%s-%s.scope", slice, prefix, name);
	else
		snprintf(ret, size, "%s%s", *given == '/' ? "" : "/", given);
}

static void remember(struct state *s, pid_t pid, const struct place *place)
{
	char when[40];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	json_set(s->json, "created", "%s", when);
	json_object_object_add(s->json, "pid", json_object_new_int(pid));
	json_object_object_add(s->json, "began", json_object_new_int64(process_began(pid)));
	if (place->pool)
		json_set(s->json, "pool", "%s", place->pool);
}

int oci_pid_file(const char *path, pid_t pid, struct error *error)
{
	char next[PATH_MAX];
	FILE *f;

	if (!path)
		return 0;
	snprintf(next, sizeof(next), "%s.next", path);
	f = fopen(next, "we");
	if (!f || fprintf(f, "%d", pid) < 0 || fclose(f) != 0 || rename(next, path) < 0)
		return error_errno(error, errno, "write '%s'", path);
	return 0;
}

/* Listed by `ps` until the connection ends. */
static int join_pool(struct place *place, const struct state *s, pid_t pid, struct error *error)
{
	struct json_object *parameters = json_object_new_object();
	struct json_object *args = json_at(s->bundle.config, "process.args", json_type_array);

	json_set(parameters, "pool", "%s", place->pool);
	json_object_object_add(parameters, "pid", json_object_new_int(pid));
	json_object_object_add(parameters, "listed", json_object_new_boolean(true));
	json_set(parameters, "command", "%s: %s", s->id, json_word(args, 0));
	return engine_call(place->connection, "Join", parameters, NULL, NULL, error) == CALL_OK ? 0 : -EIO;
}

#define LIMIT_ANNOTATION "io.polytropon.io."

/* What its annotations say of its I/O. The engine knows which there are. */
static int limit_in_pool(struct place *place, const struct state *s, pid_t pid, struct error *error)
{
	struct json_object *annotations = json_at(s->bundle.config, "annotations", json_type_object), *parameters;
	struct json_object *settings = json_object_new_object();

	if (annotations) {
		json_object_object_foreach(annotations, key, value) {
			if (!strncmp(key, LIMIT_ANNOTATION, strlen(LIMIT_ANNOTATION)))
				json_object_object_add(settings, key + strlen("io.polytropon."), json_object_get(value));
		}
	}
	if (!json_object_object_length(settings)) {
		json_object_put(settings);
		return 0;
	}
	parameters = json_object_new_object();
	json_set(parameters, "pool", "%s", place->pool);
	json_object_object_add(parameters, "pid", json_object_new_int(pid));
	json_object_object_add(parameters, "settings", settings);
	return engine_call(place->connection, "Limit", parameters, NULL, NULL, error) == CALL_OK ? 0 : -EIO;
}

struct joining {
	struct state *state;
	struct place *place;
};

static int join_groups(void *arg, pid_t pid, struct error *error)
{
	struct joining *a = arg;
	int r = a->place->pool ? join_pool(a->place, a->state, pid, error) : 0;

	if (r == 0 && a->place->pool)
		r = limit_in_pool(a->place, a->state, pid, error);
	return r == 0 ? limits_join(&a->state->limits, pid, error) : r;
}

static int make_in(struct state *s, const struct oci_create *c, struct place *place, int *ret_master,
		   struct error *error)
{
	struct joining arg = {s, place};
	struct spawn spawn = {.bundle = &s->bundle, .limits = &s->limits, .place = place, .lock = s->lock,
			      .join = join_groups, .join_arg = &arg, .preserve_fds = c->preserve_fds};
	char path[sizeof(s->limits.path)];
	int r;

	group_path(s, place, path, sizeof(path));
	limits_init(&s->limits, path);
	r = limits_make(&s->limits, json_at(s->bundle.config, "linux.resources", json_type_object), error);
	if (r < 0)
		return r;
	spawn.listen = state_listen(s, error);
	if (spawn.listen < 0)
		return spawn.listen;
	spawn.state = state_public(s, STATE_CREATING);
	r = spawn_make(&spawn, error);
	close_p(&spawn.listen);
	json_object_put(spawn.state);
	if (r < 0)
		return r;
	remember(s, spawn.pid, place);
	r = state_write(s, error);
	if (r == 0)
		r = oci_pid_file(c->pid_file, spawn.pid, error);
	if (r < 0)
		kill(spawn.pid, SIGKILL);
	*ret_master = spawn.master;
	return r;
}

static void unmake(struct state *s)
{
	limits_signal(&s->limits, SIGKILL);
	limits_remove(&s->limits);
	state_remove(s);
	state_fini(s);
}

int oci_make_of(const char *root, const char *id, const struct bundle *bundle, const struct oci_create *c,
		struct state *ret, struct place *ret_place, int *ret_master, struct error *error)
{
	struct place place;
	struct state s;
	int r = state_new(root, id, bundle, &s, error), master = -1;

	if (r < 0)
		return r;
	*ret = s; /* where the bundle stays: the place knows it */
	r = place_find(&ret->bundle, &place, error);
	if (r == 0) {
		r = make_in(ret, c, &place, &master, error);
		if (r < 0)
			place_fini(&place);
	}
	if (r < 0) {
		close_p(&master);
		unmake(ret);
		return r;
	}
	*ret_place = place;
	*ret_master = master;
	return 0;
}

/* Whoever wants a terminal must say where it is to go. */
static int check_terminal(const struct bundle *b, const struct oci_create *c, struct error *error)
{
	bool wanted = json_true_at(b->config, "process.terminal");

	if (wanted && !c->console_socket)
		return error_set(error, -EINVAL, "process.terminal needs --console-socket");
	if (!wanted && c->console_socket)
		return error_set(error, -EINVAL, "--console-socket is given, but process.terminal is not set");
	return 0;
}

/* The runtime returns; what the engine gave lasts as long as somebody's connection. */
static void leave_keeper(struct place *place, pid_t container)
{
	struct pollfd end = {.events = POLLIN};

	if (!place->pool || fork() != 0)
		return;
	setsid();
	title_set("polytropon keeps a root of pool %s", place->pool);
	end.fd = pidfd_open(container, 0);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		close(fd);
	dup3(place->connection, 3, O_CLOEXEC);
	dup3(end.fd, 4, O_CLOEXEC);
	close_range(5, ~0u, 0);
	end.fd = 4;
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int oci_make(const struct oci *oci, const char *id, const struct oci_create *c, struct state *ret, struct error *error)
{
	struct bundle bundle;
	struct place place;
	int master = -1, r = bundle_open(c->bundle, c->config, &bundle, error);

	if (r < 0)
		return r;
	r = check_terminal(&bundle, c, error);
	if (r == 0)
		r = oci_make_of(oci->root, id, &bundle, c, ret, &place, &master, error);
	bundle_fini(&bundle);
	if (r < 0)
		return r;
	if (master >= 0)
		r = console_send(c->console_socket, master, error);
	close_p(&master);
	leave_keeper(&place, state_pid(ret));
	place_fini(&place);
	if (r < 0) {
		oci_delete(ret, true, &(struct error){});
		state_fini(ret);
	}
	return r;
}

/* ---- start --------------------------------------------------------------------------------------- */

int oci_start(struct state *state, struct error *error)
{
	_cleanup_(json_put_p) struct json_object *public = NULL;
	_cleanup_(close_p) int fd = -1;
	char path[PATH_MAX];
	struct error why;
	int r;

	if (state_status(state) != STATE_CREATED)
		return error_set(error, -EINVAL, "container '%s' is %s; only what is created can be started", state->id,
				 state_status_name(state_status(state)));
	fd = state_connect(state, error);
	if (fd < 0)
		return fd;
	r = sync_wait(fd, SYNC_READY, NULL, NULL, &why);
	snprintf(path, sizeof(path), "%s/start", state->dir);
	unlink(path);
	if (r != -ECONNRESET)
		return error_set(error, r, "%s", why.text);
	public = state_public(state, STATE_RUNNING);
	/* It runs: what a late hook says does not end it. */
	if (hooks_run(state->bundle.config, "poststart", public, &why) < 0)
		fprintf(stderr, "polytropon: %s\n", why.text);
	return 0;
}

/* ---- delete -------------------------------------------------------------------------------------- */

static void end_it(const struct state *s)
{
	pid_t pid = state_pid(s);

	if (limits_frozen(&s->limits))
		limits_freeze(&s->limits, false, &(struct error){});
	if (pid)
		kill(pid, SIGKILL);
	limits_signal(&s->limits, SIGKILL);
	for (int i = 0; i < 1000 && state_pid(s); i++)
		nanosleep(&(struct timespec){0, 5 * 1000 * 1000}, NULL);
}

int oci_delete(struct state *state, bool force, struct error *error)
{
	enum state_status status = state_status(state);
	_cleanup_(json_put_p) struct json_object *public = NULL;
	struct error why;

	if (status != STATE_STOPPED && status != STATE_CREATED && status != STATE_CREATING && !force)
		return error_set(error, -EBUSY, "container '%s' is %s; --force ends it first", state->id,
				 state_status_name(status));
	end_it(state);
	/* Without a PID namespace of its own, others may be left. */
	limits_signal(&state->limits, SIGKILL);
	limits_remove(&state->limits);
	public = state_public(state, STATE_STOPPED);
	if (hooks_run(state->bundle.config, "poststop", public, &why) < 0)
		fprintf(stderr, "polytropon: %s\n", why.text);
	state_remove(state);
	return 0;
}
