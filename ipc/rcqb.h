/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relaxed Concurrent Queue Blocking: the request queue of the Polytropon paper (SoCC '20). Freestanding.
 *
 * A fixed ring in shared memory. An operation has two stages: it is given a slot, in order, by a
 * fetch-and-add on the ring's tail (enqueue) or head (dequeue); then it locks that slot alone, moves the
 * item and unlocks. Operations on different slots run in parallel and may finish out of FIFO order: nobody
 * waits for the operation before it. That is the queue's whole point: one contended instruction each.
 *
 * An item has 40 bits, so a slot is one word {turn, full, waiter, item}, and lock + move + unlock is one
 * compare-and-swap of it. `turn` is the lap around the ring: ticket t uses slot t % slots in lap
 * t / slots, and finds it EMPTY in that lap, or somebody else has been there. Slots have a cache line
 * each, so that neighbours do not disturb each other.
 *
 * Two kinds of use:
 *
 * 1. The service's: many hostile producers, one consumer at a time (struct rcqb_consumer). The head lives in
 *    the consumer's private memory. Tail and slots may be scribbled over at any moment: an item is only a
 *    hint, and everything here ends after a bounded number of steps. The compare-and-swap makes even the
 *    uniqueness of tickets unnecessary: the tail may be set back while producers hold tickets; of two
 *    with the same ticket one finds its slot taken and draws again.
 *    A producer that dies between its fetch-and-add and its fill leaves a hole. The consumer steps over
 *    holes now and then ("poisons" them: the slot goes to the next lap), so a late producer's
 *    compare-and-swap fails and it draws a new ticket.
 *
 * 2. Plain, both ends trusted, many consumers (rcqb_put and rcqb_take): the queue of the paper, with blocking. A
 *    consumer that waits for its slot sleeps on the slot's own word.
 *
 * Memory of zeros is an empty ring.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include "ipc/sys.h"

enum {
	RCQB_LINE = 64,
	RCQB_SHIFT_MIN = 3,
	RCQB_SHIFT_MAX = 16,
	RCQB_ITEM_BITS = 40,
	RCQB_TICKETS = 64,   /* that an enqueue draws before it gives up */
	RCQB_FULL_SPINS = 64, /* looks at a slot that is still full before it yields the core at each look */
	RCQB_FULL_YIELDS = 200,
	RCQB_READY_YIELDS = 4,
};

struct rcqb_slot {
	uint64_t word;
	uint8_t pad[RCQB_LINE - 8];
};

struct rcqb {
	uint64_t tail; /* the next ticket of enqueue */
	uint8_t pad[RCQB_LINE - 8];
	uint32_t bell; /* futex: incremented to wake a consumer of the ring */
	uint8_t pad2[RCQB_LINE - 4];
	struct rcqb_slot slot[];
};

_Static_assert(sizeof(struct rcqb_slot) == RCQB_LINE, "a slot is a cache line");
_Static_assert(offsetof(struct rcqb, bell) == 64, "layout");
_Static_assert(offsetof(struct rcqb, slot) == 128, "layout");

#define RCQB_ITEM_MASK ((1ull << RCQB_ITEM_BITS) - 1)
#define RCQB_FULL (1ull << 40)
#define RCQB_WAITER (1ull << 41) /* plain use only: a consumer sleeps on the word's upper half */
#define RCQB_TURN_SHIFT 42       /* 22 bits of turn; it wraps, and may */

/* The geometry is the caller's private copy: `shift` is log2 of the number of slots. */
static inline size_t rcqb_size(unsigned shift)
{
	return sizeof(struct rcqb) + ((size_t)RCQB_LINE << shift);
}

static inline struct rcqb_slot *rcqb_slot(struct rcqb *ring, unsigned shift, uint64_t ticket)
{
	return &ring->slot[ticket & ((1ull << shift) - 1)];
}

/* The word of an empty slot in the lap of `ticket`. */
static inline uint64_t rcqb_empty(unsigned shift, uint64_t ticket)
{
	return (ticket >> shift) << RCQB_TURN_SHIFT;
}

/* The word of the same slot, empty, one lap later. */
static inline uint64_t rcqb_next_lap(unsigned shift, uint64_t ticket)
{
	return ((ticket >> shift) + 1) << RCQB_TURN_SHIFT;
}

/* The slot is full, and in the lap of `ticket`. */
static inline int rcqb_is_full(uint64_t word, unsigned shift, uint64_t ticket)
{
	return (word & ~RCQB_ITEM_MASK) == (rcqb_empty(shift, ticket) | RCQB_FULL);
}

/* The slot is still in an earlier lap than `empty`, a word of rcqb_empty: the ring is full. */
static inline int rcqb_is_behind(uint64_t word, uint64_t empty)
{
	return (int64_t)((word >> RCQB_TURN_SHIFT << RCQB_TURN_SHIFT) - empty) < 0;
}

/* ---- 1. hostile producers, one consumer ------------------------------------------------------- */

/*
 * Fills the slot of one ticket. 0; 1: somebody else has been there, or the consumer gave up on this ticket;
 * -EAGAIN: the slot stays full.
 *
 * The compare-and-swap releases what the caller wrote before (the request in its buffer) to the
 * consumer's acquiring load in rcqb_dequeue. Being a locked instruction it is also a full barrier,
 * which the caller's look at the consumer's sleeping state relies on (see front.c and back-queue.c).
 */
static inline int rcqb_fill(struct rcqb *ring, unsigned shift, uint64_t ticket, uint64_t item)
{
	struct rcqb_slot *slot = rcqb_slot(ring, shift, ticket);
	const uint64_t empty = rcqb_empty(shift, ticket);

	for (unsigned looks = 0; looks < RCQB_FULL_SPINS + RCQB_FULL_YIELDS; looks++) {
		uint64_t word = empty;

		if (__atomic_compare_exchange_n(&slot->word, &word, empty | RCQB_FULL | item, 0,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return 0;
		if (!rcqb_is_behind(word, empty))
			return 1;
		if (looks < RCQB_FULL_SPINS)
			sys_pause();
		else
			sys_yield();
	}
	return -EAGAIN;
}

/* 0, or -EAGAIN after a bounded wait if the ring is full (or scribbled upon). */
static inline int rcqb_enqueue(struct rcqb *ring, unsigned shift, uint64_t item)
{
	for (unsigned i = 0; i < RCQB_TICKETS; i++) {
		uint64_t ticket = __atomic_fetch_add(&ring->tail, 1, __ATOMIC_RELAXED);
		int r = rcqb_fill(ring, shift, ticket, item & RCQB_ITEM_MASK);

		if (r <= 0)
			return r;
	}
	return -EAGAIN;
}

/* The consumer's end, in its private memory. Callers see to it that one thread at a time uses it. */
struct rcqb_consumer {
	struct rcqb *ring;
	uint64_t head; /* the next ticket of dequeue */
	uint64_t holes; /* stepped over so far */
	unsigned shift;
};

/* Puts a slot in order that is in no state it can have come to by itself. */
static inline void rcqb_mend(struct rcqb_slot *slot, uint64_t word, uint64_t empty)
{
	__atomic_compare_exchange_n(&slot->word, &word, empty, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/*
 * 1 and an item, or 0: nothing at the head. Looks at the head's slot alone, so that polling costs the
 * producers nothing; rcqb_recover finds what a hole hides.
 *
 * The load acquires what the producer wrote before rcqb_fill. A store is enough to unlock: nobody else moves a
 * slot that is full. It releases nothing; the item was copied with the word.
 */
static inline int rcqb_dequeue(struct rcqb_consumer *c, uint64_t *ret_item)
{
	struct rcqb_slot *slot = rcqb_slot(c->ring, c->shift, c->head);
	uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_ACQUIRE);
	const uint64_t empty = rcqb_empty(c->shift, c->head);

	if (word == empty)
		return 0;
	if (!rcqb_is_full(word, c->shift, c->head)) {
		rcqb_mend(slot, word, empty);
		return 0;
	}
	__atomic_store_n(&slot->word, rcqb_next_lap(c->shift, c->head), __ATOMIC_RELAXED);
	c->head++;
	*ret_item = word & RCQB_ITEM_MASK;
	return 1;
}

/* How many slots from the head on may be in use, by what the tail says; an absurd tail is set to say: all. */
static inline uint64_t rcqb_outstanding(struct rcqb_consumer *c)
{
	const uint64_t slots = 1ull << c->shift;
	uint64_t tail = __atomic_load_n(&c->ring->tail, __ATOMIC_ACQUIRE);

	if (tail - c->head <= 2 * slots)
		return tail - c->head;
	__atomic_compare_exchange_n(&c->ring->tail, &tail, c->head + slots, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return slots;
}

/* How many slots from the head on are holes: those before the first full one, or all. */
static inline uint64_t rcqb_holes(struct rcqb_consumer *c, int *ret_full)
{
	const uint64_t slots = 1ull << c->shift;
	uint64_t i, outstanding = rcqb_outstanding(c);

	for (i = 0; i < outstanding && i < slots; i++) {
		struct rcqb_slot *slot = rcqb_slot(c->ring, c->shift, c->head + i);

		*ret_full = rcqb_is_full(__atomic_load_n(&slot->word, __ATOMIC_ACQUIRE), c->shift, c->head + i);
		if (*ret_full)
			return i;
	}
	*ret_full = 0;
	return i;
}

/*
 * Looks at all slots between head and tail, and steps over the holes before the first full one. True if
 * rcqb_dequeue has something now. To be called before sleeping, and now and then while polling: the
 * interval is the time that a live producer has to fill its slot without having to draw again.
 *
 * If nothing is full, all tickets are given up: those of producers who found the queue full, too, which would
 * else keep it full for ever.
 */
static inline int rcqb_recover(struct rcqb_consumer *c)
{
	int full;
	uint64_t holes = rcqb_holes(c, &full);

	for (; holes > 0; holes--) {
		struct rcqb_slot *slot = rcqb_slot(c->ring, c->shift, c->head);
		uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_RELAXED);

		if (rcqb_is_full(word, c->shift, c->head))
			return 1; /* filled after all */
		if (!__atomic_compare_exchange_n(&slot->word, &word, rcqb_next_lap(c->shift, c->head), 0,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return 1; /* just now; or scribbled upon: the next look will tell */
		c->head++;
		c->holes++;
	}
	return full;
}

/* ---- 2. both ends trusted, many consumers ----------------------------------------------------- */

/* The consumers' end, shared by them. */
struct rcqb_head {
	uint64_t ticket; /* the next one of dequeue */
	uint8_t pad[RCQB_LINE - 8];
	uint32_t bell;     /* futex of consumers that found nothing */
	uint32_t sleepers; /* how many they are */
	uint32_t waking;   /* one of them was woken and has not looked yet: it needs no other */
	uint8_t pad2[RCQB_LINE - 12];
};

/* The half of a slot's word that says turn, full and waiter: a futex. (x86-64 is little-endian.) */
static inline uint32_t *rcqb_futex(struct rcqb_slot *slot)
{
	return (uint32_t *)&slot->word + 1;
}

/* Some producer has a ticket that no consumer has. */
static inline int rcqb_waiting(struct rcqb *ring, struct rcqb_head *head)
{
	return (int64_t)(__atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) -
			 __atomic_load_n(&head->ticket, __ATOMIC_SEQ_CST)) > 0;
}

/*
 * Wakes a sleeping consumer, unless one is on its way. To be called after a full barrier that follows the draw of
 * the ticket. Partner: rcqb_sleep. Either we see the sleeper or it sees the ticket; if we see `waking`, the
 * one who is woken clears it, and then sees the ticket. (It may have left before it was woken: so who goes
 * to sleep clears it, too.)
 */
static inline void rcqb_wake(struct rcqb_head *head)
{
	if (!__atomic_load_n(&head->sleepers, __ATOMIC_SEQ_CST) || __atomic_load_n(&head->waking, __ATOMIC_SEQ_CST) ||
	    __atomic_exchange_n(&head->waking, 1, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&head->bell, 1, __ATOMIC_SEQ_CST);
	sys_futex_wake(&head->bell, 1);
}

static inline void rcqb_sleep(struct rcqb *ring, struct rcqb_head *head)
{
	uint32_t bell = __atomic_load_n(&head->bell, __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&head->sleepers, 1, __ATOMIC_SEQ_CST);
	__atomic_exchange_n(&head->waking, 0, __ATOMIC_SEQ_CST);
	if (!rcqb_waiting(ring, head))
		sys_futex_wait(&head->bell, bell, NULL);
	__atomic_fetch_sub(&head->sleepers, 1, __ATOMIC_SEQ_CST);
	__atomic_exchange_n(&head->waking, 0, __ATOMIC_SEQ_CST);
}

/* Waits for room as long as it takes. */
static inline void rcqb_put(struct rcqb *ring, unsigned shift, struct rcqb_head *head, uint64_t item)
{
	uint64_t ticket = __atomic_fetch_add(&ring->tail, 1, __ATOMIC_SEQ_CST);
	struct rcqb_slot *slot = rcqb_slot(ring, shift, ticket);
	const uint64_t empty = rcqb_empty(shift, ticket);
	uint64_t word = empty;

	/* Releases what the caller wrote before to the load in rcqb_slot_take. */
	while (!__atomic_compare_exchange_n(&slot->word, &word, empty | RCQB_FULL | (item & RCQB_ITEM_MASK), 0,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		if (word == (empty | RCQB_WAITER))
			continue;
		word = empty;
		sys_yield();
	}
	if (word & RCQB_WAITER)
		sys_futex_wake(rcqb_futex(slot), 1);
	else
		rcqb_wake(head);
}

/* The item of a ticket: it is there, or its producer is about to fill it, or it is the next one to come. */
static inline uint64_t rcqb_slot_take(struct rcqb *ring, unsigned shift, uint64_t ticket, unsigned looks)
{
	struct rcqb_slot *slot = rcqb_slot(ring, shift, ticket);
	const uint64_t empty = rcqb_empty(shift, ticket);
	uint64_t word;

	while (word = __atomic_load_n(&slot->word, __ATOMIC_ACQUIRE), !rcqb_is_full(word, shift, ticket)) {
		if (looks) {
			looks--;
			sys_pause();
		} else if (rcqb_is_behind(word, empty)) {
			sys_yield(); /* more consumers than slots: the last lap's has not come yet */
		} else {
			__atomic_compare_exchange_n(&slot->word, &word, empty | RCQB_WAITER, 0,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
			sys_futex_wait(rcqb_futex(slot), (uint32_t)((empty | RCQB_WAITER) >> 32), NULL);
		}
	}
	/* The ticket is ours alone, so a store unlocks. It releases our reading to the next lap's producer. */
	__atomic_store_n(&slot->word, rcqb_next_lap(shift, ticket), __ATOMIC_RELEASE);
	return word & RCQB_ITEM_MASK;
}

/* The next item is there, and not just about to come. */
static inline int rcqb_ready(struct rcqb *ring, unsigned shift, struct rcqb_head *head)
{
	uint64_t ticket = __atomic_load_n(&head->ticket, __ATOMIC_RELAXED);

	return rcqb_is_full(__atomic_load_n(&rcqb_slot(ring, shift, ticket)->word, __ATOMIC_ACQUIRE), shift, ticket);
}

/*
 * Takes an item; waits for it as long as it takes: so many looks, then asleep. A ticket is drawn when there is something
 * for it, so that who is awake takes all there is, and who sleeps is not in the way. A producer that lost its core
 * between its ticket and its item is given a core first: who slept at that slot would have to be woken.
 */
static inline uint64_t rcqb_take(struct rcqb *ring, unsigned shift, struct rcqb_head *head, unsigned looks)
{
	uint64_t item;

	for (unsigned i = 0, yields = 0; !rcqb_ready(ring, shift, head); i++) {
		if (i < looks)
			sys_pause();
		else if (!rcqb_waiting(ring, head))
			rcqb_sleep(ring, head);
		else if (yields++ < RCQB_READY_YIELDS)
			sys_yield();
		else
			break;
	}
	item = rcqb_slot_take(ring, shift, __atomic_fetch_add(&head->ticket, 1, __ATOMIC_SEQ_CST), looks);
	if (rcqb_waiting(ring, head))
		rcqb_wake(head);
	return item;
}
