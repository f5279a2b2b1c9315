/* SPDX-License-Identifier: Apache-2.0 */
/* What the back driver takes from a client, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ipc/back-internal.h"

enum { SENTINEL = 31, TAKEN_MAX = 64 };

struct fixture {
	struct wire_table table;
	struct back *back;
	struct back_session session;
	unsigned freed;
	struct back_request taken[TAKEN_MAX];
	unsigned count;
};

static void session_free(struct back_session *session)
{
	struct fixture *x = (struct fixture *)((char *)session - offsetof(struct fixture, session));

	x->freed++;
}

static void session_open(struct fixture *x)
{
	const struct wire_session head = {.uid = 7};

	x->session.free = session_free;
	assert_int_equal(back_session_open(x->back, &x->session, &head), 0);
}

static int setup(void **state)
{
	static const int cpu = 0;
	struct fixture *x = calloc(1, sizeof(*x));
	const struct back_config config = {.table = &x->table, .cpus = &cpu, .queues = 1};

	x->table.one_core = 1;
	x->table.generation = 3;
	assert_int_equal(back_new(&config, &x->back), 0);
	session_open(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	if (!x->freed)
		back_session_close(x->back, &x->session);
	assert_int_equal(x->freed, 1);
	back_free(x->back);
	free(x);
	return 0;
}

static struct wire_slot *slot_of(struct fixture *x, unsigned index)
{
	return back_slot(x->session.memory, index);
}

static void enqueue(struct fixture *x, uint32_t number, unsigned slot)
{
	assert_int_equal(rcqb_enqueue(x->back->queue[0].ring.ring, x->back->shift, WIRE_ITEM(number, slot)), 0);
}

static void submit(struct fixture *x, unsigned index)
{
	slot_of(x, index)->request.arg = 100 + index;
	slot_of(x, index)->state = WIRE_SLOT_SUBMITTED;
	enqueue(x, x->session.number, index);
}

/* Everything that can be taken now: all that comes before a request that certainly comes. */
static void take_all(struct fixture *x)
{
	struct back_request request;

	x->count = 0;
	submit(x, SENTINEL);
	for (;;) {
		assert_int_equal(back_next(x->back, 0, &request), 1);
		assert_ptr_equal(request.session, &x->session);
		if (request.slot == SENTINEL)
			break;
		assert_true(x->count < TAKEN_MAX);
		x->taken[x->count++] = request;
	}
	back_complete(x->back, &request, &(struct wire_reply){0});
}

static void answer(struct fixture *x, unsigned i, int64_t result)
{
	back_complete(x->back, &x->taken[i], &(struct wire_reply){.result = result});
}

static void a_request_is_taken_once(void **state)
{
	struct fixture *x = *state;

	submit(x, 4);
	enqueue(x, x->session.number, 4);
	take_all(x);
	assert_int_equal(x->count, 1);
	assert_int_equal(x->taken[0].slot, 4);
	assert_int_equal(x->taken[0].request.arg, 104);
	assert_int_equal(slot_of(x, 4)->state, WIRE_SLOT_TAKEN);
	answer(x, 0, 55);
	assert_int_equal(slot_of(x, 4)->state, WIRE_SLOT_DONE);
	assert_int_equal(slot_of(x, 4)->reply.result, 55);
}

static void the_copy_is_private(void **state)
{
	struct fixture *x = *state;

	submit(x, 1);
	take_all(x);
	slot_of(x, 1)->request.arg = 666;
	assert_int_equal(x->taken[0].request.arg, 101);
	answer(x, 0, 0);
}

static void only_what_is_submitted_is_taken(void **state)
{
	static const uint32_t states[] = {WIRE_SLOT_FREE, WIRE_SLOT_TAKEN, WIRE_SLOT_DONE,
		WIRE_SLOT_DONE | WIRE_SLOT_WAITER, WIRE_SLOT_TAKEN | 8, 64};
	struct fixture *x = *state;

	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		slot_of(x, i)->state = states[i];
		enqueue(x, x->session.number, i);
	}
	take_all(x);
	assert_int_equal(x->count, 0);
}

static void numbers_of_nobody_are_refused(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < SENTINEL; i++)
		slot_of(x, i)->state = WIRE_SLOT_SUBMITTED;
	enqueue(x, x->session.number ^ 1u << 16, 0); /* the same place, another session */
	enqueue(x, x->session.number + 1, 0);
	enqueue(x, 0, 0);
	enqueue(x, BACK_NUMBER_MASK, 0);
	enqueue(x, x->session.number, WIRE_SLOTS);
	enqueue(x, x->session.number, 0xffff);
	take_all(x);
	assert_int_equal(x->count, 0);
}

/* However often the client says that it is submitted, the slot is served by one worker at a time. */
static void a_slot_is_not_served_twice_at_once(void **state)
{
	struct fixture *x = *state;
	struct back_request first;

	submit(x, 2);
	take_all(x);
	first = x->taken[0];
	submit(x, 2);
	take_all(x);
	assert_int_equal(x->count, 0);
	back_complete(x->back, &first, &(struct wire_reply){0});
	submit(x, 2);
	take_all(x);
	assert_int_equal(x->count, 1);
	answer(x, 0, 0);
}

static void a_request_that_came_a_moment_too_early_is_not_lost(void **state)
{
	struct fixture *x = *state;
	struct back_request first;

	submit(x, 2);
	take_all(x);
	first = x->taken[0];
	submit(x, 2);
	take_all(x);
	assert_int_equal(x->count, 0);
	back_complete(x->back, &first, &(struct wire_reply){0});
	/* Here it says DONE, for we were not between the worker's last two steps. As if we were: */
	slot_of(x, 2)->state = WIRE_SLOT_SUBMITTED;
	take_all(x); /* its item is gone */
	assert_int_equal(x->count, 1);
	assert_int_equal(x->taken[0].slot, 2);
	answer(x, 0, 0);
}

static void a_kick_finds_what_no_queue_names(void **state)
{
	struct fixture *x = *state;
	const unsigned slots[] = {0, 13, 30};

	for (unsigned i = 0; i < 3; i++)
		slot_of(x, slots[i])->state = WIRE_SLOT_SUBMITTED;
	take_all(x);
	assert_int_equal(x->count, 0);
	back_session_kick(x->back, &x->session);
	back_session_kick(x->back, &x->session);
	take_all(x);
	assert_int_equal(x->count, 3);
	for (unsigned i = 0; i < 3; i++)
		answer(x, i, 0);
}

static void a_closed_session_waits_for_its_requests(void **state)
{
	struct fixture *x = *state;
	uint32_t number = x->session.number;

	submit(x, 5);
	take_all(x);
	back_session_kick(x->back, &x->session);
	back_session_close(x->back, &x->session);
	assert_int_equal(x->freed, 0);
	assert_null(back_session_get(x->back, number));
	answer(x, 0, 1);
	assert_int_equal(x->freed, 1);
}

static void a_reference_keeps_a_session(void **state)
{
	struct fixture *x = *state;
	struct back_session *session = back_session_get(x->back, x->session.number);

	assert_ptr_equal(session, &x->session);
	back_session_close(x->back, session);
	assert_int_equal(x->freed, 0);
	back_session_put(session);
	assert_int_equal(x->freed, 1);
}

static void memory_cannot_be_taken_away(void **state)
{
	struct fixture *x = *state;
	struct wire_welcome welcome = {0};
	int queues;

	back_describe(x->back, &welcome, &queues);
	assert_int_equal(ftruncate(queues, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(x->session.memfd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(((struct wire_session *)x->session.memory)->uid, 7);
	assert_int_equal(((struct wire_session *)x->session.memory)->generation, 3);
}

static void stopping_ends_everybody(void **state)
{
	struct fixture *x = *state;
	struct back_request request;

	back_stop(x->back);
	assert_int_equal(back_next(x->back, 0, &request), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_taken_once),
		TEST(the_copy_is_private),
		TEST(only_what_is_submitted_is_taken),
		TEST(numbers_of_nobody_are_refused),
		TEST(a_slot_is_not_served_twice_at_once),
		TEST(a_request_that_came_a_moment_too_early_is_not_lost),
		TEST(a_kick_finds_what_no_queue_names),
		TEST(a_closed_session_waits_for_its_requests),
		TEST(a_reference_keeps_a_session),
		TEST(memory_cannot_be_taken_away),
		TEST(stopping_ends_everybody),
	};

	return cmocka_run_group_tests_name("ipc-back", tests, NULL, NULL) != 0;
}
