/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the preload library adds to starting a program: attach PRELOAD.so [PROGRAM [N]]
 *
 * Spawns PROGRAM (/bin/true) with and without the library by turns, so that whatever else the machine does
 * hits both alike, and prints the medians as JSON. ours and peer are ns a spawn; ratio is peer / ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t spawn(char *program, char **env)
{
	char *argv[] = {program, NULL};
	int64_t start = now();
	int status;
	pid_t pid;

	errno = posix_spawn(&pid, program, NULL, NULL, argv, env);
	if (errno || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "attach: '%s': %s\n", program, errno ? strerror(errno) : "failed");
		exit(1);
	}
	return now() - start;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static char **env_with(const char *preload)
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	memcpy(env, environ, n * sizeof(*env));
	if (asprintf(&env[n], "LD_PRELOAD=%s", preload) < 0)
		exit(1);
	return env;
}

int main(int argc, char **argv)
{
	char *program = argc > 2 ? argv[2] : "/bin/true";
	size_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000;
	int64_t *ours = calloc(count, sizeof(*ours)), *peer = calloc(count, sizeof(*peer));
	char **env;

	if (argc < 2 || !count) {
		fprintf(stderr, "usage: attach PRELOAD.so [PROGRAM [N]]\n");
		return 2;
	}
	unsetenv("LD_PRELOAD");
	env = env_with(argv[1]);
	for (size_t n = 0; n < count; n++) {
		peer[n] = spawn(program, environ);
		ours[n] = spawn(program, env);
	}
	qsort(ours, count, sizeof(*ours), by_value);
	qsort(peer, count, sizeof(*peer), by_value);
	printf("{\"bench\":\"attach\",\"case\":\"spawn %s\",\"ours\":%lld,\"peer\":%lld,\"peer_name\":\"no preload\","
	       "\"ratio\":%.3f,\"n\":%zu}\n",
	       program, (long long)ours[count / 2], (long long)peer[count / 2],
	       (double)peer[count / 2] / (double)ours[count / 2], count);
	return 0;
}
