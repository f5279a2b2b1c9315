/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "engine/oci/bundle.h"
#include "engine/oci/hooks.h"

static void hook_child(struct json_object *hook, int in)
{
	char **args = json_words(json_child(hook, "args", json_type_array));
	char **env = json_words(json_child(hook, "env", json_type_array));
	char *only[] = {(char *)json_string(hook, "path"), NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(in, STDIN_FILENO);
	execve(only[0], args && args[0] ? args : only, env);
	_exit(127);
}

/* Its end, or its time is up. */
static int hook_wait(pid_t pid, int64_t seconds, int *ret_status)
{
	_cleanup_(close_p) int fd = pidfd_open(pid, 0);
	struct pollfd end = {.fd = fd, .events = POLLIN};
	bool late = poll(&end, 1, seconds > 0 ? seconds * 1000 : -1) == 0;

	if (late)
		kill(pid, SIGKILL);
	waitpid(pid, ret_status, 0);
	return late ? -ETIMEDOUT : 0;
}

static int hook_run(struct json_object *hook, const char *state, struct error *error)
{
	const char *path = json_string(hook, "path");
	_cleanup_(close_p) int in = memfd_create("state", MFD_CLOEXEC);
	int status = 0, r;
	pid_t pid;

	if (!path || *path != '/')
		return error_set(error, -EINVAL, "a hook has no absolute path");
	if (in < 0 || write(in, state, strlen(state)) < 0 || lseek(in, 0, SEEK_SET) < 0)
		return error_errno(error, errno, "hook '%s'", path);
	pid = fork();
	if (pid == 0)
		hook_child(hook, in);
	if (pid < 0)
		return error_errno(error, errno, "start hook '%s'", path);
	r = hook_wait(pid, json_number(hook, "timeout", 0), &status);
	if (r < 0)
		return error_errno(error, r, "hook '%s'", path);
	if (status)
		return error_set(error, -ECANCELED, "hook '%s' ended with status %d", path,
				 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

int hooks_run(struct json_object *config, const char *when, struct json_object *state, struct error *error)
{
	struct json_object *list = json_child(json_child(config, "hooks", json_type_object), when, json_type_array);
	int r = 0;

	for (size_t i = 0; i < json_length(list) && r == 0; i++)
		r = hook_run(json_object_array_get_idx(list, i),
			     json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN), error);
	return r;
}
