/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two promises, each against what it is to be at most: the memory of a volume that is mounted and empty, and the time to
 * mount one full of files whose process died. Processes of their own mount them: memory that was in use before would be used
 * again, and a process that ends leaves what a crash leaves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/volume.h"

enum {
	MEMORY_MOST = 8 << 20, /* bytes */
	FILES = 1000000,
	FILES_QUICK = 30000,
	CHANGES = 20000, /* that only the journal has */
};
static const double mount_most = 2e9; /* ns */

struct volume {
	struct place *place;
	unsigned round;
	unsigned files;
};

/* What the child says; negative if it died. */
static double child_run(double (*run)(struct volume *), struct volume *v)
{
	double result = -1;
	int fd[2];
	pid_t pid;

	if (pipe(fd) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		result = run(v);
		_exit(write(fd[1], &result, sizeof(result)) != sizeof(result));
	}
	close(fd[1]);
	if (read(fd[0], &result, sizeof(result)) != sizeof(result))
		result = -1;
	close(fd[0]);
	waitpid(pid, NULL, 0);
	return result;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static double memory_use(struct volume *v)
{
	double before = bench_smaps(getpid(), "Anonymous"), bytes;

	place_mount(v->place);
	bytes = bench_smaps(getpid(), "Anonymous") - before;
	place_unmount(v->place);
	return bytes;
}

static double memory_measure(void *arg)
{
	return child_run(memory_use, arg);
}

static double constant(void *arg)
{
	return *(const double *)arg;
}

void bench_memory(const struct bench *b, const char *dir, uint64_t size)
{
	struct volume v = {place_volume_new(dir, size, false), 0, 0};
	double most = MEMORY_MOST;

	bench_compare(b, &(struct bench_case){"memory, mounted, empty", memory_measure, &v, "8 MiB", constant, &most, 0, "bytes"});
	place_free(v.place);
}

/* ---- mount ----------------------------------------------------------------------------------- */

static void file_make(struct volume *v, const char *format, unsigned i)
{
	char name[64];

	snprintf(name, sizeof(name), format, v->round, i);
	place_file_close(place_create(v->place, name));
}

static double volume_fill(struct volume *v)
{
	place_mount(v->place);
	for (unsigned i = 0; i < v->files; i++)
		file_make(v, "file-%u-%u", i);
	place_unmount(v->place);
	return 0;
}

/* Mounts what the last one has left, and leaves as much for the next: changes that are durable, and the process gone. */
static double volume_crash(struct volume *v)
{
	int64_t start = bench_now();
	double took;

	place_mount(v->place);
	took = bench_now() - start;
	for (unsigned i = 0; i < CHANGES; i++)
		file_make(v, "late-%u-%u", i);
	place_sync(v->place);
	return took;
}

static double mount_measure(void *arg)
{
	struct volume *v = arg;

	v->round++;
	return child_run(volume_crash, v);
}

void bench_mount(const struct bench *b, const char *dir, uint64_t size)
{
	struct volume v = {place_volume_new(dir, size, false), 0, b->quick ? FILES_QUICK : FILES};
	double most = mount_most;

	if (child_run(volume_fill, &v) == 0 && mount_measure(&v) >= 0)
		bench_compare(b, &(struct bench_case){b->quick ? "mount after a crash, 30000 files" : "mount after a crash, 10^6 files",
						      mount_measure, &v, "2 s", constant, &most, 0, NULL});
	place_free(v.place);
}
