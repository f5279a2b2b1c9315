/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, one at a time and in lists: what they do, in which order, and how they fail. */
#include <sys/resource.h>
#include <sys/socket.h>
#include "tests/integration/aio/claims.h"

enum { MANY = 200 };

static int open_new(const char *name, int flags)
{
	int fd = open(at(name), O_RDWR | O_CREAT | O_TRUNC | flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void reads_and_writes(void)
{
	int fd = open_new("rw", 0);
	struct aiocb b;
	char buf[16];

	EQUAL(aio_write(block(&b, fd, "hello world", 11, 5)), 0);
	EQUAL(done(&b), 11);
	EQUAL(aio_read(block(&b, fd, buf, 16, 3)), 0);
	EQUAL(done(&b), 13);
	CHECK(!memcmp(buf, "\0\0hello world", 13));
	EQUAL(aio_read(block(&b, fd, buf, 16, 16)), 0);
	EQUAL(done(&b), 0);
	EQUAL(aio_read(block(&b, fd, NULL, 0, 0)), 0);
	EQUAL(done(&b), 0);
	EQUAL(lseek(fd, 0, SEEK_CUR), 0);
	EQUAL(close(fd), 0);
}

static void large(void)
{
	size_t size = 9000001, i;
	unsigned char *out = malloc(size), *in = malloc(size);
	int fd = open_new("large", 0);
	struct aiocb b;

	for (i = 0; i < size; i++)
		out[i] = (unsigned char)(i * 31 + (i >> 13));
	EQUAL(aio_write(block(&b, fd, out, size, 77)), 0);
	EQUAL(done(&b), size);
	EQUAL(aio_read(block(&b, fd, in, size, 77)), 0);
	EQUAL(done(&b), size);
	CHECK(!memcmp(in, out, size));
	free(out);
	free(in);
	EQUAL(close(fd), 0);
}

static void failures(void)
{
	int rw = open_new("failures", 0), r = open(at("failures"), O_RDONLY), w = open(at("failures"), O_WRONLY);
	int d = open(dir, O_RDONLY | O_DIRECTORY), ends[2];
	const struct aiocb *list[1] = {NULL};
	struct aiocb b;
	char buf[8];

	EQUAL(failure(aio_read(block(&b, -1, buf, 8, 0)), &b), EBADF);
	EQUAL(failure(aio_write(block(&b, 60000, buf, 8, 0)), &b), EBADF);
	EQUAL(failure(aio_read(block(&b, w, buf, 8, 0)), &b), EBADF);
	EQUAL(failure(aio_write(block(&b, r, buf, 8, 0)), &b), EBADF);
	EQUAL(failure(aio_read(block(&b, rw, buf, 8, -1)), &b), EINVAL);
	EQUAL(failure(aio_write(block(&b, rw, buf, 8, -5000)), &b), EINVAL);
	EQUAL(failure(aio_read(block(&b, d, buf, 8, 0)), &b), EISDIR);
	EQUAL(failure(aio_fsync(O_SYNC, block(&b, -1, NULL, 0, 0)), &b), EBADF);
	FAILS(aio_fsync(O_RDWR, block(&b, rw, NULL, 0, 0)), EINVAL);
	FAILS(aio_cancel(-1, NULL), EBADF);
	FAILS(aio_suspend(list, -1, NULL), EINVAL);
	EQUAL(aio_suspend(list, 0, NULL), 0);
	/* no signal comes of it: the descriptor is O_NONBLOCK's, or the pipe has nobody to read it */
	EQUAL(pipe(ends), 0);
	EQUAL(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	EQUAL(failure(aio_read(block(&b, ends[0], buf, 8, 0)), &b), EAGAIN);
	EQUAL(close(ends[0]), 0);
	EQUAL(failure(aio_write(block(&b, ends[1], buf, 8, 0)), &b), EPIPE);
	close(rw), close(r), close(w), close(d), close(ends[1]);
}

/* What glibc leaves to the system call, or does not look at. */
static void failures_at_once(void)
{
	int fd = open_new("failures", 0), r = open(at("failures"), O_RDONLY);
	struct aiocb b;
	char buf[8];

	if (!ours())
		return;
	FAILS(aio_read(block(&b, -1, buf, 8, 0)), EBADF);
	FAILS(aio_write(block(&b, r, buf, 8, 0)), EBADF);
	FAILS(aio_fsync(O_DSYNC, block(&b, r, buf, 8, 0)), EBADF);
	FAILS(aio_read(block(&b, fd, buf, 8, -1)), EINVAL);
	FAILS(aio_read(block(&b, fd, buf, (size_t)-1, 0)), EINVAL);
	block(&b, fd, buf, 8, 0)->aio_reqprio = -1;
	FAILS(aio_read(&b), EINVAL);
	block(&b, fd, buf, 8, 0)->aio_sigevent.sigev_notify = 77;
	FAILS(aio_read(&b), EINVAL);
	block(&b, fd, buf, 8, 0)->aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	b.aio_sigevent.sigev_signo = 65;
	FAILS(aio_read(&b), EINVAL);
	block(&b, fd, buf, 8, 0)->aio_sigevent.sigev_notify = SIGEV_THREAD;
	FAILS(aio_read(&b), EINVAL);
	/* a block of zeros asks for signal 0, which is none */
	memset(&b, 0, sizeof(b));
	b.aio_fildes = fd;
	b.aio_buf = buf;
	EQUAL(aio_read(&b), 0);
	EQUAL(done(&b), 0);
	close(fd), close(r);
}

/* ---- order ------------------------------------------------------------------------------------ */

static void appends_in_order(void)
{
	static struct aiocb b[MANY];
	static int number[MANY], got[MANY];
	int fd = open_new("append", O_APPEND), i;

	for (i = 0; i < MANY; i++) {
		number[i] = i;
		/* glibc's has the kernel refuse this offset, which means nothing here */
		EQUAL(aio_write(block(&b[i], fd, &number[i], sizeof(int), ours() ? -3 : 0)), 0);
	}
	for (i = 0; i < MANY; i++)
		EQUAL(done(&b[i]), sizeof(int));
	EQUAL(aio_read(block(&b[0], fd, got, sizeof(got), 0)), 0);
	EQUAL(done(&b[0]), sizeof(got));
	CHECK(!memcmp(got, number, sizeof(got)));
	EQUAL(close(fd), 0);
}

static void pipes_in_order(void)
{
	static struct aiocb in[MANY], out[MANY];
	static int from[MANY], to[MANY];
	int ends[2], i;

	EQUAL(pipe(ends), 0);
	for (i = 0; i < MANY; i++) {
		from[i] = i;
		EQUAL(aio_read(block(&in[i], ends[0], &to[i], sizeof(int), 1000)), 0);
	}
	for (i = 0; i < MANY; i++)
		EQUAL(aio_write(block(&out[i], ends[1], &from[i], sizeof(int), 1000)), 0);
	for (i = 0; i < MANY; i++) {
		EQUAL(done(&in[i]), sizeof(int));
		EQUAL(done(&out[i]), sizeof(int));
		EQUAL(to[i], i);
	}
	close(ends[0]), close(ends[1]);
}

/* A read that waits for the peer does not keep back what the peer waits for. */
static void both_ways(void)
{
	struct aiocb in, out;
	char buf[8], got[8];
	int ends[2];

	if (!ours())
		return;
	EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	EQUAL(aio_read(block(&in, ends[0], buf, 8, 0)), 0);
	sleep_ms(5);
	EQUAL(aio_write(block(&out, ends[0], "ask", 3, 0)), 0);
	EQUAL(read(ends[1], got, 8), 3);
	EQUAL(write(ends[1], "answer", 6), 6);
	EQUAL(done(&in), 6);
	EQUAL(done(&out), 3);
	close(ends[0]), close(ends[1]);
}

/* More descriptors that wait than there are workers for files. */
static void blocked_pipes(void)
{
	enum { PIPES = 60 };
	static struct aiocb b[PIPES];
	struct aiocb file;
	char buf[PIPES], c = 'c';
	int ends[PIPES][2], fd = open_new("beside", 0), i;

	for (i = 0; i < PIPES; i++) {
		EQUAL(pipe(ends[i]), 0);
		EQUAL(aio_read(block(&b[i], ends[i][0], &buf[i], 1, 0)), 0);
	}
	EQUAL(aio_write(block(&file, fd, &c, 1, 0)), 0);
	if (ours())
		EQUAL(done(&file), 1);
	for (i = PIPES - 1; i >= 0; i--) {
		EQUAL(aio_error(&b[i]), EINPROGRESS);
		EQUAL(write(ends[i][1], &c, 1), 1);
		if (ours())
			EQUAL(done(&b[i]), 1);
	}
	for (i = 0; i < PIPES; i++) {
		EQUAL(done(&b[i]), 1);
		close(ends[i][0]), close(ends[i][1]);
	}
	EQUAL(done(&file), 1);
	EQUAL(close(fd), 0);
}

/* The same with no worker to begin with. */
static void blocked_pipes_again(void)
{
	for (int i = 0; ours() && i < 100; i++)
		CHILD
			blocked_pipes();
}

/* Large ones, of which some are under way when the fsync's turn would be. */
static void sync_comes_after(void)
{
	enum { WRITES = 40, SIZE = 256 * 1024 };
	static char data[SIZE];
	struct aiocb b[WRITES], sync[2];
	int fd = open_new("sync", 0), i, n;

	for (n = 0; n < 10; n++) {
		for (i = 0; i < WRITES; i++)
			EQUAL(aio_write(block(&b[i], fd, data, SIZE, (off_t)i * SIZE)), 0);
		EQUAL(aio_fsync(O_SYNC, block(&sync[0], fd, NULL, 0, 0)), 0);
		EQUAL(aio_fsync(O_DSYNC, block(&sync[1], fd, NULL, 0, 0)), 0);
		EQUAL(done(&sync[0]), 0);
		for (i = 0; i < WRITES; i++) {
			EQUAL(aio_error(&b[i]), 0);
			EQUAL(aio_return(&b[i]), SIZE);
		}
		EQUAL(done(&sync[1]), 0);
	}
	EQUAL(close(fd), 0);
}

/* ---- lists ------------------------------------------------------------------------------------ */

static void lists(void)
{
	struct aiocb b[4], *list[6] = {&b[0], NULL, &b[1], &b[2], NULL, &b[3]};
	int fd = open_new("list", 0), i;
	char out[4][4] = {"one", "two", "xxx", "for"}, in[4][4];

	for (i = 0; i < 4; i++)
		block(&b[i], fd, out[i], 4, i * 4)->aio_lio_opcode = i == 2 ? LIO_NOP : LIO_WRITE;
	EQUAL(lio_listio(LIO_WAIT, list, 6, NULL), 0);
	for (i = 0; i < 4; i++)
		if (i != 2) {
			EQUAL(aio_error(&b[i]), 0);
			EQUAL(aio_return(&b[i]), 4);
		}
	for (i = 0; i < 4; i++)
		block(&b[i], fd, in[i], 4, i * 4)->aio_lio_opcode = LIO_READ;
	EQUAL(lio_listio(LIO_NOWAIT, list, 6, NULL), 0);
	for (i = 0; i < 4; i++) {
		EQUAL(done(&b[i]), 4);
		CHECK(!memcmp(in[i], i == 2 ? "\0\0\0" : out[i], 4));
	}
	EQUAL(lio_listio(LIO_WAIT, list, 0, NULL), 0);
	FAILS(lio_listio(7, list, 6, NULL), EINVAL);
	EQUAL(close(fd), 0);
}

static void lists_with_failures(void)
{
	struct aiocb b[3], *list[3] = {&b[0], &b[1], &b[2]};
	int fd = open_new("list", 0), i, nowait;
	char c[3];

	for (nowait = 0; nowait < 2; nowait++) {
		for (i = 0; i < 3; i++)
			block(&b[i], i == 1 ? -1 : fd, &c[i], 1, i)->aio_lio_opcode = LIO_WRITE;
		if (!nowait)
			FAILS(lio_listio(LIO_WAIT, list, 3, NULL), EIO);
		else if (ours())
			FAILS(lio_listio(LIO_NOWAIT, list, 3, NULL), EIO);
		else
			lio_listio(LIO_NOWAIT, list, 3, NULL);
		EQUAL(ended(&b[1]), EBADF);
		EQUAL(done(&b[0]), 1);
		EQUAL(done(&b[2]), 1);
	}
	if (ours()) {
		block(&b[1], fd, c, 1, 0)->aio_lio_opcode = 99;
		FAILS(lio_listio(LIO_WAIT, &list[1], 1, NULL), EIO);
		EQUAL(aio_error(&b[1]), EINVAL);
		FAILS(lio_listio(LIO_WAIT, list, -1, NULL), EINVAL);
	}
	EQUAL(close(fd), 0);
}

/* ---- limits ----------------------------------------------------------------------------------- */

static void limit(void)
{
	enum { TOO_MANY = 40000 };
	struct aiocb *b;
	int ends[2], n;
	char c;

	if (!ours())
		return;
	b = calloc(TOO_MANY, sizeof(*b));
	EQUAL(pipe(ends), 0);
	for (n = 0; n < TOO_MANY; n++)
		if (aio_read(block(&b[n], ends[0], &c, 1, 0)) < 0)
			break;
	EQUAL(errno, EAGAIN);
	CHECK(n > 10000 && n < TOO_MANY);
	EQUAL(aio_error(&b[n]), EAGAIN);
	EQUAL(aio_cancel(ends[0], NULL), AIO_CANCELED);
	while (n--)
		EQUAL(aio_error(&b[n]), ECANCELED);
	EQUAL(aio_read(block(&b[0], ends[0], &c, 1, 0)), 0);
	EQUAL(write(ends[1], "x", 1), 1);
	EQUAL(done(&b[0]), 1);
	close(ends[0]), close(ends[1]);
	free(b);
}

/* Without the memory for a thread. (glibc's, in the child of a fork, takes the parent's threads for its own.) */
static void no_threads(void)
{
	if (!ours())
		return;
	CHILD {
		const struct rlimit limit_ = {1, 1};
		struct aiocb b;
		int ends[2];
		char c;

		EQUAL(pipe(ends), 0);
		EQUAL(setrlimit(RLIMIT_AS, &limit_), 0);
		FAILS(aio_read(block(&b, ends[0], &c, 1, 0)), EAGAIN);
	}
}

MAIN(reads_and_writes, large, failures, failures_at_once, appends_in_order, pipes_in_order, both_ways, blocked_pipes,
     blocked_pipes_again, sync_comes_after, lists, lists_with_failures, limit, no_threads)
