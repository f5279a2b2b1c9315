/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command enters the pool's PID namespace with its children only: it stays on the host, where it waits,
 * forwards signals and keeps the connection that makes the program a container. The child waits until the
 * engine has put it into the pool's control groups, enters the other namespaces, and executes the program.
 *
 * The child stays in the command's process group, so the terminal's signals reach both, and job control
 * works as if the command were not there; what the terminal sent is not forwarded. A shell in the pool
 * makes groups of its own; when it stops or ends, the command gives the terminal to whom it belongs.
 */
#include "engine/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "engine/command.h"
#include "engine/conversation.h"
#include "engine/cpus.h"
#include "ipc/wire.h"

struct entry {
	const char *pool;
	char **argv;
	struct json_object *limits;
	int init; /* pidfd */
	bool user, network, preload;
	const char *cpus; /* NULL: the control group says */
	int go[2];        /* a pipe: a byte when the child may go on; its end when the command is no more */
	sigset_t mask;    /* as it was */
};

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT};

/* ---- the child --------------------------------------------------------------------------------- */

static void refuse(const struct entry *e, const char *what)
{
	complain("%s pool '%s': %s", what, e->pool, strerror(errno));
	_exit(EXIT_OURS);
}

static void set_preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char *text = NULL;

	if (old && *old && !strstr(old, WIRE_PRELOAD) && asprintf(&text, "%s:%s", WIRE_PRELOAD, old) > 0)
		setenv("LD_PRELOAD", text, 1);
	else if (!old || !*old)
		setenv("LD_PRELOAD", WIRE_PRELOAD, 1);
	free(text);
}

/* As a shell does it, which also means that a script without an interpreter line is one of /bin/sh. */
static void execute(const struct entry *e)
{
	int err;

	execvp(e->argv[0], e->argv);
	err = errno;
	complain("'%s': %s", e->argv[0], strerror(err));
	_exit(err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static void child_run(const struct entry *e)
{
	int namespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (e->user ? CLONE_NEWUSER : 0) |
			 (e->network ? CLONE_NEWNET : 0);
	struct pollfd command = {.fd = e->go[0]};
	char cwd[PATH_MAX], byte;
	bool has_cwd = getcwd(cwd, sizeof(cwd));
	cpu_set_t set;

	close(e->go[1]);
	/* Its end says that the command was killed, or could not put this process where it belongs. */
	if (read(e->go[0], &byte, 1) != 1)
		_exit(EXIT_OURS);
	if (setns(e->init, namespaces) < 0)
		refuse(e, "enter");
	/* A change of credentials, as with a user namespace, clears the death signal: so after it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&command, 1, 0) != 0)
		_exit(EXIT_OURS);
	if (e->cpus && cpus_parse(e->cpus, &set) == 0)
		sched_setaffinity(0, sizeof(set), &set);
	if ((!has_cwd || chdir(cwd) < 0) && chdir("/") < 0)
		refuse(e, "find the root directory of");
	if (e->preload)
		set_preload();
	sigprocmask(SIG_SETMASK, &e->mask, NULL);
	execute(e);
}

/* ---- the command ------------------------------------------------------------------------------- */

static void take_terminal_back(pid_t group)
{
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetpgrp(STDIN_FILENO, group);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* A shell in the pool stopped itself, in a process group of its own: stop too, and wake it when woken. */
static void stop_with(pid_t child, pid_t terminal)
{
	pid_t group = getpgid(child);
	siginfo_t woken = {};

	/* Woken together with us, it may have left our group before we saw that it had stopped in it. */
	waitid(P_PID, child, &woken, WCONTINUED | WNOHANG);
	if (group == getpgrp() || woken.si_pid)
		return;
	if (terminal == getpgrp())
		take_terminal_back(terminal);
	kill(getpid(), SIGSTOP);
	if (terminal == getpgrp())
		take_terminal_back(group);
	kill(-group, SIGCONT);
}

/* From the terminal it reached the child's group already; but of its end the session's leader alone is told. */
static bool is_ours_to_forward(const siginfo_t *info)
{
	return info->si_code != SI_KERNEL || (info->si_signo == SIGHUP && getsid(0) == getpid());
}

/* terminal: the group that had it before the child ran, which may be a shell and take it at once. */
static int wait_for(pid_t child, const sigset_t *signals, pid_t terminal)
{
	siginfo_t info;
	int status;

	for (;;) {
		pid_t pid = waitpid(child, &status, WNOHANG | WUNTRACED);
		if (pid == child && WIFSTOPPED(status)) {
			stop_with(child, terminal);
			continue;
		}
		if (pid == child || (pid < 0 && errno != EINTR))
			break;
		if (sigwaitinfo(signals, &info) > 0 && info.si_signo != SIGCHLD &&
		    is_ours_to_forward(&info))
			kill(child, info.si_signo);
	}
	if (terminal == getpgrp() && tcgetpgrp(STDIN_FILENO) != terminal)
		take_terminal_back(terminal);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void join_command(char **argv, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (; *argv && len < size; argv++)
		len += snprintf(buf + len, size - len, "%s%s", len ? " " : "", *argv);
}

static int limit(int connection, const struct entry *e, pid_t child)
{
	struct json_object *parameters;
	struct error error;
	int r;

	if (!e->limits)
		return 0;
	parameters = json_object_new_object();
	json_set(parameters, "pool", "%s", e->pool);
	json_object_object_add(parameters, "pid", json_object_new_int(child));
	json_object_object_add(parameters, "settings", json_object_get(e->limits));
	r = engine_call(connection, "Limit", parameters, NULL, NULL, &error);
	return r == CALL_OK ? 0 : complain("%s", error.text);
}

static int join(int connection, const struct entry *e, pid_t child, bool listed)
{
	struct json_object *parameters = json_object_new_object();
	struct error error;
	char command[256];

	join_command(e->argv, command, sizeof(command));
	json_set(parameters, "pool", "%s", e->pool);
	json_object_object_add(parameters, "pid", json_object_new_int(child));
	json_object_object_add(parameters, "listed", json_object_new_boolean(listed));
	json_object_object_add(parameters, "command", json_object_new_string(command));
	if (engine_call(connection, "Join", parameters, NULL, NULL, &error) != CALL_OK)
		return complain("%s", error.text);
	if (limit(connection, e, child) != 0)
		return EXIT_OURS;
	return write(e->go[1], "", 1) == 1 ? 0 : complain("the program ended before it began");
}

static int run(int connection, struct entry *e, bool listed)
{
	_cleanup_(close_p) int self = pidfd_open(getpid(), 0);
	pid_t terminal = tcgetpgrp(STDIN_FILENO), child;
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&signals, forwarded[i]);
	sigprocmask(SIG_BLOCK, &signals, &e->mask);
	if (pipe2(e->go, O_CLOEXEC) < 0 || setns(e->init, CLONE_NEWPID) < 0)
		return complain("enter pool '%s': %s", e->pool, strerror(errno));
	child = fork();
	if (child == 0)
		child_run(e);
	setns(self, CLONE_NEWPID); /* what else this process starts is the host's again */
	close(e->go[0]);
	if (child < 0) {
		close(e->go[1]);
		return complain("enter pool '%s': %s", e->pool, strerror(errno));
	}
	r = join(connection, e, child, listed);
	if (r == 0)
		r = wait_for(child, &signals, terminal);
	/* Open until here: its end would tell the child that the command is gone. */
	close(e->go[1]);
	waitpid(child, NULL, 0);
	return r;
}

static int enter(int connection, struct entry e, bool listed, bool host_users)
{
	_cleanup_(json_put_p) struct json_object *parameters = json_object_new_object(), *reply = NULL;
	struct error error;

	json_set(parameters, "pool", "%s", e.pool);
	if (engine_call(connection, "Enter", json_object_get(parameters), &reply, &e.init, &error) !=
	    CALL_OK)
		return complain("%s", error.text);
	if (e.init < 0)
		return complain("the engine handed out no way into pool '%s'", e.pool);
	e.user = json_true(reply, "user") && !host_users;
	e.network = json_true(reply, "network");
	e.preload = json_true(reply, "preload");
	e.cpus = json_string(reply, "cpus");
	return run(connection, &e, listed);
}

int enter_run(int connection, const char *pool, bool listed, struct json_object *limits, char **argv)
{
	return enter(connection, (struct entry){.pool = pool, .argv = argv, .limits = limits, .init = -1}, listed, false);
}

int enter_run_trusted(int connection, const char *pool, char **argv)
{
	return enter(connection, (struct entry){.pool = pool, .argv = argv, .init = -1}, false, true);
}
