/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of I/O by a clock that the test sets: rates, bursts, debts, and whose turn it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/limiter.h"

#define SECOND 1000000000ll

static struct limiter l;
static int64_t now;

static int setup(void **state)
{
	limiter_init(&l);
	now = 1000 * SECOND;
	return 0;
}

static void set(int payer, enum limit limit, uint64_t rate, int64_t burst)
{
	limiter_set(&l, payer, limit, rate, burst, now);
}

static bool admit(unsigned payer, enum limit_flow flow, uint64_t bytes)
{
	return limiter_admit(&l, payer, flow, bytes, now);
}

static unsigned admitted(unsigned payer, enum limit_flow flow, uint64_t bytes, unsigned of)
{
	unsigned n = 0;

	while (n < of && admit(payer, flow, bytes))
		n++;
	return n;
}

static struct limit_wait *waits(unsigned payer, enum limit_flow flow, uint64_t bytes, unsigned front)
{
	struct limit_wait *w = calloc(1, sizeof(*w));

	*w = (struct limit_wait){.payer = payer, .flow = flow, .bytes = bytes, .front = front, .since = now, .owner = &l,
				 .id = now + 1};
	now++;
	limiter_wait(&l, w);
	return w;
}

/* Serves whoever may go on for so long; counts them by payer. */
static void run(int64_t ns, unsigned served[LIMIT_PAYERS])
{
	int64_t end = now + ns, when;
	struct limit_wait *w;

	while (now <= end) {
		while ((w = limiter_next(&l, 3, now, &when)) != NULL) {
			limiter_take(&l, w, now);
			served[w->payer]++;
			free(w);
		}
		if (when > end)
			break;
		assert_true(when > now);
		now = when;
	}
	now = end;
}

static void clear(void)
{
	struct limit_wait *w;

	while ((w = limiter_remove(&l, &l, 0)) != NULL)
		free(w);
}

static void without_a_limit_everything_goes_on(void **state)
{
	assert_false(l.limits);
	assert_int_equal(admitted(1, LIMIT_READS, 0, 1000), 1000);
	set(LIMIT_POOL, LIMIT_IOPS, 10, SECOND);
	assert_true(l.limits);
	assert_int_equal(admitted(1, LIMIT_NAMES, 0, 1000), 1000); /* that is another limit */
	set(LIMIT_POOL, LIMIT_IOPS, 0, SECOND);
	assert_false(l.limits);
}

static void a_burst_and_then_the_rate(void **state)
{
	set(LIMIT_POOL, LIMIT_IOPS, 10, 2 * SECOND);
	/* One more than the burst: a bucket that is not overdrawn has one to give. */
	assert_int_equal(admitted(1, LIMIT_READS, 0, 1000), 21);
	now += SECOND / 10;
	assert_int_equal(admitted(1, LIMIT_WRITES, 0, 1000), 1);
	assert_int_equal(admitted(1, LIMIT_WRITES, 0, 1000), 0);
	now += 100 * SECOND; /* no more than the burst is saved up */
	assert_int_equal(admitted(1, LIMIT_READS, 0, 1000), 21);
}

static void a_second_has_so_many(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0};

	set(LIMIT_POOL, LIMIT_META_OPS, 1000, SECOND / 1000);
	for (int i = 0; i < 50000; i++)
		waits(2, LIMIT_NAMES, 0, i & 1);
	run(10 * SECOND, served);
	assert_in_range(served[2], 9990, 10010);
	clear();
}

static void what_turns_out_later_is_owed(void **state)
{
	set(LIMIT_POOL, LIMIT_READ_BPS, 1000, SECOND);
	assert_true(admit(1, LIMIT_READS, 0));
	limiter_charge(&l, 1, LIMIT_READ_BPS, 6000, now); /* a burst of it was there */
	assert_int_equal(limiter_owed(&l, LIMIT_READ_BPS, now), 5 * SECOND);
	assert_false(admit(1, LIMIT_READS, 0));
	assert_true(admit(1, LIMIT_WRITES, 100000)); /* a read's bytes do not hold up a write */
	now += 5 * SECOND;
	assert_true(admit(1, LIMIT_READS, 0));
}

static void a_change_counts_at_once(void **state)
{
	set(LIMIT_POOL, LIMIT_WRITE_BPS, 1000, SECOND);
	assert_true(admit(1, LIMIT_WRITES, 101000)); /* 100 s of debt */
	set(LIMIT_POOL, LIMIT_WRITE_BPS, 100000, SECOND);
	assert_int_equal(limiter_owed(&l, LIMIT_WRITE_BPS, now), SECOND);
	set(LIMIT_POOL, LIMIT_WRITE_BPS, 0, SECOND);
	assert_true(admit(1, LIMIT_WRITES, 1));
	set(LIMIT_POOL, LIMIT_WRITE_BPS, 1000, SECOND); /* and nothing of it is remembered */
	assert_true(admit(1, LIMIT_WRITES, 1));
}

static void a_container_has_its_own_beside_the_pools(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0};

	set(LIMIT_POOL, LIMIT_IOPS, 1000, SECOND / 1000);
	set(3, LIMIT_IOPS, 100, SECOND / 100);
	for (int i = 0; i < 2000; i++) {
		waits(3, LIMIT_READS, 0, 0);
		waits(4, LIMIT_READS, 0, 0);
	}
	run(SECOND, served);
	assert_in_range(served[3], 98, 102);
	assert_in_range(served[4], 890, 910); /* what the other must leave is not lost */
	limiter_forget(&l, 3);
	clear();
}

static void many_threads_get_no_more_than_one(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0};

	set(LIMIT_POOL, LIMIT_IOPS, 100, SECOND / 100);
	for (int i = 0; i < 5000; i++)
		waits(1, LIMIT_READS, 0, 1);
	for (int i = 0; i < 500; i++)
		waits(2, LIMIT_READS, 0, 0); /* they came last */
	run(4 * SECOND, served);
	assert_in_range(served[1], 198, 203);
	assert_in_range(served[2], 198, 203);
	clear();
}

static void turns_are_by_what_is_taken(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0};

	set(LIMIT_POOL, LIMIT_WRITE_BPS, 1 << 20, SECOND / 100);
	for (int i = 0; i < 4000; i++) {
		waits(1, LIMIT_WRITES, 65536, 0);
		waits(2, LIMIT_WRITES, 4096, 0);
	}
	run(8 * SECOND, served);
	assert_in_range(served[1], 62, 67); /* 4 MiB each */
	assert_in_range(served[2], 1000, 1050);
	clear();
}

/* Who was idle has its share from now on, not what it did not take before. */
static void idleness_saves_no_turns_up(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0}, later[LIMIT_PAYERS] = {0};

	set(LIMIT_POOL, LIMIT_IOPS, 100, SECOND / 100);
	for (int i = 0; i < 3000; i++)
		waits(1, LIMIT_READS, 0, 0);
	run(10 * SECOND, served);
	for (int i = 0; i < 3000; i++)
		waits(2, LIMIT_READS, 0, 0);
	run(2 * SECOND, later);
	assert_in_range(later[1], 97, 104);
	assert_in_range(later[2], 97, 104);
	clear();
}

static void nobody_overtakes(void **state)
{
	struct limit_wait *w;
	int64_t when;

	set(LIMIT_POOL, LIMIT_IOPS, 10, SECOND / 10);
	assert_int_equal(admitted(1, LIMIT_READS, 0, 10), 2);
	w = waits(1, LIMIT_READS, 0, 0);
	now += SECOND;
	assert_false(admit(1, LIMIT_READS, 0));
	assert_false(admit(2, LIMIT_READS, 0));
	assert_ptr_equal(limiter_next(&l, 1, now, &when), w);
	assert_null(limiter_next(&l, 2, now, &when)); /* of the other front */
	limiter_take(&l, w, now);
	free(w);
	assert_true(admit(2, LIMIT_READS, 0));
}

static void nobody_overtakes_those_of_his_own(void **state)
{
	struct limit_wait *w;

	set(1, LIMIT_IOPS, 10, SECOND / 10);
	assert_int_equal(admitted(1, LIMIT_READS, 0, 10), 2);
	w = waits(1, LIMIT_READS, 0, 0);
	now += SECOND;
	assert_false(admit(1, LIMIT_READS, 0));
	assert_true(admit(2, LIMIT_READS, 0)); /* whom it does not concern */
	limiter_take(&l, w, now);
	free(w);
	assert_true(admit(1, LIMIT_READS, 0));
}

static void what_is_taken_out_costs_nothing(void **state)
{
	struct limit_wait *w;

	set(LIMIT_POOL, LIMIT_IOPS, 1, SECOND);
	assert_int_equal(admitted(1, LIMIT_READS, 0, 10), 2);
	w = waits(1, LIMIT_READS, 0, 0);
	assert_null(limiter_remove(&l, &now, 0));
	assert_null(limiter_remove(&l, &l, w->id + 1));
	assert_ptr_equal(limiter_remove(&l, &l, w->id), w);
	free(w);
	now += SECOND;
	assert_true(admit(1, LIMIT_READS, 0));
	set(LIMIT_POOL, LIMIT_IOPS, 0, SECOND);
	assert_false(l.limits);
}

/* Without a rate, those who still wait are let go, and only then nothing is looked at any more. */
static void those_who_wait_for_a_limit_that_is_gone_go_on(void **state)
{
	unsigned served[LIMIT_PAYERS] = {0};

	set(5, LIMIT_META_OPS, 1, SECOND);
	for (int i = 0; i < 100; i++)
		waits(5, LIMIT_NAMES, 0, 1);
	set(5, LIMIT_META_OPS, 0, SECOND);
	assert_true(l.limits);
	run(0, served);
	assert_int_equal(served[5], 100);
	assert_false(l.limits);
}

static void numbers_may_be_anything(void **state)
{
	static const uint64_t some[] = {0, 1, 1ull << 32, UINT64_MAX / 2, UINT64_MAX};

	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k < 5; k++) {
			set(LIMIT_POOL, LIMIT_WRITE_BPS, some[i], 3600 * SECOND);
			for (int n = 0; n < 100; n++)
				limiter_charge(&l, 1, LIMIT_WRITE_BPS, some[k], now);
			set(LIMIT_POOL, LIMIT_WRITE_BPS, some[k], 1);
			assert_in_range(limiter_owed(&l, LIMIT_WRITE_BPS, now), 0, 3600 * SECOND);
		}
}

int main(void)
{
#define test(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		test(without_a_limit_everything_goes_on),
		test(a_burst_and_then_the_rate),
		test(a_second_has_so_many),
		test(what_turns_out_later_is_owed),
		test(a_change_counts_at_once),
		test(a_container_has_its_own_beside_the_pools),
		test(many_threads_get_no_more_than_one),
		test(turns_are_by_what_is_taken),
		test(idleness_saves_no_turns_up),
		test(nobody_overtakes),
		test(nobody_overtakes_those_of_his_own),
		test(what_is_taken_out_costs_nothing),
		test(those_who_wait_for_a_limit_that_is_gone_go_on),
		test(numbers_may_be_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
