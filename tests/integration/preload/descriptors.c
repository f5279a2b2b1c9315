/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, flags and duplicates. */
#include "tests/integration/preload/check.h"

#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static void lowest_number(void)
{
	int a = open(at("a"), O_RDWR | O_CREAT, 0644), b = open(at("a"), O_RDONLY), c = open("/dev/null", O_RDONLY), d;

	EQUAL(b, a + 1);
	EQUAL(c, b + 1);
	close(a);
	EQUAL(d = open("/dev/null", O_RDONLY), a);
	close(b);
	EQUAL(open(at("a"), O_RDONLY), b);
	close(b);
	close(c);
	close(d);
	FAILS(close(b), EBADF);
	FAILS(read(b, &d, 1), EBADF);
	FAILS(fcntl(b, F_GETFL), EBADF);
}

static void flags(void)
{
	int fd = open(at("a"), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_SYNC | O_CREAT | O_TRUNC, 0644), d;

	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQUAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_CREAT | O_TRUNC | O_SYNC), O_RDWR | O_APPEND | O_SYNC);
	EQUAL(fcntl(fd, F_SETFD, 0), 0);
	EQUAL(fcntl(fd, F_GETFD), 0);
	EQUAL(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	EQUAL(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_NONBLOCK);
	d = dup(fd);
	EQUAL(fcntl(d, F_SETFL, 0), 0);
	EQUAL(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
	EQUAL(isatty(fd), 0);
	EQUAL(errno, ENOTTY);
	EQUAL(ioctl(fd, FIOCLEX), 0);
	EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQUAL(fcntl(d, F_GETFD), 0);
	close(fd);
	close(d);
}

/* Through one that is only a path nothing is asked of the file, nor by who inherits it. */
static void path_only(void)
{
	int fd;

	write_file(at("path"), "");
	fd = open(at("path"), O_PATH);
	CHECK(fd >= 0);
	FAILS(isatty(fd) ? 0 : -1, EBADF);
	CHILD {
		FAILS(isatty(fd) ? 0 : -1, EBADF);
		_exit(0);
	}
	close(fd);
	fd = open(at("path"), O_RDONLY);
	CHILD {
		FAILS(isatty(fd) ? 0 : -1, ENOTTY);
		_exit(0);
	}
	close(fd);
}

/* Who made the file is told, whatever became of the descriptor since; by kernels that know the question. */
static void created(void)
{
	enum { CREATED_QUERY = 1028 };
	int made = open(at("made"), O_RDWR | O_CREAT, 0644), found = open(at("made"), O_RDWR | O_CREAT, 0644);

	if (fcntl(found, CREATED_QUERY) == 0) {
		EQUAL(fcntl(made, CREATED_QUERY), 1);
		EQUAL(fcntl(found, CREATED_QUERY), 0);
	}
	close(made);
	close(found);
}

static void duplicates(void)
{
	int a = open(at("dup"), O_RDWR | O_CREAT | O_TRUNC, 0644), b = dup(a), c = fcntl(a, F_DUPFD_CLOEXEC, 100), n;
	char buf[8];

	EQUAL(c, 100);
	EQUAL(fcntl(c, F_GETFD), FD_CLOEXEC);
	EQUAL(write(a, "0123456789", 10), 10);
	EQUAL(lseek(b, 0, SEEK_CUR), 10);
	EQUAL(lseek(c, 2, SEEK_SET), 2);
	EQUAL(read(a, buf, 3), 3);
	EQUAL(memcmp(buf, "234", 3), 0);
	EQUAL(ioctl(b, FIONREAD, &n), 0);
	EQUAL(n, 5);
	close(a);
	close(c);
	EQUAL(read(b, buf, 8), 5);
	EQUAL(read(b, buf, 8), 0);
	close(b);
	FAILS(dup2(b, 5), EBADF);
	FAILS(dup3(0, 0, O_CLOEXEC), EINVAL);
}

/* As shells do it. */
static void standard_output(void)
{
	int saved = fcntl(1, F_DUPFD_CLOEXEC, 10), fd = open(at("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	dup2(fd, 1);
	close(fd);
	EQUAL(write(1, "one\n", 4), 4);
	CHILD {
		execl("/bin/echo", "echo", "two", NULL);
		_exit(9);
	}
	EQUAL(write(1, "three\n", 6), 6);
	dup2(saved, 1);
	close(saved);
	holds(at("out"), "one\ntwo\nthree\n");
}

static void replaced(void)
{
	int a = open(at("r1"), O_RDWR | O_CREAT, 0644), b = open(at("r2"), O_RDWR | O_CREAT, 0644), p[2];

	EQUAL(dup2(a, b), b);
	EQUAL(write(b, "x", 1), 1);
	holds(at("r1"), "x");
	holds(at("r2"), "");
	EQUAL(pipe(p), 0);
	EQUAL(dup2(p[1], b), b);
	EQUAL(write(b, "pipe", 4), 4);
	EQUAL(dup2(a, p[1]), p[1]);
	EQUAL(write(p[1], "y", 1), 1);
	holds(at("r1"), "xy");
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
}

static void ranges(void)
{
	int a = open(at("r1"), O_RDWR | O_CREAT, 0644), b = open(at("r1"), O_RDWR), c = open(at("r1"), O_RDWR), i;

	EQUAL(close_range((unsigned)b, (unsigned)c, 0), 0);
	CHECK(fcntl(a, F_GETFD) == 0);
	FAILS(fcntl(b, F_GETFD), EBADF);
	EQUAL(open(at("r2"), O_RDONLY | O_CREAT, 0644), b);
	closefrom(a);
	for (i = a; i < c + 2; i++)
		FAILS(fcntl(i, F_GETFD), EBADF);
}

static void no_more(void)
{
	int a = open(at("a"), O_RDWR | O_CREAT, 0644);
	struct rlimit old, few;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)a + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	FAILS(open(at("a"), O_RDONLY), EMFILE);
	FAILS(dup(a), EMFILE);
	CHECK(access(at("a"), R_OK) == 0);
	setrlimit(RLIMIT_NOFILE, &old);
	close(a);
}

static void proc_and_dev_fd(void)
{
	int a = open(at("named"), O_RDWR | O_CREAT | O_TRUNC, 0644), b;
	char link[64], path[4096], buf[8];
	ssize_t n;

	EQUAL(write(a, "hello", 5), 5);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", a);
	n = readlink(link, path, sizeof(path) - 1);
	path[n] = 0;
	EQUAL(strcmp(path, at("named")), 0);
	snprintf(link, sizeof(link), "/dev/fd/%d", a);
	b = open(link, O_RDONLY);
	EQUAL(read(b, buf, 8), 5);
	close(a);
	close(b);
}

static void waiting(void)
{
	int a = open(at("a"), O_RDWR | O_CREAT, 0644), e = epoll_create1(0);
	struct pollfd p = {a, POLLIN | POLLOUT, 0};
	struct epoll_event event = {.events = EPOLLIN};
	fd_set set;

	EQUAL(poll(&p, 1, -1), 1);
	EQUAL(p.revents, POLLIN | POLLOUT);
	FD_ZERO(&set);
	FD_SET(a, &set);
	EQUAL(select(a + 1, &set, NULL, NULL, NULL), 1);
	close(a);
	a = open(at("a"), O_RDONLY);
	/* FUSE files may be waited for; those of other file systems may not. */
	if (epoll_ctl(e, EPOLL_CTL_ADD, a, &event) < 0)
		EQUAL(errno, EPERM);
	close(a);
	close(e);
}

static void passed(void)
{
	int a = open(at("passed"), O_RDWR | O_CREAT | O_TRUNC, 0644), pair[2], got;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	char byte = 'm', buf[8];
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	EQUAL(write(a, "before ", 7), 7);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &a, sizeof(int));
	CHILD {
		EQUAL(sendmsg(pair[0], &m, 0), 1);
	}
	EQUAL(recvmsg(pair[1], &m, 0), 1);
	memcpy(&got, CMSG_DATA(c), sizeof(int));
	EQUAL(write(got, "after", 5), 5);
	EQUAL(lseek(a, 0, SEEK_CUR), 12);
	EQUAL(pread(got, buf, 6, 0), 6);
	holds(at("passed"), "before after");
	close(a);
	close(got);
	close(pair[0]);
	close(pair[1]);
}

static void sent(void)
{
	int in = open(at("passed"), O_RDONLY), out = open(at("sent"), O_WRONLY | O_CREAT | O_TRUNC, 0644), p[2];
	off_t from = 7;

	EQUAL(lseek(in, 1, SEEK_SET), 1);
	EQUAL(sendfile(out, in, &from, 100), 5);
	EQUAL(from, 12);
	EQUAL(lseek(in, 0, SEEK_CUR), 1);
	EQUAL(sendfile(out, in, NULL, 5), 5);
	EQUAL(lseek(in, 0, SEEK_CUR), 6);
	EQUAL(pipe(p), 0);
	EQUAL(splice(in, NULL, p[1], NULL, 3, 0), 3);
	EQUAL(splice(p[0], NULL, out, NULL, 3, 0), 3);
	holds(at("sent"), "afterefore af");
	close(in);
	close(out);
	close(p[0]);
	close(p[1]);
}

static void copied(void)
{
	int in = open(at("passed"), O_RDONLY), out = open(at("copied"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	off_t from = 7;

	EQUAL(copy_file_range(in, &from, out, NULL, 100, 0), 5);
	EQUAL(from, 12);
	EQUAL(lseek(out, 0, SEEK_CUR), 5);
	EQUAL(copy_file_range(in, NULL, out, NULL, 3, 0), 3);
	EQUAL(lseek(in, 0, SEEK_CUR), 3);
	holds(at("copied"), "afterbef");
	FAILS(copy_file_range(in, NULL, out, NULL, 3, 1), EINVAL);
	FAILS(copy_file_range(out, NULL, in, NULL, 3, 0), EBADF);
	close(in);
	close(out);
}

static void directory_streams(void)
{
	char name[32];
	struct dirent *e;
	unsigned long long seen = 0;
	long where = -1;
	int i, count = 0, fd;
	DIR *d;

	EQUAL(mkdir(at("many"), 0755), 0);
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		write_file(at(name), "");
	}
	d = opendir(at("many"));
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			seen |= 1ull << atoi(e->d_name);
		if (++count == 20)
			where = telldir(d);
	}
	EQUAL(count, 52);
	EQUAL(seen, (1ull << 50) - 1);
	seekdir(d, where);
	for (count = 0; readdir(d);)
		count++;
	EQUAL(count, 32);
	rewinddir(d);
	fd = openat(dirfd(d), "7", O_RDONLY);
	CHECK(fd >= 0);
	close(fd);
	CHILD { /* a directory stream goes on in a child */
		for (count = 0; readdir(d);)
			count++;
		EQUAL(count, 52);
	}
	closedir(d);
	fd = open(at("many"), O_RDONLY);
	FAILS(read(fd, name, 1), EISDIR);
	FAILS(write(fd, name, 1), EBADF);
	d = fdopendir(fd);
	for (count = 0; (e = readdir(d));) {
		count++;
		if (e->d_name[0] != '.')
			EQUAL(unlinkat(fd, e->d_name, 0), 0);
	}
	EQUAL(count, 52);
	closedir(d);
	EQUAL(rmdir(at("many")), 0);
}

/* Calls for descriptors of another kind know that this one is open. */
static void another_kind(void)
{
	int fd = open(at("kind"), O_RDWR | O_CREAT, 0644), size;
	socklen_t len = sizeof(size);
	struct sockaddr name;

	FAILS(getpeername(fd, &name, &len), ENOTSOCK);
	close(fd);
	fd = open(at("kind"), O_RDWR);
	FAILS(getsockopt(fd, SOL_SOCKET, SO_TYPE, &size, &len), ENOTSOCK);
	close(fd);
	fd = open(at("kind"), O_RDWR);
	FAILS(getsockname(fd, &name, &len), ENOTSOCK);
	close(fd);
	EQUAL(unlink(at("kind")), 0);
}

/* A lease that is granted is broken by whoever opens the file to write. */
static void leases(void)
{
	int fd, other;

	write_file(at("lease"), "x");
	fd = open(at("lease"), O_RDONLY);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		CHILD {
			other = open(at("lease"), O_WRONLY | O_NONBLOCK);
			CHECK(other == -1 && errno == EWOULDBLOCK);
		}
		EQUAL(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	}
	close(fd);
	EQUAL(unlink(at("lease")), 0);
}

MAIN(another_kind, leases, lowest_number, flags, path_only, created, duplicates, standard_output, replaced, ranges, no_more, proc_and_dev_fd, waiting, passed, sent,
     copied, directory_streams)
