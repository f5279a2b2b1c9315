/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the preload library adds to starting a program: bench-attach [--json] [--quick]
 *
 * Starts itself again in a throw-away pool, since a pool's processes share pre-patched text of the C library. There a
 * shell, and posix_spawn, start /bin/true many times, with the library and without it. Times are ns a start; the
 * peer is the same without the library. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/compare.h"
#include "ipc/wire.h"

enum { STARTS = 50, STARTS_QUICK = 25 }; /* of a measurement: 1,000 and more in all */

extern char **environ;

struct job {
	char **env;
	unsigned starts;
};

static bool spawn(const char *program, char **argv, char **env)
{
	int status;
	pid_t pid;

	errno = posix_spawn(&pid, program, NULL, NULL, argv, env);
	return errno == 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static double measure_shell(void *arg)
{
	const struct job *job = arg;
	char script[128], *argv[] = {"sh", "-c", script, NULL};
	int64_t start = bench_now();

	snprintf(script, sizeof(script), "i=0; while [ $i -lt %u ]; do /bin/true; i=$((i + 1)); done", job->starts);
	if (!spawn("/bin/sh", argv, job->env))
		return -1;
	return (double)(bench_now() - start) / job->starts;
}

static double measure_spawn(void *arg)
{
	const struct job *job = arg;
	char *argv[] = {"true", NULL};
	int64_t start = bench_now();

	for (unsigned i = 0; i < job->starts; i++)
		if (!spawn("/bin/true", argv, job->env))
			return -1;
	return (double)(bench_now() - start) / job->starts;
}

static char **env_with(const char *preload)
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env || asprintf(&env[n], "LD_PRELOAD=%s", preload) < 0)
		exit(1);
	memcpy(env, environ, n * sizeof(*env));
	return env;
}

/* The command of the build tree, or the one that is installed. */
static void enter_pool(char **argv)
{
	char self[PATH_MAX] = "", engine[PATH_MAX + 32], *words[16] = {engine, "run", "--mem", "--at", "/bench", "--", self};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t count = 7;

	for (argv++; *argv && count < 15; argv++)
		words[count++] = *argv;
	if (n > 0)
		snprintf(engine, sizeof(engine), "%.*s/../engine/polytropon", (int)(strrchr(self, '/') - self), self);
	if (access(engine, X_OK) < 0)
		strcpy(engine, "polytropon");
	execvp(engine, words);
	fprintf(stderr, "bench-attach: '%s': %s\n", engine, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct job ours = {.starts = STARTS}, peer = {.starts = STARTS};
	struct bench b;

	if (access(WIRE_TABLE, F_OK) < 0)
		enter_pool(argv);
	if (getenv("LD_PRELOAD")) { /* who measures is not to be slowed by it */
		unsetenv("LD_PRELOAD");
		execv("/proc/self/exe", argv);
	}
	bench_begin(&b, "attach", NULL, argv);
	if (b.quick)
		ours.starts = peer.starts = STARTS_QUICK;
	ours.env = env_with(WIRE_PRELOAD);
	peer.env = environ;
	bench_compare(&b, &(struct bench_case){"sh, /bin/true", measure_shell, &ours, "no preload", measure_shell, &peer});
	bench_compare(&b, &(struct bench_case){"spawn /bin/true", measure_spawn, &ours, "no preload", measure_spawn, &peer});
	return 0;
}
