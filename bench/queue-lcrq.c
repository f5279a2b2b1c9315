/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LCRQ, written after "Fast Concurrent Queues for x86 Processors" (Morrison and Afek, PPoPP '13): a list of rings. In a
 * ring, head and tail are taken by fetch-and-add, and a cell is changed with its index by a double-word
 * compare-and-swap. A ring that is full, or where an enqueuer starves, is closed, and another one is added.
 *
 * Rings that are used up are kept until the queue goes: here one is closed too seldom for more.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/queue.h"
#include "ipc/sys.h"

enum { RING = 1 << QUEUE_SHIFT, STARVING = 200 };

#define CLOSED (UINT64_C(1) << 63)
#define UNSAFE (UINT64_C(1) << 63)
#define EMPTY UINT64_MAX
#define INDEX(word) ((word) & ~UNSAFE)

typedef unsigned __int128 pair;

/* An index with the bit UNSAFE, and a value. Alone in its cache line. */
union cell {
	_Alignas(64) struct {
		uint64_t index, value;
	};
	pair both;
};

struct ring {
	_Alignas(64) uint64_t head;
	_Alignas(64) uint64_t tail; /* with the bit CLOSED */
	_Alignas(64) struct ring *next;
	struct ring *older;
	union cell cell[RING];
};

struct lcrq {
	struct event event;
	_Alignas(64) struct ring *head;
	_Alignas(64) struct ring *tail;
};

static pair pair_of(uint64_t index, uint64_t value)
{
	return (pair)value << 64 | index;
}

static bool cell_change(union cell *cell, uint64_t index, uint64_t value, uint64_t to_index, uint64_t to_value)
{
	return __sync_bool_compare_and_swap(&cell->both, pair_of(index, value), pair_of(to_index, to_value));
}

static struct ring *ring_new(void)
{
	struct ring *r = aligned_alloc(64, sizeof(*r));

	if (!r)
		abort();
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < RING; i++)
		r->cell[i] = (union cell){.index = i, .value = EMPTY};
	return r;
}

static bool ring_put(struct ring *r, uint64_t value)
{
	for (unsigned tries = 0;; tries++) {
		uint64_t t = __atomic_fetch_add(&r->tail, 1, __ATOMIC_SEQ_CST), head;
		union cell *cell = &r->cell[t % RING];
		uint64_t index = __atomic_load_n(&cell->index, __ATOMIC_ACQUIRE);

		if (t & CLOSED)
			return false;
		if (__atomic_load_n(&cell->value, __ATOMIC_ACQUIRE) == EMPTY && INDEX(index) <= t &&
		    (!(index & UNSAFE) || __atomic_load_n(&r->head, __ATOMIC_SEQ_CST) <= t) &&
		    cell_change(cell, index, EMPTY, t, value))
			return true;
		head = __atomic_load_n(&r->head, __ATOMIC_SEQ_CST);
		if ((int64_t)(t - head) >= RING || tries >= STARVING) {
			__atomic_fetch_or(&r->tail, CLOSED, __ATOMIC_SEQ_CST);
			return false;
		}
	}
}

/* Dequeuers were ahead: the tail is brought to where they are. */
static void ring_fix(struct ring *r)
{
	for (;;) {
		uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_SEQ_CST);
		uint64_t head = __atomic_load_n(&r->head, __ATOMIC_SEQ_CST);

		if (__atomic_load_n(&r->tail, __ATOMIC_SEQ_CST) != tail)
			continue;
		if (head <= (tail & ~CLOSED) ||
		    __atomic_compare_exchange_n(&r->tail, &tail, head | (tail & CLOSED), 0, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return;
	}
}

/* The item of that index; EMPTY: none will ever come there. */
static uint64_t cell_take(union cell *cell, uint64_t h)
{
	for (;;) {
		uint64_t index = __atomic_load_n(&cell->index, __ATOMIC_ACQUIRE);
		uint64_t value = __atomic_load_n(&cell->value, __ATOMIC_ACQUIRE);

		if (INDEX(index) > h)
			return EMPTY;
		if (value == EMPTY) {
			if (cell_change(cell, index, EMPTY, (index & UNSAFE) | (h + RING), EMPTY))
				return EMPTY;
		} else if (INDEX(index) == h) {
			if (cell_change(cell, index, value, (index & UNSAFE) | (h + RING), EMPTY))
				return value;
		} else if (cell_change(cell, index, value, index | UNSAFE, value)) {
			return EMPTY;
		}
	}
}

static uint64_t ring_take(struct ring *r)
{
	for (;;) {
		uint64_t h = __atomic_fetch_add(&r->head, 1, __ATOMIC_SEQ_CST);
		uint64_t value = cell_take(&r->cell[h % RING], h);

		if (value != EMPTY)
			return value;
		if ((__atomic_load_n(&r->tail, __ATOMIC_SEQ_CST) & ~CLOSED) <= h + 1) {
			ring_fix(r);
			return EMPTY;
		}
	}
}

static struct queue *lcrq_new(void)
{
	struct lcrq *q = aligned_alloc(64, sizeof(*q));

	if (!q)
		abort();
	memset(q, 0, sizeof(*q));
	q->head = q->tail = ring_new();
	return (struct queue *)q;
}

static void lcrq_free(struct queue *queue)
{
	struct lcrq *q = (struct lcrq *)queue;

	for (struct ring *r = q->tail, *older; r; r = older) {
		older = r->older;
		free(r);
	}
	free(q);
}

/* A new ring with one item in it. False: somebody else added one. */
static bool lcrq_extend(struct lcrq *q, struct ring *last, uint64_t value)
{
	struct ring *r = ring_new(), *none = NULL;

	r->older = last;
	ring_put(r, value);
	if (!__atomic_compare_exchange_n(&last->next, &none, r, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		free(r);
		return false;
	}
	__atomic_compare_exchange_n(&q->tail, &last, r, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return true;
}

static void lcrq_put(struct queue *queue, unsigned item)
{
	struct lcrq *q = (struct lcrq *)queue;

	for (;;) {
		struct ring *r = __atomic_load_n(&q->tail, __ATOMIC_SEQ_CST);
		struct ring *next = __atomic_load_n(&r->next, __ATOMIC_SEQ_CST);

		if (next)
			__atomic_compare_exchange_n(&q->tail, &r, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		else if (ring_put(r, item) || lcrq_extend(q, r, item))
			break;
	}
	event_signal(&q->event);
}

/* Looks first: a dequeuer that finds nothing spoils a cell. */
static bool ring_empty(const struct ring *r)
{
	return __atomic_load_n(&r->head, __ATOMIC_SEQ_CST) >= (__atomic_load_n(&r->tail, __ATOMIC_SEQ_CST) & ~CLOSED);
}

static bool lcrq_try(struct queue *queue, unsigned *ret)
{
	struct lcrq *q = (struct lcrq *)queue;

	for (;;) {
		struct ring *r = __atomic_load_n(&q->head, __ATOMIC_SEQ_CST), *next;
		uint64_t value = ring_empty(r) ? EMPTY : ring_take(r);

		if (value == EMPTY && !__atomic_load_n(&r->next, __ATOMIC_SEQ_CST))
			return false;
		if (value == EMPTY)
			value = ring_take(r); /* nothing comes any more; but something may have come */
		if (value != EMPTY) {
			*ret = (unsigned)value;
			return true;
		}
		next = __atomic_load_n(&r->next, __ATOMIC_SEQ_CST);
		__atomic_compare_exchange_n(&q->head, &r, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

static unsigned lcrq_take(struct queue *queue)
{
	return event_take(&((struct lcrq *)queue)->event, queue, lcrq_try);
}

const struct queue_type queue_lcrq = {"LCRQ", lcrq_new, lcrq_free, lcrq_put, lcrq_take};
