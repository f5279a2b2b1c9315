/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How workers wait for requests.
 *
 * Workers of a queue are all alike. One of them leads: it polls the queue, takes one request, ends its lead and
 * serves that request itself; then it comes back and leads again if nobody else does. So a stream of
 * short requests is served by one thread that never sleeps nor wakes anybody. All others sleep on the queue's
 * bell, in no order. A client rings
 *  - when the worker's state says ASLEEP: nobody polls, and nobody is about to;
 *  - when it is about to sleep itself, and nobody leads, and there are spare workers: whoever serves now may
 *    take long.
 *
 * A leader that finds nothing spins for a while if requests from other cores came in quick succession.
 * Those from its own core do not count: their clients run only when the worker does not. It never spins
 * in a pool of one core, and stops for a while if it finds that others want its core.
 *
 * A worker that spins for the next request of a client watches the slot that the last one came in: while
 * wire_slot.watched is 1 the client submits there by the state alone, which saves the queue's cache lines, a third of a
 * round trip. The worker looks at the slot again whatever comes, and when it gives up watching, it first takes the word
 * away and then looks once more.
 *
 * Nothing that clients write keeps a worker from sleeping, stopping or seeing a kick.
 */
#include <errno.h>
#include <sched.h>
#include "ipc/back-internal.h"

enum {
	SPIN_MAX_NS = 50 * 1000,
	SPIN_MIN_NS = 10 * 1000,
	GAP_MAX_NS = 120 * 1000,    /* requests further apart are not worth spinning for */
	GAP_CAP_NS = 200 * 1000,    /* so that one long gap is soon forgotten */
	GAP_ASKED_NS = 15 * 1000,
	EXPECTED_NS = 150 * 1000,
	YIELD_NS = 5 * 1000,        /* of spinning, and others may run */
	CROWDED_NS = 50 * 1000,     /* they did, for so long */
	REST_NS = 1000 * 1000,      /* then the core is theirs */
	CLOCK_MIN_NS = 1000 * 1000,       /* to measure the time stamp counter by */
	CLOCK_VALID_NS = 100 * 1000 * 1000, /* then it is compared again */
	LINGER_PAUSES = 8,
	LOOKS = 64,                 /* at the queue between two looks at anything else */
};

/* ---- leading ----------------------------------------------------------------------------------- */

static bool queue_lead(struct back_queue *q)
{
	return !__atomic_load_n(&q->worker->leading, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&q->worker->leading, 1, __ATOMIC_ACQUIRE);
}

static void queue_unlead(struct back_queue *q)
{
	__atomic_store_n(&q->worker->leading, 0, __ATOMIC_RELEASE);
}

/* The leader's. Clients keep the word in their caches: do not write what is there. */
static void queue_state(struct back_queue *q, enum wire_worker_state state)
{
	if (q->worker->state != state)
		__atomic_store_n(&q->worker->state, state, __ATOMIC_RELAXED);
}

/*
 * Nobody will look at the queue unless called. True if there is something in it after all.
 *
 * The exchange is a full barrier between the announcement and the look. Partner: front_wait_send enqueues,
 * which is a full barrier, then reads the state.
 */
static bool queue_announce_sleep(struct back_queue *q)
{
	uint64_t holes = q->ring.holes;
	bool some;

	__atomic_exchange_n(&q->worker->state, WIRE_WORKER_ASLEEP, __ATOMIC_SEQ_CST);
	some = rcqb_recover(&q->ring);
	back_count(&q->counters.poisoned, q->ring.holes - holes);
	return some;
}

/* ---- the clock --------------------------------------------------------------------------------- */

static int64_t clock_renew(struct back_clock *c)
{
	struct back_clock old = *c;

	c->ns = back_now();
	c->cycles = sys_cycles();
	if (old.ns && c->ns - old.ns > CLOCK_MIN_NS && c->cycles > old.cycles) {
		uint64_t cycles = c->cycles - old.cycles;

		c->rate = (uint64_t)(((unsigned __int128)(c->ns - old.ns) << 32) / cycles);
		c->valid = ((unsigned __int128)CLOCK_VALID_NS << 32) / c->rate;
	} else if (!old.rate && old.ns) {
		c->ns = old.ns; /* too early to tell how fast it is */
		c->cycles = old.cycles;
		return back_now();
	}
	return c->ns;
}

static int64_t clock_now(struct back_clock *c)
{
	uint64_t cycles = sys_cycles() - c->cycles;

	return cycles < c->valid ? c->ns + (int64_t)(cycles * c->rate >> 32) : clock_renew(c);
}

/* ---- watching ---------------------------------------------------------------------------------- */

/* What this worker watches. The place is referenced, so that the slot stays. */
static _Thread_local struct {
	struct back_place *place; /* NULL: nothing */
	uint32_t number;
	unsigned slot;
} watch;

static struct wire_slot *watch_slot(void)
{
	return back_slot(watch.place->memory, watch.slot);
}

static bool watch_sees(void)
{
	return watch.place &&
	       (__atomic_load_n(&watch_slot()->state, __ATOMIC_RELAXED) & WIRE_SLOT_STATE_MASK) == WIRE_SLOT_SUBMITTED;
}

static void queue_call(struct back_queue *q)
{
	__atomic_fetch_add(&q->ring.ring->bell, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&q->ring.ring->bell, 1);
}

/*
 * Ends it. The exchange is a full barrier between that and the look. Partner: front_wait_send submits by an exchange,
 * then reads `watched`. A request that came just now goes through the queue after all.
 */
static void watch_end(struct back *back, struct back_queue *q)
{
	if (!watch.place)
		return;
	__atomic_exchange_n(&watch_slot()->watched, 0, __ATOMIC_SEQ_CST);
	if (watch_sees()) {
		if (rcqb_enqueue(q->ring.ring, q->ring.shift, WIRE_ITEM(watch.number, watch.slot)) < 0)
			back_session_kick(back, watch.place->session);
		else if (__atomic_load_n(&q->worker->state, __ATOMIC_RELAXED) == WIRE_WORKER_ASLEEP)
			queue_call(q);
	}
	back_place_put(watch.place);
	watch.place = NULL;
}

/* What is served now may take long, and who is watched must not wait for another's request. */
static void watch_only(struct back *back, struct back_queue *q, const struct back_request *request)
{
	if (watch.place && (watch.place != request->session->place || watch.slot != request->slot))
		watch_end(back, q);
}

/* The slot of a request that this worker is about to serve. Its client sees the word with the reply. */
static void watch_begin(const struct back_request *request)
{
	struct back_place *place = request->session->place;

	if (watch.place || !back_place_get(place))
		return;
	watch.place = place;
	watch.number = request->session->number;
	watch.slot = request->slot;
	__atomic_store_n(&watch_slot()->watched, 1, __ATOMIC_RELAXED);
}

/* ---- taking ------------------------------------------------------------------------------------ */

/* What the request says of itself is a hint, too. */
static bool from_here(const struct back_queue *q, const struct wire_request *request)
{
	return (int)request->cpu == q->cpu;
}

static void queue_learn(struct back_queue *q, const struct wire_request *request, int64_t now)
{
	int64_t gap = now - q->last_remote;

	if (from_here(q, request))
		return;
	q->last_remote = now;
	if (request->flags & WIRE_ASK)
		q->gap = GAP_ASKED_NS;
	else
		q->gap = (q->gap + (gap < GAP_CAP_NS ? gap : GAP_CAP_NS)) / 2;
}

/* The item is a hint: anything in it may be wrong. */
static bool queue_resolve(struct back *back, struct back_queue *q, uint64_t item, struct back_request *ret)
{
	uint32_t number = WIRE_ITEM_SESSION(item);
	unsigned slot = WIRE_ITEM_SLOT(item);
	struct back_place *place = &back->places[number & BACK_PLACE_MASK];

	if (slot >= WIRE_SLOTS)
		return false;
	back_place_prefetch(place, slot);
	ret->taken_at = clock_now(&q->clock); /* while the request comes to this core */
	return back_place_take(place, number, slot, true, ret);
}

/* Of the queue first, or those that it brings would wait for one client. */
static bool queue_find(struct back *back, struct back_queue *q, struct back_request *ret)
{
	uint64_t item;

	if (!rcqb_dequeue(&q->ring, &item)) {
		if (!watch_sees())
			return false;
		back_place_prefetch(watch.place, watch.slot);
		ret->taken_at = clock_now(&q->clock);
		return back_place_take(watch.place, watch.number, watch.slot, false, ret);
	}
	if (queue_resolve(back, q, item, ret))
		return true;
	back_count(&q->counters.invalid, 1);
	return false;
}

static bool queue_take(struct back *back, struct back_queue *q, struct back_request *ret)
{
	if (!queue_find(back, q, ret))
		return false;
	watch_only(back, q, ret);
	queue_learn(q, &ret->request, ret->taken_at);
	/* The leader's alone, so no locked instruction. */
	__atomic_store_n(&q->counters.requests, q->counters.requests + 1, __ATOMIC_RELAXED);
	return true;
}

/* ---- spinning ---------------------------------------------------------------------------------- */

static int64_t queue_budget(const struct back *back, struct back_queue *q)
{
	int64_t budget = 4 * q->gap;

	if (__atomic_load_n(&back->table->one_core, __ATOMIC_RELAXED))
		return 0;
	if (__atomic_exchange_n(&q->expects, false, __ATOMIC_RELAXED))
		return EXPECTED_NS;
	if (q->gap > GAP_MAX_NS)
		return 0;
	return budget < SPIN_MIN_NS ? SPIN_MIN_NS : budget > SPIN_MAX_NS ? SPIN_MAX_NS : budget;
}

/* Something other than requests wants attention. */
static bool back_is_called(const struct back *back)
{
	return __atomic_load_n(&back->kicked, __ATOMIC_RELAXED) || __atomic_load_n(&back->stopping, __ATOMIC_RELAXED);
}

/* Lets others have the core. False if they took it for so long that spinning on it is wrong. */
static bool queue_share_core(struct back_queue *q, int64_t *now)
{
	int64_t before = *now;

	sched_yield();
	*now = back_now();
	if (*now - before < CROWDED_NS)
		return true;
	q->rest_until = *now + REST_NS;
	return false;
}

static bool queue_spin(struct back *back, struct back_queue *q, int64_t budget, struct back_request *ret)
{
	int64_t now = back_now(), end = now + budget, yield = now + YIELD_NS;

	if (now < q->rest_until)
		return false;
	queue_state(q, WIRE_WORKER_SPINNING);
	while (now < end && !back_is_called(back)) {
		for (int i = 0; i < LOOKS; i++) {
			if (queue_take(back, q, ret))
				return true;
			sys_pause(); /* or what the core does ahead of the answer is undone when the line changes */
		}
		rcqb_recover(&q->ring);
		now = back_now();
		if (now < yield)
			continue;
		if (!queue_share_core(q, &now))
			return false;
		yield = now + YIELD_NS;
	}
	return false;
}

/* The leader's work: true when it has a request, false when it is to sleep. */
static bool queue_poll(struct back *back, struct back_queue *q, struct back_request *ret)
{
	int64_t budget;

	do {
		if (queue_take(back, q, ret))
			return true;
		budget = queue_budget(back, q);
		if (budget && queue_spin(back, q, budget, ret)) {
			watch_begin(ret);
			return true;
		}
		watch_end(back, q);
	} while (queue_announce_sleep(q) && !back_is_called(back));
	return false;
}

/* ---- sleeping ---------------------------------------------------------------------------------- */

/* Until the bell or the alarm differ from what they were. */
static void queue_sleep(struct back *back, struct back_queue *q, uint32_t bell, uint32_t alarm)
{
	const struct sys_waitv waits[2] = {
		{bell, (uint64_t)(uintptr_t)&q->ring.ring->bell, SYS_FUTEX2_SIZE_U32, 0},
		{alarm, (uint64_t)(uintptr_t)&back->alarm, SYS_FUTEX2_SIZE_U32, 0},
	};
	const struct sys_time second = {1, 0};

	__atomic_fetch_add(&q->worker->spare, 1, __ATOMIC_SEQ_CST);
	back_count(&q->counters.sleeps, 1);
	if (sys_futex_waitv(waits, 2, NULL) == -ENOSYS)
		sys_futex_wait(&q->ring.ring->bell, bell, &second); /* before Linux 5.16: the alarm waits */
	__atomic_fetch_sub(&q->worker->spare, 1, __ATOMIC_RELAXED);
}

/* Whose request this worker serves. */
static _Thread_local struct back_queue *served;

bool back_is_wanted(struct back *back)
{
	bool wanted;

	if (watch_sees() || back_is_called(back))
		return true;
	/* Somebody else leads: then he is wanted. */
	if (!served || !queue_lead(served))
		return false;
	wanted = rcqb_outstanding(&served->ring) != 0;
	queue_unlead(served);
	return wanted;
}

bool back_linger(struct back *back, const struct wire_request *request, int64_t *yielded)
{
	int64_t now = back_now();
	bool may;

	if (!served || from_here(served, request) || __atomic_load_n(&back->table->one_core, __ATOMIC_RELAXED) ||
	    watch_sees() || back_is_called(back) || !queue_lead(served))
		return false;
	may = now >= served->rest_until && !rcqb_outstanding(&served->ring);
	if (may) {
		queue_state(served, WIRE_WORKER_SPINNING);
		for (int i = 0; i < LINGER_PAUSES; i++)
			sys_pause();
		if (now - *yielded > YIELD_NS) {
			may = queue_share_core(served, &now);
			*yielded = now;
		}
	}
	queue_unlead(served);
	return may;
}

void back_expect(const struct wire_request *request)
{
	if (served && !from_here(served, request))
		__atomic_store_n(&served->expects, true, __ATOMIC_RELAXED);
}

int back_next(struct back *back, unsigned queue, struct back_request *ret)
{
	struct back_queue *q = &back->queue[queue];

	served = q;
	for (;;) {
		/* Before anything is looked at, so that what comes later changes them. */
		uint32_t alarm = __atomic_load_n(&back->alarm, __ATOMIC_SEQ_CST);
		uint32_t bell = __atomic_load_n(&q->ring.ring->bell, __ATOMIC_SEQ_CST);
		bool found = false;

		if (__atomic_load_n(&back->stopping, __ATOMIC_RELAXED)) {
			watch_end(back, q);
			return 0;
		}
		if (__atomic_load_n(&back->kicked, __ATOMIC_RELAXED) && back_kick_take(back, ret)) {
			ret->taken_at = back_now();
			watch_only(back, q, ret);
			return 1;
		}
		if (queue_lead(q)) {
			found = queue_poll(back, q, ret);
			queue_unlead(q);
		}
		if (found)
			return 1;
		watch_end(back, q); /* somebody else leads */
		queue_sleep(back, q, bell, alarm);
	}
}

void back_yield(struct back *back, unsigned queue)
{
	struct back_queue *q = &back->queue[queue];
	bool call;

	if (!queue_lead(q))
		return; /* somebody else leads already */
	if (!__atomic_load_n(&q->worker->spare, __ATOMIC_SEQ_CST)) {
		queue_state(q, WIRE_WORKER_BUSY); /* nobody to wake: do not spin for us */
		queue_unlead(q);
		return;
	}
	call = queue_announce_sleep(q);
	queue_unlead(q);
	if (call)
		queue_call(q);
}
