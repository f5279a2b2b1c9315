/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the front driver share: front.c, front-wait.c, front-attach.c. */
#pragma once

#include "ipc/front.h"
#include "ipc/front-lease.h"
#include "ipc/rcqb.h"

/* The current session, or NULL. */
static inline struct front_session *front_current(struct front *f)
{
	uint32_t attached = __atomic_load_n(&f->attached, __ATOMIC_ACQUIRE);

	return attached ? &f->sessions[attached - 1] : NULL;
}

static inline struct wire_slot *front_slot(const struct front_session *s, unsigned index)
{
	return (struct wire_slot *)(s->segment + WIRE_PAGE + (size_t)index * WIRE_SLOT_STRIDE);
}

static inline struct rcqb *front_queue(const struct front_session *s, unsigned queue)
{
	return (struct rcqb *)(s->queues + (size_t)queue * s->queue_stride);
}

/* Spreads thread pointers, which differ in their middle bits, over a small table. */
static inline unsigned front_hash(uintptr_t thread)
{
	return (unsigned)((thread >> 6) * 0x9e3779b97f4a7c15ull >> 40);
}

static inline uint32_t front_slot_state(const struct wire_slot *slot)
{
	return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) & WIRE_SLOT_STATE_MASK;
}

/* The service that the session belongs to died, or does not know it any more. */
static inline int front_stale(const struct front *f, const struct front_session *s)
{
	return __atomic_load_n(&f->table->generation, __ATOMIC_ACQUIRE) != s->generation ||
	       __atomic_load_n(&s->lost, __ATOMIC_RELAXED);
}

/* Hands the submitted slot to a queue and waits for its reply: 0, -EIO or -EINTR as front_call does. After
 * -EINTR the request is still under way. `meanwhile` as for front_call_with, or NULL. */
int front_wait_send(struct front *f, struct front_session *s, unsigned index, int interruptible,
		    const struct front_meanwhile *meanwhile);
/* Goes on waiting for the reply for so long: 0, -EIO, or -EAGAIN if it has not come. */
int front_wait_ms(struct front *f, struct front_session *s, unsigned index, unsigned ms);

/* Unmaps a retired session if no slot of it is claimed. */
void front_session_reap(struct front *f, struct front_session *s);
