/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which numbers descriptors have: a new one has the lowest that is free, one that was closed is closed for everybody, and
 * what is open is as long as it was asked to be. Random operations, against a list of what should be open.
 */
#include "tests/integration/preload/check.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

enum { NUMBERS = 64, STEPS = 6000, THREADS = 4 };

enum state { FREE, OPEN, CLOEXEC };
static enum state model[NUMBERS];
static unsigned seed;
static int latest; /* made */

static unsigned draw(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

static int lowest(int from)
{
	while (from < NUMBERS && model[from] != FREE)
		from++;
	return from;
}

static int random_open(void)
{
	int first = 3 + (int)draw(NUMBERS - 3);

	for (int i = 0; i < NUMBERS - 3; i++) {
		int fd = 3 + (first - 3 + i) % (NUMBERS - 3);
		if (model[fd] != FREE)
			return fd;
	}
	return -1;
}

static unsigned in_use(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < NUMBERS; fd++)
		n += model[fd] != FREE;
	return n;
}

static void made(int fd, enum state state)
{
	EQUAL(fd, lowest(0));
	model[fd] = state;
	latest = fd;
}

/* ---- operations -------------------------------------------------------------------------------- */

static void open_one(void)
{
	static const char *const names[] = {"one", "two", "", "nobody"};
	const char *name = names[draw(4)];
	bool keep = draw(2);
	int fd = open(at(name), (*name ? O_RDWR : O_DIRECTORY) | (keep ? 0 : O_CLOEXEC));

	if (!strcmp(name, "nobody"))
		CHECK(fd == -1 && errno == ENOENT);
	else
		made(fd, keep ? OPEN : CLOEXEC);
}

static void open_new(void)
{
	int fd = open(at("new"), O_RDWR | O_CREAT | O_EXCL, 0600);

	made(fd, OPEN);
	EQUAL(unlink(at("new")), 0);
}

static void open_other(void)
{
	made(open("/dev/null", O_RDONLY | O_CLOEXEC), CLOEXEC);
}

static void make_other(void)
{
	sigset_t none;
	int two[2];

	sigemptyset(&none);
	switch (draw(9)) {
	case 0:
		made(socket(AF_UNIX, SOCK_STREAM, 0), OPEN);
		break;
	case 1:
		EQUAL(pipe(two), 0);
		made(two[0], OPEN);
		made(two[1], OPEN);
		break;
	case 2:
		EQUAL(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, two), 0);
		made(two[0], CLOEXEC);
		made(two[1], CLOEXEC);
		break;
	case 3:
		made(eventfd(0, 0), OPEN);
		break;
	case 4:
		made(epoll_create1(EPOLL_CLOEXEC), CLOEXEC);
		break;
	case 5:
		made(timerfd_create(CLOCK_MONOTONIC, 0), OPEN);
		break;
	case 6:
		made(signalfd(-1, &none, 0), OPEN);
		break;
	case 7:
		made(memfd_create("numbers", 0), OPEN);
		break;
	case 8:
		made((int)syscall(SYS_pidfd_open, getpid(), 0), CLOEXEC);
		break;
	}
}

static void close_one(void)
{
	int fd = draw(4) && model[latest] != FREE && latest > 2 ? latest : random_open();

	if (fd < 0)
		return;
	EQUAL(close(fd), 0);
	model[fd] = FREE;
}

static void close_again(void)
{
	int fd = lowest(3);

	switch (draw(5)) {
	case 0:
		FAILS(close(fd), EBADF);
		break;
	case 1:
		FAILS(fcntl(fd, F_GETFD), EBADF);
		break;
	case 2:
		FAILS(dup(fd), EBADF);
		break;
	case 3:
		FAILS(openat(fd, "one", O_RDONLY), EBADF);
		break;
	case 4: {
		struct pollfd p = {fd, POLLIN, 0};
		EQUAL(poll(&p, 1, 0), 1);
		EQUAL(p.revents, POLLNVAL);
		break;
	}
	}
}

static void duplicate(void)
{
	int fd = random_open(), from = 3 + (int)draw(NUMBERS / 2), r;

	if (fd < 0)
		return;
	switch (draw(3)) {
	case 0:
		made(dup(fd), OPEN);
		break;
	case 1:
		r = fcntl(fd, F_DUPFD_CLOEXEC, from);
		EQUAL(r, lowest(from));
		model[r] = CLOEXEC;
		break;
	case 2:
		EQUAL(dup2(fd, from), from);
		if (from != fd)
			model[from] = OPEN;
		break;
	}
}

static void flag(void)
{
	int fd = random_open();

	if (fd < 0)
		return;
	EQUAL(fcntl(fd, F_GETFD), model[fd] == CLOEXEC);
	model[fd] = draw(2) ? CLOEXEC : OPEN;
	EQUAL(fcntl(fd, F_SETFD, model[fd] == CLOEXEC), 0);
}

static void close_many(void)
{
	int fd = 3 + (int)draw(NUMBERS - 3);

	EQUAL(close_range((unsigned)fd, (unsigned)fd + 5, 0), 0);
	for (int i = fd; i <= fd + 5 && i < NUMBERS; i++)
		model[i] = FREE;
}

static void look(void)
{
	for (int fd = 0; fd < NUMBERS; fd++) {
		bool open = model[fd] != FREE;
		int r = fcntl(fd, F_GETFD);
		if (open != (r >= 0)) {
			fprintf(stderr, "descriptor %d is %s\n", fd, open ? "closed" : "open");
			_exit(1);
		}
	}
}

static void look_in_child(void)
{
	CHILD {
		look();
	}
}

/* The names in /proc/self/fd, but for the one that they are read by. */
static void look_in_proc(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d);
	EQUAL(dirfd(d), lowest(0));
	while (readdir(d))
		n++;
	EQUAL(n - 3, in_use());
	closedir(d);
}

static const struct {
	void (*run)(void);
	unsigned share;
} operations[] = {
	{open_one, 40}, {close_one, 40}, {open_new, 4}, {open_other, 4}, {make_other, 6}, {close_again, 6},
	{duplicate, 6}, {flag, 5}, {close_many, 1}, {look_in_proc, 1}, {look_in_child, 1},
};

static void step(void)
{
	unsigned at_share = draw(114), i = 0;

	if (in_use() > NUMBERS - 6) {
		EQUAL(close_range(3, ~0u, 0), 0);
		for (int fd = 3; fd < NUMBERS; fd++)
			model[fd] = FREE;
	}
	while (at_share >= operations[i].share)
		at_share -= operations[i++].share;
	operations[i].run();
}

static void random_numbers(void)
{
	const char *given = getenv("NUMBERS_SEED");

	seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL) ^ (unsigned)getpid();
	fprintf(stderr, "seed %u\n", seed);
	EQUAL(close_range(3, ~0u, 0), 0);
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			EQUAL(open("/dev/null", O_RDWR), fd);
	for (int fd = 0; fd < 3; fd++)
		model[fd] = OPEN;
	write_file(at("one"), "1");
	write_file(at("two"), "2");
	for (int i = 0; i < STEPS; i++) {
		step();
		if (i % 64 == 0)
			look();
	}
	EQUAL(close_range(3, ~0u, 0), 0);
	EQUAL(unlink(at("one")), 0);
	EQUAL(unlink(at("two")), 0);
}

/* ---- threads ----------------------------------------------------------------------------------- */

/* Each has descriptors of its own, whatever the others close meanwhile. */
static void *opens_and_closes(void *arg)
{
	char text[8] = {0}, *name = at((const char *)arg);

	for (int i = 0; i < 3000; i++) {
		int fd = open(name, O_RDONLY | (i % 2 ? O_CLOEXEC : 0)), other;

		CHECK(fd >= 0);
		EQUAL(pread(fd, text, sizeof(text), 0), 1);
		EQUAL(text[0], *(const char *)arg);
		EQUAL(fcntl(fd, F_GETFD), i % 2 ? FD_CLOEXEC : 0);
		if (i % 16 == 0) {
			other = eventfd(0, 0);
			CHECK(other >= 0 && other != fd);
			EQUAL(close(other), 0);
		}
		EQUAL(close(fd), 0);
	}
	return NULL;
}

static void threads(void)
{
	static const char *const names[THREADS] = {"a", "b", "c", "d"};
	pthread_t thread[THREADS];
	int low = dup(0), fd;

	close(low);
	for (int i = 0; i < THREADS; i++) {
		write_file(at(names[i]), names[i]);
		EQUAL(pthread_create(&thread[i], NULL, opens_and_closes, (void *)(uintptr_t)names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		EQUAL(pthread_join(thread[i], NULL), 0);
	for (int i = 0; i < 3; i++) {
		EQUAL(fd = open(at("a"), O_RDONLY), low);
		EQUAL(close(fd), 0);
	}
	for (fd = low; fd < NUMBERS; fd++)
		FAILS(fcntl(fd, F_GETFD), EBADF);
	for (int i = 0; i < THREADS; i++)
		EQUAL(unlink(at(names[i])), 0);
}

MAIN(random_numbers, threads)
