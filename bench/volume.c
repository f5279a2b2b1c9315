/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume costs, against the kernel's filesystems and against the bare device, on loop devices over a
 * tmpfs, by turns (compare.h). Needs root.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/volume.h"

enum {
	SYNCS = 2000,
	FILES = 100000,
	FILES_QUICK = 20000,
	LARGE = 256 << 20,
	PIECE = 1 << 20,
	READERS = 32,
	READS = 1000, /* of each reader */
	SMALL = 1024,
	NAME = 32,
};

static const uint64_t size = UINT64_C(2) << 30;

/* ---- workloads: the argument says where ------------------------------------------------------ */

struct work {
	struct place *place;
	unsigned files; /* of the workload with many */
	unsigned count; /* so far: no name is used twice */
};

static char *aligned(size_t n)
{
	char *buf = aligned_alloc(4096, n);

	if (!buf)
		abort();
	memset(buf, 'x', n);
	return buf;
}

/* The same 1024 bytes of one file again and again: ns for one write and fsync. */
static double write_fsync(void *arg)
{
	struct work *w = arg;
	char name[NAME], buf[SMALL];
	struct file *f;
	int64_t start;

	memset(buf, 'x', sizeof(buf));
	snprintf(name, sizeof(name), "sync-%u", w->count++);
	f = place_create(w->place, name);
	place_file_write(f, buf, SMALL, 0);
	place_file_sync(f);
	start = bench_now();
	for (int i = 0; i < SYNCS; i++) {
		buf[0] = i;
		place_file_write(f, buf, SMALL, 0);
		place_file_sync(f);
	}
	start = bench_now() - start;
	place_file_close(f);
	return (double)start / SYNCS;
}

static double append_fsync(void *arg)
{
	struct work *w = arg;
	char name[NAME], buf[SMALL];
	struct file *f;
	int64_t start;

	memset(buf, 'x', sizeof(buf));
	snprintf(name, sizeof(name), "append-%u", w->count++);
	f = place_create(w->place, name);
	start = bench_now();
	for (int i = 0; i < SYNCS; i++) {
		place_file_write(f, buf, SMALL, (uint64_t)i * SMALL);
		place_file_sync(f);
	}
	start = bench_now() - start;
	place_file_close(f);
	return (double)start / SYNCS;
}

/* ns for creating, writing 1 KiB, stat and unlink of one file, when there are many. */
static double many_files(void *arg)
{
	struct work *w = arg;
	char name[NAME], buf[SMALL];
	int64_t start = bench_now();

	memset(buf, 'x', sizeof(buf));
	for (unsigned i = 0; i < w->files; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		struct file *f = place_create(w->place, name);
		place_file_write(f, buf, SMALL, 0);
		place_file_close(f);
	}
	for (unsigned i = 0; i < w->files; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		place_stat(w->place, name);
	}
	for (unsigned i = 0; i < w->files; i++) {
		snprintf(name, sizeof(name), "file-%u", i);
		place_unlink(w->place, name);
	}
	start = bench_now() - start;
	place_sync(w->place); /* what is left to do is not the next one's */
	return (double)start / w->files;
}

/* ns for 1 MiB of a large new file, with its fsync. */
static double write_large(void *arg)
{
	struct work *w = arg;
	char name[NAME], *buf = aligned(PIECE);
	int64_t start;
	struct file *f;

	snprintf(name, sizeof(name), "large-%u", w->count++);
	f = place_create(w->place, name);
	start = bench_now();
	for (int i = 0; i < LARGE / PIECE; i++)
		place_file_write(f, buf, PIECE, (uint64_t)i * PIECE);
	place_file_sync(f);
	start = bench_now() - start;
	place_file_close(f);
	if (w->count > 2) { /* so that the volume does not fill */
		snprintf(name, sizeof(name), "large-%u", w->count - 1);
		place_unlink(w->place, name);
	}
	free(buf);
	return (double)start / (LARGE / PIECE);
}

static double read_large(void *arg)
{
	struct work *w = arg;
	char *buf = aligned(PIECE);
	struct file *f = place_open(w->place, "large-0", true);
	int64_t start = bench_now();

	for (int i = 0; i < LARGE / PIECE; i++)
		place_file_read(f, buf, PIECE, (uint64_t)i * PIECE);
	start = bench_now() - start;
	place_file_close(f);
	free(buf);
	return (double)start / (LARGE / PIECE);
}

struct reader {
	pthread_t thread;
	struct work *work;
	unsigned seed;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	char *buf = aligned(4096);
	struct file *f = place_open(r->work->place, "large-0", true);

	for (int i = 0; i < READS; i++) {
		r->seed = r->seed * 1103515245 + 12345;
		place_file_read(f, buf, 4096, (uint64_t)((r->seed >> 8) % (LARGE / 4096)) * 4096);
	}
	place_file_close(f);
	free(buf);
	return NULL;
}

/* ns for a random read of 4 KiB, 32 at a time. */
static double read_random(void *arg)
{
	struct reader r[READERS];
	int64_t start = bench_now();

	for (unsigned i = 0; i < READERS; i++) {
		r[i] = (struct reader){.work = arg, .seed = i};
		if (pthread_create(&r[i].thread, NULL, reader_run, &r[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(r[i].thread, NULL);
	return (double)(bench_now() - start) / (READERS * READS);
}

/* ---- the comparisons ------------------------------------------------------------------------- */

static void against_kernel(const struct bench *b, const char *dir, const char *type)
{
	static const struct {
		const char *name;
		bench_measure *measure;
	} cases[] = {{"write 1 KiB, fsync", write_fsync},
		     {"append 1 KiB, fsync", append_fsync},
		     {"create, stat, unlink", many_files}};
	unsigned files = b->quick ? FILES_QUICK : FILES;
	struct work ours = {place_volume(dir, size), files, 0},
		    peer = {place_kernel(dir, type, size), files, 0};

	if (!ours.place || !peer.place)
		fprintf(stderr, "bench-volume: there is no %s here\n", type);
	for (size_t i = 0; ours.place && peer.place && i < sizeof(cases) / sizeof(*cases); i++)
		bench_compare(b, &(struct bench_case){.name = cases[i].name,
						      .ours = cases[i].measure,
						      .ours_arg = &ours,
						      .peer_name = type,
						      .peer = cases[i].measure,
						      .peer_arg = &peer});
	place_free(ours.place);
	place_free(peer.place);
}

static void against_device(const struct bench *b, const char *dir)
{
	static const struct {
		const char *name;
		bench_measure *measure;
	} cases[] = {{"write 1 MiB, in sequence", write_large},
		     {"read 1 MiB, in sequence", read_large},
		     {"read 4 KiB, random, 32", read_random}};
	struct work ours = {place_volume(dir, size), 0, 0}, peer = {place_device(dir, size), 0, 0};

	for (size_t i = 0; ours.place && peer.place && i < sizeof(cases) / sizeof(*cases); i++)
		bench_compare(b, &(struct bench_case){.name = cases[i].name,
						      .ours = cases[i].measure,
						      .ours_arg = &ours,
						      .peer_name = "image",
						      .peer = cases[i].measure,
						      .peer_arg = &peer});
	place_free(ours.place);
	place_free(peer.place);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/bench-volume-XXXXXX";
	struct bench b;

	bench_begin(&b, "volume", argv);
	if (geteuid() != 0 || !mkdtemp(dir) || mount("bench-volume", dir, "tmpfs", 0, "size=80%") < 0) {
		fprintf(stderr, "bench-volume: needs root\n");
		return 77;
	}
	against_kernel(&b, dir, "ext4");
	against_kernel(&b, dir, "ext2");
	against_kernel(&b, dir, "btrfs");
	against_device(&b, dir);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return 0;
}
