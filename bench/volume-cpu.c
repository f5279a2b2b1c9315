/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a small write and its fsync cost in CPU time, not in time: that of this process, which is all there is of a volume,
 * and of the kernel's threads, which work for its own filesystems and for loop devices. These work for others, too, so
 * on a machine that is busy the kernel's figures are too high; both stand on loop devices, whose threads are counted with
 * either. All on images in one tmpfs.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/volume.h"

enum { SYNCS = 4000, SYNCS_QUICK = 400, SMALL = 1024, KTHREADD = 2 };

struct load {
	struct place *place;
	unsigned syncs, count;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	return clock_gettime(clock, &t) < 0 ? 0 : t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* A kernel's thread has kthreadd as its parent: the second word behind its name, which may have spaces. */
static bool is_of_kernel(const char *pid)
{
	char path[64], line[512], *name_end;
	FILE *f;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f) && (name_end = strrchr(line, ')')))
		sscanf(name_end + 1, " %*c %d", &parent);
	fclose(f);
	return parent == KTHREADD;
}

static int64_t thread_ns(const char *pid)
{
	char path[64];
	long long ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/schedstat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lld", &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

/* Threads that end meanwhile take theirs along: the kernel keeps its workers for longer than this takes. */
static int64_t kernel_ns(void)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	int64_t sum = 0;

	while (proc && (e = readdir(proc)))
		if (isdigit((unsigned char)*e->d_name) && is_of_kernel(e->d_name))
			sum += thread_ns(e->d_name);
	if (proc)
		closedir(proc);
	return sum;
}

static double load_measure(void *arg)
{
	struct load *l = arg;
	char name[32], buf[SMALL];
	struct file *f;
	int64_t own, kernel;

	memset(buf, 'x', sizeof(buf));
	snprintf(name, sizeof(name), "cpu-%u", l->count++);
	f = place_create(l->place, name);
	place_file_write(f, buf, SMALL, 0);
	place_file_sync(f);
	kernel = kernel_ns();
	own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned i = 0; i < l->syncs; i++) {
		buf[0] = i;
		place_file_write(f, buf, SMALL, 0);
		place_file_sync(f);
	}
	own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
	kernel = kernel_ns() - kernel;
	place_file_close(f);
	return (double)(own + (kernel > 0 ? kernel : 0)) / l->syncs;
}

void bench_cpu(const struct bench *b, const char *dir, uint64_t size)
{
	static const char *const types[] = {"ext2", "ext4", "btrfs"};
	unsigned syncs = b->quick ? SYNCS_QUICK : SYNCS;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct load ours = {place_volume_new(dir, size, true), syncs, 0}, peer = {place_kernel(dir, types[i], size), syncs, 0};

		if (ours.place && peer.place) {
			place_mount(ours.place);
			bench_compare(b, &(struct bench_case){"write 1 KiB, fsync, CPU time", load_measure, &ours, types[i],
							      load_measure, &peer, 0, NULL});
		} else {
			bench_missing(b, types[i]);
		}
		place_free(ours.place);
		place_free(peer.place);
	}
}
