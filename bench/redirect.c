/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a redirected system call costs: bench-redirect [--json] [--quick]
 *
 * With the test library of tests/unit/patch, whose dispatcher handles fsync() of one descriptor and passes all
 * others on. Two copies of this program, one with the library and one without, measure by turns. Times are ns a
 * call; the peer is the same call of the process that has no library.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/compare.h"

enum { ROUNDS = 20, CALLS = 20000, FAKE_FD = 1000000 };

/* A process that measures when told. */
struct worker {
	pid_t pid;
	FILE *to, *from;
};

struct job {
	struct worker *worker;
	int fd;
};

/* The best of some rounds: what a call costs when nothing interferes. */
static double call_ns(int fd)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = bench_now();
		double each;

		for (int n = 0; n < CALLS; n++)
			fsync(fd);
		each = (double)(bench_now() - start) / CALLS;
		best = each < best ? each : best;
	}
	return best;
}

static int work(void)
{
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (scanf("%d", &fd) == 1) {
		printf("%f\n", call_ns(fd));
		fflush(stdout);
	}
	return 0;
}

static void worker_start(struct worker *w, const char *preload)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(1);
	w->pid = fork();
	if (w->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		if (preload)
			setenv("LD_PRELOAD", preload, 1);
		execl("/proc/self/exe", "bench-redirect", "worker", (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	w->to = fdopen(to[1], "w");
	w->from = fdopen(from[0], "r");
}

static void worker_end(struct worker *w)
{
	fclose(w->to);
	fclose(w->from);
	waitpid(w->pid, NULL, 0);
}

static double measure(void *arg)
{
	const struct job *job = arg;
	double ns;

	fprintf(job->worker->to, "%d\n", job->fd);
	fflush(job->worker->to);
	return fscanf(job->worker->from, "%lf", &ns) == 1 ? ns : -1;
}

static void library_find(char path[static PATH_MAX])
{
	char self[PATH_MAX / 2] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0)
		*strrchr(self, '/') = '\0';
	snprintf(path, PATH_MAX, "%s/../tests/unit/patch/patch-test.so", self);
	if (access(path, R_OK) == 0)
		return;
	fprintf(stderr, "bench-redirect: '%s' is not there: it is built with the tests\n", path);
	exit(1);
}

int main(int argc, char **argv)
{
	struct worker with, without;
	struct job ours = {&with}, peer = {&without};
	char library[PATH_MAX];
	struct bench b;

	if (argc == 2 && strcmp(argv[1], "worker") == 0)
		return work();
	bench_begin(&b, "redirect", NULL, argv);
	library_find(library);
	signal(SIGPIPE, SIG_IGN);
	worker_start(&with, library);
	worker_start(&without, NULL);
	ours.fd = peer.fd = FAKE_FD;
	bench_compare(&b, &(struct bench_case){"handled", measure, &ours, "kernel", measure, &peer});
	ours.fd = peer.fd = -1;
	bench_compare(&b, &(struct bench_case){"passed on", measure, &ours, "kernel", measure, &peer});
	worker_end(&with);
	worker_end(&without);
	return 0;
}
