/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of many tenants, for bench-ceph-programs: ceph-reads DIRECTORY MS
 *
 * Prints "ready", waits for a line, reads 4 KiB here and there of a cached file for so long, and prints how many times.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/compare.h"

enum { PAGE = 4096, PIECE = 1 << 20, FILE_SIZE = 16 << 20, PAGES = FILE_SIZE / PAGE, BATCH = 16 };

static char buffer[PIECE];

static int file_make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	bench_must(fd >= 0, path);
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		bench_must(pwrite(fd, buffer, PIECE, at) == PIECE, "write");
	bench_must(fsync(fd) == 0, "fsync");
	for (off_t at = 0; at < FILE_SIZE; at += PIECE)
		bench_must(pread(fd, buffer, PIECE, at) == PIECE, "read");
	return fd;
}

int main(int argc, char **argv)
{
	unsigned long count = 0;
	unsigned seed = 1;
	char path[4096];
	int64_t until;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: ceph-reads DIRECTORY MS\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/bench-ceph-reads", argv[1]);
	fd = file_make(path);
	puts("ready");
	fflush(stdout);
	bench_must(getchar() == '\n', "order");
	for (until = bench_now() + strtol(argv[2], NULL, 10) * 1000000; bench_now() < until; count += BATCH)
		for (unsigned i = 0; i < BATCH; i++) {
			seed = seed * 1103515245 + 12345;
			bench_must(pread(fd, buffer, PAGE, (off_t)(seed / 256 % PAGES) * PAGE) == PAGE, "read");
		}
	printf("%lu\n", count);
	close(fd);
	return unlink(path) != 0;
}
