/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: calls of libc's as programs make them, on files that were just used. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bench/cached.h"
#include "bench/compare.h"

enum { PAGE = 4096, LARGE = 64 << 20, WHOLE = 8 << 20, PIECE = 128 << 10, HOT = 512 << 10, NAMES = 1000, APPENDS = 100 };

static int large, hot, log_file;
static char *mapping, buf[PAGE];

/* Pages in no order. */
static off_t place(unsigned i, unsigned size)
{
	return (off_t)(i * 2654435761u % (size / PAGE)) * PAGE;
}

static void read_large(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(pread(large, buf, PAGE, place(i, LARGE)) == PAGE, "pread");
}

static void copy_large(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memcpy(buf, mapping + place(i, LARGE), PAGE);
		__asm__ volatile("" : : "r"(buf) : "memory");
	}
}

static void read_hot(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(pread(hot, buf, PAGE, place(i, HOT)) == PAGE, "pread");
}

static void read_byte(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(pread(hot, buf, 1, place(i, HOT)) == 1, "pread");
}

static void read_next(unsigned n)
{
	bench_must(lseek(hot, 0, SEEK_SET) == 0, "lseek");
	for (unsigned i = 0; i < n; i++)
		if (read(hot, buf, PAGE) != PAGE)
			bench_must(lseek(hot, 0, SEEK_SET) == 0, "lseek");
}

static void overwrite(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(pwrite(hot, buf, PAGE, place(i, HOT)) == PAGE, "pwrite");
}

static void append(unsigned n)
{
	bench_must(ftruncate(log_file, 0) == 0, "ftruncate");
	for (unsigned i = 0; i < n; i++)
		bench_must(write(log_file, buf, APPENDS) == APPENDS, "write");
}

static void stat_hit(unsigned n)
{
	struct stat st;

	for (unsigned i = 0; i < n; i++)
		bench_must(stat("a/b/file", &st) == 0, "stat");
}

static void stat_miss(unsigned n)
{
	struct stat st;

	for (unsigned i = 0; i < n; i++)
		bench_must(stat("a/b/nothing", &st) < 0, "stat of nothing");
}

static void access_hit(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(access("a/b/file", R_OK) == 0, "access");
}

static void make_remove(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = open("a/b/made", O_WRONLY | O_CREAT | O_EXCL, 0644);

		bench_must(fd >= 0, "make");
		close(fd);
		bench_must(unlink("a/b/made") == 0, "remove");
	}
}

static void rename_back(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bench_must(rename(i & 1 ? "names/x" : "names/0", i & 1 ? "names/0" : "names/x") == 0, "rename");
	if (n & 1)
		bench_must(rename("names/x", "names/0") == 0, "rename");
}

static void open_close(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = open("a/b/file", O_RDONLY);

		bench_must(fd >= 0, "open");
		close(fd);
	}
}

/* As cat and cp read. */
static void read_whole(unsigned n)
{
	static char piece[PIECE];

	for (unsigned i = 0; i < n; i++) {
		int fd = open("whole", O_RDONLY);

		for (unsigned at = 0; at < WHOLE; at += PIECE)
			bench_must(read(fd, piece, PIECE) == PIECE, "read");
		close(fd);
	}
}

static void list(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		DIR *dir = opendir("names");

		bench_must(dir != NULL, "opendir");
		while (readdir(dir))
			;
		closedir(dir);
	}
}

const struct cached_case cached_cases[] = {
	{"pread 4 KiB of 64 MiB", 200000, 100000, read_large, true},
	{"memcpy 4 KiB of 64 MiB", 200000, 100000, copy_large, false},
	{"pread 4 KiB of 512 KiB", 300000, 100000, read_hot, true},
	{"pread 1 byte", 300000, 100000, read_byte, false},
	{"read 4 KiB", 300000, 100000, read_next, false},
	{"overwrite 4 KiB", 300000, 100000, overwrite, false},
	{"append 100 bytes", 100000, 50000, append, false},
	{"stat", 200000, 50000, stat_hit, false},
	{"stat of nothing", 200000, 50000, stat_miss, false},
	{"access", 200000, 50000, access_hit, false},
	{"open and close", 100000, 30000, open_close, false},
	{"open, read 8 MiB, close", 100, 20, read_whole, false},
	{"readdir of 1000", 300, 100, list, false},
	{"make and remove", 5000, 2000, make_remove, false},
	{"rename", 10000, 4000, rename_back, false},
};
const unsigned cached_case_count = sizeof(cached_cases) / sizeof(*cached_cases);

static int file_of(const char *name, int flags, unsigned size)
{
	int fd = open(name, flags | O_CREAT | O_TRUNC, 0644);

	bench_must(fd >= 0, name);
	memset(buf, 'x', sizeof(buf));
	for (unsigned at = 0; at < size; at += PAGE)
		bench_must(write(fd, buf, PAGE) == PAGE, name);
	return fd;
}

/* As programs find it: they have not made it themselves. */
static int file_found(const char *name, unsigned size)
{
	int fd;

	close(file_of(name, O_WRONLY, size));
	fd = open(name, O_RDWR);
	bench_must(fd >= 0, name);
	return fd;
}

static void names_make(void)
{
	char name[32];

	bench_must(mkdir("names", 0755) == 0 && mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0, "mkdir");
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "names/%u", i);
		close(file_of(name, O_WRONLY, 0));
	}
	close(file_of("a/b/file", O_WRONLY, 0));
}

int cached_prepare(void)
{
	names_make();
	large = file_found("large", LARGE);
	hot = file_found("hot", HOT);
	close(file_of("whole", O_WRONLY, WHOLE));
	log_file = file_of("log", O_WRONLY | O_APPEND, 0);
	mapping = mmap(NULL, LARGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	bench_must(mapping != MAP_FAILED, "mmap");
	/* Pages of its own, as a file has. */
	mprotect(mapping, LARGE, PROT_READ | PROT_WRITE);
	memset(mapping, 1, LARGE);
	return 0;
}
