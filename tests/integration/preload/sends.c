/* SPDX-License-Identifier: Apache-2.0 */
/* sendfile: between files of the directory, and between them and what is elsewhere. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "check.h"

enum { LARGE = 3 * 1000 * 1000 + 17 };

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 31 + i / 4096 * 7);
}

static void write_large(int fd)
{
	unsigned char *buf = malloc(LARGE);

	for (size_t i = 0; i < LARGE; i++)
		buf[i] = byte_at(i);
	EQUAL(write(fd, buf, LARGE), LARGE);
	free(buf);
}

/* All of the large file, and nothing else, from the start on. */
static void is_large(int fd)
{
	unsigned char *buf = malloc(LARGE + 1);

	EQUAL(pread(fd, buf, LARGE + 1, 0), LARGE);
	for (size_t i = 0; i < LARGE; i++)
		if (buf[i] != byte_at(i))
			EQUAL(i, -1);
	free(buf);
}

/* As programs copy: until there is no more. */
static void send_all(int out, int in)
{
	off_t from = 0;
	ssize_t n;

	while ((n = sendfile(out, in, &from, 8 << 20)) > 0)
		;
	EQUAL(n, 0);
	EQUAL(from, LARGE);
}

static int elsewhere(void)
{
	int fd = memfd_create("elsewhere", 0);

	CHECK(fd >= 0);
	return fd;
}

static void large_files(void)
{
	int a = open(at("a"), O_RDWR | O_CREAT, 0644), b = open(at("b"), O_RDWR | O_CREAT, 0644),
	    c = open(at("c"), O_RDWR | O_CREAT, 0644), there = elsewhere();

	write_large(a);
	send_all(b, a);
	is_large(b);
	EQUAL(lseek(b, 0, SEEK_CUR), LARGE);
	send_all(there, b);
	is_large(there);
	send_all(c, there);
	is_large(c);
	EQUAL(lseek(there, 0, SEEK_CUR), LARGE);
	/* By the open files' own offsets, into the middle of what is there. */
	EQUAL(lseek(a, 100, SEEK_SET), 100);
	EQUAL(lseek(b, 100, SEEK_SET), 100);
	EQUAL(sendfile(b, a, NULL, 10000), 10000);
	EQUAL(lseek(a, 0, SEEK_CUR), 10100);
	EQUAL(lseek(b, 0, SEEK_CUR), 10100);
	EQUAL(lseek(there, 5000, SEEK_SET), 5000);
	EQUAL(lseek(c, 5000, SEEK_SET), 5000);
	EQUAL(sendfile(c, there, NULL, 7), 7);
	EQUAL(lseek(there, 0, SEEK_CUR), 5007);
	is_large(b);
	is_large(c);
	EQUAL(sendfile(b, a, &(off_t){LARGE}, 10), 0);
	EQUAL(sendfile(b, a, &(off_t){LARGE + 50}, 10), 0);
	EQUAL(sendfile(b, a, NULL, 0), 0);
	close(a);
	close(b);
	close(c);
	close(there);
}

static void *drain(void *arg)
{
	int fd = *(int *)arg;
	size_t at = 0;
	unsigned char buf[5000];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != byte_at(at))
				EQUAL(at, -1);
	return (void *)at;
}

static void to_whom_reads(int fds[2])
{
	int in = open(at("a"), O_RDONLY);
	pthread_t reader;
	void *got;

	EQUAL(pthread_create(&reader, NULL, drain, &fds[0]), 0);
	send_all(fds[1], in);
	close(fds[1]);
	pthread_join(reader, &got);
	EQUAL((size_t)got, LARGE);
	close(fds[0]);
	close(in);
}

static void sockets_and_pipes(void)
{
	int fds[2], in = open(at("a"), O_RDONLY);
	off_t from = 0;
	ssize_t n, sent = 0;
	char byte;

	EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	to_whom_reads(fds);
	EQUAL(pipe(fds), 0);
	to_whom_reads(fds);

	/* One that does not wait takes what it can. */
	EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	while ((n = sendfile(fds[1], in, &from, LARGE - from)) > 0)
		sent += n;
	EQUAL(n, -1);
	EQUAL(errno, EAGAIN);
	EQUAL(from, sent);
	CHECK(sent > 0 && sent < LARGE);
	close(fds[1]);
	for (ssize_t i = 0; i < sent; i++) {
		EQUAL(read(fds[0], &byte, 1), 1);
		EQUAL((unsigned char)byte, byte_at((size_t)i));
	}
	EQUAL(read(fds[0], &byte, 1), 0);
	close(fds[0]);

	/* Nobody there to read. */
	EQUAL(pipe(fds), 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	FAILS(sendfile(fds[1], in, NULL, 10), EPIPE);
	EQUAL(lseek(in, 0, SEEK_CUR), 0);
	close(fds[1]);

	/* What has no place to read at. */
	EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	FAILS(sendfile(fds[1], fds[0], NULL, 10), EINVAL);
	close(fds[0]);
	close(fds[1]);
	close(in);
}

static void refusals(void)
{
	int in = open(at("a"), O_RDONLY), out = open(at("d"), O_WRONLY | O_CREAT, 0644), there = elsewhere(),
	    append = open(at("d"), O_WRONLY | O_APPEND), place = open(dir, O_RDONLY | O_DIRECTORY);

	FAILS(sendfile(in, in, NULL, 10), EBADF);
	FAILS(sendfile(out, out, NULL, 10), EBADF);
	FAILS(sendfile(append, in, NULL, 10), EINVAL);
	FAILS(sendfile(out, place, NULL, 10), EINVAL);
	FAILS(sendfile(place, in, NULL, 10), EBADF);
	FAILS(sendfile(out, in, &(off_t){-1}, 10), EINVAL);
	FAILS(sendfile(out, in, (off_t *)8, 10), EFAULT);
	FAILS(sendfile(-1, in, NULL, 10), EBADF);
	FAILS(sendfile(out, -1, NULL, 10), EBADF);
	FAILS(sendfile(append, there, NULL, 10), EINVAL);
	EQUAL(fcntl(there, F_SETFL, O_APPEND), 0);
	FAILS(sendfile(there, in, NULL, 10), EINVAL);
	close(in);
	close(out);
	close(there);
	close(append);
	close(place);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	dir = argv[1];
	large_files();
	sockets_and_pipes();
	refusals();
	return 0;
}
