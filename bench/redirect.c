/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a redirected system call costs: redirect TEST.so, with the dispatcher of tests/unit/patch, which handles
 * fsync() of one descriptor and passes all others on. Runs itself again without the library for the peer.
 * Prints ns a call, minima of rounds, as JSON: one line for handled, one for passed on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 40, CALLS = 20000, FAKE_FD = 1000000 };

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double measure(int fd)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now(), each;

		for (int n = 0; n < CALLS; n++)
			fsync(fd);
		each = (now() - start) / CALLS;
		best = each < best ? each : best;
	}
	return best;
}

static void child(const char *self, const char *preload, double *ret_handled, double *ret_passed)
{
	char command[4096];
	FILE *from;

	snprintf(command, sizeof(command), "%s%s '%s' measure", preload ? "LD_PRELOAD=" : "", preload ? preload : "",
		 self);
	from = popen(command, "r");
	if (!from || fscanf(from, "%lf %lf", ret_handled, ret_passed) != 2 || pclose(from) != 0) {
		fprintf(stderr, "redirect: %s: failed\n", command);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	double handled, passed, kernel, same;

	if (argc == 2 && strcmp(argv[1], "measure") == 0) {
		printf("%.2f %.2f\n", measure(FAKE_FD), measure(-1));
		return 0;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: redirect TEST.so\n");
		return 2;
	}
	child(argv[0], argv[1], &handled, &passed);
	child(argv[0], NULL, &kernel, &same);
	printf("{\"bench\":\"redirect\",\"case\":\"handled\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"kernel\","
	       "\"ratio\":%.3f,\"n\":%d}\n", handled, kernel, kernel / handled, ROUNDS * CALLS);
	printf("{\"bench\":\"redirect\",\"case\":\"passed on\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"kernel\","
	       "\"ratio\":%.3f,\"n\":%d}\n", passed, same, same / passed, ROUNDS * CALLS);
	return 0;
}
