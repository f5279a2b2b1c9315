/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: who holds them, what ends them, and waiting for them. */
#include "tests/integration/preload/check.h"

#include <sys/file.h>
#include <time.h>

static struct flock range(short type, off_t start, off_t length)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static int set(int fd, short type, off_t start, off_t length)
{
	struct flock l = range(type, start, length);

	return fcntl(fd, F_SETLK, &l);
}

/* Whether another process could take a write lock. */
static int free_for_others(const char *path, off_t start, off_t length)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int fd = open(path, O_RDWR);
		_exit(set(fd, F_WRLCK, start, length) == 0 ? 0 : errno == EAGAIN || errno == EACCES ? 1 : 2);
	}
	waitpid(child, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void conflicts(void)
{
	int fd = open(at("l"), O_RDWR | O_CREAT, 0644), again = open(at("l"), O_RDWR), r = open(at("l"), O_RDONLY);
	struct flock l;

	EQUAL(set(fd, F_WRLCK, 10, 10), 0);
	EQUAL(set(again, F_WRLCK, 5, 20), 0); /* one's own never conflict */
	CHECK(!free_for_others(at("l"), 24, 1));
	CHECK(free_for_others(at("l"), 25, 1));
	EQUAL(set(fd, F_UNLCK, 10, 5), 0);
	CHECK(free_for_others(at("l"), 10, 5));
	CHECK(!free_for_others(at("l"), 9, 1));
	CHILD {
		l = range(F_WRLCK, 0, 0);
		EQUAL(fcntl(open(at("l"), O_RDWR), F_GETLK, &l), 0);
		EQUAL(l.l_type, F_WRLCK);
		EQUAL(l.l_start, 5);
		EQUAL(l.l_len, 5);
		EQUAL(l.l_pid, getppid());
		l = range(F_WRLCK, 100, 1);
		EQUAL(fcntl(open(at("l"), O_RDWR), F_GETLK, &l), 0);
		EQUAL(l.l_type, F_UNLCK);
	}
	FAILS(set(r, F_WRLCK, 0, 1), EBADF);
	EQUAL(set(r, F_RDLCK, 200, 1), 0);
	FAILS(set(fd, F_WRLCK, -1, 1), EINVAL);
	FAILS(set(fd, 77, 0, 1), EINVAL);
	close(r);
	CHECK(free_for_others(at("l"), 5, 20)); /* closing any descriptor drops them all */
	close(fd);
	close(again);
}

static void whence(void)
{
	int fd = open(at("w"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5};

	EQUAL(ftruncate(fd, 100), 0);
	EQUAL(fcntl(fd, F_SETLK, &l), 0);
	CHECK(free_for_others(at("w"), 0, 90));
	CHECK(!free_for_others(at("w"), 94, 1));
	CHECK(free_for_others(at("w"), 95, 0));
	EQUAL(lseek(fd, 50, SEEK_SET), 50);
	l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 0, .l_len = -10};
	EQUAL(fcntl(fd, F_SETLK, &l), 0);
	CHECK(!free_for_others(at("w"), 40, 1));
	CHECK(free_for_others(at("w"), 50, 1));
	close(fd);
}

static void ended_by_close_of_a_duplicate(void)
{
	int fd = open(at("d"), O_RDWR | O_CREAT, 0644), copy;

	EQUAL(set(fd, F_WRLCK, 0, 0), 0);
	copy = dup(fd);
	CHECK(!free_for_others(at("d"), 0, 0));
	close(copy);
	CHECK(free_for_others(at("d"), 0, 0));
	EQUAL(set(fd, F_WRLCK, 0, 0), 0);
	dup2(1, copy = dup(fd));
	CHECK(free_for_others(at("d"), 0, 0));
	close(copy);
	EQUAL(set(fd, F_WRLCK, 0, 0), 0);
	holds(at("d"), ""); /* opens and closes it */
	CHECK(free_for_others(at("d"), 0, 0));
	close(fd);
}

static void not_inherited_but_kept_over_exec(void)
{
	int fd = open(at("x"), O_RDWR | O_CREAT, 0644), p[2];
	char byte;
	pid_t child;

	EQUAL(set(fd, F_WRLCK, 0, 0), 0);
	CHILD {
		struct flock l = range(F_WRLCK, 0, 0);
		EQUAL(fcntl(fd, F_GETLK, &l), 0);
		EQUAL(l.l_type, F_WRLCK);
	}
	close(fd);
	EQUAL(pipe(p), 0);
	child = fork();
	if (child == 0) {
		fd = open(at("x"), O_RDWR);
		EQUAL(set(fd, F_WRLCK, 0, 0), 0);
		dup2(p[1], 1);
		execl("/bin/sh", "sh", "-c", "echo; sleep 1", NULL);
		_exit(9);
	}
	EQUAL(read(p[0], &byte, 1), 1);
	CHECK(!free_for_others(at("x"), 0, 0));
	child_ok(child);
	CHECK(free_for_others(at("x"), 0, 0));
	close(p[0]);
	close(p[1]);
}

static void waited_for(void)
{
	int fd = open(at("wait"), O_RDWR | O_CREAT, 0644), p[2];
	struct timespec start, end;
	struct flock l = range(F_WRLCK, 0, 0);
	pid_t child;
	char byte;

	EQUAL(pipe(p), 0);
	child = fork();
	if (child == 0) {
		fd = open(at("wait"), O_RDWR);
		EQUAL(set(fd, F_WRLCK, 0, 0), 0);
		EQUAL(write(p[1], "x", 1), 1);
		usleep(300000);
		_exit(0);
	}
	EQUAL(read(p[0], &byte, 1), 1);
	FAILS(set(fd, F_RDLCK, 0, 0), EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &start);
	EQUAL(fcntl(fd, F_SETLKW, &l), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(end.tv_sec > start.tv_sec || end.tv_nsec - start.tv_nsec > 100000000);
	child_ok(child);
	close(fd);
	close(p[0]);
	close(p[1]);
}

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled++;
}

/* Without SA_RESTART the child goes on until it worked: the first signals may come before the wait. */
static void wait_interrupted(int restart)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
	int fd = open(at("intr"), O_RDWR | O_CREAT, 0644), p[2], done[2];
	struct flock l = range(F_WRLCK, 0, 0);
	pid_t child, parent = getpid();
	char byte;

	EQUAL(pipe(p), 0);
	EQUAL(pipe2(done, O_NONBLOCK), 0);
	sigaction(SIGUSR1, &action, NULL);
	signalled = 0;
	child = fork();
	if (child == 0) {
		fd = open(at("intr"), O_RDWR);
		EQUAL(set(fd, F_WRLCK, 0, 0), 0);
		EQUAL(write(p[1], "x", 1), 1);
		for (int i = 0; i < (restart ? 3 : 1000) && read(done[0], &byte, 1) < 0; i++) {
			usleep(100000);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	EQUAL(read(p[0], &byte, 1), 1);
	if (restart)
		EQUAL(fcntl(fd, F_SETLKW, &l), 0);
	else
		FAILS(fcntl(fd, F_SETLKW, &l), EINTR);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	EQUAL(write(done[1], "x", 1), 1);
	CHECK(signalled > 0);
	child_ok(child);
	close(fd);
	close(p[0]);
	close(p[1]);
	close(done[0]);
	close(done[1]);
}

static void interrupted(void)
{
	wait_interrupted(0);
	wait_interrupted(1);
}

static void flocks(void)
{
	int a = open(at("f"), O_RDWR | O_CREAT, 0644), b = open(at("f"), O_RDONLY), c = dup(a);

	EQUAL(flock(a, LOCK_EX), 0);
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	EQUAL(flock(c, LOCK_SH), 0); /* the same open file: converts */
	EQUAL(flock(b, LOCK_SH | LOCK_NB), 0);
	close(a);
	EQUAL(flock(b, LOCK_UN), 0);
	EQUAL(flock(c, LOCK_EX), 0);
	CHILD { /* a child has the parent's lock, and can end it */
		FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		EQUAL(flock(c, LOCK_EX | LOCK_NB), 0);
		EQUAL(flock(c, LOCK_UN), 0);
	}
	EQUAL(flock(b, LOCK_EX | LOCK_NB), 0);
	close(b);
	EQUAL(flock(c, LOCK_EX | LOCK_NB), 0);
	FAILS(flock(c, 77), EINVAL);
	close(c);
}

static void of_open_files(void)
{
	int a = open(at("o"), O_RDWR | O_CREAT, 0644), b = open(at("o"), O_RDWR);
	struct flock l = range(F_WRLCK, 0, 10);

	EQUAL(fcntl(a, F_OFD_SETLK, &l), 0);
	FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	FAILS(set(b, F_WRLCK, 0, 1), EAGAIN);
	EQUAL(fcntl(b, F_OFD_GETLK, &l), 0);
	EQUAL(l.l_type, F_WRLCK);
	EQUAL(l.l_pid, -1);
	l = range(F_WRLCK, 0, 10);
	CHILD {
		EQUAL(fcntl(a, F_OFD_SETLK, &l), 0);
		FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	}
	close(a);
	EQUAL(fcntl(b, F_OFD_SETLK, &l), 0);
	l.l_pid = 1;
	FAILS(fcntl(b, F_OFD_SETLK, &l), EINVAL);
	close(b);
}

MAIN(conflicts, whence, ended_by_close_of_a_duplicate, not_inherited_but_kept_over_exec, waited_for, interrupted, flocks,
     of_open_files)
