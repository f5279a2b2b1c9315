/* SPDX-License-Identifier: Apache-2.0 */
/* The queues that we wrote to compare with: what is put in comes out once, and what one thread put in comes out in order. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/queue.h"

enum { SIDE = 4, EACH = 30000, FIRST = QUEUE_LAST + 1 };

struct system {
	const struct queue_type *type;
	struct queue *queue;
	unsigned char seen[SIDE * EACH]; /* atomic */
	bool disorder;
};

struct member {
	struct system *system;
	unsigned number;
	pthread_t thread;
};

static void *producer(void *arg)
{
	struct member *m = arg;

	for (unsigned i = 0; i < EACH; i++)
		m->system->type->put(m->system->queue, FIRST + m->number * EACH + i);
	return NULL;
}

static void *consumer(void *arg)
{
	struct system *s = ((struct member *)arg)->system;
	unsigned item, next[SIDE] = {0};

	while ((item = s->type->take(s->queue)) != QUEUE_LAST) {
		unsigned who = (item - FIRST) / EACH, number = (item - FIRST) % EACH;
		if (who >= SIDE || number < next[who]) {
			s->disorder = true;
			continue;
		}
		next[who] = number + 1;
		__atomic_fetch_add(&s->seen[item - FIRST], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start(struct member *members, struct system *s, void *(*run)(void *))
{
	for (unsigned i = 0; i < SIDE; i++) {
		members[i] = (struct member){.system = s, .number = i};
		assert_int_equal(pthread_create(&members[i].thread, NULL, run, &members[i]), 0);
	}
}

static void join(struct member *members)
{
	for (unsigned i = 0; i < SIDE; i++)
		pthread_join(members[i].thread, NULL);
}

static void check(const struct queue_type *type)
{
	struct system *s = calloc(1, sizeof(*s));
	struct member producers[SIDE], consumers[SIDE];

	assert_non_null(s);
	s->type = type;
	s->queue = type->new();
	start(consumers, s, consumer);
	start(producers, s, producer);
	join(producers);
	for (unsigned i = 0; i < SIDE; i++)
		type->put(s->queue, QUEUE_LAST);
	join(consumers);
	assert_false(s->disorder);
	for (unsigned i = 0; i < SIDE * EACH; i++)
		assert_int_equal(s->seen[i], 1);
	type->free(s->queue);
	free(s);
}

static void lcrq_keeps_all(void **state)
{
	(void)state;
	check(&queue_lcrq);
}

static void wfq_keeps_all(void **state)
{
	(void)state;
	check(&queue_wfq);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lcrq_keeps_all), cmocka_unit_test(wfq_keeps_all)};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
