/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/engine.h"
#include "engine/runtime-dir.h"
#include "engine/spec.h"
#include "engine/poolfile.h"

/* ---- the engine's process ---------------------------------------------------------------------- */

/* Nothing of the caller's stays open: a pipe that the engine held would never end. */
void engine_become(int listen_fd, int client_fd, int lock)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), log = listen_fd < 0 ? -1 : runtime_log_open();
	int door = fcntl(listen_fd < 0 ? client_fd : listen_fd, F_DUPFD, 10);
	int held = lock < 0 ? -1 : fcntl(lock, F_DUPFD, 10);

	setsid();
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (listen_fd >= 0)
		dup2(log < 0 ? null : log, STDERR_FILENO);
	dup3(door, 3, O_CLOEXEC);
	if (held >= 0)
		dup3(held, 4, O_CLOEXEC);
	close_range(held < 0 ? 4 : 5, ~0u, 0);
	umask(022);
	if (chdir("/") < 0)
		_exit(EXIT_OURS);
	if (listen_fd >= 0)
		log_to_daemon();
	_exit(engine_run(listen_fd < 0 ? -1 : 3, listen_fd < 0 ? 3 : -1, held < 0 ? -1 : 4));
}

/* Listens before it forks, so that the engine can be called at once. */
static int daemon_start(int lock, struct error *error)
{
	int fd = runtime_listen(error);
	pid_t pid;

	if (fd < 0)
		return fd;
	pid = fork();
	if (pid == 0)
		engine_become(fd, -1, lock);
	close(fd);
	return pid < 0 ? error_errno(error, errno, "start the engine") : 0;
}

static int daemon_connect(struct error *error)
{
	int r, connection = -1, lock = -1;

	do {
		r = runtime_join(&connection, &lock, error);
		if (r == 0 && connection < 0)
			r = daemon_start(lock, error);
		close_p(&lock);
	} while (r == 0 && connection < 0);
	return r < 0 ? r : connection;
}

/* ---- the file's pools -------------------------------------------------------------------------- */

struct pools {
	const char *path;
	struct json_object *file, *pools;
	struct origin origin;
};

/* A pool that runs already is the file's mistake, with its line. */
static int check_running(const struct pools *p, int connection)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct json_object *running, *spec;
	struct error error;

	if (engine_call(connection, "Ps", NULL, &reply, NULL, &error) != CALL_OK)
		return 0;
	running = json_child(reply, "pools", json_type_array);
	for (size_t i = 0; running && i < json_object_array_length(running); i++) {
		const char *name = json_string(json_object_array_get_idx(running, i), "pool");
		if (!json_object_object_get_ex(p->pools, name, &spec))
			continue;
		fprintf(stderr, "%s:%d: pool '%s' runs already\n", p->path, origin_line(&p->origin, spec),
			name);
		return EXIT_USAGE;
	}
	return 0;
}

static int report(struct json_object *result)
{
	struct json_object *warnings = json_child(result, "warnings", json_type_array);
	const char *pool = json_string(result, "pool");

	for (size_t i = 0; warnings && i < json_object_array_length(warnings); i++)
		fprintf(stderr, "polytropon: pool '%s': %s\n", pool,
			json_object_get_string(json_object_array_get_idx(warnings, i)));
	if (json_true(result, "ok")) {
		printf("%s: up\n", pool);
		return 0;
	}
	return complain("pool '%s' did not start: %s", pool, json_string(result, "error"));
}

static int start(const struct pools *p, int connection, int *ret_call)
{
	_cleanup_(json_put_p) struct json_object *reply = NULL;
	struct json_object *parameters = json_object_new_object(), *results;
	struct error error;
	int status = 0;

	json_object_object_add(parameters, "pools", json_object_get(p->pools));
	*ret_call = engine_call(connection, "Up", parameters, &reply, NULL, &error);
	if (*ret_call == CALL_ENDING)
		return complain("%s", error.text);
	if (*ret_call != CALL_OK)
		return complain("%s", error.text) && *ret_call == CALL_REFUSED ? EXIT_USAGE : EXIT_OURS;
	results = json_child(reply, "results", json_type_array);
	for (size_t i = 0; results && i < json_object_array_length(results); i++)
		if (report(json_object_array_get_idx(results, i)) != 0)
			status = EXIT_OURS;
	return status;
}

static int up(const struct pools *p)
{
	struct error error;
	int status = EXIT_OURS;

	/* The engine may be about to end when it is called; then there is another try. */
	for (int try = 0; try < 3; try++) {
		_cleanup_(close_p) int connection = daemon_connect(&error);
		int call = CALL_OK;
		if (connection < 0)
			return complain("%s", error.text);
		status = check_running(p, connection);
		if (status == 0)
			status = start(p, connection, &call);
		if (call != CALL_ENDING)
			break;
	}
	return status;
}

static int no_option(const struct command *command, const struct option_row *option, const char *value,
		     void *arg)
{
	return 0;
}

int cmd_up(const struct command *command, char **argv)
{
	struct pools p = {};
	struct error error;
	int r = options_take(command, &argv, no_option, NULL);

	if (r != 0)
		return r;
	if (!argv[0] || argv[1])
		return misuse(command, "it takes one pool file");
	p.path = argv[0];
	r = yaml_read(p.path, &p.file, &p.origin, &error);
	if (r == 0)
		r = spec_check_file(p.file, &p.origin, &error);
	if (r < 0) {
		fprintf(stderr, "%s\n", error.text);
		r = EXIT_USAGE;
	} else {
		p.pools = json_child(p.file, "pools", json_type_object);
		r = command_needs_root(command);
	}
	if (r == 0)
		r = up(&p);
	json_object_put(p.file);
	origin_fini(&p.origin);
	return r;
}
