/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "engine/oci/console.h"
#include "engine/oci/foreground.h"
#include "engine/util.h"

static pid_t forward_to;

static void forward(int signal)
{
	kill(forward_to, signal);
}

int foreground_wait(pid_t pid, int master)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	struct sigaction act = {.sa_handler = forward, .sa_flags = SA_RESTART};
	int status = 0;

	if (master >= 0)
		console_relay(master);
	forward_to = pid;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
