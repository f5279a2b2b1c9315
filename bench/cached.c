/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cached operations cost at our doors, and on others' file systems: bench-cached [--json] [--quick]
 *
 * The same program runs in a pool with the preload library, in one through FUSE, on tmpfs, on ext4 (a loop device) and
 * where they are installed on fuse-overlayfs and libfuse's passthrough_hp and passthrough_ll. All wait for orders, and
 * measure each case by turns, so that whatever else the machine does meets all alike. Prints the medians, and the median of the ratios
 * of ours to theirs, round by round. Times are ns an operation. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/cached.h"

enum { DOORS = 7, ROUNDS = 9, ROUNDS_QUICK = 5, CASES_MAX = 32, QUICK_NS = 50000000 };

struct door {
	const char *name;
	const char *command; /* of a shell: makes the place, and runs "$BENCH" --worker there */
	pid_t pid;
	FILE *to, *from; /* NULL: it is not here */
	double ns[CASES_MAX][ROUNDS];
};

static struct door doors[DOORS] = {
	{.name = "preload", .command = "exec \"$POLYTROPON\" run --mem --at /bench -- \"$BENCH\" --worker /bench"},
	{.name = "fuse", .command = "exec env POLYTROPON_MODE=off \"$POLYTROPON\" run --mem --at /bench -- "
				    "\"$BENCH\" --worker /bench"},
	{.name = "tmpfs", .command = "mkdir t && mount -t tmpfs tmpfs t && exec \"$BENCH\" --worker t"},
	{.name = "ext4", .command = "mkdir e && truncate -s 512M e.img && mkfs.ext4 -q e.img && "
				    "mount -o loop e.img e && exec \"$BENCH\" --worker e"},
	{.name = "fuse-overlayfs",
	 .command = "command -v fuse-overlayfs >/dev/null && mkdir -p o/l o/u o/w o/m && "
		    "fuse-overlayfs -o lowerdir=o/l,upperdir=o/u,workdir=o/w o/m && exec \"$BENCH\" --worker o/m"},
	{.name = "passthrough_hp",
	 .command = "command -v passthrough_hp >/dev/null && mkdir p.source p && passthrough_hp p.source p && "
		    "exec \"$BENCH\" --worker p"},
	{.name = "passthrough_ll",
	 .command = "command -v passthrough_ll >/dev/null && mkdir -p l.source l && mount -t tmpfs tmpfs l.source && "
		    "passthrough_ll -o source=\"$PWD/l.source\" -o cache=always l && exec \"$BENCH\" --worker l"},
};

/* ---- a worker --------------------------------------------------------------------------------- */

static int worker(const char *dir)
{
	unsigned which, count;

	if (chdir(dir) < 0 || cached_prepare() < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (scanf("%u %u", &which, &count) == 2) {
		int64_t start = cached_now();

		cached_cases[which].run(count);
		printf("%.2f\n", (double)(cached_now() - start) / count);
		fflush(stdout);
	}
	return 0;
}

/* ---- the doors -------------------------------------------------------------------------------- */

static void door_start(struct door *d)
{
	int to[2], from[2];
	char line[64];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		exit(1);
	d->pid = fork();
	if (d->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execl("/bin/sh", "sh", "-c", d->command, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	d->to = fdopen(to[1], "w");
	d->from = fdopen(from[0], "r");
	if (fgets(line, sizeof(line), d->from) && !strcmp(line, "ready\n"))
		return;
	fclose(d->to);
	fclose(d->from);
	d->to = d->from = NULL;
}

static void door_measure(struct door *d, unsigned which, unsigned count, double *ret)
{
	char line[64];

	fprintf(d->to, "%u %u\n", which, count);
	fflush(d->to);
	if (!fgets(line, sizeof(line), d->from)) {
		fprintf(stderr, "bench-cached: %s has ended\n", d->name);
		exit(1);
	}
	*ret = atof(line);
}

static void door_end(struct door *d)
{
	if (d->to) {
		fclose(d->to);
		fclose(d->from);
	}
	waitpid(d->pid, NULL, 0);
}

/* ---- reports ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
	double sorted[ROUNDS];

	memcpy(sorted, values, (size_t)n * sizeof(*values));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_value);
	return sorted[n / 2];
}

static void report(bool json, const struct door *ours, unsigned which, const char *peer_name, const double *peer, int n)
{
	double ratio[ROUNDS];

	for (int i = 0; i < n; i++)
		ratio[i] = ours->ns[which][i] / peer[i];
	if (json)
		printf("{\"bench\":\"cached\",\"case\":\"%s, %s\",\"ours\":%.1f,\"peer\":%.1f,\"peer_name\":\"%s\","
		       "\"ratio\":%.3f,\"n\":%d}\n",
		       cached_cases[which].name, ours->name, median(ours->ns[which], n), median(peer, n), peer_name,
		       median(ratio, n), n);
	else
		printf("%-24s %-8s %10.1f   %-24s %10.1f   %6.2f\n", cached_cases[which].name, ours->name,
		       median(ours->ns[which], n), peer_name, median(peer, n), median(ratio, n));
	fflush(stdout);
}

/* The first round fetches into caches, and tells how many operations a quick measurement has time for. */
static unsigned count_find(struct door *d, unsigned which, bool quick)
{
	const struct cached_case *c = &cached_cases[which];
	double ns, fit;

	door_measure(d, which, (quick ? c->quick / 4 : c->count) / 4 + 1, &ns);
	fit = QUICK_NS / (ns > 1 ? ns : 1);
	return !quick ? c->count : fit < c->quick ? (unsigned)fit + 1 : c->quick;
}

static void case_measure(unsigned which, bool json, bool quick)
{
	unsigned count[DOORS] = {0};
	int rounds = quick ? ROUNDS_QUICK : ROUNDS;

	for (unsigned d = 0; d < DOORS; d++)
		if (doors[d].to)
			count[d] = count_find(&doors[d], which, quick);
	for (int i = 0; i < rounds; i++)
		for (unsigned d = 0; d < DOORS; d++)
			if (doors[d].to)
				door_measure(&doors[d], which, count[d], &doors[d].ns[which][i]);
	for (unsigned ours = 0; ours < 2; ours++)
		for (unsigned d = 2; d < DOORS && doors[ours].to; d++)
			if (doors[d].to)
				report(json, &doors[ours], which, doors[d].name, doors[d].ns[which], rounds);
	/* The second case is the first without a file. */
	if (which == 1 && doors[0].to)
		report(json, &doors[0], 0, "memcpy", doors[0].ns[1], rounds);
}

static void place_make(char *dir)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir) ||
	    chdir(dir) < 0) {
		fprintf(stderr, "bench-cached: a place to work in: %s\n", strerror(errno));
		exit(1);
	}
}

static void names_set(const char *argv0)
{
	char self[4096], *engine = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		exit(1);
	self[n] = 0;
	setenv("BENCH", self, 1);
	*strrchr(self, '/') = 0;
	if (asprintf(&engine, "%s/../engine/polytropon", self) < 0 || access(engine, X_OK) < 0)
		setenv("POLYTROPON", "polytropon", 0);
	else
		setenv("POLYTROPON", engine, 0);
	free(engine);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/bench-cached.XXXXXX", command[128];
	bool json = false, quick = false;

	if (argc == 3 && !strcmp(argv[1], "--worker"))
		return worker(argv[2]);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (!strcmp(argv[i], "--quick")) {
			quick = true;
		} else {
			fprintf(stderr, "usage: bench-cached [--json] [--quick]\n");
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	names_set(argv[0]);
	place_make(dir);
	for (unsigned d = 0; d < DOORS; d++)
		door_start(&doors[d]);
	for (unsigned d = 0; d < DOORS; d++)
		if (!doors[d].to)
			fprintf(json ? stdout : stderr,
				json ? "{\"bench\":\"cached\",\"missing\":\"%s\"}\n" : "bench-cached: there is no %s here\n",
				doors[d].name);
	for (unsigned which = 0; which < cached_case_count; which++)
		case_measure(which, json, quick);
	for (unsigned d = 0; d < DOORS; d++)
		door_end(&doors[d]);
	snprintf(command, sizeof(command), "cd / && umount %s/* 2>/dev/null; rm -rf %s", dir, dir);
	return system(command) != 0;
}
