/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX asynchronous I/O: the functions that programs call, in place of libc's.
 *
 * libc's own would serve our files too, for its threads make libc's system calls. It is replaced because it keeps
 * the requests of a descriptor strictly one after the other (glibc), which an asynchronous program uses it to
 * avoid; because a read that waits there keeps the write from being sent that it waits for; and so that it is the
 * same in all libcs. It serves every descriptor, of our files by the dispatcher and of others by the system
 * call; outside of a pool too.
 *
 * Order: reads and writes at offsets run beside each other. Writes that append run in order of submission; so do
 * reads, and writes, of descriptors without offsets. aio_fsync waits for all that was submitted before it. A close
 * that the dispatcher sees cancels what has not begun, and waits for what has. The child of a fork has no requests.
 *
 * Priorities are checked, and have no effect. Where POSIX leaves it open, what is wrong with a request is said at
 * once, and in the block too. Nothing here is started, found or allocated before a program's first request.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include "ipc/sys.h"
#include "libfs/fs.h"
#include "preload/aio.h"
#include "preload/process.h"

#define PUBLIC __attribute__((visibility("default")))
#define ALSO(name) __attribute__((alias(#name), visibility("default")))

enum { LIO_READ, LIO_WRITE, LIO_NOP };
enum { LIO_WAIT, LIO_NOWAIT };
enum { CANCEL_ASYNCHRONOUS = 1 }; /* PTHREAD_CANCEL_ASYNCHRONOUS of both libcs */

/* ---- submission -------------------------------------------------------------------------------- */

/* The checks that POSIX lists under [EBADF]. Returns the descriptor's flags. */
static int64_t request_flags(int fd, enum aio_op op)
{
	int64_t flags = aio_call(__NR_fcntl, (uint32_t)fd, F_GETFL, 0, 0);

	if (flags < 0)
		return -EBADF;
	return (flags & O_ACCMODE) == (op == AIO_READ ? O_WRONLY : O_RDONLY) ? -EBADF : flags;
}

static enum aio_lane request_lane(const struct aio_request *r, int64_t flags)
{
	if (r->op == AIO_READ)
		return r->stream ? LANE_READS : LANE_FREE;
	if (r->op == AIO_WRITE)
		return r->stream || (flags & O_APPEND) ? LANE_WRITES : LANE_FREE;
	/* No earlier read of a stream: it may wait for ever, and nothing of it will be written. */
	return r->stream ? LANE_WRITES : LANE_BARRIER;
}

static int request_check(struct aio_request *r, const struct aio_block *b)
{
	int moves = r->op == AIO_READ || r->op == AIO_WRITE;
	int64_t flags = request_flags(b->fd, r->op);
	int ret = aio_notice_set(r, &b->event);

	if (flags < 0 || ret < 0)
		return flags < 0 ? (int)flags : ret;
	r->stream = sys_failed(aio_call(__NR_lseek, (uint32_t)b->fd, 0, SEEK_CUR, 0));
	r->pollable = r->stream && moves && !(flags & O_NONBLOCK);
	r->lane = request_lane(r, flags);
	if (moves && ((uint32_t)b->priority > AIO_PRIORITY_MAX || (int64_t)b->length < 0))
		return -EINVAL;
	/* The kernel appends whatever the offset, but refuses some. */
	r->offset = r->op == AIO_WRITE && (flags & O_APPEND) ? 0 : b->offset;
	return moves && !r->stream && r->offset < 0 ? -EINVAL : 0;
}

/* Several threads may do this at once. */
static void aio_begin(void)
{
	if (__atomic_load_n(&aio.wiped, __ATOMIC_ACQUIRE))
		return;
	fs_wipe_on_fork(&aio, sizeof(aio));
	__atomic_store_n(&process.closing, aio_queue_closing, __ATOMIC_RELAXED);
	__atomic_store_n(&aio.wiped, 1, __ATOMIC_RELEASE);
}

static int64_t submit_checked(struct aio_block *b, enum aio_op op, struct aio_request *group)
{
	struct aio_request r = {.op = (uint8_t)op, .block = b, .group = group, .fd = b->fd, .buf = b->buf,
				.length = b->length};
	int ret = request_check(&r, b);

	if (ret < 0)
		return ret;
	if (!aio_libc())
		return -ENOSYS;
	aio_begin();
	b->ret = 0;
	__atomic_store_n(&b->error, EINPROGRESS, __ATOMIC_RELAXED);
	return aio_queue_add(&r);
}

static int64_t submit(struct aio_block *b, enum aio_op op, struct aio_request *group)
{
	int64_t r = submit_checked(b, op, group);

	if (r < 0) {
		b->ret = -1;
		b->error = (int32_t)-r;
	}
	return r;
}

PUBLIC int aio_read(struct aio_block *b)
{
	return (int)aio_answer(submit(b, AIO_READ, NULL));
}

PUBLIC int aio_write(struct aio_block *b)
{
	return (int)aio_answer(submit(b, AIO_WRITE, NULL));
}

PUBLIC int aio_fsync(int op, struct aio_block *b)
{
	if (op != O_SYNC && op != O_DSYNC)
		return (int)aio_answer(-EINVAL);
	return (int)aio_answer(submit(b, op == O_SYNC ? AIO_SYNC : AIO_DATASYNC, NULL));
}

/* ---- state ------------------------------------------------------------------------------------- */

static int32_t block_error(const struct aio_block *b)
{
	return __atomic_load_n(&b->error, __ATOMIC_ACQUIRE) & ~AIO_AWAITED;
}

PUBLIC int aio_error(const struct aio_block *b)
{
	return block_error(b);
}

PUBLIC int64_t aio_return(struct aio_block *b)
{
	return block_error(b) == EINPROGRESS ? aio_answer(-EINVAL) : b->ret;
}

PUBLIC int aio_cancel(int fd, struct aio_block *b)
{
	if (sys_failed(sys3(__NR_fcntl, fd, F_GETFD, 0)))
		return (int)aio_answer(-EBADF);
	if (b && b->fd != fd)
		return (int)aio_answer(-EINVAL);
	return aio_queue_cancel(fd, b);
}

/* glibc's, to tune it. */
PUBLIC void aio_init(const void *unused)
{
}

/* ---- waiting ----------------------------------------------------------------------------------- */

/* A cancellation point. Nothing is held meanwhile. */
static long wait_futex(const void *word, uint32_t value, const struct sys_time *until)
{
	const struct aio_libc *libc = aio_libc();
	int old = 0;
	long r;

	if (libc)
		libc->setcanceltype(CANCEL_ASYNCHRONOUS, &old);
	r = aio_futex_wait(word, value, until);
	if (libc)
		libc->setcanceltype(old, &old);
	return r == -EAGAIN ? 0 : r;
}

static long wait_for(struct aio_block *b, const struct sys_time *until)
{
	long r = 0;

	for (;;) {
		int32_t error = __atomic_load_n(&b->error, __ATOMIC_ACQUIRE), awaited = EINPROGRESS | AIO_AWAITED;

		if ((error & ~AIO_AWAITED) != EINPROGRESS || r < 0)
			return (error & ~AIO_AWAITED) != EINPROGRESS ? 0 : r;
		if (error == awaited || __atomic_compare_exchange_n(&b->error, &error, awaited, 0, __ATOMIC_ACQ_REL,
								    __ATOMIC_RELAXED))
			r = wait_futex(&b->error, (uint32_t)awaited, until);
	}
}

/* How many of a list are there; *ret_ended: how many of them have ended; *ret_last: one that has not. */
static int list_count(struct aio_block *const list[], int count, int *ret_ended, struct aio_block **ret_last)
{
	int n, blocks = 0;

	*ret_ended = 0;
	*ret_last = NULL;
	for (n = 0; n < count; n++) {
		if (!list[n])
			continue;
		blocks++;
		if (block_error(list[n]) == EINPROGRESS)
			*ret_last = list[n];
		else
			++*ret_ended;
	}
	return blocks;
}

/* A thread that is cancelled here is counted as a watcher for ever; that costs a system call now and then. */
static long wait_any(struct aio_block *const list[], int count, const struct sys_time *until)
{
	struct aio_block *last;
	long r = 0;
	int ended;

	__atomic_fetch_add(&aio.watchers, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t seen = __atomic_load_n(&aio.ended, __ATOMIC_SEQ_CST);

		list_count(list, count, &ended, &last);
		if (ended || r < 0)
			break;
		r = wait_futex(&aio.ended, seen, until);
	}
	__atomic_fetch_sub(&aio.watchers, 1, __ATOMIC_SEQ_CST);
	return ended ? 0 : r;
}

static void deadline(const struct sys_time *timeout, struct sys_time *ret)
{
	int64_t now = sys_now(), ns = now % SYS_NS + timeout->nsec;

	ret->nsec = ns % SYS_NS;
	if (__builtin_add_overflow(now / SYS_NS + ns / SYS_NS, timeout->sec, &ret->sec))
		ret->sec = INT64_MAX;
}

static long suspend(struct aio_block *const list[], int count, const struct sys_time *timeout)
{
	struct sys_time until = {0, 0};
	struct aio_block *last;
	int ended, blocks;
	long r;

	if (count < 0 || (timeout && (timeout->sec < 0 || (uint64_t)timeout->nsec >= SYS_NS)))
		return -EINVAL;
	blocks = list_count(list, count, &ended, &last);
	if (ended || !blocks)
		return 0;
	if (timeout)
		deadline(timeout, &until);
	r = blocks == 1 ? wait_for(last, timeout ? &until : NULL) : wait_any(list, count, timeout ? &until : NULL);
	return r == -ETIMEDOUT ? -EAGAIN : r;
}

PUBLIC int aio_suspend(struct aio_block *const list[], int count, const struct sys_time *timeout)
{
	return (int)aio_answer(suspend(list, count, timeout));
}

/* ---- lists ------------------------------------------------------------------------------------- */

static int64_t list_submit_one(struct aio_block *b, struct aio_request *group)
{
	int64_t r = -EINVAL;

	if (group)
		__atomic_fetch_add(&group->members, 1, __ATOMIC_RELAXED);
	if (b->opcode == LIO_READ || b->opcode == LIO_WRITE)
		r = submit(b, b->opcode == LIO_READ ? AIO_READ : AIO_WRITE, group);
	else
		b->ret = -1, b->error = EINVAL;
	if (r < 0 && group)
		aio_notify_group(group);
	return r;
}

/* 0; -EAGAIN or -EIO if some could not be submitted: their blocks say why. */
static int64_t list_submit(struct aio_block *const list[], int count, struct aio_request *group)
{
	int64_t worst = 0, r;
	int n;

	for (n = 0; n < count; n++) {
		if (!list[n] || list[n]->opcode == LIO_NOP)
			continue;
		r = list_submit_one(list[n], group);
		if (r < 0 && worst != -EAGAIN)
			worst = r == -EAGAIN ? -EAGAIN : -EIO;
	}
	return worst;
}

static int64_t list_wait(struct aio_block *const list[], int count)
{
	int64_t worst = 0, r;
	int n;

	for (n = 0; n < count; n++) {
		if (!list[n] || list[n]->opcode == LIO_NOP)
			continue;
		r = wait_for(list[n], NULL);
		if (r < 0)
			return r;
		if (block_error(list[n]))
			worst = -EIO;
	}
	return worst;
}

/* The list itself counts as a member until all of it is submitted. */
static int group_new(const struct aio_event *event, struct aio_request **ret)
{
	struct aio_request wanted = {.refs = 1, .members = 1};
	uint64_t mask;
	union aio_cell *cell;
	int r = aio_notice_set(&wanted, event);

	if (r < 0)
		return r;
	aio_begin();
	mask = aio_signals_block();
	aio_lock();
	cell = aio_cell_new();
	if (cell)
		cell->request = wanted;
	aio_unlock();
	aio_signals_restore(mask);
	if (!cell)
		return -EAGAIN;
	*ret = &cell->request;
	return 0;
}

static int64_t list_start(struct aio_block *const list[], int count, const struct aio_event *event)
{
	struct aio_request *group = NULL;
	uint64_t mask;
	int64_t r = event ? group_new(event, &group) : 0;

	if (r < 0)
		return r;
	r = list_submit(list, count, group);
	if (group) {
		mask = aio_signals_block();
		aio_notify_group(group);
		aio_signals_restore(mask);
	}
	return r;
}

PUBLIC int lio_listio(int mode, struct aio_block *const list[], int count, const struct aio_event *event)
{
	int64_t r, waited;

	if (count < 0 || (mode != LIO_WAIT && mode != LIO_NOWAIT))
		return (int)aio_answer(-EINVAL);
	if (mode == LIO_NOWAIT)
		return (int)aio_answer(list_start(list, count, event));
	r = list_submit(list, count, NULL);
	waited = list_wait(list, count);
	return (int)aio_answer(waited == -EINTR || r == 0 ? waited : r);
}

/* ---- the other names --------------------------------------------------------------------------- */

/* off_t has 64 bits. */
int aio_read64(struct aio_block *b) ALSO(aio_read);
int aio_write64(struct aio_block *b) ALSO(aio_write);
int aio_fsync64(int op, struct aio_block *b) ALSO(aio_fsync);
int aio_error64(const struct aio_block *b) ALSO(aio_error);
int64_t aio_return64(struct aio_block *b) ALSO(aio_return);
int aio_cancel64(int fd, struct aio_block *b) ALSO(aio_cancel);
int aio_suspend64(struct aio_block *const list[], int count, const struct sys_time *timeout) ALSO(aio_suspend);
int lio_listio64(int mode, struct aio_block *const list[], int count, const struct aio_event *event) ALSO(lio_listio);
