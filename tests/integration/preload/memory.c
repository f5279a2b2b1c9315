/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that lead nowhere: EFAULT, and the program goes on. */
#include "tests/integration/preload/check.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>

enum { PAGE = 4096 };

static char *none, *edge, *readonly; /* no access; the last byte before a hole; a page to read */

static void make_pages(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && none != MAP_FAILED && readonly != MAP_FAILED);
	EQUAL(munmap(p + PAGE, PAGE), 0);
	memset(p, 'x', PAGE);
	edge = p + PAGE - 1;
}

static void path_nowhere(const char *bad)
{
	struct timeval times[2] = {{1, 0}, {2, 0}};
	struct stat st;
	char text[64];

	FAILS(open(bad, O_RDONLY), EFAULT);
	FAILS(open(bad, O_RDWR | O_CREAT, 0600), EFAULT);
	FAILS(creat(bad, 0600), EFAULT);
	FAILS(stat(bad, &st), EFAULT);
	FAILS(lstat(bad, &st), EFAULT);
	FAILS(fstatat(AT_FDCWD, bad, &st, AT_SYMLINK_NOFOLLOW), EFAULT);
	FAILS(access(bad, R_OK), EFAULT);
	FAILS(chmod(bad, 0600), EFAULT);
	FAILS(chown(bad, 0, 0), EFAULT);
	FAILS(lchown(bad, 0, 0), EFAULT);
	FAILS(truncate(bad, 0), EFAULT);
	FAILS(utimes(bad, times), EFAULT);
	FAILS(mkdir(bad, 0700), EFAULT);
	FAILS(mkfifo(bad, 0700), EFAULT);
	FAILS(mknod(bad, S_IFREG | 0600, 0), EFAULT);
	FAILS(rmdir(bad), EFAULT);
	FAILS(unlink(bad), EFAULT);
	FAILS(symlink(bad, at("new")), EFAULT);
	FAILS(symlink("target", bad), EFAULT);
	FAILS(link(bad, at("new")), EFAULT);
	FAILS(link(at("f"), bad), EFAULT);
	FAILS(rename(bad, at("new")), EFAULT);
	FAILS(rename(at("f"), bad), EFAULT);
	FAILS(readlink(bad, text, sizeof(text)), EFAULT);
	FAILS(chdir(bad), EFAULT);
	FAILS(statfs(bad, &(struct statfs){0}), EFAULT);
	FAILS(getxattr(at("f"), bad, text, sizeof(text)), EFAULT);
	FAILS(execl(bad, "x", NULL), EFAULT);
}

static void paths(void)
{
	write_file(at("f"), "0123456789");
	EQUAL(chdir(dir), 0);
	path_nowhere((char *)-1);
	path_nowhere((char *)8);
	path_nowhere(none);
	path_nowhere(edge);
	path_nowhere((char *)0x800000000000);
	*edge = 0;
	FAILS(open(edge, O_RDONLY), ENOENT);
	memcpy(edge - 1, "f", 2);
	EQUAL(close(open(edge - 1, O_RDONLY)), 0);
	memcpy(edge - strlen(at("f")), at("f"), strlen(at("f")) + 1);
	EQUAL(access(edge - strlen(at("f")), R_OK), 0);
	*edge = 'x';
	FAILS(access(edge - strlen(at("f")), R_OK), EFAULT);
}

/* With a descriptor that holds ten bytes. */
static void buffer_nowhere(int fd, char *bad)
{
	struct iovec iov[2] = {{bad, 5}, {bad, 5}};

	EQUAL(lseek(fd, 0, SEEK_SET), 0);
	FAILS(read(fd, bad, 5), EFAULT);
	FAILS(pread(fd, bad, 5, 0), EFAULT);
	FAILS(readv(fd, iov, 2), EFAULT);
	FAILS(preadv(fd, iov, 2, 0), EFAULT);
	EQUAL(lseek(fd, 0, SEEK_CUR), 0);
	FAILS(fstat(fd, (struct stat *)bad), EFAULT);
	FAILS(stat(at("f"), (struct stat *)bad), EFAULT);
	FAILS(readlink(at("link"), bad, 10), EFAULT);
	FAILS(fstatfs(fd, (struct statfs *)bad), EFAULT);
}

static void source_nowhere(int fd, char *bad)
{
	struct iovec iov[2] = {{bad, 5}, {bad, 5}};

	FAILS(write(fd, bad, 5), EFAULT);
	FAILS(pwrite(fd, bad, 5, 0), EFAULT);
	FAILS(writev(fd, iov, 2), EFAULT);
	FAILS(writev(fd, (struct iovec *)bad, 2), EFAULT);
	FAILS(readv(fd, (struct iovec *)bad, 2), EFAULT);
	FAILS(fcntl(fd, F_SETLK, bad), EFAULT);
	FAILS(futimens(fd, (struct timespec *)bad), EFAULT);
	FAILS(setxattr(at("f"), "user.a", bad, 5, 0), EFAULT);
	EQUAL(lseek(fd, 0, SEEK_CUR), 0);
	holds(at("f"), "0123456789");
}

static void buffers(void)
{
	int fd = open(at("f"), O_RDWR);
	char *const bad[] = {(char *)-100, (char *)8, none};

	CHECK(fd >= 0);
	EQUAL(symlink("f", at("link")), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buffer_nowhere(fd, bad[i]);
		source_nowhere(fd, bad[i]);
	}
	buffer_nowhere(fd, readonly);
	EQUAL(pwrite(fd, "", 0, 0), 0);
	EQUAL(pwrite(fd, none, 0, 0), 0);
	FAILS(syscall(SYS_getdents64, open(dir, O_RDONLY | O_DIRECTORY), none, 4096), EFAULT);
	EQUAL(close(fd), 0);
}

/* What is there is moved; the rest is not. */
static void halves(void)
{
	int fd = open(at("f"), O_RDWR);
	struct iovec iov[2] = {{edge - 3, 4}, {none, 4}};

	EQUAL(read(fd, edge - 3, 8), 4);
	EQUAL(memcmp(edge - 3, "0123", 4), 0);
	EQUAL(lseek(fd, 0, SEEK_CUR), 4);
	EQUAL(preadv(fd, iov, 2, 4), 4);
	EQUAL(memcmp(edge - 3, "4567", 4), 0);
	EQUAL(pwritev(fd, iov, 2, 0), 4);
	EQUAL(pwrite(fd, edge - 1, 2, 8), 2);
	holds(at("f"), "4567456767");
	/* A buffer may be said to be larger than it is. */
	EQUAL(pread(fd, edge - 1, 1 << 20, 8), 2);
	EQUAL(close(fd), 0);
	write_file(at("f"), "0123456789");
}

static void is_gone(int fd, char *p, size_t at_most)
{
	FAILS(pread(fd, p, 5, 0), EFAULT);
	FAILS(open(p, O_RDONLY), EFAULT);
	if (at_most)
		FAILS(pread(fd, p + at_most - 1, 5, 0), EFAULT);
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* What was good before is not, once it is given back. */
static void given_back(void)
{
	int fd = open(at("f"), O_RDWR);
	char *p, *q;

	for (size_t pages = 1; pages < 2000; pages = pages * 3 + 1) {
		p = map(pages);
		for (size_t i = 0; i < pages; i++)
			EQUAL(pread(fd, p + i * PAGE, 5, 0), 5);
		EQUAL(munmap(p, pages * PAGE), 0);
		is_gone(fd, p, pages * PAGE);
	}
	p = map(3);
	EQUAL(pread(fd, p, 5, 0), 5);
	EQUAL(pread(fd, p + PAGE, 5, 0), 5);
	EQUAL(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	EQUAL(pread(fd, p, 5, 0), 5);
	FAILS(pread(fd, p + PAGE, 5, 0), EFAULT);
	EQUAL(pwrite(fd, p + PAGE, 5, 0), 5);
	EQUAL(mprotect(p + PAGE, PAGE, PROT_NONE), 0);
	FAILS(pwrite(fd, p + PAGE, 5, 0), EFAULT);
	EQUAL(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	EQUAL(pread(fd, p + PAGE, 5, 0), 5);
	EQUAL(pread(fd, p + 2 * PAGE - 2, 5, 0), 5);
	CHECK(mmap(p, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	is_gone(fd, p, 0);
	EQUAL(pread(fd, p + 2 * PAGE, 5, 0), 5);
	q = mremap(p + 2 * PAGE, PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL);
	CHECK(q != MAP_FAILED);
	EQUAL(pread(fd, q + 3 * PAGE, 5, 0), 5);
	CHECK(mremap(q, 4 * PAGE, PAGE, 0) == q);
	is_gone(fd, q + PAGE, 3 * PAGE);
	p = sbrk(4 * PAGE);
	EQUAL(pread(fd, p + 2 * PAGE, 5, 0), 5);
	CHECK(sbrk(-4 * PAGE) == p + 4 * PAGE);
	is_gone(fd, p + 2 * PAGE, 0);
	EQUAL(close(fd), 0);
}

/* A stack grows where the kernel is given its memory, too: deep below what was touched of it. */
static void __attribute__((noinline)) deep(int fd, size_t size)
{
	char *large = __builtin_alloca(size);
	struct stat *st = (struct stat *)(large + 100);

	EQUAL(fstat(fd, st), 0);
	EQUAL(st->st_size, 1 << 20);
	EQUAL(pread(fd, large, size, 0), size);
	CHECK(large[0] == 'd' && large[size - 1] == 'd');
}

static void stacks(void)
{
	static char data[1 << 20];
	int fd = open(at("deep"), O_RDWR | O_CREAT, 0600);

	memset(data, 'd', sizeof(data));
	EQUAL(write(fd, data, sizeof(data)), sizeof(data));
	deep(fd, 300000);
	deep(fd, 600000);
	deep(fd, 1000000);
	EQUAL(close(fd), 0);
}

/* Threads that map and unmap while others read: each into its own. */
static void *maps_and_reads(void *arg)
{
	int fd = (int)(intptr_t)arg;

	for (int i = 0; i < 3000; i++) {
		char *p = map(1 + i % 3);
		EQUAL(pread(fd, p, 5, 0), 5);
		EQUAL(munmap(p, (1 + i % 3) * PAGE), 0);
		if (i % 50 == 0)
			CHECK(pread(fd, p, 5, 0) == 5 || errno == EFAULT); /* another thread may have got it */
	}
	return NULL;
}

static void *opens_nothing(void *arg)
{
	for (int i = 0; i < 3000; i++)
		FAILS(open(none, O_RDONLY), EFAULT);
	return NULL;
}

static void threads(void)
{
	int fd = open(at("f"), O_RDWR);
	pthread_t t[3];

	EQUAL(pthread_create(&t[0], NULL, opens_nothing, NULL), 0);
	EQUAL(pthread_create(&t[1], NULL, opens_nothing, NULL), 0);
	maps_and_reads((void *)(intptr_t)fd);
	EQUAL(pthread_join(t[0], NULL), 0);
	EQUAL(pthread_join(t[1], NULL), 0);
	CHILD {
		FAILS(pread(fd, none, 5, 0), EFAULT);
		maps_and_reads((void *)(intptr_t)fd);
	}
	EQUAL(close(fd), 0);
}

MAIN(make_pages, paths, buffers, halves, given_back, stacks, threads)
