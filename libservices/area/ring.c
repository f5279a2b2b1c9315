/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "libservices/area/ring.h"

struct area_ring *area_ring_new(unsigned entries, unsigned flags)
{
	struct area_ring *ring = calloc(1, sizeof(*ring));

	if (ring && io_uring_queue_init(entries, &ring->uring, flags) == 0)
		return ring;
	free(ring);
	return NULL;
}

struct area_ring *area_ring_free(struct area_ring *ring)
{
	if (ring)
		io_uring_queue_exit(&ring->uring);
	free(ring);
	return NULL;
}

void area_ring_start(struct area_ring *ring)
{
	int r = io_uring_submit(&ring->uring);

	for (; r == -EINTR || r == -EAGAIN || r == -EBUSY; r = io_uring_submit(&ring->uring))
		sched_yield();
}

struct io_uring_sqe *area_ring_sqe(struct area_ring *ring)
{
	struct io_uring_sqe *sqe;

	if (__atomic_load_n(&ring->busy, __ATOMIC_RELAXED) >= *ring->uring.cq.kring_entries)
		return NULL;
	sqe = io_uring_get_sqe(&ring->uring);
	if (!sqe) {
		area_ring_start(ring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	/* Release: what the entry belongs to is there for whom ring_tell tells. The kernel would do, too.
	 */
	if (sqe)
		__atomic_fetch_add(&ring->busy, 1, __ATOMIC_RELEASE);
	return sqe;
}

int area_ring_busy(const struct area_ring *ring)
{
	return __atomic_load_n(&ring->busy, __ATOMIC_RELAXED) > 0;
}

static void ring_tell(struct area_ring *ring)
{
	struct area_ring_entry *entry;
	struct io_uring_cqe *cqe;
	int result;

	while (io_uring_peek_cqe(&ring->uring, &cqe) == 0 && cqe) {
		entry = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&ring->uring, cqe);
		__atomic_fetch_sub(&ring->busy, 1, __ATOMIC_ACQUIRE); /* area_ring_sqe */
		entry->done(entry, result);
	}
}

void area_ring_wait(struct area_ring *ring)
{
	io_uring_submit_and_wait(&ring->uring, 1);
	ring_tell(ring);
}

void area_ring_reap(struct area_ring *ring, pthread_mutex_t *lock)
{
	struct io_uring_cqe *cqe;

	if (io_uring_wait_cqe(&ring->uring, &cqe) < 0)
		return;
	ring_tell(ring);
	pthread_mutex_lock(lock);
	if (io_uring_sq_ready(&ring->uring) > 0)
		area_ring_start(ring);
	pthread_mutex_unlock(lock);
}

void area_rings_init(struct area_rings *rings)
{
	pthread_mutex_init(&rings->lock, NULL);
}

void area_rings_fini(struct area_rings *rings)
{
	struct area_ring *ring;

	while ((ring = rings->free)) {
		rings->free = ring->next;
		area_ring_free(ring);
	}
	pthread_mutex_destroy(&rings->lock);
}

struct area_ring *area_ring_take(struct area_rings *rings)
{
	struct area_ring *ring;
	int refused;

	pthread_mutex_lock(&rings->lock);
	ring = rings->free;
	refused = rings->refused;
	if (ring)
		rings->free = ring->next;
	pthread_mutex_unlock(&rings->lock);
	if (ring || refused)
		return ring;
	ring = area_ring_new(AREA_RING_ENTRIES, IORING_SETUP_COOP_TASKRUN);
	if (!ring)
		__atomic_store_n(&rings->refused, 1, __ATOMIC_RELAXED);
	return ring;
}

void area_ring_give(struct area_rings *rings, struct area_ring *ring)
{
	if (!ring)
		return;
	pthread_mutex_lock(&rings->lock);
	ring->next = rings->free;
	rings->free = ring;
	pthread_mutex_unlock(&rings->lock);
}
