/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-range locks and flock, as fcntl(2) and flock(2) say. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "service/lock.h"

static struct lock_range range(uint64_t owner, int type, uint64_t start, uint64_t end)
{
	return (struct lock_range){.owner = {LOCK_OWNER_PROCESS, owner}, .type = type, .start = start, .end = end,
				   .pid = owner};
}

static int set(struct lock_table *t, uint64_t owner, int type, uint64_t start, uint64_t end)
{
	struct lock_range r = range(owner, type, start, end);

	return lock_set(t, &r);
}

static void readers_share_and_writers_do_not(void **state)
{
	struct lock_table t;

	lock_table_init(&t);
	assert_int_equal(set(&t, 1, F_RDLCK, 0, 9), 0);
	assert_int_equal(set(&t, 2, F_RDLCK, 5, 15), 0);
	assert_int_equal(set(&t, 3, F_WRLCK, 9, 9), -EAGAIN);
	assert_int_equal(set(&t, 1, F_WRLCK, 0, 4), 0);  /* an upgrade of what nobody shares */
	assert_int_equal(set(&t, 1, F_WRLCK, 0, 9), -EAGAIN);
	assert_int_equal(set(&t, 3, F_RDLCK, 4, 4), -EAGAIN);
	lock_table_fini(&t);
}

static void unlocking_the_middle_splits(void **state)
{
	struct lock_table t;

	lock_table_init(&t);
	assert_int_equal(set(&t, 1, F_WRLCK, 0, 99), 0);
	assert_int_equal(set(&t, 1, F_UNLCK, 40, 59), 0);
	assert_int_equal(set(&t, 2, F_WRLCK, 40, 59), 0);
	assert_int_equal(set(&t, 2, F_WRLCK, 39, 39), -EAGAIN);
	assert_int_equal(set(&t, 2, F_WRLCK, 60, 60), -EAGAIN);
	lock_table_fini(&t);
}

static void getlk_names_the_first_conflict(void **state)
{
	struct lock_range probe = range(9, F_WRLCK, 0, UINT64_MAX), found;
	struct lock_table t;

	lock_table_init(&t);
	set(&t, 1, F_WRLCK, 100, 199);
	set(&t, 2, F_RDLCK, 10, 19);
	lock_get(&t, &probe, &found);
	assert_int_equal(found.type, F_RDLCK);
	assert_int_equal(found.start, 10);
	assert_int_equal(found.end, 19);
	assert_int_equal(found.pid, 2);
	probe = range(2, F_WRLCK, 0, 50);
	lock_get(&t, &probe, &found);
	assert_int_equal(found.type, F_UNLCK); /* its own lock is no conflict */
	lock_table_fini(&t);
}

static int done_result[4];
static void done(struct lock_wait *wait, int result)
{
	done_result[wait->range.pid] = result;
}

static void a_wait_is_granted_when_the_way_is_free(void **state)
{
	struct lock_wait wait = {.range = range(2, F_WRLCK, 0, 9), .done = done};
	struct lock_table t;

	lock_table_init(&t);
	done_result[2] = 77;
	set(&t, 1, F_WRLCK, 5, 5);
	assert_int_equal(lock_set_wait(&t, &wait), 1);
	assert_int_equal(done_result[2], 77);
	assert_true(lock_drop(&t, (struct lock_owner){LOCK_OWNER_PROCESS, 1}, false));
	assert_int_equal(done_result[2], 0);
	assert_int_equal(set(&t, 1, F_RDLCK, 9, 9), -EAGAIN);
	lock_table_fini(&t);
}

static void a_wait_can_be_cancelled_once(void **state)
{
	struct lock_wait wait = {.range = range(2, F_WRLCK, 0, 9), .done = done};
	struct lock_table t;

	lock_table_init(&t);
	set(&t, 1, F_WRLCK, 5, 5);
	assert_int_equal(lock_set_wait(&t, &wait), 1);
	assert_true(lock_cancel(&wait));
	assert_int_equal(done_result[2], -EINTR);
	assert_false(lock_cancel(&wait));
	lock_table_fini(&t);
}

static void a_circle_is_refused(void **state)
{
	struct lock_wait one = {.range = range(1, F_WRLCK, 10, 10), .done = done},
			 two = {.range = range(2, F_WRLCK, 0, 0), .done = done};
	struct lock_table a, b;

	lock_table_init(&a);
	lock_table_init(&b);
	set(&a, 1, F_WRLCK, 0, 0);
	set(&b, 2, F_WRLCK, 10, 10);
	assert_int_equal(lock_set_wait(&b, &one), 1);
	assert_int_equal(lock_set_wait(&a, &two), -EDEADLK);
	assert_true(lock_cancel(&one));
	lock_table_fini(&a);
	lock_table_fini(&b);
}

static void flocks_and_ranges_do_not_see_each_other(void **state)
{
	struct lock_range f = {.owner = {LOCK_OWNER_OFD, 7}, .type = F_WRLCK, .flock = true, .end = UINT64_MAX};
	struct lock_table t;

	lock_table_init(&t);
	set(&t, 1, F_WRLCK, 0, UINT64_MAX);
	assert_int_equal(lock_set(&t, &f), 0);
	f.owner.id = 8;
	assert_int_equal(lock_set(&t, &f), -EAGAIN);
	lock_table_fini(&t);
}

/* Against a model: an array of owners by byte. */
static void random_ranges_match_a_model(void **state)
{
	enum { BYTES = 64, OWNERS = 3 };
	int model[BYTES][OWNERS] = {{0}};
	struct lock_table t;

	lock_table_init(&t);
	srandom(1);
	for (int n = 0; n < 200000; n++) {
		static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
		int owner = random() % OWNERS, type = types[random() % 3], a = random() % BYTES, b = random() % BYTES;
		int start = a < b ? a : b, end = a < b ? b : a, expected = 0;
		for (int i = start; i <= end && type != F_UNLCK; i++)
			for (int o = 0; o < OWNERS; o++)
				if (o != owner && model[i][o] &&
				    (type == F_WRLCK || model[i][o] == 1 + F_WRLCK))
					expected = -EAGAIN;
		assert_int_equal(set(&t, owner + 1, type, start, end), expected);
		for (int i = start; i <= end && expected == 0; i++)
			model[i][owner] = type == F_UNLCK ? 0 : 1 + type;
	}
	lock_table_fini(&t);
}

static struct lock_table shared;
static int inside;

static void *contend(void *arg)
{
	uint64_t me = (uintptr_t)arg;

	for (int n = 0; n < 20000; n++) {
		if (set(&shared, me, F_WRLCK, 0, 0) < 0)
			continue;
		assert_int_equal(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST), 1);
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		assert_int_equal(set(&shared, me, F_UNLCK, 0, 0), 0);
	}
	return NULL;
}

static void one_writer_at_a_time(void **state)
{
	pthread_t thread[8];

	lock_table_init(&shared);
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&thread[i], NULL, contend, (void *)(i + 1));
	for (int i = 0; i < 8; i++)
		pthread_join(thread[i], NULL);
	assert_null(shared.held);
	lock_table_fini(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_share_and_writers_do_not),
		cmocka_unit_test(unlocking_the_middle_splits),
		cmocka_unit_test(getlk_names_the_first_conflict),
		cmocka_unit_test(a_wait_is_granted_when_the_way_is_free),
		cmocka_unit_test(a_wait_can_be_cancelled_once),
		cmocka_unit_test(a_circle_is_refused),
		cmocka_unit_test(flocks_and_ranges_do_not_see_each_other),
		cmocka_unit_test(random_ranges_match_a_model),
		cmocka_unit_test(one_writer_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
