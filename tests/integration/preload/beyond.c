/* SPDX-License-Identifier: Apache-2.0 */
/* More open files than a process usually has, and higher numbers. */
#include "tests/integration/preload/check.h"

#include <sys/resource.h>

/* 0: the process may not have so many. */
static int room_for(rlim_t descriptors)
{
	struct rlimit limit;

	EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = descriptors;
	if (limit.rlim_max < descriptors)
		limit.rlim_max = descriptors;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void works(int fd, char byte)
{
	char got;

	CHECK(fd >= 0);
	EQUAL(pwrite(fd, &byte, 1, 0), 1);
	EQUAL(pread(fd, &got, 1, 0), 1);
	EQUAL(got, byte);
}

static void many_files(void)
{
	enum { MANY = 17000 };
	int n, fd, highest = 0;

	CHECK(room_for(MANY + 100));
	for (n = 0; n < MANY; n++) {
		fd = open(at("many"), O_RDWR | O_CREAT, 0644);
		if (fd < 0 || n % 1000 == 0)
			works(fd, (char)n);
		highest = fd;
	}
	fd = open(at("new"), O_RDWR | O_CREAT | O_EXCL, 0644);
	works(fd, 'n');
	while (highest >= 0 && open(at("many"), O_RDONLY) >= 0)
		;
	EQUAL(errno, EMFILE);
	EQUAL(close_range(3, ~0u, 0), 0);
	works(open(at("many"), O_RDWR), 'm');
	EQUAL(close_range(3, ~0u, 0), 0);
	EQUAL(unlink(at("many")), 0);
	EQUAL(unlink(at("new")), 0);
}

static void high_numbers(void)
{
	enum { HIGH = 65540 };
	int fd = open("/dev/null", O_RDONLY);

	if (!room_for(HIGH + 10))
		return;
	while (fd < HIGH)
		fd = dup(fd);
	fd = open(at("high"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	CHECK(fd > HIGH);
	works(fd, 'h');
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQUAL(write(fd, "ab", 2), 2);
	EQUAL(lseek(fd, 0, SEEK_CUR), 2);
	EQUAL(close_range(3, ~0u, 0), 0);
	holds(at("high"), "ab");
	EQUAL(unlink(at("high")), 0);
}

static void lower_to(rlim_t soft, rlim_t hard)
{
	EQUAL(setrlimit(RLIMIT_NOFILE, &(struct rlimit){soft, hard}), 0);
}

/* Descriptors stay what they are when the limit is lowered below their numbers: shells and servers do that. */
static void limit_lowered_to(rlim_t soft, rlim_t hard)
{
	int fd = open(at("above"), O_RDWR | O_CREAT | O_TRUNC, 0644), high = fcntl(fd, F_DUPFD, 200);

	EQUAL(write(fd, "one ", 4), 4);
	lower_to(soft, hard);
	EQUAL(write(high, "two ", 4), 4);
	CHILD {
		EQUAL(write(high, "three ", 6), 6);
		EQUAL(write(fd, "four ", 5), 5);
	}
	EQUAL(write(high, "five", 4), 4);
	EQUAL(lseek(fd, 0, SEEK_CUR), 23);
	works(high, 'O');
	lower_to(hard, hard);
	EQUAL(close(fd), 0);
	EQUAL(close(high), 0);
}

static void limit_below_numbers(void)
{
	static const rlim_t limits[] = {128, 5, 0};
	struct rlimit before;

	EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 3; i++) {
		limit_lowered_to(limits[i], before.rlim_max);
		holds(at("above"), "One two three four five");
		CHILD {
			limit_lowered_to(limits[i], limits[i]);
		}
		holds(at("above"), "One two three four five");
	}
	lower_to(before.rlim_cur, before.rlim_max);
	EQUAL(unlink(at("above")), 0);
}

/* No number is free, and yet children have what their parents have. */
static void fork_without_a_number(void)
{
	int fd = open(at("full"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct rlimit before;

	EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	lower_to(64, before.rlim_max);
	while (open(at("full"), O_RDONLY) >= 0)
		;
	EQUAL(errno, EMFILE);
	EQUAL(write(fd, "parent ", 7), 7);
	CHILD {
		EQUAL(write(fd, "child ", 6), 6);
	}
	EQUAL(write(fd, "end", 3), 3);
	EQUAL(close_range(3, ~0u, 0), 0);
	lower_to(before.rlim_cur, before.rlim_max);
	holds(at("full"), "parent child end");
	EQUAL(unlink(at("full")), 0);
}

MAIN(many_files, high_numbers, limit_below_numbers, fork_without_a_number)
