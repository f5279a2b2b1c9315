/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: who has which, and the frame of a call. (front-attach.c makes sessions, front-wait.c waits.)
 *
 * A slot is claimed by an exchange on a word in the process's own memory. Nothing is locked while a call
 * waits, so a call may begin anywhere: in another thread, in a signal handler that interrupted a call of
 * this thread, in a vfork child.
 *
 * A claim may be abandoned: a signal handler left it by siglongjmp, or its thread was cancelled. Such a slot
 * may still be in the service's hands; then it is an orphan until the service is done with it.
 *  - The same thread finds it. Stacks grow down, so a call of this thread, on this stack, whose frame is
 *    not above ours is not one that we are nested in. The frame is front_call's; until it is called, the
 *    claim's, which a call compares with a page in between, for the caller's own frame is not known, and
 *    another claim, when no slot is free, as it is.
 *  - A dead thread's is looked for when no slot is free; its tid tells, if it ever slept in the call.
 */
#include <signal.h>
#include "ipc/front-internal.h"

enum { ABANDONED_TRIES = 10 };

/* ---- claims ----------------------------------------------------------------------------------- */

static int claim_take(struct front_claim *c)
{
	/* Acquires what the last owner did to the slot; partner: the release in claim_drop. A full barrier
	 * before front_claim looks whether the session is still current. */
	return !__atomic_load_n(&c->claimed, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&c->claimed, 1, __ATOMIC_SEQ_CST);
}

static void claim_drop(struct front *f, struct front_session *s, struct front_claim *c)
{
	c->owner = c->patient = 0;
	__atomic_store_n(&c->thread, 0, __ATOMIC_RELAXED);
	/* No full barrier before the two looks, which are about things that can wait: a thread that we do
	 * not see waiting looks again after a while, and a session that we do not see retired is reaped
	 * when the next one is. */
	__atomic_store_n(&c->claimed, 0, __ATOMIC_RELEASE);
	if (__builtin_expect(__atomic_load_n(&s->waiters, __ATOMIC_RELAXED) != 0, 0)) {
		__atomic_fetch_add(&s->released, 1, __ATOMIC_RELEASE);
		sys_futex_wake(&s->released, 1);
	}
	if (__builtin_expect(__atomic_load_n(&s->retired, __ATOMIC_ACQUIRE) != 0, 0))
		front_session_reap(f, s);
}

/* On which stack? A frame of another stack says nothing about ours. */
static int frame_comparable(uintptr_t mine, uintptr_t other)
{
	stack_t alternate = {0};
	uintptr_t base;
	int other_on, mine_on;

	if (sys_failed(sys2(__NR_sigaltstack, 0, (long)&alternate)) || (alternate.ss_flags & SS_DISABLE))
		return 1;
	base = (uintptr_t)alternate.ss_sp;
	other_on = other - base < alternate.ss_size;
	mine_on = mine - base < alternate.ss_size;
	return mine_on == other_on;
}

static int claim_is_abandoned(const struct front_claim *c, uintptr_t thread, uintptr_t frame, uintptr_t margin)
{
	return __atomic_load_n(&c->thread, __ATOMIC_ACQUIRE) == thread &&
	       c->frame + (c->called ? 0 : margin) <= frame && frame_comparable(frame, c->frame);
}

static int slot_is_under_way(const struct wire_slot *slot)
{
	uint32_t state = front_slot_state(slot);

	return state == WIRE_SLOT_SUBMITTED || state == WIRE_SLOT_TAKEN;
}

/* An orphan that the service is done with becomes ours. */
static int claim_adopt(struct front_session *s, unsigned index)
{
	struct front_claim *c = &s->claim[index];

	if (!__atomic_load_n(&c->orphan, __ATOMIC_ACQUIRE) || slot_is_under_way(front_slot(s, index)))
		return 0;
	return __atomic_exchange_n(&c->orphan, 0, __ATOMIC_ACQ_REL) == 1;
}

/* True if the thread that sleeps in a call through this claim is no more. */
static int claim_is_dead(struct front_claim *c)
{
	uint32_t owner = __atomic_load_n(&c->owner, __ATOMIC_ACQUIRE);

	return owner && sys2(__NR_tkill, owner, 0) == -ESRCH &&
	       __atomic_compare_exchange_n(&c->owner, &owner, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void claim_orphan(struct front_claim *c)
{
	c->owner = c->patient = 0;
	__atomic_store_n(&c->thread, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->orphan, 1, __ATOMIC_RELEASE);
}

static struct wire_slot *claim_complete(struct front_session *s, unsigned index, uintptr_t thread, uintptr_t frame)
{
	struct front_claim *c = &s->claim[index];

	c->frame = frame;
	c->called = 0;
	__atomic_store_n(&c->thread, thread, __ATOMIC_RELEASE);
	return front_slot(s, index);
}

/* A slot's number, or -1. */
static int session_claim(struct front_session *s, uintptr_t thread)
{
	unsigned start = front_hash(thread);

	for (unsigned i = 0; i < WIRE_SLOTS; i++) {
		unsigned index = (start + i) % WIRE_SLOTS;

		if (claim_take(&s->claim[index]) || claim_adopt(s, index))
			return (int)index;
	}
	return -1;
}

static void session_find_dead(struct front_session *s)
{
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		if (claim_is_dead(&s->claim[i]))
			claim_orphan(&s->claim[i]);
}

static void call_find_abandoned(struct front *f, struct front_session *s, uintptr_t thread, uintptr_t frame,
				unsigned ours, uintptr_t margin);

/* All slots are claimed: until one is released, or for a while, for orphans are not released. */
static void session_wait_for_slot(struct front_session *s)
{
	const struct sys_time while_ = {0, 5 * 1000 * 1000};
	uint32_t released = __atomic_load_n(&s->released, __ATOMIC_ACQUIRE);
	unsigned busy = 0;

	__atomic_fetch_add(&s->waiters, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		busy += __atomic_load_n(&s->claim[i].claimed, __ATOMIC_RELAXED);
	if (busy == WIRE_SLOTS)
		sys_futex_wait(&s->released, released, &while_);
	__atomic_fetch_sub(&s->waiters, 1, __ATOMIC_RELAXED);
}

struct front_session *front_pin(struct front *f)
{
	struct front_session *s;

	while ((s = front_current(f)) != NULL) {
		/* A full barrier, as a claim has it: see front_claim. */
		__atomic_fetch_add(&s->pins, 1, __ATOMIC_SEQ_CST);
		if (s == front_current(f))
			break;
		front_unpin(f, s);
	}
	return s;
}

void front_unpin(struct front *f, struct front_session *s)
{
	__atomic_fetch_sub(&s->pins, 1, __ATOMIC_RELEASE);
	if (__builtin_expect(__atomic_load_n(&s->retired, __ATOMIC_ACQUIRE) != 0, 0))
		front_session_reap(f, s);
}

/* ---- calls ------------------------------------------------------------------------------------ */

static struct front_session *session_of_slot(struct front *f, const struct wire_slot *slot, unsigned *ret_index)
{
	for (unsigned i = 0; i < FRONT_SESSIONS; i++) {
		struct front_session *s = &f->sessions[i];
		uintptr_t offset = (uintptr_t)slot - (uintptr_t)s->segment;

		if (s->segment && offset < WIRE_SESSION_SIZE) {
			*ret_index = (unsigned)((offset - WIRE_PAGE) / WIRE_SLOT_STRIDE);
			return s;
		}
	}
	return NULL;
}

struct wire_slot *front_claim(struct front *f)
{
	uintptr_t thread = sys_thread_pointer();
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
	struct front_session *s;

	while ((s = front_current(f)) != NULL) {
		int index = session_claim(s, thread);

		if (index < 0) {
			session_find_dead(s);
			call_find_abandoned(f, s, thread, frame, WIRE_SLOTS, 0);
			session_wait_for_slot(s);
			continue;
		}
		/* The claim's exchange is a full barrier: either we see that the session was replaced, or
		 * session_replace sees our claim and leaves it mapped. */
		if (s != front_current(f)) {
			claim_drop(f, s, &s->claim[index]);
			continue;
		}
		return claim_complete(s, index, thread, frame);
	}
	return NULL;
}

void front_release(struct front *f, struct wire_slot *slot)
{
	unsigned index;
	struct front_session *s = session_of_slot(f, slot, &index);

	if (!s)
		return;
	claim_drop(f, s, &s->claim[index]);
}

/* Half of the slots may wait for long. */
static int session_has_patience(struct front_session *s, struct front_claim *c)
{
	unsigned patient = 0;

	__atomic_store_n(&c->patient, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		patient += __atomic_load_n(&s->claim[i].patient, __ATOMIC_RELAXED);
	if (patient <= WIRE_SLOTS / 2)
		return 1;
	c->patient = 0;
	return 0;
}

/* Asks the service to end the lock wait of a slot, by another slot. It ends by its own reply. */
static void call_cancel(struct front *f, struct front_session *s, unsigned victim)
{
	struct wire_slot *with = front_claim(f);

	if (!with)
		return;
	if (s == front_current(f)) {
		with->request = (struct wire_request){.op = WIRE_CANCEL, .arg = victim};
		front_call(f, with, 0);
	}
	front_release(f, with);
}

/*
 * Cancels until the reply is there: 0, or -EIO. More than once, for the first time may be too early, when the
 * request is on its way to where it will wait. -EAGAIN after so many tries.
 */
static int call_end(struct front *f, struct front_session *s, unsigned index, unsigned tries)
{
	int r = -EAGAIN;

	for (unsigned i = 0; r == -EAGAIN && i < tries; i++) {
		call_cancel(f, s, index);
		r = front_wait_ms(f, s, index, i < 6 ? 1u << i : 64);
	}
	return r;
}

/* Finds the calls that this thread left by siglongjmp, and takes back the locks that they were waiting for. */
static void call_find_abandoned(struct front *f, struct front_session *s, uintptr_t thread, uintptr_t frame,
				unsigned ours, uintptr_t margin)
{
	for (unsigned i = 0; i < WIRE_SLOTS; i++) {
		struct front_claim *c = &s->claim[i];

		if (i == ours || !claim_is_abandoned(c, thread, frame, margin))
			continue;
		/* It is found again if this call is left, too, but not by the calls within this one. */
		c->frame = frame;
		c->called = 1;
		if (c->patient && slot_is_under_way(front_slot(s, i)))
			call_end(f, s, i, ABANDONED_TRIES);
		claim_orphan(c);
	}
}

/* A signal handler interrupted the call: the request is cancelled, or it completes first. */
static int call_interrupt(struct front *f, struct front_session *s, unsigned index)
{
	int r = call_end(f, s, index, UINT32_MAX);

	return r == 0 && front_slot(s, index)->reply.result == -EINTR ? -EINTR : r;
}

int front_call_with(struct front *f, struct wire_slot *slot, int interruptible, const struct front_meanwhile *meanwhile)
{
	uintptr_t thread = sys_thread_pointer(), frame = (uintptr_t)__builtin_frame_address(0);
	unsigned index;
	struct front_session *s = session_of_slot(f, slot, &index);
	int r;

	if (!s || s != front_current(f))
		return -EIO;
	s->claim[index].frame = frame;
	s->claim[index].called = 1;
	/* We did not get the slot that this thread prefers: perhaps an older call of it has it. */
	if (__builtin_expect(index != front_hash(thread) % WIRE_SLOTS, 0))
		call_find_abandoned(f, s, thread, frame, index, WIRE_PAGE);
	if (interruptible && !session_has_patience(s, &s->claim[index]))
		return -EAGAIN;
	r = front_wait_send(f, s, index, interruptible, meanwhile);
	if (r == -EINTR)
		r = call_interrupt(f, s, index);
	s->claim[index].patient = 0;
	return r;
}
