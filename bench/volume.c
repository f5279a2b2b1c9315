/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume costs, against the kernel's filesystems and against the bare device, on loop devices over a
 * tmpfs, by turns (compare.h): bench-volume [--json] [--quick] [PART...]. Needs root.
 *
 *   fsync   small writes, each with its fsync (Arrakis' first figure)
 *   files   many small files
 *   device  large files, against the image itself
 *   disk    small writes, each with its fsync, on the disk of /var/tmp: against the least that one can be, and ext4
 *   areas   a mirror and a stripe, against one image (volume-areas.c)
 *   resync  a mirror's image that comes back (volume-resync.c)
 *   cpu     CPU time of small writes, each with its fsync (volume-cpu.c)
 *   memory  of a volume that is mounted and empty, and
 *   mount   of one with many files, after a crash: against what they are to be at most (volume-mount.c)
 */
#include <fcntl.h>
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
	SYNCS_QUICK = 200,
	SYNCS_DISK = 200,
	SYNCS_DISK_QUICK = 20,
	FILES = 100000,
	FILES_QUICK = 4000, /* in one directory, which takes some file systems the square of it */
	LARGE = 256 << 20,
	PIECE = 1 << 20,
	READERS = 32,
	READS = 1000, /* of each reader */
	SMALL = 1024,
	SMALL_MAX = 4096,
	NAME = 32,
};

static const uint64_t size = UINT64_C(2) << 30;

/* ---- workloads: the argument says where ------------------------------------------------------ */

struct work {
	struct place *place;
	unsigned files; /* of the workload with many */
	unsigned count; /* so far: no name is used twice */
	unsigned small; /* bytes of a small write */
	int syncs;
	int fd; /* of a bare file */
};

static char *aligned(size_t n)
{
	char *buf = aligned_alloc(4096, n);

	if (!buf)
		abort();
	memset(buf, 'x', n);
	return buf;
}

/* The same bytes of one file again and again: ns for one write and fsync. */
static double write_fsync(void *arg)
{
	struct work *w = arg;
	char name[NAME], buf[SMALL_MAX];
	struct file *f;
	int64_t start;

	memset(buf, 'x', w->small);
	snprintf(name, sizeof(name), "sync-%u", w->count++);
	f = place_create(w->place, name);
	place_file_write(f, buf, w->small, 0);
	place_file_sync(f);
	start = bench_now();
	for (int i = 0; i < w->syncs; i++) {
		buf[0] = i;
		place_file_write(f, buf, w->small, 0);
		place_file_sync(f);
	}
	start = bench_now() - start;
	place_file_close(f);
	return (double)start / w->syncs;
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
	for (int i = 0; i < w->syncs; i++) {
		place_file_write(f, buf, SMALL, (uint64_t)i * SMALL);
		place_file_sync(f);
	}
	start = bench_now() - start;
	place_file_close(f);
	return (double)start / w->syncs;
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

static struct work work_of(const struct bench *b, struct place *place)
{
	return (struct work){.place = place, .files = b->quick ? FILES_QUICK : FILES, .small = SMALL,
			     .syncs = b->quick ? SYNCS_QUICK : SYNCS};
}

static void compare(const struct bench *b, const char *name, bench_measure *measure, struct work *ours,
		    const char *peer_name, struct work *peer)
{
	bench_compare(b, &(struct bench_case){name, measure, ours, peer_name, measure, peer, 0});
}

static void compare_fsync(const struct bench *b, struct work *ours, const char *type, struct work *peer)
{
	static const unsigned sizes[] = {64, 512, SMALL, SMALL_MAX};
	char name[32];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		if (b->quick && sizes[i] != SMALL)
			continue;
		ours->small = peer->small = sizes[i];
		snprintf(name, sizeof(name), sizes[i] < 1024 ? "write %u bytes, fsync" : "write %u KiB, fsync",
			 sizes[i] < 1024 ? sizes[i] : sizes[i] / 1024);
		compare(b, name, write_fsync, ours, type, peer);
	}
	compare(b, "append 1 KiB, fsync", append_fsync, ours, type, peer);
}

static void against_kernel(const struct bench *b, const char *dir, const char *type)
{
	struct work ours = work_of(b, place_volume(dir, size)), peer = work_of(b, place_kernel(dir, type, size));

	if (!ours.place || !peer.place)
		bench_missing(b, type);
	else if (bench_wants(b, "fsync"))
		compare_fsync(b, &ours, type, &peer);
	/* Not against ext2, whose directories are lists: 100,000 names in one would take it hours. */
	if (ours.place && peer.place && bench_wants(b, "files") && strcmp(type, "ext2") != 0)
		compare(b, "create, stat, unlink", many_files, &ours, type, &peer);
	place_free(ours.place);
	place_free(peer.place);
}

static void against_device(const struct bench *b, const char *dir)
{
	struct work ours = work_of(b, place_volume(dir, size)), peer = work_of(b, place_device(dir, size));

	struct work beneath = work_of(b, place_beneath(ours.place));

	compare(b, "write 1 MiB, in sequence", write_large, &ours, "image", &peer);
	/* The same memory: how near its pages are to each other is a matter of luck, and half of the time it takes. */
	compare(b, "read 1 MiB, in sequence", read_large, &ours, "image", &beneath);
	compare(b, "read 4 KiB, random, 32", read_random, &ours, "image", &beneath);
	place_free(beneath.place);
	place_free(ours.place);
	place_free(peer.place);
}

/* What an application would do that keeps its own log: one block, past the caches, durable when it returns. */
static double write_bare(void *arg)
{
	struct work *w = arg;
	char *buf = aligned(SMALL_MAX);
	int64_t start = bench_now();

	for (int i = 0; i < w->syncs; i++) {
		buf[0] = i;
		if (pwrite(w->fd, buf, SMALL_MAX, 0) != SMALL_MAX)
			return -1;
	}
	start = bench_now() - start;
	free(buf);
	return (double)start / w->syncs;
}

static void on_disk(const struct bench *b)
{
	char dir[] = "/var/tmp/bench-volume-XXXXXX", path[64];
	struct work ours, ext4, bare;

	if (!mkdtemp(dir))
		return;
	ours = work_of(b, place_volume(dir, size));
	ext4 = work_of(b, place_kernel(dir, "ext4", size));
	bare = work_of(b, NULL);
	ours.syncs = ext4.syncs = bare.syncs = b->quick ? SYNCS_DISK_QUICK : SYNCS_DISK;
	snprintf(path, sizeof(path), "%s/bare", dir);
	bare.fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_DSYNC | O_CLOEXEC, 0600);
	if (ours.place && bare.fd >= 0)
		bench_compare(b, &(struct bench_case){"write 1 KiB, fsync, disk", write_fsync, &ours,
						      "O_DIRECT|O_DSYNC 4 KiB", write_bare, &bare, 0});
	if (ours.place && ext4.place)
		compare(b, "write 1 KiB, fsync, disk", write_fsync, &ours, "ext4", &ext4);
	place_free(ext4.place);
	place_free(ours.place);
	close(bare.fd);
	unlink(path);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {"fsync", "files", "device", "disk", "areas", "resync", "cpu", "memory", "mount", NULL};
	static const char *const types[] = {"ext4", "ext2", "btrfs"};
	char dir[] = "/tmp/bench-volume-XXXXXX";
	struct bench b;

	bench_begin(&b, "volume", parts, argv);
	if (geteuid() != 0 || !mkdtemp(dir) || mount("bench-volume", dir, "tmpfs", 0, "size=80%") < 0) {
		fprintf(stderr, "bench-volume: needs root\n");
		return 77;
	}
	for (int i = 0; i < 3 && (bench_wants(&b, "fsync") || bench_wants(&b, "files")); i++)
		against_kernel(&b, dir, types[i]);
	if (bench_wants(&b, "device"))
		against_device(&b, dir);
	if (bench_wants(&b, "disk"))
		on_disk(&b);
	if (bench_wants(&b, "areas"))
		bench_areas(&b, dir);
	if (bench_wants(&b, "resync"))
		bench_resync(&b, dir);
	if (bench_wants(&b, "cpu"))
		bench_cpu(&b, dir, size);
	if (bench_wants(&b, "memory"))
		bench_memory(&b, dir, size);
	if (bench_wants(&b, "mount"))
		bench_mount(&b, dir, size);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return 0;
}
