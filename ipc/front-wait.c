/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which queue a request goes to, and how its thread waits for the reply.
 *
 * What things cost on a small virtual machine: a round trip between two cores that both spin, 0.4 us; a wake
 * and a sleep on the same core, about 4 us; waking an idle other core, 40 us each way. Hence:
 *
 *  - If the worker of another core spins, its queue is the best: we spin, too.
 *  - Else the queue of our own core, and sleep at once: its worker runs here as soon as we do not.
 *  - If requests follow each other closely it pays to wake another core's worker: it spins for us from
 *    then on. If it turns out not to answer quickly (its core is busy with something else) we do not
 *    ask again for a while, twice as long each time.
 *
 * Spinning is bounded by what replies took lately, and never done if the pool has one core. One sleeps on two
 * words: the slot's state and the service's generation, so the service's death wakes everybody.
 *
 * The queue is not reliable, for other clients can write to it. A request that is still not taken after
 * a while is reported over the socket (WIRE_HELLO_KICK), as often as need be.
 *
 * futex_waitv is restarted by the kernel after a signal handler with SA_RESTART, even with a timeout (it is
 * absolute). So its -EINTR means exactly that a handler without SA_RESTART ran.
 */
#include "ipc/front-count.h"
#include "ipc/front-internal.h"

enum {
	STREAK_GAP_US = 120, /* calls closer than this follow each other */
	STREAK_MIN = 8,      /* so many, and we ask another core's worker to spin */
	SPIN_MIN_US = 15,    /* less than sleeping and being woken costs */
	SPIN_MAX_US = 60,
	SPIN_ASK_US = 150,   /* for the first reply of a worker that we woke on another core */
	MISSES_MAX = 3,      /* in a row: the worker's core is busy */
	REFUSED_MIN = 32,    /* calls */
	REFUSED_MAX = 8192,
	LOOKS = 32,          /* at the slot between two looks at the clock, which costs as much as one */
	LOOKS_QUICK = 24,    /* at the slot before the first look at the clock */
	DELAY_MAX = 600,     /* turns of an empty loop before the first look */
	DELAY_STEP = 4,
	QUICK_CALLS = 32,    /* for which we believe that we are still on the same core */
	FIRST_SLEEP_MS = 1,
	PATIENCE_MS = 20,    /* until a request that is not taken is reported */
	PATIENCE_MAX_MS = 1000,
	COMPLAINTS_WATCHED = 3, /* who watched the slot took the request, most likely, and need not have said so */
};

struct route {
	unsigned queue;
	int spin; /* else sleep at once */
	int ask;  /* the worker is asked to spin: a reply says nothing about the next one's time */
	int quick;
	int late; /* the reply may be there already */
	uint64_t since; /* time stamp counter when it was chosen; 0: not looked at */
};

/* ---- the queue -------------------------------------------------------------------------------- */

static uint32_t worker_state(const struct wire_worker *w)
{
	return __atomic_load_n(&w->state, __ATOMIC_RELAXED);
}

static int worker_spins(const struct wire_worker *w, uint32_t cpu)
{
	return worker_state(w) == WIRE_WORKER_SPINNING && w->cpu != cpu;
}

/* A queue whose worker spins on another core, first the one that did the last time; or -1. */
static int route_spinning(const struct front *f, const struct front_session *s, const struct front_pace *pace,
			  uint32_t cpu)
{
	if (pace->queue < s->queue_count && worker_spins(&f->table->worker[pace->queue], cpu))
		return (int)pace->queue;
	for (unsigned i = 0; i < s->queue_count; i++)
		if (worker_spins(&f->table->worker[i], cpu))
			return (int)i;
	return -1;
}

/* The queue of our core; if it has none, any. */
static unsigned route_local(const struct front *f, const struct front_session *s, uint32_t cpu)
{
	for (unsigned i = 0; i < s->queue_count; i++)
		if (f->table->worker[i].cpu == cpu)
			return i;
	return cpu % s->queue_count;
}

/* A queue of another core, or -1. */
static int route_remote(const struct front *f, const struct front_session *s, uint32_t cpu)
{
	for (unsigned i = 0; i < s->queue_count; i++) {
		unsigned queue = (cpu + 1 + i) % s->queue_count;

		if (f->table->worker[queue].cpu != cpu)
			return (int)queue;
	}
	return -1;
}

/* Returns the time stamp counter as it is now. */
static uint64_t pace_begin(const struct front *f, struct front_pace *pace)
{
	uint64_t now = sys_cycles_cpu(&pace->cpu), gap = now - pace->end;

	if (gap > (uint64_t)STREAK_GAP_US * f->cycles_us)
		pace->streak = 0;
	else if (pace->streak < STREAK_MIN)
		pace->streak++;
	if (pace->refused)
		pace->refused--;
	return now;
}

void front_spared(struct front *f)
{
	struct front_pace *pace = &f->pace[front_hash(sys_thread_pointer()) % FRONT_PACES];

	pace->end = pace_begin(f, pace);
}

static struct route route_choose(const struct front *f, const struct front_session *s, struct front_pace *pace)
{
	struct route route = {0};
	int queue;

	route.since = pace_begin(f, pace);
	route.queue = route_local(f, s, pace->cpu);
	if (f->table->one_core || pace->refused)
		return route;
	queue = route_spinning(f, s, pace, pace->cpu);
	if (queue >= 0)
		pace->quick = QUICK_CALLS;
	else if (pace->streak >= STREAK_MIN && (queue = route_remote(f, s, pace->cpu)) >= 0)
		route.ask = 1;
	if (queue < 0)
		return route;
	route.spin = 1;
	route.queue = pace->queue = (unsigned)queue;
	return route;
}

/* The way of the last call, if nothing seems to have changed; it costs no look at the clock. */
static struct route route_quick(const struct front *f, const struct front_session *s, struct front_pace *pace)
{
	struct route route = {.queue = pace->queue, .spin = 1, .quick = 1};

	if (pace->quick == 0 || pace->queue >= s->queue_count ||
	    !worker_spins(&f->table->worker[pace->queue], pace->cpu)) {
		pace->quick = 0;
		return route_choose(f, s, pace);
	}
	pace->quick--;
	return route;
}

/* Learns from how a spin ended. */
static void pace_answered(const struct front *f, struct front_pace *pace, uint64_t took)
{
	int64_t want = 3 * (int64_t)took;

	pace->missed = pace->backoff = 0;
	if (want > (int64_t)SPIN_MAX_US * f->cycles_us)
		want = (int64_t)SPIN_MAX_US * f->cycles_us;
	pace->spin += (want - (int64_t)pace->spin) / 8;
}

/* A worker that has not even taken the request does not run; one that has may just have much to do. */
static void pace_missed(struct front_pace *pace, int taken)
{
	pace->spin -= pace->spin / 8;
	pace->quick = 0;
	if (taken || ++pace->missed < MISSES_MAX)
		return;
	pace->missed = 0;
	pace->backoff = pace->backoff ? 2 * pace->backoff : REFUSED_MIN;
	if (pace->backoff > REFUSED_MAX)
		pace->backoff = REFUSED_MAX;
	pace->refused = pace->backoff;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void queue_ring(struct rcqb *queue)
{
	__atomic_fetch_add(&queue->bell, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&queue->bell, 1);
}

/* How long to spin, in cycles. */
static uint64_t pace_spin(const struct front *f, const struct front_pace *pace, const struct route *route)
{
	const uint32_t min = SPIN_MIN_US * f->cycles_us;

	if (route->ask)
		return (uint64_t)SPIN_ASK_US * f->cycles_us;
	return pace->spin < min ? min : pace->spin;
}

/* True if the reply comes within so many looks. (After each a pause: what the core does ahead of a look's answer is undone
 * when the line changes, which takes longer.) */
static int wait_looks(const struct wire_slot *slot, unsigned looks)
{
	for (; looks; looks--) {
		if (front_slot_state(slot) == WIRE_SLOT_DONE)
			return 1;
		sys_pause();
	}
	return 0;
}

/*
 * The common case: the reply comes as soon as the last ones did. Every look takes the slot's cache line from the
 * worker, who then needs it back for the reply: so the first look is made when the reply should be there.
 */
static int wait_quick(struct front_pace *pace, const struct wire_slot *slot)
{
	for (unsigned i = 0; i < pace->delay; i++)
		__asm__ volatile("" : : : "memory");
	if (wait_looks(slot, 1)) {
		if (pace->delay)
			pace->delay--;
	} else {
		if (!wait_looks(slot, LOOKS_QUICK))
			return 0;
		if (pace->delay < DELAY_MAX)
			pace->delay += DELAY_STEP;
	}
	if (pace->missed | pace->backoff)
		pace->missed = pace->backoff = 0;
	return 1;
}

/* True when the reply is there. */
static int wait_spin(const struct front *f, struct front_pace *pace, const struct route *route, struct wire_slot *slot)
{
	uint64_t start, took, spin;

	if (route->late ? wait_looks(slot, LOOKS_QUICK) : wait_quick(pace, slot))
		return 1;
	start = sys_cycles();
	/* If it is not taken yet: better late than never. */
	if (!route->since)
		__atomic_store_n(&slot->request.sent, start, __ATOMIC_RELAXED);
	spin = pace_spin(f, pace, route);
	do {
		int answered = wait_looks(slot, LOOKS);

		took = sys_cycles() - start;
		if (answered) {
			if (!route->ask)
				pace_answered(f, pace, took);
			return 1;
		}
	} while (took < spin);
	pace_missed(pace, front_slot_state(slot) != WIRE_SLOT_SUBMITTED);
	return 0;
}

/* On both words until `until`. `value` is the slot's state with WIRE_SLOT_WAITER. */
static long wait_futex(const struct front *f, const struct front_session *s, const struct wire_slot *slot,
		       uint32_t value, int64_t until)
{
	const struct sys_waitv waits[2] = {
		{value, (uint64_t)(uintptr_t)&slot->state, SYS_FUTEX2_SIZE_U32, 0},
		{s->generation, (uint64_t)(uintptr_t)&f->table->generation, SYS_FUTEX2_SIZE_U32, 0},
	};
	struct sys_time time = {until / SYS_NS, until % SYS_NS};
	long r = sys_futex_waitv(waits, 2, &time);

	if (r != -ENOSYS)
		return r;
	/* Before Linux 5.16: a relative timeout, and every handler interrupts it. */
	until -= sys_now();
	if (until <= 0)
		return -ETIMEDOUT;
	time = (struct sys_time){until / SYS_NS, until % SYS_NS};
	return sys_futex_wait(&slot->state, value, &time);
}

/* Tells the service that we will sleep. The state as it is then; WIRE_SLOT_DONE if the reply is there. */
static uint32_t wait_announce(struct wire_slot *slot)
{
	uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

	/* Partner: back_answer exchanges the word for DONE, and sees the bit or we see DONE. */
	while ((state & WIRE_SLOT_STATE_MASK) != WIRE_SLOT_DONE)
		if (__atomic_compare_exchange_n(&slot->state, &state, state | WIRE_SLOT_WAITER, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return state | WIRE_SLOT_WAITER;
	return WIRE_SLOT_DONE;
}

/* If all who are awake at our queue serve requests, which may take long, wakes another to serve ours. */
static void wait_call_spare(const struct front *f, const struct front_session *s, const struct wire_slot *slot,
			    unsigned queue)
{
	const struct wire_worker *w = &f->table->worker[queue];

	if (front_slot_state(slot) == WIRE_SLOT_SUBMITTED && !__atomic_load_n(&w->leading, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&w->spare, __ATOMIC_RELAXED))
		queue_ring(front_queue(s, queue));
}

/* The time is up, and for the n-th time. Returns how long to sleep now, in ms. */
static unsigned wait_complain(struct front *f, struct front_session *s, struct wire_slot *slot, unsigned queue,
			      unsigned n)
{
	unsigned ms = n < 7 ? PATIENCE_MS << n : PATIENCE_MAX_MS;

	/* The first time is early: whoever led the queue when we went to sleep may have taken a request that
	 * takes long before it came to ours. */
	if (n == 0)
		wait_call_spare(f, s, slot, queue);
	else if (front_slot_state(slot) == WIRE_SLOT_SUBMITTED)
		front_hello(f, WIRE_HELLO_KICK);
	return ms < PATIENCE_MAX_MS ? ms : PATIENCE_MAX_MS;
}

int front_wait_ms(struct front *f, struct front_session *s, unsigned index, unsigned ms)
{
	struct wire_slot *slot = front_slot(s, index);
	int64_t until = sys_now() + ms * 1000000ll;
	uint32_t state;

	while ((state = wait_announce(slot)) != WIRE_SLOT_DONE) {
		if (front_stale(f, s))
			return -EIO;
		if (wait_futex(f, s, slot, state, until) == -ETIMEDOUT)
			return -EAGAIN;
	}
	return 0;
}

/* 0, -EIO, or -EINTR if interruptible. */
static int wait_sleep(struct front *f, struct front_session *s, unsigned index, unsigned queue, int interruptible,
		      int watched)
{
	struct wire_slot *slot = front_slot(s, index);
	unsigned complaints = watched ? COMPLAINTS_WATCHED : 0;
	uint32_t state;
	int64_t until;

	/* On our own core the worker may have run as soon as it was called. */
	if (front_slot_state(slot) == WIRE_SLOT_DONE)
		return 0;
	until = sys_now() + FIRST_SLEEP_MS * 1000000;
	s->claim[index].owner = (uint32_t)sys_gettid();
	wait_call_spare(f, s, slot, queue);
	while ((state = wait_announce(slot)) != WIRE_SLOT_DONE) {
		long r;

		if (front_stale(f, s) || slot != front_slot(s, index))
			return -EIO;
		r = wait_futex(f, s, slot, state, until);
		if (r == -EINTR && interruptible)
			return -EINTR;
		if (r == -ETIMEDOUT)
			until = sys_now() + wait_complain(f, s, slot, queue, complaints++) * 1000000ll;
	}
	return 0;
}

static void wait_enqueue(struct front *f, struct front_session *s, unsigned index, unsigned at)
{
	struct rcqb *queue = front_queue(s, at);

	if (rcqb_enqueue(queue, s->queue_shift, WIRE_ITEM(s->number, index)) < 0)
		front_hello(f, WIRE_HELLO_KICK);
	/* The enqueue is a full barrier. Partner: queue_announce_sleep in back-queue.c sets ASLEEP, then looks
	 * at the ring. Either it sees our item, or we see that it sleeps. */
	if (worker_state(&f->table->worker[at]) == WIRE_WORKER_ASLEEP)
		queue_ring(queue);
}

static uint16_t request_flags(const struct wire_request *q, int ask)
{
	const struct wire_request_more *m = &q->more;
	unsigned flags = q->flags & ~(unsigned)(WIRE_ASK | WIRE_MORE);

	if (m->arg2 | m->address | m->base2 | m->path2_len | m->tid)
		flags |= WIRE_MORE;
	return (uint16_t)(ask ? flags | WIRE_ASK : flags);
}

int front_wait_send(struct front *f, struct front_session *s, unsigned index, int interruptible,
		    const struct front_meanwhile *meanwhile)
{
	struct front_pace *pace = &f->pace[front_hash(sys_thread_pointer()) % FRONT_PACES];
	struct wire_slot *slot = front_slot(s, index);
	struct route route = route_quick(f, s, pace);
	int r, watched;

	slot->request.flags = request_flags(&slot->request, route.ask);
	slot->request.cpu = (uint16_t)pace->cpu;
	slot->request.sent = route.since;
	front_count(WIRE_COUNT_REQUESTS, 1);
	/* Releases the request to the worker, which acquires it with its compare-and-swap to TAKEN. A full barrier.
	 * Partner: watch_end in back-queue.c takes `watched` away, then looks at the state. */
	__atomic_exchange_n(&slot->state, WIRE_SLOT_SUBMITTED, __ATOMIC_SEQ_CST);
	watched = __atomic_load_n(&slot->watched, __ATOMIC_RELAXED) == 1;
	if (!watched)
		wait_enqueue(f, s, index, route.queue);
	if (meanwhile && route.spin) {
		meanwhile->run(meanwhile->arg);
		route.late = 1;
	}
	if (route.spin && wait_spin(f, pace, &route, slot))
		r = 0;
	else
		r = wait_sleep(f, s, index, route.queue, interruptible, watched);
	if (!route.quick)
		pace->end = sys_cycles();
	return r;
}

int front_pause(struct front *f)
{
	const uint32_t word = 0;
	const struct sys_waitv wait = {0, (uint64_t)(uintptr_t)&word, SYS_FUTEX2_SIZE_U32, 0};
	int64_t until = sys_now() + 3 * 1000000ll;
	struct sys_time time = {until / SYS_NS, until % SYS_NS};
	long r = sys_futex_waitv(&wait, 1, &time);

	if (r == -ENOSYS) {
		time = (struct sys_time){0, 3 * 1000000ll};
		r = sys_futex_wait(&word, 0, &time);
	}
	return r == -EINTR ? -EINTR : 0;
}
