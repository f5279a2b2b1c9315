/* SPDX-License-Identifier: Apache-2.0 */
/* Maps and calls see the same bytes. */
#include "tests/integration/preload/check.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

static void shared(void)
{
	int fd = open(at("s"), O_RDWR | O_CREAT | O_TRUNC, 0644), other = open(at("s"), O_RDWR);
	char buf[16], *p;

	EQUAL(ftruncate(fd, 4 * PAGE), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	EQUAL(pwrite(other, "by a call", 9, PAGE), 9);
	EQUAL(memcmp(p + PAGE, "by a call", 9), 0);
	EQUAL(pwrite(fd, "again", 5, PAGE), 5);
	EQUAL(memcmp(p + PAGE, "againcall", 9), 0);
	memcpy(p + 2 * PAGE, "by a store", 10);
	EQUAL(pread(other, buf, 10, 2 * PAGE), 10);
	EQUAL(memcmp(buf, "by a store", 10), 0);
	memcpy(p + 2 * PAGE, "b", 1);
	memcpy(p + 2 * PAGE + 3, "-", 1);
	EQUAL(pread(fd, buf, 10, 2 * PAGE), 10);
	EQUAL(memcmp(buf, "by - store", 10), 0);
	CHILD {
		memcpy(p, "child", 5);
		EQUAL(msync(p, PAGE, MS_SYNC), 0);
	}
	EQUAL(memcmp(p, "child", 5), 0);
	EQUAL(pread(other, buf, 5, 0), 5);
	EQUAL(memcmp(buf, "child", 5), 0);
	close(fd);
	memcpy(p, "after close", 11);
	EQUAL(munmap(p, 4 * PAGE), 0);
	EQUAL(pread(other, buf, 11, 0), 11);
	EQUAL(memcmp(buf, "after close", 11), 0);
	close(other);
}

static void private(void)
{
	int fd = open(at("p"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	char *p;

	EQUAL(write(fd, "original", 8), 8);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	memcpy(p, "mine", 4);
	holds(at("p"), "original");
	EQUAL(memcmp(p, "mineinal", 8), 0);
	EQUAL(write(fd, "!", 1), 1); /* the offset is as it was */
	holds(at("p"), "original!");
	close(fd);
	munmap(p, PAGE);
}

static void grown(void)
{
	int fd = open(at("g"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	for (int i = 0; i < 8; i++) {
		EQUAL(pwrite(fd, &i, sizeof(i), i * PAGE), sizeof(i));
		EQUAL(p[i * PAGE], i);
		p[i * PAGE + 1] = 'x';
	}
	for (int i = 0; i < 8; i++) {
		char c = 0;
		EQUAL(pread(fd, &c, 1, i * PAGE + 1), 1);
		EQUAL(c, 'x');
	}
	munmap(p, 8 * PAGE);
	close(fd);
}

static void refused(void)
{
	int r = open(at("p"), O_RDONLY), w = open(at("p"), O_WRONLY);

	CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED);
	EQUAL(errno, EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0) == MAP_FAILED);
	EQUAL(errno, EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, r, 1) == MAP_FAILED);
	EQUAL(errno, EINVAL);
	close(r);
	close(w);
}

MAIN(shared, private, grown, refused)
