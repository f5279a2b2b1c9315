/* SPDX-License-Identifier: Apache-2.0 */
/* `oci create`, `run` and `exec`. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/oci/console.h"
#include "engine/oci/foreground.h"
#include "engine/oci/oci.h"
#include "engine/oci/spawn.h"
#include "engine/passing.h"

static int take_create(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct oci_create *c = arg;

	if (!strcmp(o->name, "bundle") || !strcmp(o->name, "b"))
		c->bundle = value;
	else if (!strcmp(o->name, "config"))
		c->config = value;
	else if (!strcmp(o->name, "console-socket"))
		c->console_socket = value;
	else if (!strcmp(o->name, "pid-file"))
		c->pid_file = value;
	else if (!strcmp(o->name, "preserve-fds"))
		c->preserve_fds = atoi(value);
	else if (!strcmp(o->name, "detach") || !strcmp(o->name, "d"))
		c->detach = true;
	else if (!strcmp(o->name, "keep"))
		c->keep = true;
	return 0;
}

int oci_cmd_create(const struct oci *oci, const struct command *command, char **argv)
{
	struct oci_create c = {.bundle = "."};
	struct state state;
	struct error error;
	const char *id;
	int r = oci_take_id(command, &argv, take_create, &c, &id);

	if (r != 0)
		return r;
	if (oci_make(oci, id, &c, &state, &error) < 0)
		return oci_fail(oci, &error);
	state_fini(&state);
	return 0;
}

/* ---- run ----------------------------------------------------------------------------------------- */

/* A socket pair of our own stands for the console socket: the terminal comes back to this process. */
struct own_console {
	int listen;
	char path[108];
};

static int own_console_make(struct own_console *o, struct error *error)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(o->path, sizeof(o->path), "/run/polytropon-console.%d", getpid());
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", o->path);
	o->listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	umask(077);
	if (o->listen < 0 || bind(o->listen, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(o->listen, 1) < 0)
		return error_errno(error, errno, "make '%s'", o->path);
	return 0;
}

static int own_console_take(struct own_console *o)
{
	char name[64];
	_cleanup_(close_p) int fd = accept4(o->listen, NULL, NULL, SOCK_CLOEXEC);
	int master = -1;

	if (fd >= 0)
		passing_receive(fd, name, sizeof(name), &master);
	close_p(&o->listen);
	unlink(o->path);
	return master;
}

static bool wants_terminal(const struct oci_create *c)
{
	struct bundle b;
	struct error ignored;
	bool wants;

	if (bundle_open(c->bundle, c->config, &b, &ignored) < 0)
		return false;
	wants = json_true_at(b.config, "process.terminal");
	bundle_fini(&b);
	return wants;
}

static int run_to_end(const struct oci *oci, struct state *state, const struct oci_create *c, int master)
{
	struct error error;
	pid_t pid = state_pid(state);
	int r;

	if (oci_start(state, &error) < 0) {
		oci_fail(oci, &error);
		r = 1;
	} else if (c->detach) {
		return 0;
	} else {
		close_p(&state->lock);
		r = foreground_wait(pid, master);
	}
	if (!c->keep && oci_delete(state, true, &error) < 0)
		oci_fail(oci, &error);
	return r;
}

int oci_cmd_run(const struct oci *oci, const struct command *command, char **argv)
{
	struct oci_create c = {.bundle = "."};
	struct own_console console = {.listen = -1};
	_cleanup_(close_p) int master = -1;
	struct state state;
	struct error error;
	const char *id;
	int r = oci_take_id(command, &argv, take_create, &c, &id);

	if (r != 0)
		return r;
	if (!c.console_socket && !c.detach && wants_terminal(&c)) {
		if (own_console_make(&console, &error) < 0)
			return oci_fail(oci, &error);
		c.console_socket = console.path;
	}
	r = oci_make(oci, id, &c, &state, &error);
	if (console.listen >= 0 && r == 0)
		master = own_console_take(&console);
	if (console.listen >= 0)
		unlink(console.path);
	if (r < 0)
		return oci_fail(oci, &error);
	r = run_to_end(oci, &state, &c, master);
	state_fini(&state);
	return r;
}

/* ---- exec ---------------------------------------------------------------------------------------- */

struct oci_exec {
	const char *process, *cwd, *user, *console_socket, *pid_file;
	struct json_object *env, *caps;
	int preserve_fds;
	bool tty, detach, no_new_privs;
};

static int take_exec(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	struct oci_exec *e = arg;

	if (!strcmp(o->name, "process") || !strcmp(o->name, "p"))
		e->process = value;
	else if (!strcmp(o->name, "cwd"))
		e->cwd = value;
	else if (!strcmp(o->name, "user") || !strcmp(o->name, "u"))
		e->user = value;
	else if (!strcmp(o->name, "env") || !strcmp(o->name, "e"))
		json_object_array_add(e->env, json_object_new_string(value));
	else if (!strcmp(o->name, "cap"))
		json_object_array_add(e->caps, json_object_new_string(value));
	else if (!strcmp(o->name, "console-socket"))
		e->console_socket = value;
	else if (!strcmp(o->name, "pid-file"))
		e->pid_file = value;
	else if (!strcmp(o->name, "preserve-fds"))
		e->preserve_fds = atoi(value);
	else if (!strcmp(o->name, "tty") || !strcmp(o->name, "t"))
		e->tty = true;
	else if (!strcmp(o->name, "detach") || !strcmp(o->name, "d"))
		e->detach = true;
	else if (!strcmp(o->name, "no-new-privs"))
		e->no_new_privs = true;
	return 0;
}

static void add_all(struct json_object *to, struct json_object *from)
{
	for (size_t i = 0; i < json_length(from); i++)
		json_object_array_add(to, json_object_get(json_object_array_get_idx(from, i)));
}

/* Names are looked up in the container (user.c). */
static void set_user(struct json_object *process, const char *words)
{
	struct json_object *user = json_object_new_object();

	json_object_object_add(user, "username", json_object_new_string(words));
	json_object_object_add(process, "user", user);
}

/* As config.json spells them. 0, or an exit status after a sentence. */
static int take_caps(const struct command *command, struct oci_exec *e)
{
	struct json_object *list = json_object_new_array();
	char word[CAPABILITY_MAX];
	struct error error;
	int r = 0;

	for (size_t i = 0; i < json_length(e->caps) && r == 0; i++) {
		if (capability_word(json_word(e->caps, i), word, &error) < 0)
			r = misuse(command, "%s", error.text);
		else
			json_object_array_add(list, json_object_new_string(word));
	}
	json_object_put(e->caps);
	e->caps = list;
	return r;
}

/* What the container's own process is, but for what is asked to be otherwise. */
static struct json_object *exec_process(const struct state *s, const struct oci_exec *e, char **args)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};
	struct json_object *own = json_child(s->bundle.config, "process", json_type_object), *p, *list, *env;

	if (e->process)
		return json_object_from_file(e->process);
	p = own ? json_tokener_parse(json_object_to_json_string(own)) : json_object_new_object();
	list = json_object_new_array();
	for (; *args; args++)
		json_object_array_add(list, json_object_new_string(*args));
	json_object_object_add(p, "args", list);
	json_object_object_add(p, "terminal", json_object_new_boolean(e->tty));
	if (e->cwd)
		json_set(p, "cwd", "%s", e->cwd);
	if (e->user)
		set_user(p, e->user);
	if (e->no_new_privs)
		json_object_object_add(p, "noNewPrivileges", json_object_new_boolean(true));
	env = json_child(p, "env", json_type_array);
	if (!env)
		json_object_object_add(p, "env", env = json_object_new_array());
	add_all(env, e->env);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		list = json_child(json_child(p, "capabilities", json_type_object), sets[i], json_type_array);
		if (list)
			add_all(list, e->caps);
	}
	return p;
}

static int exec_end(const struct oci *oci, const struct oci_exec *e, struct enter_container *c)
{
	struct error error;

	if (oci_pid_file(e->pid_file, c->pid, &error) < 0)
		return oci_fail(oci, &error);
	if (c->master >= 0 && e->console_socket && console_send(e->console_socket, c->master, &error) < 0)
		return oci_fail(oci, &error);
	if (e->detach)
		return 0;
	if (c->master >= 0 && !e->console_socket)
		console_relay(c->master);
	close_p(&c->master);
	return foreground_wait(c->pid, -1);
}

static int exec_in(const struct oci *oci, struct state *s, const struct oci_exec *e, char **args)
{
	_cleanup_(json_put_p) struct json_object *process = exec_process(s, e, args);
	struct enter_container c = {.init = state_pid(s), .terminal = json_true(process, "terminal")};
	enum state_status status = state_status(s);
	char *env[] = {"LD_PRELOAD=/run/polytropon/preload.so", NULL};
	struct error error;
	int r;

	if (status != STATE_RUNNING && status != STATE_CREATED)
		r = error_set(&error, -EINVAL, "container '%s' is %s", s->id, state_status_name(status));
	else if (!process)
		r = error_set(&error, -EINVAL, "'%s' is no JSON object", e->process);
	else {
		c.become = (struct become){.process = process,
					   .seccomp = json_at(s->bundle.config, "linux.seccomp", json_type_object),
					   .extra_env = json_string(s->json, "pool") ? env : NULL,
					   .preserve_fds = e->preserve_fds};
		r = spawn_beside(&c, &s->limits, &error);
	}
	close_p(&s->lock);
	return r < 0 ? oci_fail(oci, &error) : exec_end(oci, e, &c);
}

int oci_cmd_exec(const struct oci *oci, const struct command *command, char **argv)
{
	struct oci_exec e = {.env = json_object_new_array(), .caps = json_object_new_array()};
	struct state state;
	struct error error;
	const char *id;
	int r = options_take(command, &argv, take_exec, &e);

	if (r == 0)
		r = take_caps(command, &e);
	if (r != 0)
		return r;
	id = *argv++;
	if (!id)
		return misuse(command, "no container is named");
	if (argv[0] && !strcmp(argv[0], "--"))
		argv++;
	if (!argv[0] && !e.process)
		return misuse(command, "no program is given");
	if (state_open(oci->root, id, &state, &error) < 0)
		return oci_fail(oci, &error);
	r = exec_in(oci, &state, &e, argv);
	state_fini(&state);
	json_object_put(e.env);
	json_object_put(e.caps);
	return r;
}
