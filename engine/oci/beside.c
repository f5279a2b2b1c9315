/* SPDX-License-Identifier: Apache-2.0 */
/* A further program in a container that is there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/oci/console.h"
#include "engine/oci/namespaces.h"
#include "engine/oci/spawn.h"
#include "engine/oci/sync.h"

static void beside_run(struct enter_container *e, int sync)
{
	struct error error = {};
	char program[PATH_MAX];
	int r, master = -1, slave = -1, root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	setsid();
	if (sync_wait(sync, SYNC_GO, NULL, NULL, &error) < 0)
		_exit(1);
	if (e->terminal) {
		master = console_make(root, e->become.process, &slave, &error);
		if (master < 0 || console_take(slave, &error) < 0)
			sync_give_up(sync, 0, &error);
	}
	r = process_find(&e->become, program, &error);
	if (r < 0)
		sync_give_up(sync, r, &error);
	if (sync_send(sync, SYNC_READY, 0, NULL, master) < 0)
		_exit(1);
	close_p(&master);
	r = process_become(&e->become, program, NULL, NULL, &error);
	sync_give_up(sync, r, &error);
}

static void beside_between(struct enter_container *e, int sync, int runtime_end)
{
	struct clone_args args = {.flags = CLONE_PARENT};
	struct error error;
	pid_t pid;

	close(runtime_end);
	if (namespaces_enter_all(e->init, &error) < 0)
		sync_give_up(sync, 0, &error);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		beside_run(e, sync);
	if (pid < 0) {
		error_errno(&error, errno, "start a process in the container");
		sync_give_up(sync, 0, &error);
	}
	_exit(sync_send(sync, SYNC_PID, pid, NULL, -1) < 0);
}

static int beside_guide(struct enter_container *e, int sync, const struct limits *limits, struct error *error)
{
	struct sync_message m;
	struct error why;
	int r = sync_wait(sync, SYNC_PID, &m, NULL, error);

	if (r < 0)
		return r;
	e->pid = m.pid;
	r = limits_join(limits, e->pid, error);
	if (r == 0 && sync_send(sync, SYNC_GO, 0, NULL, -1) < 0)
		r = -EPIPE;
	if (r == 0)
		r = sync_wait(sync, SYNC_READY, NULL, &e->master, error);
	if (r < 0)
		return r;
	r = sync_wait(sync, SYNC_READY, NULL, NULL, &why);
	return r == -ECONNRESET ? 0 : error_set(error, r, "%s", why.text);
}

int spawn_beside(struct enter_container *e, const struct limits *limits, struct error *error)
{
	int pair[2], r = sync_pair(pair, error);
	pid_t pid;

	e->pid = 0;
	e->master = -1;
	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		beside_between(e, pair[1], pair[0]);
	close(pair[1]);
	r = pid < 0 ? error_errno(error, errno, "start a process") : beside_guide(e, pair[0], limits, error);
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (r < 0 && e->pid > 0) {
		kill(e->pid, SIGKILL);
		waitpid(e->pid, NULL, __WALL);
	}
	return r;
}
