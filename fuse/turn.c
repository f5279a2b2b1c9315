/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which threads wait for messages, and how.
 *
 * The kernel wakes readers by turns. So only few are let read while there is little to do: one that has just been at
 * work is quicker than one that has slept. When all of those are at work, another takes their place.
 *
 * To be woken takes longer than to serve most messages. Where they follow each other closely, who has served one looks
 * whether there is another, for about as long as that, and by himself.
 */
#include <poll.h>
#include <sched.h>

#include "fuse/door-internal.h"
#include "service/stats.h"

enum {
	WAITING = 2, /* threads that read */
	SPIN_NS = 40 * 1000,
	YIELD_NS = 5 * 1000, /* of spinning, and others may run */
	CROWDED_NS = 5 * 1000,
	GAP_MAX_NS = 60 * 1000, /* between two messages that are close: who sleeps meanwhile is woken in that */
	STREAK_MIN = 8,         /* so many that are close, and it is worth to spin */
	PAUSES = 16,
};

static void turn_wait(struct fuse_door *door)
{
	pthread_mutex_lock(&door->turn_lock);
	while (door->waiting >= WAITING && !__atomic_load_n(&door->stopping, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&door->turn, &door->turn_lock);
	door->waiting++;
	pthread_mutex_unlock(&door->turn_lock);
}

static void turn_over(struct fuse_door *door)
{
	bool last;

	pthread_mutex_lock(&door->turn_lock);
	last = --door->waiting == 0;
	pthread_mutex_unlock(&door->turn_lock);
	if (last)
		pthread_cond_signal(&door->turn);
}

/* ---- spinning ------------------------------------------------------------------------------------ */

static bool may_spin(const struct fuse_door *door)
{
	return __atomic_load_n(&door->streak, __ATOMIC_RELAXED) >= STREAK_MIN &&
	       !__atomic_load_n(&door->service->table->one_core, __ATOMIC_RELAXED);
}

/* Lets others have the core. False if they took it for so long that spinning on it is wrong. */
static bool core_shared(int64_t *now)
{
	int64_t before = *now;

	sched_yield();
	*now = stat_now();
	return *now - before < CROWDED_NS;
}

/* Until there is a message, or it is not worth to wait like this. */
static void spin(const struct fuse_door *door)
{
	struct pollfd readable = {.fd = door->fd, .events = POLLIN};
	int64_t now = stat_now(), end = now + SPIN_NS, yield = now + YIELD_NS;

	while (now < end && poll(&readable, 1, 0) == 0) {
		for (unsigned i = 0; i < PAUSES; i++)
			__builtin_ia32_pause(); /* each look takes the lock that who asks needs, too */
		now = stat_now();
		if (now < yield)
			continue;
		if (!core_shared(&now))
			break;
		yield = now + YIELD_NS;
	}
}

static void spin_alone(struct fuse_door *door)
{
	if (!may_spin(door) || __atomic_exchange_n(&door->spins, true, __ATOMIC_ACQUIRE))
		return;
	spin(door);
	__atomic_store_n(&door->spins, false, __ATOMIC_RELEASE);
}

/* A message has come. */
static void streak_note(struct fuse_door *door)
{
	int64_t served = __atomic_load_n(&door->served_at, __ATOMIC_RELAXED);
	unsigned streak = __atomic_load_n(&door->streak, __ATOMIC_RELAXED);
	bool close = served && stat_now() - served < GAP_MAX_NS;

	__atomic_store_n(&door->streak, !close ? 0 : streak < STREAK_MIN ? streak + 1 : streak, __ATOMIC_RELAXED);
}

/* ---- one message --------------------------------------------------------------------------------- */

int turn_receive(struct fuse_door *door, struct fuse_buf *buf)
{
	int n;

	turn_wait(door);
	spin_alone(door);
	n = fuse_session_receive_buf(door->session, buf);
	turn_over(door);
	if (n > 0)
		streak_note(door);
	return n;
}

void turn_served(struct fuse_door *door)
{
	__atomic_store_n(&door->served_at, stat_now(), __ATOMIC_RELAXED);
}
