/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What system calls cost on a file of some directory: the program that bench-ceph-doors runs at each door.
 *
 *   ceph-calls DIRECTORY [COUNT]
 *   ceph-calls --reads DIRECTORY MS
 *
 * Prints a line for each call: its name, and the median of its times in ns; of streams, MiB/s. --reads prints "ready", waits for a
 * line, reads 4 KiB here and there of what is cached for so long, and prints how many times.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PIECE = 1 << 20, FILE_SIZE = 16 << 20, PAGES = FILE_SIZE / PAGE, BATCH = 16 };

struct bench {
	int fd;
	unsigned seed, count;
	char path[4096];
	char *buf;
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static off_t anywhere(struct bench *b)
{
	b->seed = b->seed * 1103515245 + 12345;
	return (off_t)((b->seed >> 8) % PAGES) * PAGE;
}

/* ---- calls ----------------------------------------------------------------------------------------- */

static void call_read(struct bench *b)
{
	must(pread(b->fd, b->buf, PAGE, anywhere(b)) == PAGE, "read");
}

static void call_write(struct bench *b)
{
	must(pwrite(b->fd, b->buf, PAGE, anywhere(b)) == PAGE, "write");
}

static void call_fstat(struct bench *b)
{
	struct stat st;

	must(fstat(b->fd, &st) == 0, "fstat");
}

static void call_stat(struct bench *b)
{
	struct stat st;

	must(stat(b->path, &st) == 0, "stat");
}

static void call_open(struct bench *b)
{
	int fd = open(b->path, O_RDONLY);

	must(fd >= 0 && close(fd) == 0, "open");
}

static void call_write_sync(struct bench *b)
{
	call_write(b);
	must(fdatasync(b->fd) == 0, "fdatasync");
}

/* ---- measuring ------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of batches, so that to look at the clock costs nothing. */
static void median(struct bench *b, const char *name, void (*call)(struct bench *b), unsigned batch, unsigned count)
{
	int64_t *times = calloc(count, sizeof(*times)), start;

	must(times != NULL, "memory");
	for (unsigned i = 0; i < count; i++) {
		start = now();
		for (unsigned k = 0; k < batch; k++)
			call(b);
		times[i] = (now() - start) / batch;
	}
	qsort(times, count, sizeof(*times), compare);
	printf("%s %lld\n", name, (long long)times[count / 2]);
	free(times);
}

static void stream(struct bench *b)
{
	int64_t start = now();

	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		must(pwrite(b->fd, b->buf, PIECE, at) == PIECE, "write");
	must(fsync(b->fd) == 0, "fsync");
	printf("stream-write %lld\n", (long long)((int64_t)(FILE_SIZE / PIECE) * 1000000000 / (now() - start)));
}

static void file_open(struct bench *b, const char *directory)
{
	snprintf(b->path, sizeof(b->path), "%s/bench-ceph-calls", directory);
	b->buf = calloc(1, PIECE);
	must(b->buf != NULL, "memory");
	b->fd = open(b->path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	must(b->fd >= 0, b->path);
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		must(pwrite(b->fd, b->buf, PIECE, at) == PIECE, "write");
	must(fsync(b->fd) == 0, "fsync");
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		must(pread(b->fd, b->buf, PIECE, at) == PIECE, "read");
}

static int reads(const char *directory, int64_t ms)
{
	struct bench b = {.seed = 1};
	unsigned long count = 0;
	int64_t until;

	file_open(&b, directory);
	puts("ready");
	fflush(stdout);
	must(getchar() == '\n', "order");
	for (until = now() + ms * 1000000; now() < until; count += BATCH)
		for (unsigned i = 0; i < BATCH; i++)
			call_read(&b);
	printf("%lu\n", count);
	close(b.fd);
	return unlink(b.path) != 0;
}

int main(int argc, char **argv)
{
	struct bench b = {.seed = 1, .count = argc > 2 ? strtoul(argv[2], NULL, 10) : 500};

	if (argc == 4 && strcmp(argv[1], "--reads") == 0)
		return reads(argv[2], strtol(argv[3], NULL, 10));
	if (argc < 2 || !b.count) {
		fprintf(stderr, "usage: ceph-calls DIRECTORY [COUNT] | --reads DIRECTORY MS\n");
		return 2;
	}
	snprintf(b.path, sizeof(b.path), "%s/bench-ceph-calls", argv[1]);
	b.buf = calloc(1, PIECE);
	must(b.buf != NULL, "memory");
	b.fd = open(b.path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	must(b.fd >= 0, b.path);
	stream(&b);
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		must(pread(b.fd, b.buf, PIECE, at) == PIECE, "read");
	median(&b, "read-4k", call_read, BATCH, b.count);
	median(&b, "fstat", call_fstat, BATCH, b.count);
	median(&b, "stat", call_stat, BATCH, b.count);
	median(&b, "open-close", call_open, BATCH, b.count / 4 + 1);
	median(&b, "write-4k", call_write, BATCH, b.count);
	median(&b, "write-4k-fdatasync", call_write_sync, 1, b.count / 16 + 1);
	close(b.fd);
	unlink(b.path);
	return 0;
}
