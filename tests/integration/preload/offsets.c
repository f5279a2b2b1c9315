/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing: offsets, ends, appending, ranges, limits, memory that is not there. */
#include "tests/integration/preload/check.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static char buf[1 << 20], other[1 << 20];

static void ends(void)
{
	int fd = open(at("f"), O_RDWR | O_CREAT | O_TRUNC, 0644);

	EQUAL(read(fd, buf, 10), 0);
	EQUAL(write(fd, "0123456789", 10), 10);
	EQUAL(read(fd, buf, 10), 0);
	EQUAL(lseek(fd, -4, SEEK_END), 6);
	EQUAL(read(fd, buf, 10), 4);
	EQUAL(pread(fd, buf, 10, 8), 2);
	EQUAL(pread(fd, buf, 10, 10), 0);
	EQUAL(pread(fd, buf, 10, 1000), 0);
	EQUAL(lseek(fd, 0, SEEK_CUR), 10);
	EQUAL(lseek(fd, 20, SEEK_SET), 20);
	EQUAL(write(fd, "x", 1), 1);
	EQUAL(pread(fd, buf, 100, 0), 21);
	EQUAL(memcmp(buf, "0123456789\0\0\0\0\0\0\0\0\0\0x", 21), 0);
	EQUAL(read(fd, buf, 0), 0);
	EQUAL(write(fd, buf, 0), 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, -22, SEEK_CUR), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
	FAILS(pread(fd, buf, 1, -1), EINVAL);
	FAILS(pwrite(fd, buf, 1, -1), EINVAL);
	EQUAL(lseek(fd, 0, SEEK_CUR), 21);
	close(fd);
}

static void modes(void)
{
	int r = open(at("f"), O_RDONLY), w = open(at("f"), O_WRONLY);

	FAILS(write(r, buf, 1), EBADF);
	FAILS(pwrite(r, buf, 1, 0), EBADF);
	FAILS(ftruncate(r, 0), EINVAL);
	FAILS(read(w, buf, 1), EBADF);
	FAILS(pread(w, buf, 1, 0), EBADF);
	close(r);
	close(w);
}

static void vectors(void)
{
	int fd = open(at("v"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct iovec out[3] = {{"abc", 3}, {"", 0}, {"defgh", 5}}, in[2] = {{buf, 2}, {buf + 100, 50}};

	EQUAL(writev(fd, out, 3), 8);
	EQUAL(lseek(fd, 1, SEEK_SET), 1);
	EQUAL(readv(fd, in, 2), 7);
	EQUAL(memcmp(buf, "bc", 2), 0);
	EQUAL(memcmp(buf + 100, "defgh", 5), 0);
	EQUAL(pwritev(fd, out, 1, 5), 3);
	EQUAL(preadv(fd, in, 2, 4), 4);
	EQUAL(memcmp(buf, "ea", 2), 0);
	EQUAL(preadv2(fd, in, 2, -1, 0), 0);
	EQUAL(pwritev2(fd, out, 1, 0, RWF_APPEND), 3);
	EQUAL(pwritev2(fd, out, 1, 0, RWF_DSYNC), 3);
	FAILS(readv(fd, in, -1), EINVAL);
	FAILS(readv(fd, in, 1025), EINVAL);
	close(fd);
	holds(at("v"), "abcdeabcabc");
}

static void large(void)
{
	int fd = open(at("large"), O_RDWR | O_CREAT | O_TRUNC, 0644);

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7 + i / 509);
	EQUAL(write(fd, buf, 1000003), 1000003);
	EQUAL(pwrite(fd, buf, 300000, 1000003), 300000);
	EQUAL(pread(fd, other, 1000003, 0), 1000003);
	EQUAL(memcmp(buf, other, 1000003), 0);
	EQUAL(pread(fd, other, 300001, 1000003), 300000);
	EQUAL(memcmp(buf, other, 300000), 0);
	EQUAL(lseek(fd, 0, SEEK_SET), 0);
	for (size_t i = 0, n; i < 1300003; i += n) { /* odd pieces */
		n = 1300003 - i < 65537 ? 1300003 - i : 65537;
		EQUAL(read(fd, other, n), n);
	}
	close(fd);
}

static void appending(void)
{
	int a = open(at("app"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644), b = open(at("app"), O_RDWR | O_APPEND);
	int plain = open(at("app"), O_RDWR);

	EQUAL(write(a, "one", 3), 3);
	EQUAL(write(b, "two", 3), 3);
	EQUAL(lseek(b, 0, SEEK_CUR), 6);
	EQUAL(lseek(a, 0, SEEK_CUR), 3);
	EQUAL(lseek(a, 0, SEEK_SET), 0);
	EQUAL(write(a, "three", 5), 5);
	EQUAL(pwrite(b, "four", 4, 0), 4); /* as Linux does it */
	EQUAL(fcntl(b, F_SETFL, 0), 0);
	EQUAL(pwrite(b, "ONE", 3, 0), 3);
	EQUAL(fcntl(plain, F_SETFL, O_APPEND), 0);
	EQUAL(write(plain, "!", 1), 1);
	holds(at("app"), "ONEtwothreefour!");
	close(a);
	close(b);
	close(plain);
}

/* Many processes, one file, each line whole. */
static void appending_together(void)
{
	enum { PROCESSES = 4, LINES = 200 };
	pid_t children[PROCESSES];
	char line[40];
	int i, n, fd;
	FILE *f;

	for (i = 0; i < PROCESSES; i++)
		if ((children[i] = fork()) == 0) {
			fd = open(at("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
			for (n = 0; n < LINES; n++) {
				snprintf(line, sizeof(line), "%d line %04d of a process\n", i, n);
				EQUAL(write(fd, line, strlen(line)), strlen(line));
			}
			_exit(0);
		}
	for (i = 0; i < PROCESSES; i++)
		child_ok(children[i]);
	f = fopen(at("log"), "r");
	CHECK(f);
	for (n = 0; fgets(line, sizeof(line), f); n++)
		CHECK(strlen(line) == 25 && strstr(line, " of a process\n"));
	EQUAL(n, PROCESSES * LINES);
	fclose(f);
}

static void *thread_appends(void *arg)
{
	for (int i = 0; i < 500; i++)
		EQUAL(write(*(int *)arg, "0123456789abcdef", 16), 16);
	return NULL;
}

/* One open file, many threads: writes do not fall on each other. */
static void threads_share_the_offset(void)
{
	int fd = open(at("shared"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		EQUAL(pthread_create(&t[i], NULL, thread_appends, &fd), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQUAL(lseek(fd, 0, SEEK_CUR), 32000);
	EQUAL(pread(fd, buf, sizeof(buf), 0), 32000);
	for (int i = 0; i < 2000; i++)
		EQUAL(memcmp(buf + i * 16, "0123456789abcdef", 16), 0);
	close(fd);
}

static void truncating(void)
{
	int fd = open(at("t"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct stat st;

	EQUAL(write(fd, "0123456789", 10), 10);
	EQUAL(ftruncate(fd, 4), 0);
	EQUAL(lseek(fd, 0, SEEK_CUR), 10);
	EQUAL(lseek(fd, 0, SEEK_END), 4);
	EQUAL(ftruncate(fd, 8), 0);
	EQUAL(pread(fd, buf, 20, 0), 8);
	EQUAL(memcmp(buf, "0123\0\0\0\0", 8), 0);
	EQUAL(truncate(at("t"), 2), 0);
	EQUAL(fstat(fd, &st), 0);
	EQUAL(st.st_size, 2);
	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(truncate(dir, 0), EISDIR);
	FAILS(truncate(at("none"), 0), ENOENT);
	if (fallocate(fd, 0, 0, 100) == 0) {
		EQUAL(lseek(fd, 0, SEEK_END), 100);
		EQUAL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 100, 100), 0);
		EQUAL(lseek(fd, 0, SEEK_END), 100);
	}
	EQUAL(posix_fallocate(fd, 0, 200), 0);
	EQUAL(lseek(fd, 0, SEEK_END), 200);
	FAILS(fallocate(fd, 0, -1, 1), EINVAL);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	EQUAL(fsync(fd), 0);
	EQUAL(fdatasync(fd), 0);
	EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
	EQUAL(posix_fadvise(fd, 0, 0, 77), EINVAL);
	close(fd);
}

static void holes(void)
{
	int fd = open(at("holes"), O_RDWR | O_CREAT | O_TRUNC, 0644);

	EQUAL(pwrite(fd, "x", 1, 1 << 20), 1);
	EQUAL(lseek(fd, 0, SEEK_HOLE) <= (1 << 20) + 1, 1);
	EQUAL(lseek(fd, 1 << 20, SEEK_DATA), 1 << 20);
	EQUAL(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 1);
	FAILS(lseek(fd, (1 << 20) + 1, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, (1 << 20) + 1, SEEK_HOLE), ENXIO);
	close(fd);
}

static void bad_memory(void)
{
	int fd = open(at("f"), O_RDWR);

	FAILS(read(fd, (void *)8, 10), EFAULT);
	FAILS(read(fd, (void *)-4096, 10), EFAULT);
	FAILS(write(fd, NULL, 10), EFAULT);
	FAILS(open((char *)8, O_RDONLY), EFAULT);
	FAILS(open(NULL, O_RDONLY), EFAULT);
	FAILS(stat((char *)-1, &(struct stat){0}), EFAULT);
	close(fd);
}

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled++;
}

static void size_limit(void)
{
	CHILD {
		struct rlimit limit = {100, 100};
		int fd = open(at("limited"), O_RDWR | O_CREAT | O_TRUNC, 0644);

		signal(SIGXFSZ, on_signal);
		EQUAL(write(fd, buf, 50), 50);
		EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
		EQUAL(write(fd, buf, 100), 50);
		FAILS(write(fd, buf, 1), EFBIG);
		EQUAL(signalled, 1);
		FAILS(ftruncate(fd, 200), EFBIG);
	}
}

MAIN(ends, modes, vectors, large, appending, appending_together, threads_share_the_offset, truncating, holes, bad_memory,
     size_limit)
