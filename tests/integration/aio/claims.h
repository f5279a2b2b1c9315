/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that claim what POSIX promises of asynchronous I/O. They run on glibc's own and on ours; what only
 * ours promises is asked for only if `ours`, and what needs the dispatcher only if `in_pool`.
 */
#pragma once

#include <aio.h>
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>
#include "tests/integration/preload/check.h"

/* Who serves: whoever runs this says so in AIO. */
static inline int ours(void)
{
	const char *who = getenv("AIO");
	Dl_info info;
	int preloaded = dladdr((void *)aio_read, &info) && strstr(info.dli_fname, "preload.so");

	/* libc; preload: without a pool, or not active; pool: also sees what else the program does; lazy: and our
	 * files have placeholders */
	CHECK(who && preloaded == (strcmp(who, "libc") != 0));
	return preloaded;
}

static inline int in_pool(void)
{
	return ours() && strcmp(getenv("AIO"), "preload") != 0;
}

static inline struct aiocb *block(struct aiocb *b, int fd, void *buf, size_t length, off_t offset)
{
	memset(b, 0, sizeof(*b));
	b->aio_fildes = fd;
	b->aio_buf = buf;
	b->aio_nbytes = length;
	b->aio_offset = offset;
	b->aio_sigevent.sigev_notify = SIGEV_NONE;
	return b;
}

/* Waits, and gives the error that it ended with. */
static inline int ended(struct aiocb *b)
{
	const struct aiocb *list[1] = {b};

	while (aio_error(b) == EINPROGRESS)
		if (aio_suspend(list, 1, NULL) < 0)
			EQUAL(errno, EINTR);
	return aio_error(b);
}

/* What it did, if it ended well. */
static inline ssize_t done(struct aiocb *b)
{
	EQUAL(ended(b), 0);
	return aio_return(b);
}

/* What a request fails with, be it at once or later. r: of aio_read and its like. */
static inline int failure(int r, struct aiocb *b)
{
	if (r < 0) {
		if (ours())
			EQUAL(aio_error(b), errno);
		return errno;
	}
	r = ended(b);
	EQUAL(aio_return(b), -1);
	return r;
}

static inline int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static inline void sleep_ms(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Until *word is `wanted`, or ten seconds have passed. */
static inline void comes(volatile int *word, int wanted)
{
	int64_t end = now_ms() + 10000;

	while (*word != wanted && now_ms() < end)
		sleep_ms(1);
	EQUAL(*word, wanted);
}
