/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes at different doors that write neighbouring cells of one file, all at once: cells FILE SECONDS
 *
 * Each has cells of its own, in every page, which nobody else touches: what it has written there it must find, whatever
 * the others, the flusher, and those who make the file longer or sync it do meanwhile. Says nothing if all is well;
 * then each cell holds what its owner wrote last, with a stamp by which `cells FILE` alone finds what was lost later.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, CELLS = 32768, CELL = 32 };

struct cell {
	uint64_t worker, index, count, check;
};

static struct cell cell_of(uint64_t worker, uint64_t index, uint64_t count)
{
	return (struct cell){worker, index, count, worker * 31 + index * 7 + count * 13 + 1};
}

static void must(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "cells, process %d: %s: %s\n", getpid(), what, strerror(errno));
	exit(1);
}

/* Whose are all cells with index % WORKERS == which. */
static void work(const char *path, unsigned which, time_t end)
{
	static uint64_t counts[CELLS];
	int fd = open(path, O_RDWR);
	uint64_t seed = which * 7919 + 17;

	must(fd >= 0, path);
	while (time(NULL) < end) {
		for (unsigned i = 0; i < 1000; i++) {
			struct cell mine, found;
			uint64_t index;
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			index = (seed >> 33) % CELLS / WORKERS * WORKERS + which;
			if (counts[index]) {
				must(pread(fd, &found, CELL, index * CELL) == CELL, "pread");
				mine = cell_of(which, index, counts[index]);
				errno = 0;
				if (memcmp(&mine, &found, CELL))
					fprintf(stderr, "cell %lu of worker %u: %lu, not %lu\n", index, which, found.count,
						mine.count);
				must(!memcmp(&mine, &found, CELL), "a cell is not what was written");
			}
			mine = cell_of(which, index, ++counts[index]);
			must(pwrite(fd, &mine, CELL, index * CELL) == CELL, "pwrite");
		}
		if (which == 1)
			must(fsync(fd) == 0, "fsync");
	}
	for (uint64_t index = which; index < CELLS; index += WORKERS) {
		struct cell mine = cell_of(which, index, counts[index] + 1);
		must(pwrite(fd, &mine, CELL, index * CELL) == CELL, "pwrite");
	}
	exit(0);
}

/* By a program that is not preloaded, or is. */
static pid_t start(char **argv, unsigned which)
{
	pid_t child = fork();
	char text[16];

	if (child)
		return child;
	snprintf(text, sizeof(text), "%u", which);
	setenv("POLYTROPON_MODE", which < 2 ? "off" : "lazy", 1);
	execl("/proc/self/exe", argv[0], argv[1], argv[2], text, (char *)NULL);
	exit(127);
}

static int check(const char *path)
{
	int fd = open(path, O_RDONLY), wrong = 0;
	struct cell found;

	must(fd >= 0, path);
	for (uint64_t index = 0; index < CELLS; index++) {
		struct cell wanted;
		must(pread(fd, &found, CELL, index * CELL) == CELL, "pread");
		wanted = cell_of(index % WORKERS, index, found.count);
		wrong += !found.count || memcmp(&wanted, &found, CELL);
	}
	if (wrong)
		fprintf(stderr, "cells: %d are wrong\n", wrong);
	return wrong != 0;
}

int main(int argc, char **argv)
{
	int status, failed = 0, fd;

	if (argc == 2)
		return check(argv[1]);
	if (argc == 4)
		work(argv[1], atoi(argv[3]), time(NULL) + atoi(argv[2]));
	if (argc != 3)
		return 2;
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	must(fd >= 0 && ftruncate(fd, CELLS * CELL) == 0 && close(fd) == 0, argv[1]);
	for (unsigned which = 0; which < WORKERS; which++)
		must(start(argv, which) > 0, "fork");
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed ? 1 : check(argv[1]);
}
