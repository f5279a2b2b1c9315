/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of io_uring: transfers to be, and whom to tell when they have been.
 *
 * An area keeps a few for those who wait (`struct area_rings`): area_run takes one, hands it down in
 * io->here, runs it until the transfer is done, and gives it back. So a ring has one user at a time. The
 * other kind is an area's own, for transfers that nobody waits for; its owner locks.
 */
#pragma once

#include <liburing.h>

#include "libservices/area.h"

enum { AREA_RING_ENTRIES = 32 };

/* What a completion belongs to: the first member of something larger. */
struct area_ring_entry {
	void (*done)(struct area_ring_entry *entry, int result);
};

struct area_ring {
	struct io_uring uring;
	unsigned busy; /* atomic: entries under way */
	struct area_ring *next;
};

/* NULL, and 0 or -errno, where the kernel has none for us. */
struct area_ring *area_ring_new(unsigned entries, unsigned flags);
struct area_ring *area_ring_free(struct area_ring *ring);

/*
 * A place for one more, whose data is to be a struct area_ring_entry; if there is none, what is queued is
 * started first. NULL: as many are under way as the kernel has places for completions.
 */
struct io_uring_sqe *area_ring_sqe(struct area_ring *ring);
/* Starts what is queued. */
void area_ring_start(struct area_ring *ring);
/* Starts what is queued, waits until something is done, and tells whom it concerns. */
void area_ring_wait(struct area_ring *ring);
/* Waits and tells. Others may be queueing meanwhile, under the lock. */
void area_ring_reap(struct area_ring *ring, pthread_mutex_t *lock);
int area_ring_busy(const struct area_ring *ring);

/* From the area's store, or a new one. NULL: none to be had. */
struct area_ring *area_ring_take(struct area_rings *rings);
/* Takes NULL. */
void area_ring_give(struct area_rings *rings, struct area_ring *ring);
void area_rings_init(struct area_rings *rings);
void area_rings_fini(struct area_rings *rings);

/* area_run by submit, with a ring: for types whose `run` does that for some transfers. */
int area_run_here(struct area *area, struct area_io *io);
/* Waits for a transfer that was submitted without `done`, with that ring or NULL as `here`. Its result. */
int area_wait(const struct area *area, struct area_io *io, struct area_ring *ring);
