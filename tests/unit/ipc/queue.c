/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: nothing is lost or doubled, and nothing that a client does or writes stops it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ipc/rcqb.h"

enum {
	SHIFT = 3,
	SLOTS = 1 << SHIFT,
	THREADS = 8,
	ITEMS = 40000, /* of each thread */
};

static struct rcqb *ring_new(unsigned shift)
{
	void *memory = mmap(NULL, rcqb_size(shift), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void ring_free(struct rcqb *ring, unsigned shift)
{
	munmap(ring, rcqb_size(shift));
}

/* ---- many producers, one consumer --------------------------------------------------------------- */

struct crowd {
	struct rcqb *ring;
	unsigned shift;
	struct rcqb_head head;
	uint64_t count, sum; /* of what consumers took */
};

struct member {
	struct crowd *crowd;
	unsigned number;
	pthread_t thread;
};

static uint64_t item_of(unsigned member, unsigned i)
{
	return (uint64_t)member << 32 | i;
}

static uint64_t sum_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned m = 0; m < THREADS; m++)
		for (unsigned i = 0; i < ITEMS; i++)
			sum += item_of(m, i);
	return sum;
}

static void *enqueue_all(void *arg)
{
	struct member *m = arg;

	for (unsigned i = 0; i < ITEMS; i++)
		while (rcqb_enqueue(m->crowd->ring, m->crowd->shift, item_of(m->number, i)) < 0)
			sys_yield();
	return NULL;
}

static void crowd_start(struct crowd *crowd, struct member *members, void *(*run)(void *))
{
	for (unsigned i = 0; i < THREADS; i++) {
		members[i] = (struct member){.crowd = crowd, .number = i};
		assert_int_equal(pthread_create(&members[i].thread, NULL, run, &members[i]), 0);
	}
}

static void crowd_join(struct member *members)
{
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(members[i].thread, NULL);
}

/* The ring is much smaller than the crowd, so it is full most of the time. */
static void one_consumer_gets_everything_once(void **state)
{
	struct crowd crowd = {.ring = ring_new(SHIFT), .shift = SHIFT};
	struct rcqb_consumer consumer = {.ring = crowd.ring, .shift = SHIFT};
	struct member members[THREADS];
	uint64_t item;

	crowd_start(&crowd, members, enqueue_all);
	while (crowd.count < THREADS * ITEMS) {
		if (rcqb_dequeue(&consumer, &item)) {
			crowd.count++;
			crowd.sum += item;
		} else if (!rcqb_recover(&consumer)) {
			sys_yield();
		}
	}
	crowd_join(members);
	assert_int_equal(crowd.sum, sum_of_all());
	assert_false(rcqb_recover(&consumer));
	assert_false(rcqb_dequeue(&consumer, &item));
	ring_free(crowd.ring, SHIFT);
}

/* ---- many producers, many consumers -------------------------------------------------------------- */

static void *put_all(void *arg)
{
	struct member *m = arg;

	for (unsigned i = 0; i < ITEMS; i++)
		rcqb_put(m->crowd->ring, m->crowd->shift, &m->crowd->head, item_of(m->number, i));
	return NULL;
}

static void *take_all(void *arg)
{
	struct member *m = arg;

	for (unsigned i = 0; i < ITEMS; i++) {
		uint64_t item = rcqb_take(m->crowd->ring, m->crowd->shift, &m->crowd->head, 10);

		__atomic_fetch_add(&m->crowd->sum, item, __ATOMIC_RELAXED);
		__atomic_fetch_add(&m->crowd->count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void many_consumers_get_everything_once(void **state)
{
	static const unsigned shifts[] = {SHIFT, 6};

	for (unsigned i = 0; i < 2; i++) {
		struct crowd crowd = {.ring = ring_new(shifts[i]), .shift = shifts[i]};
		struct member producers[THREADS], consumers[THREADS];

		crowd_start(&crowd, consumers, take_all);
		crowd_start(&crowd, producers, put_all);
		crowd_join(producers);
		crowd_join(consumers);
		assert_int_equal(crowd.count, THREADS * ITEMS);
		assert_int_equal(crowd.sum, sum_of_all());
		ring_free(crowd.ring, shifts[i]);
	}
}

/* ---- trouble ------------------------------------------------------------------------------------ */

static void a_full_queue_refuses_and_recovers(void **state)
{
	struct rcqb *ring = ring_new(SHIFT);
	struct rcqb_consumer c = {.ring = ring, .shift = SHIFT};
	uint64_t item;

	for (uint64_t i = 0; i < SLOTS; i++)
		assert_int_equal(rcqb_enqueue(ring, SHIFT, i), 0);
	for (int i = 0; i < 3 * SLOTS; i++)
		assert_int_equal(rcqb_enqueue(ring, SHIFT, 99), -EAGAIN);
	for (uint64_t i = 0; i < SLOTS; i++) {
		assert_true(rcqb_dequeue(&c, &item));
		assert_int_equal(item, i);
	}
	/* Those who gave up left their tickets behind. */
	for (uint64_t i = 0; i < 5 * SLOTS; i++) {
		rcqb_recover(&c);
		if (rcqb_enqueue(ring, SHIFT, i) < 0)
			continue;
		assert_true(rcqb_dequeue(&c, &item) || (rcqb_recover(&c) && rcqb_dequeue(&c, &item)));
		assert_int_equal(item, i);
		ring_free(ring, SHIFT);
		return;
	}
	fail_msg("the queue stays full");
}

static void die_with_a_ticket(struct rcqb *ring, int sig)
{
	pid_t pid = fork();

	if (pid == 0) {
		__atomic_fetch_add(&ring->tail, 1, __ATOMIC_RELAXED);
		if (sig)
			raise(sig);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_dead_producer_blocks_nobody(void **state)
{
	struct rcqb *ring = ring_new(SHIFT);
	struct rcqb_consumer c = {.ring = ring, .shift = SHIFT};
	uint64_t item;

	for (uint64_t lap = 0; lap < 20; lap++) {
		die_with_a_ticket(ring, lap % 2 ? SIGKILL : 0);
		assert_false(rcqb_dequeue(&c, &item));
		assert_int_equal(rcqb_enqueue(ring, SHIFT, lap), 0);
		assert_false(rcqb_dequeue(&c, &item));
		assert_true(rcqb_recover(&c));
		assert_true(rcqb_dequeue(&c, &item));
		assert_int_equal(item, lap);
	}
	assert_int_equal(c.holes, 20);
	ring_free(ring, SHIFT);
}

static void a_late_producer_draws_again(void **state)
{
	struct rcqb *ring = ring_new(SHIFT);
	struct rcqb_consumer c = {.ring = ring, .shift = SHIFT};
	uint64_t item, late = __atomic_fetch_add(&ring->tail, 1, __ATOMIC_RELAXED);

	assert_int_equal(rcqb_enqueue(ring, SHIFT, 7), 0);
	assert_true(rcqb_recover(&c));
	assert_int_equal(rcqb_fill(ring, SHIFT, late, 8), 1);
	assert_true(rcqb_dequeue(&c, &item));
	assert_int_equal(item, 7);
	assert_int_equal(rcqb_enqueue(ring, SHIFT, 8), 0);
	assert_true(rcqb_dequeue(&c, &item));
	assert_int_equal(item, 8);
	ring_free(ring, SHIFT);
}

/* However the ring looks, an item goes through it after a bounded number of tries. */
static void assert_passes(struct rcqb *ring, struct rcqb_consumer *c)
{
	uint64_t item;

	for (int tries = 0; tries < 8 * SLOTS; tries++) {
		if (rcqb_enqueue(ring, SHIFT, 4711) < 0) {
			while (rcqb_dequeue(c, &item) || rcqb_recover(c))
				continue;
			continue;
		}
		for (int looks = 0; looks < 4 * SLOTS; looks++) {
			rcqb_recover(c);
			if (rcqb_dequeue(c, &item) && item == 4711)
				return;
		}
	}
	fail_msg("the queue does not recover");
}

static void scribble(struct rcqb *ring, unsigned *seed)
{
	uint64_t noise = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed) << 11 ^ (uint64_t)rand_r(seed);

	switch (rand_r(seed) % 4) {
	case 0:
		ring->tail = noise;
		break;
	case 1:
		ring->tail += noise % (4 * SLOTS) - 2 * SLOTS;
		break;
	case 2:
		ring->slot[rand_r(seed) % SLOTS].word = noise;
		break;
	default: /* near misses: the right turn, or the one before or after */
		ring->slot[rand_r(seed) % SLOTS].word += (noise % 5 - 2) << RCQB_TURN_SHIFT | noise % 2 << 40;
	}
}

static void scribbling_ends_with_the_scribbler(void **state)
{
	struct rcqb *ring = ring_new(SHIFT);
	struct rcqb_consumer c = {.ring = ring, .shift = SHIFT};
	unsigned seed = 1;

	for (int round = 0; round < 300; round++) {
		for (int i = rand_r(&seed) % 30; i >= 0; i--) {
			uint64_t item, before = c.head;

			scribble(ring, &seed);
			rcqb_dequeue(&c, &item);
			rcqb_recover(&c);
			assert_true(c.head - before <= 1 + SLOTS); /* bounded work */
		}
		assert_passes(ring, &c);
	}
	ring_free(ring, SHIFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_consumer_gets_everything_once),
		cmocka_unit_test(many_consumers_get_everything_once),
		cmocka_unit_test(a_full_queue_refuses_and_recovers),
		cmocka_unit_test(a_dead_producer_blocks_nobody),
		cmocka_unit_test(a_late_producer_draws_again),
		cmocka_unit_test(scribbling_ends_with_the_scribbler),
	};

	return cmocka_run_group_tests_name("ipc-queue", tests, NULL, NULL) != 0;
}
