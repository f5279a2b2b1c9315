/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that do the work. They are made when there is work and nobody is free, and end when there has been
 * none for a second.
 *
 * Their number is bounded in two ways. A few serve files: more would only wait for each other. A worker that
 * serves a descriptor without offsets (pipe, socket, terminal) may wait for ever, perhaps for what another
 * request brings about; it does not count among the few, and there may be many of them.
 *
 * Such a worker first waits until the descriptor is ready, and until then its request can be cancelled; between
 * that and the system call another reader may come first, and then it cannot. A cancellation does not wake the
 * worker, for that would need a descriptor, or a signal of the program's. So it looks by itself, after twice the time
 * that it has waited already: it stays away no longer than its request has lasted.
 */
#include <errno.h>
#include <poll.h>
#include "ipc/sys.h"
#include "preload/aio.h"

enum {
	STACK = 128 * 1024,
	IDLE_NS = 1000 * 1000 * 1000,
	POLL_MS = 4,
	POLL_MAX_MS = 2000,
};

/* ---- one request ------------------------------------------------------------------------------- */

/* 0: it was cancelled meanwhile. */
static int serve_claim(struct aio_request *r, int ready)
{
	int canceled;

	aio_lock();
	canceled = r->stage == STAGE_CANCELED;
	if (ready && !canceled)
		r->stage = STAGE_RUNNING;
	aio_unlock();
	return !canceled;
}

static int serve_poll(struct aio_request *r)
{
	struct pollfd wait = {.fd = r->fd, .events = r->op == AIO_READ ? POLLIN : POLLOUT};
	int ready = 0, mine = 1, ms;

	for (ms = POLL_MS; mine && !ready; ms = ms < POLL_MAX_MS ? 2 * ms : ms) {
		/* A failure is the system call's to tell. */
		long n = sys_poll(&wait, 1, ms);

		ready = n != 0 && n != -EINTR;
		mine = serve_claim(r, ready);
	}
	aio_request_put(r);
	return mine;
}

static int64_t serve_once(const struct aio_request *r)
{
	long nr = r->op == AIO_READ ? __NR_read : __NR_write;
	long nr_at = r->op == AIO_READ ? __NR_pread64 : __NR_pwrite64;
	int64_t ret;

	if (r->op == AIO_SYNC || r->op == AIO_DATASYNC)
		return aio_call(r->op == AIO_SYNC ? __NR_fsync : __NR_fdatasync, (uint32_t)r->fd, 0, 0, 0);
	if (!r->stream) {
		ret = aio_call(nr_at, (uint32_t)r->fd, (uintptr_t)r->buf, r->length, (uint64_t)r->offset);
		/* Some devices can seek, or say so, and yet have no offsets. */
		if (ret != -ESPIPE)
			return ret;
	}
	return aio_call(nr, (uint32_t)r->fd, (uintptr_t)r->buf, r->length, 0);
}

static void serve(struct aio_request *r)
{
	int64_t ret;

	if (r->pollable && !serve_poll(r))
		return;
	/* Only libc's own signals come to a worker. */
	do
		ret = serve_once(r);
	while (ret == -EINTR);
	aio_queue_end(r, ret);
}

/* ---- workers ----------------------------------------------------------------------------------- */

/* With the lock held. 0: nothing came. */
static int worker_sleep(void)
{
	int64_t end = sys_now() + IDLE_NS;
	const struct sys_time until = {end / SYS_NS, end % SYS_NS};
	uint32_t calls = aio.calls;
	long r;

	aio.sleepers++;
	aio_unlock();
	r = aio_futex_wait(&aio.calls, calls, &until);
	aio_lock();
	aio.sleepers--;
	if (!aio.called)
		return r != -ETIMEDOUT || aio.waiting;
	aio.called--;
	return 1;
}

static void *worker_main(void *unused)
{
	struct aio_request *r;

	aio_lock();
	aio.starting--;
	do {
		while ((r = aio_queue_take())) {
			uint32_t blocks = r->stream;

			aio.blocking += blocks;
			aio_workers_want(0);
			aio_unlock();
			serve(r);
			aio_lock();
			aio.blocking -= blocks;
		}
	} while (worker_sleep());
	aio.workers--;
	aio_unlock();
	return unused;
}

/* With the lock held, which it gives up meanwhile. */
static int worker_start(void)
{
	int r;

	aio.workers++;
	aio.starting++;
	aio_unlock();
	r = aio_thread(NULL, STACK, worker_main, NULL);
	aio_lock();
	if (r < 0) {
		aio.workers--;
		aio.starting--;
	}
	return r;
}

static int workers_may_grow(void)
{
	return aio.workers < AIO_WORKERS_MAX && aio.workers - aio.blocking < AIO_WORKERS_POOL;
}

int aio_workers_want(uint32_t more)
{
	while (aio.waiting + more > aio.called + aio.starting) {
		if (aio.sleepers > aio.called) {
			aio.called++;
			aio.calls++;
			aio.ring++;
			continue;
		}
		/* One that was started may have come already, and found something else to do, or nothing: look again. */
		if (!workers_may_grow() || worker_start() < 0)
			return aio.workers > aio.blocking ? 0 : -EAGAIN;
	}
	return 0;
}
