/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs that all is measured: bench-measuring [--json] [--quick]
 *
 * One pool, whose service measures and does not, by turns (stats.measure): requests of a program at each door, small ones
 * of which each is a message, and a tree that is unpacked, searched and removed. Some also while `polytropon trace` looks
 * on. What costs no message is not measured by the service at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/door.h"

enum { COUNT = 20000, COUNT_QUICK = 4000, TREE = 400, TIMES = 3 };

/* ---- a worker --------------------------------------------------------------------------------- */

static int file;

static void ask(void)
{
	char value[8];

	bench_must(fgetxattr(file, "user.none", value, sizeof(value)) < 0 && errno == ENODATA, "fgetxattr");
}

static void look(void)
{
	struct statx st;

	bench_must(statx(file, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) == 0, "statx");
}

static void make(void)
{
	int fd = open("made", O_WRONLY | O_CREAT | O_EXCL, 0600);

	bench_must(fd >= 0 && close(fd) == 0 && unlink("made") == 0, "a file");
}

static void sync_written(void)
{
	bench_must(pwrite(file, "measure", 7, 0) == 7 && fsync(file) == 0, "a write");
}

static void tree(void)
{
	bench_must(system("tar xf ../tree.tar && grep -rq nothing tree; rm -r tree") == 0, "a tree");
}

static const struct work {
	const char *name, *door;
	void (*run)(void);
	unsigned share; /* one in so many operations */
	bool traced;
} works[] = {
	{"getxattr", "preload", ask, 1, true},
	{"make and remove", "preload", make, 4, true},
	{"write and fsync", "preload", sync_written, 4, false},
	{"unpack, search and remove a tree", "preload", tree, COUNT / 4, false},
	{"stat", "fuse", look, 4, true},
	{"make and remove", "fuse", make, 16, false},
	{"unpack, search and remove a tree", "fuse", tree, COUNT, false},
	{},
};

static int worker(const char *dir)
{
	unsigned which, count;

	bench_must(mkdir(dir, 0700) == 0 && chdir(dir) == 0, dir);
	file = open("file", O_RDWR | O_CREAT, 0600);
	bench_must(file >= 0, "file");
	door_ready();
	while (scanf("%u %u", &which, &count) == 2) {
		int64_t start = bench_now();

		for (unsigned i = 0; i < count; i++)
			works[which].run();
		printf("%.1f\n", (double)(bench_now() - start) / count);
		fflush(stdout);
	}
	return 0;
}

/* ---- the comparison --------------------------------------------------------------------------- */

struct side {
	struct door *door;
	unsigned which, count;
	bool on, traced;
};

static void command(const char *text)
{
	int status = system(text);

	bench_must(status == 0, text);
}

static pid_t trace_begin(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exec \"$POLYTROPON\" trace measured >/dev/null 2>&1", (char *)NULL);
		_exit(127);
	}
	usleep(100 * 1000);
	return pid;
}

static double measure(void *arg)
{
	const struct side *s = arg;
	pid_t trace = 0;
	char line[64];

	command(s->on ? "\"$POLYTROPON\" set measured stats.measure=true >/dev/null"
		      : "\"$POLYTROPON\" set measured stats.measure=false >/dev/null");
	if (s->traced)
		trace = trace_begin();
	door_order(s->door, "%u %u", s->which, s->count);
	door_answer(s->door, line, sizeof(line));
	if (trace) {
		kill(trace, SIGTERM);
		waitpid(trace, NULL, 0);
	}
	return atof(line);
}

static void compare(const struct bench *b, struct door *door, unsigned which, bool traced)
{
	unsigned count = (b->quick ? COUNT_QUICK : COUNT) / works[which].share ?: 1;
	struct side on = {door, which, count, true, traced}, off = {door, which, count, false, false};
	char name[96];

	snprintf(name, sizeof(name), "%s, %s%s", works[which].name, works[which].door, traced ? ", traced" : "");
	bench_compare(b, &(struct bench_case){name, measure, &on, "not measured", measure, &off, b->quick ? 1 : TIMES, NULL});
}

static void tree_make(void)
{
	char name[64];

	bench_must(mkdir("tree", 0700) == 0, "tree");
	for (unsigned i = 0; i < TREE; i++) {
		FILE *f;

		snprintf(name, sizeof(name), "tree/%u", i);
		f = fopen(name, "w");
		bench_must(f != NULL, name);
		for (unsigned k = 0; k <= i; k++)
			fprintf(f, "line %u of a file of some size\n", k);
		bench_must(fclose(f) == 0, name);
	}
	command("tar cf tree.tar tree && rm -r tree");
}

static int run(const struct bench *b)
{
	static const char *const names[] = {"preload", "fuse"};
	struct door doors[2] = {};

	tree_make();
	bench_must(setenv("POLYTROPON_RUN", place_name(), 1) == 0, "POLYTROPON_RUN");
	command("printf 'pools:\\n  measured:\\n    mounts:\\n      %s/m: {mem: {size: 256M}}\\n' \"$PWD\" >pools.yaml && mkdir m && "
		"\"$POLYTROPON\" up pools.yaml >/dev/null && "
		"\"$POLYTROPON\" run measured -- cp tree.tar m/");
	if (!door_start(&doors[0], names[0], "exec \"$POLYTROPON\" run measured -- \"$BENCH\" --worker m/preload") ||
	    !door_start(&doors[1], names[1], "exec \"$POLYTROPON\" run measured -- env POLYTROPON_MODE=off \"$BENCH\" --worker m/fuse")) {
		fprintf(stderr, "bench-measuring: a program cannot be started in a pool here\n");
		return 77;
	}
	for (unsigned which = 0; works[which].name; which++) {
		struct door *door = &doors[strcmp(works[which].door, names[0]) != 0];

		compare(b, door, which, false);
		if (works[which].traced)
			compare(b, door, which, true);
	}
	door_end(&doors[0]);
	door_end(&doors[1]);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b;
	int r;

	if (argc == 3 && !strcmp(argv[1], "--worker"))
		return worker(argv[2]);
	bench_begin(&b, "measuring", NULL, argv);
	place_begin("measuring", "/tmp");
	r = run(&b);
	command("\"$POLYTROPON\" down >/dev/null");
	return place_end() ?: r;
}
