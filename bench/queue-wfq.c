/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WFQ, written after "A Wait-free Queue as Fast as Fetch-and-Add" (Yang and Mellor-Crummey, PPoPP '16): an endless array
 * of cells. Enqueuers and dequeuers take cells by fetch-and-add; a dequeuer that comes to a cell first spoils it. Who
 * fails a few times publishes a request, which all dequeuers, and for dequeues all who dequeued something, help with.
 *
 * The array is a table of segments, which are kept until the queue goes: a measurement is short. (The paper's are freed.)
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/queue.h"
#include "ipc/sys.h"

enum {
	SEGMENT = 1 << 10, /* cells */
	SEGMENTS = 1 << 18,
	HANDLES = 2 * QUEUE_SIDE_MAX + 1,
	PATIENCE = 10,
};

/* Values of cells: none yet, spoiled, and what a dequeue may answer. Items are 1 and more. */
#define NONE UINT64_C(0)
#define SPOILED UINT64_MAX
#define EMPTY (UINT64_MAX - 1)
#define PENDING (UINT64_C(1) << 63)

struct enqueue {
	uint64_t value;
	uint64_t state; /* the cell's index, with PENDING */
};

struct dequeue {
	uint64_t id;
	uint64_t state; /* the cell announced, with PENDING */
};

static struct enqueue no_enqueue; /* in a cell that none will help with */
static struct dequeue taken;      /* by one that needed no help */

struct cell {
	_Alignas(64) uint64_t value;
	struct enqueue *enqueue;
	struct dequeue *dequeue;
};

struct handle {
	_Alignas(64) struct enqueue enqueue;
	struct dequeue dequeue;
	unsigned helped_enqueuer, helped_dequeuer; /* whom to look at next */
	uint64_t helped_id;
};

struct wfq {
	struct event event;
	_Alignas(64) uint64_t head;
	_Alignas(64) uint64_t tail;
	_Alignas(64) unsigned handles;
	uint64_t serial;
	struct handle handle[HANDLES];
	struct cell *segment[SEGMENTS];
};

static __thread struct {
	uint64_t serial;
	struct handle *handle;
} mine;

static bool change(uint64_t *word, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

#define change_pointer(at, from, to)                                                                                     \
	({                                                                                                               \
		__typeof__(*(at)) from_ = (from);                                                                        \
		__atomic_compare_exchange_n(at, &from_, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                      \
	})

/* ---- cells ----------------------------------------------------------------------------------------- */

static struct cell *cell_find(struct wfq *q, uint64_t index)
{
	struct cell **at = &q->segment[index / SEGMENT], *segment = __atomic_load_n(at, __ATOMIC_ACQUIRE);

	if (!segment) {
		if (index / SEGMENT >= SEGMENTS - 1)
			abort();
		segment = aligned_alloc(64, SEGMENT * sizeof(*segment));
		if (!segment)
			abort();
		memset(segment, 0, SEGMENT * sizeof(*segment));
		if (!change_pointer(at, NULL, segment)) {
			free(segment);
			segment = __atomic_load_n(at, __ATOMIC_ACQUIRE);
		}
	}
	return &segment[index % SEGMENT];
}

static struct handle *handle_of(struct wfq *q)
{
	if (mine.serial != q->serial) {
		mine.handle = &q->handle[__atomic_fetch_add(&q->handles, 1, __ATOMIC_SEQ_CST)];
		mine.serial = q->serial;
	}
	return mine.handle;
}

static struct handle *peer_of(struct wfq *q, unsigned number)
{
	return &q->handle[number % __atomic_load_n(&q->handles, __ATOMIC_ACQUIRE)];
}

static void advance(uint64_t *end, uint64_t to)
{
	uint64_t now = load(end);

	while (now < to && !change(end, now, to))
		now = load(end);
}

/* ---- enqueue --------------------------------------------------------------------------------------- */

static bool request_claim(uint64_t *state, uint64_t id, uint64_t index)
{
	return change(state, id | PENDING, index);
}

static void enqueue_commit(struct wfq *q, struct cell *c, uint64_t value, uint64_t index)
{
	advance(&q->tail, index + 1);
	__atomic_store_n(&c->value, value, __ATOMIC_SEQ_CST);
}

static bool enqueue_fast(struct wfq *q, uint64_t value, uint64_t *ret)
{
	*ret = __atomic_fetch_add(&q->tail, 1, __ATOMIC_SEQ_CST);
	return change(&cell_find(q, *ret)->value, NONE, value);
}

static void enqueue_slow(struct wfq *q, struct handle *h, uint64_t value, uint64_t id)
{
	struct enqueue *r = &h->enqueue;
	uint64_t index;

	__atomic_store_n(&r->value, value, __ATOMIC_SEQ_CST);
	__atomic_store_n(&r->state, id | PENDING, __ATOMIC_SEQ_CST);
	do {
		struct cell *c;
		index = __atomic_fetch_add(&q->tail, 1, __ATOMIC_SEQ_CST);
		c = cell_find(q, index);
		if (change_pointer(&c->enqueue, NULL, r) && load(&c->value) == NONE) {
			request_claim(&r->state, id, index);
			break;
		}
	} while (load(&r->state) & PENDING);
	index = load(&r->state);
	enqueue_commit(q, cell_find(q, index), value, index);
}

static void wfq_put(struct queue *queue, unsigned item)
{
	struct wfq *q = (struct wfq *)queue;
	struct handle *h = handle_of(q);
	uint64_t index;
	int tries = PATIENCE;

	while (!enqueue_fast(q, (uint64_t)item + 1, &index))
		if (tries-- == 0) {
			enqueue_slow(q, h, (uint64_t)item + 1, index);
			break;
		}
	event_signal(&q->event);
}

/* ---- dequeue --------------------------------------------------------------------------------------- */

/* Finds an enqueuer that waits for help, and puts its request into the cell. */
static void cell_reserve(struct wfq *q, struct handle *h, struct cell *c, uint64_t index)
{
	struct enqueue *r = &peer_of(q, h->helped_enqueuer)->enqueue;
	uint64_t state = load(&r->state);

	if (h->helped_id != 0 && h->helped_id != (state & ~PENDING)) {
		h->helped_id = 0;
		r = &peer_of(q, ++h->helped_enqueuer)->enqueue;
		state = load(&r->state);
	}
	if ((state & PENDING) && (state & ~PENDING) <= index && !change_pointer(&c->enqueue, NULL, r))
		h->helped_id = state & ~PENDING;
	else
		h->helped_enqueuer++;
	change_pointer(&c->enqueue, NULL, &no_enqueue);
}

/* The item of the cell; SPOILED: there is none, EMPTY: nor anywhere. */
static uint64_t enqueue_help(struct wfq *q, struct handle *h, struct cell *c, uint64_t index)
{
	struct enqueue *r;
	uint64_t state, value;

	if (!change(&c->value, NONE, SPOILED) && load(&c->value) != SPOILED)
		return load(&c->value);
	if (!__atomic_load_n(&c->enqueue, __ATOMIC_SEQ_CST))
		cell_reserve(q, h, c, index);
	r = __atomic_load_n(&c->enqueue, __ATOMIC_SEQ_CST);
	if (r == &no_enqueue)
		return load(&q->tail) <= index ? EMPTY : SPOILED;
	state = load(&r->state);
	value = load(&r->value);
	if ((state & ~PENDING) > index) {
		if (load(&c->value) == SPOILED && load(&q->tail) <= index)
			return EMPTY;
	} else if ((state & PENDING) && request_claim(&r->state, state & ~PENDING, index)) {
		enqueue_commit(q, c, value, index);
	} else {
		/* Perhaps claimed for this cell just now: then it is to be here before we go on. */
		state = load(&r->state);
		value = load(&r->value);
		if (state == index && load(&r->state) == index && load(&c->value) == SPOILED)
			enqueue_commit(q, c, value, index);
	}
	return load(&c->value);
}

/* Announces cells to a dequeuer that waits for help until one serves. */
static void dequeue_help(struct wfq *q, struct handle *h, struct handle *helped)
{
	struct dequeue *r = &helped->dequeue;
	uint64_t state = load(&r->state), id = load(&r->id), prior = id, index = id, candidate = 0;

	if (!(state & PENDING) || (state & ~PENDING) < id)
		return;
	for (state = load(&r->state);;) {
		uint64_t at;
		struct cell *c;
		if (!(state & PENDING) || load(&r->id) != id)
			return;
		while (!candidate && (state & ~PENDING) == prior && (state & PENDING)) {
			c = cell_find(q, ++index);
			uint64_t value = enqueue_help(q, h, c, index);
			if (value == EMPTY || (value != SPOILED && !__atomic_load_n(&c->dequeue, __ATOMIC_SEQ_CST)))
				candidate = index;
			else
				state = load(&r->state);
		}
		if (candidate) {
			change(&r->state, prior | PENDING, candidate | PENDING);
			state = load(&r->state);
		}
		if (!(state & PENDING) || load(&r->id) != id)
			return;
		at = state & ~PENDING;
		c = cell_find(q, at);
		if (load(&c->value) == SPOILED || change_pointer(&c->dequeue, NULL, r) ||
		    __atomic_load_n(&c->dequeue, __ATOMIC_SEQ_CST) == r) {
			change(&r->state, state, at);
			return;
		}
		prior = at;
		if (at >= index) {
			candidate = 0;
			index = at;
		}
	}
}

static uint64_t dequeue_fast(struct wfq *q, struct handle *h, uint64_t *ret)
{
	uint64_t value;
	struct cell *c;

	*ret = __atomic_fetch_add(&q->head, 1, __ATOMIC_SEQ_CST);
	c = cell_find(q, *ret);
	value = enqueue_help(q, h, c, *ret);
	if (value == EMPTY)
		return EMPTY;
	return value != SPOILED && change_pointer(&c->dequeue, NULL, &taken) ? value : SPOILED;
}

static uint64_t dequeue_slow(struct wfq *q, struct handle *h, uint64_t id)
{
	struct dequeue *r = &h->dequeue;
	uint64_t index, value;

	__atomic_store_n(&r->id, id, __ATOMIC_SEQ_CST);
	__atomic_store_n(&r->state, id | PENDING, __ATOMIC_SEQ_CST);
	dequeue_help(q, h, h);
	index = load(&r->state) & ~PENDING;
	value = load(&cell_find(q, index)->value);
	advance(&q->head, index + 1);
	return value == SPOILED ? EMPTY : value;
}

static bool wfq_try(struct queue *queue, unsigned *ret)
{
	struct wfq *q = (struct wfq *)queue;
	uint64_t value = SPOILED, id = 0;
	struct handle *h;

	/* Looks first: a dequeuer that finds nothing spoils a cell. */
	if (load(&q->head) >= load(&q->tail))
		return false;
	h = handle_of(q);
	for (int tries = PATIENCE; value == SPOILED && tries >= 0; tries--)
		value = dequeue_fast(q, h, &id);
	if (value == SPOILED)
		value = dequeue_slow(q, h, id);
	if (value != EMPTY)
		dequeue_help(q, h, peer_of(q, h->helped_dequeuer++));
	if (value == EMPTY)
		return false;
	*ret = (unsigned)value - 1;
	return true;
}

static unsigned wfq_take(struct queue *queue)
{
	return event_take(&((struct wfq *)queue)->event, queue, wfq_try);
}

/* ---- the queue ------------------------------------------------------------------------------------- */

static struct queue *wfq_new(void)
{
	static uint64_t serial;
	struct wfq *q = aligned_alloc(64, sizeof(*q));

	if (!q)
		abort();
	memset(q, 0, sizeof(*q));
	q->head = q->tail = 1; /* an id of 0 is none */
	q->serial = ++serial;
	for (unsigned i = 0; i < HANDLES; i++)
		q->handle[i].helped_enqueuer = q->handle[i].helped_dequeuer = i + 1;
	return (struct queue *)q;
}

static void wfq_free(struct queue *queue)
{
	struct wfq *q = (struct wfq *)queue;

	for (unsigned i = 0; i < SEGMENTS; i++)
		free(q->segment[i]);
	free(q);
}

const struct queue_type queue_wfq = {"WFQ", wfq_new, wfq_free, wfq_put, wfq_take};
