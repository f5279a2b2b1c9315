/* SPDX-License-Identifier: Apache-2.0 */
/* `kill` and `logs`: containers of a pool that run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>

#include "engine/command.h"
#include "engine/oci/contain.h"

int cmd_kill(const struct command *command, char **argv)
{
	char root[PATH_MAX];
	struct state state;
	struct error error;
	int r = options_take(command, &argv, NULL, NULL), signal;
	pid_t pid;

	if (r != 0)
		return r;
	if (!argv[0] || !argv[1] || (argv[2] && argv[3]))
		return misuse(command, "it takes a pool, a container and perhaps a signal");
	signal = oci_signal_of(argv[2] ? argv[2] : "TERM");
	if (signal < 0)
		return misuse(command, "unknown signal '%s'", argv[2]);
	r = command_needs_root(command);
	if (r != 0)
		return r;
	contain_root(argv[0], root, sizeof(root));
	if (state_open(root, argv[1], &state, &error) < 0)
		return complain("pool '%s': %s", argv[0], error.text);
	pid = state_pid(&state);
	if (!pid)
		r = complain("container '%s' of pool '%s' does not run", argv[1], argv[0]);
	else if (kill(pid, signal) < 0)
		r = complain("container '%s': %s", argv[1], strerror(errno));
	state_fini(&state);
	return r;
}

/* ---- logs ---------------------------------------------------------------------------------------- */

const struct option_row logs_options[] = {
	{"follow", NULL, "go on until the container ends"},
	{},
};

static int take_follow(const struct command *command, const struct option_row *o, const char *value, void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static bool runs(const char *pool, const char *name)
{
	char root[PATH_MAX];
	struct state state;
	struct error ignored;
	bool yes;

	contain_root(pool, root, sizeof(root));
	if (state_open(root, name, &state, &ignored) < 0)
		return false;
	yes = state_pid(&state) != 0;
	state_fini(&state);
	return yes;
}

static void pour(int fd)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(STDOUT_FILENO, buf, n) != n)
			return;
}

int cmd_logs(const struct command *command, char **argv)
{
	char path[PATH_MAX], old[PATH_MAX + 4];
	_cleanup_(close_p) int fd = -1, older = -1;
	bool follow = false, last = false;
	int r = options_take(command, &argv, take_follow, &follow);

	if (r != 0)
		return r;
	if (!argv[0] || !argv[1] || argv[2] || !state_id_is_good(argv[0]) || !state_id_is_good(argv[1]))
		return misuse(command, "it takes a pool and a container");
	r = command_needs_root(command);
	if (r != 0)
		return r;
	contain_log(argv[0], argv[1], path, sizeof(path));
	snprintf(old, sizeof(old), "%s.1", path);
	older = open(old, O_RDONLY | O_CLOEXEC);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("container '%s' of pool '%s' has no log: only those that run detached have one", argv[1],
				argv[0]);
	if (older >= 0)
		pour(older);
	/* What was written before its end is there once that is known. */
	do {
		last = !follow || !runs(argv[0], argv[1]);
		pour(fd);
		if (!last)
			nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
	} while (!last);
	return 0;
}
