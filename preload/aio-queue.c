/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is outstanding: one queue for each descriptor that has requests, found by its number.
 *
 * A queue keeps its requests in the order of submission. Those that may overtake each other are ready at once;
 * those of a lane are ready one after the other, and a barrier when it has become the first of the queue. So the
 * end of a request can make ready only the next one of its lane, and the first of the queue.
 *
 * A request is in its queue from submission until it has ended or was cancelled; its block tells so while the
 * lock is held, and is not touched again: the program may give the memory another use at once.
 */
#include <errno.h>
#include <sys/mman.h>
#include "ipc/sys.h"
#include "libfs/fs.h"
#include "preload/aio.h"
#include "preload/process.h"

enum { CANCELED, NOT_CANCELED, ALL_DONE }; /* AIO_* */

enum { CLOSE_PATIENCE_NS = 50 * 1000 * 1000 };

struct aio_state aio;

static struct aio_request *request_of(struct aio_link *order)
{
	return order ? (struct aio_request *)((char *)order - offsetof(struct aio_request, order)) : NULL;
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* The child of a fork has no requests, and not their memory either. */
static void cells_map(void)
{
	union aio_cell *cell;
	size_t n;

	if (aio.chunks == AIO_CHUNKS_MAX)
		return;
	cell = sys_mmap(NULL, AIO_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed((long)cell))
		return;
	sys_madvise(cell, AIO_CHUNK, MADV_DONTFORK);
	aio.chunks++;
	for (n = AIO_CHUNK / sizeof(*cell); n; n--, cell++) {
		cell->next = aio.free;
		aio.free = cell;
	}
}

union aio_cell *aio_cell_new(void)
{
	union aio_cell *cell;

	if (!aio.free)
		cells_map();
	cell = aio.free;
	if (cell) {
		aio.free = cell->next;
		mem_zero(cell, sizeof(*cell));
	}
	return cell;
}

static void cell_free(void *memory)
{
	union aio_cell *cell = memory;

	cell->next = aio.free;
	aio.free = cell;
}

static void request_put(struct aio_request *r)
{
	if (--r->refs == 0)
		cell_free(r);
}

void aio_request_put(struct aio_request *r)
{
	aio_lock();
	request_put(r);
	aio_unlock();
}

/* ---- queues ----------------------------------------------------------------------------------- */

static struct aio_queue **queue_place(int fd)
{
	return &aio.table[(uint32_t)fd % AIO_TABLE];
}

static struct aio_queue *queue_find(int fd)
{
	struct aio_queue *q = *queue_place(fd);

	while (q && q->fd != fd)
		q = q->next;
	return q;
}

static struct aio_queue *queue_new(int fd)
{
	struct aio_queue **place = queue_place(fd);
	union aio_cell *cell = aio_cell_new();

	if (!cell)
		return NULL;
	cell->queue.fd = fd;
	cell->queue.next = *place;
	__atomic_store_n(&aio.queues, aio.queues + 1, __ATOMIC_RELAXED);
	return *place = &cell->queue;
}

/* Out of the table: its number is about to mean something else. */
static void queue_detach(struct aio_queue *q)
{
	struct aio_queue **place = queue_place(q->fd);

	while (*place && *place != q)
		place = &(*place)->next;
	if (!*place)
		return;
	*place = q->next;
	__atomic_store_n(&aio.queues, aio.queues - 1, __ATOMIC_RELAXED);
}

/* Has it to wait for another one of its queue? */
static int queue_must_wait(const struct aio_queue *q, const struct aio_request *r)
{
	switch (r->lane) {
	case LANE_FREE:
		return 0;
	case LANE_BARRIER:
		return q->order.first != NULL;
	default:
		return q->lane[r->lane] != 0;
	}
}

static void request_ready(struct aio_request *r)
{
	r->stage = STAGE_READY;
	aio_list_append(&aio.ready, &r->ready);
	aio.waiting++;
}

static void request_unready(struct aio_request *r)
{
	aio_list_remove(&aio.ready, &r->ready);
	aio.waiting--;
}

static void queue_append(struct aio_queue *q, struct aio_request *r)
{
	int wait = queue_must_wait(q, r);

	r->queue = q;
	r->refs = 1;
	aio_list_append(&q->order, &r->order);
	q->lane[r->lane]++;
	r->stage = STAGE_ORDERED;
	if (!wait)
		request_ready(r);
}

/* The one whose turn it was is gone, and stood before `next`. */
static void queue_advance(struct aio_request *next, uint8_t lane)
{
	while (next && next->lane != lane)
		next = request_of(next->order.next);
	if (next)
		request_ready(next);
}

static void queue_remove(struct aio_request *r)
{
	struct aio_queue *q = r->queue;
	struct aio_request *next = request_of(r->order.next), *first;

	aio_list_remove(&q->order, &r->order);
	q->lane[r->lane]--;
	if ((r->lane == LANE_READS || r->lane == LANE_WRITES) && r->stage != STAGE_ORDERED)
		queue_advance(next, r->lane);
	first = request_of(q->order.first);
	if (first && first->lane == LANE_BARRIER && first->stage == STAGE_ORDERED)
		request_ready(first);
	if (!first) {
		queue_detach(q);
		cell_free(q);
	}
}

/* Tells the block how it ended. */
static void request_settle(struct aio_request *r, int64_t result)
{
	int32_t was;

	r->block->ret = result < 0 ? -1 : result;
	/* Releases what the request wrote to the thread that asks aio_error or aio_suspend. */
	was = __atomic_exchange_n(&r->block->error, result < 0 ? (int32_t)-result : 0, __ATOMIC_SEQ_CST);
	r->awaited = (was & AIO_AWAITED) != 0;
}

/* ---- a request's life -------------------------------------------------------------------------- */

static struct aio_request *queue_insert(const struct aio_request *wanted)
{
	union aio_cell *cell = aio_cell_new();
	struct aio_queue *q;

	if (!cell)
		return NULL;
	q = queue_find(wanted->fd);
	if (!q)
		q = queue_new(wanted->fd);
	if (!q) {
		cell_free(cell);
		return NULL;
	}
	cell->request = *wanted;
	queue_append(q, &cell->request);
	return &cell->request;
}

int aio_queue_add(const struct aio_request *wanted)
{
	uint64_t mask = aio_signals_block();
	const struct aio_queue *q;
	int r = 0;

	aio_lock();
	q = queue_find(wanted->fd);
	/* The worker first, so that there is nothing to undo when there is none. */
	if (!q || !queue_must_wait(q, wanted))
		r = aio_workers_want(1);
	if (r == 0 && !queue_insert(wanted))
		r = -EAGAIN;
	aio_unlock();
	aio_signals_restore(mask);
	return r;
}

struct aio_request *aio_queue_take(void)
{
	struct aio_link *link = aio.ready.first;
	struct aio_request *r;

	if (!link)
		return NULL;
	r = (struct aio_request *)((char *)link - offsetof(struct aio_request, ready));
	request_unready(r);
	r->stage = STAGE_RUNNING;
	if (r->pollable) {
		r->stage = STAGE_POLLED;
		r->refs++; /* the worker's: the other one goes with a cancellation */
	}
	return r;
}

/* For those who watch more than one block, or a queue. Partner: they count themselves in, and then look. */
static void ended_tell(void)
{
	if (!__atomic_load_n(&aio.watchers, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&aio.ended, 1, __ATOMIC_SEQ_CST);
	aio_futex_wake(&aio.ended, 0x7fffffff);
}

void aio_queue_end(struct aio_request *r, int64_t result)
{
	aio_lock();
	queue_remove(r);
	request_settle(r, result);
	aio_unlock();
	ended_tell();
	aio_notify(r);
}

/* ---- cancellation ------------------------------------------------------------------------------ */

/* 0: it is too late. */
static int request_cancel(struct aio_request *r)
{
	if (r->stage == STAGE_RUNNING)
		return 0;
	if (r->stage == STAGE_READY)
		request_unready(r);
	queue_remove(r);
	r->stage = STAGE_CANCELED;
	request_settle(r, -ECANCELED);
	return 1;
}

/* Those of a queue that can be cancelled, to `canceled`. Returns what aio_cancel does. */
static int queue_cancel(struct aio_queue *q, const struct aio_block *block, struct aio_list *canceled)
{
	struct aio_request *r = q ? request_of(q->order.first) : NULL, *next;
	int result = ALL_DONE;

	for (; r; r = next) {
		next = request_of(r->order.next);
		if (block && r->block != block)
			continue;
		if (!request_cancel(r)) {
			result = NOT_CANCELED;
			continue;
		}
		aio_list_append(canceled, &r->order);
		if (result == ALL_DONE)
			result = CANCELED;
	}
	return result;
}

int aio_queue_cancel(int fd, const struct aio_block *block)
{
	struct aio_list canceled = {0};
	uint64_t mask = aio_signals_block();
	struct aio_request *r;
	int result;

	aio_lock();
	result = queue_cancel(queue_find(fd), block, &canceled);
	/* One that goes may let another go on. After all have gone nothing does; and no thread is made in a close. */
	if (block)
		aio_workers_want(0);
	aio_unlock();
	if (canceled.first)
		ended_tell();
	while ((r = request_of(canceled.first))) {
		aio_list_remove(&canceled, &r->order);
		aio_notify(r);
	}
	aio_signals_restore(mask);
	return result;
}

/* ---- close ------------------------------------------------------------------------------------- */

enum queue_rest { REST_NONE, REST_ENDING, REST_BLOCKED };

static enum queue_rest queue_rest(int fd, int give_up)
{
	enum queue_rest rest = REST_NONE;
	uint64_t mask = aio_signals_block();
	struct aio_queue *q;

	aio_lock();
	q = queue_find(fd);
	if (q)
		rest = request_of(q->order.first)->stream ? REST_BLOCKED : REST_ENDING;
	if (q && give_up)
		queue_detach(q);
	aio_unlock();
	aio_signals_restore(mask);
	return rest;
}

/*
 * What runs, ends as if the descriptor were closed later. What may block for ever holds the kernel's file once it is
 * in its system call; it is given the time to come there.
 */
static void closing_wait(int fd)
{
	int64_t end = sys_now() + CLOSE_PATIENCE_NS;
	const struct sys_time until = {end / SYS_NS, end % SYS_NS};
	enum queue_rest rest;
	long r = 0;

	for (;;) {
		uint32_t ended = __atomic_load_n(&aio.ended, __ATOMIC_SEQ_CST);

		rest = queue_rest(fd, r == -ETIMEDOUT);
		if (rest == REST_NONE || r == -ETIMEDOUT)
			return;
		r = aio_futex_wait(&aio.ended, ended, rest == REST_BLOCKED ? &until : NULL);
	}
}

void aio_queue_closing(uint32_t fd)
{
	if (!__atomic_load_n(&aio.queues, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&aio.watchers, 1, __ATOMIC_SEQ_CST);
	if (aio_queue_cancel((int)fd, NULL) == NOT_CANCELED)
		closing_wait((int)fd);
	__atomic_fetch_sub(&aio.watchers, 1, __ATOMIC_SEQ_CST);
}
