/* SPDX-License-Identifier: Apache-2.0 */
/* What is believed of the order in which files are opened: what happened twice, until it does not any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "service/ahead-chain.h"

static void assert_next(uint64_t after, const char *path)
{
	char next[CHAIN_PATH];
	bool believed = chain_next(after, next);

	assert_int_equal(believed, path != NULL);
	if (path)
		assert_string_equal(next, path);
}

static void twice_is_believed(void **state)
{
	assert_next(1, NULL);
	chain_learn(1, "a.h");
	assert_next(1, NULL);
	chain_learn(1, "a.h");
	assert_next(1, "a.h");
	assert_next(2, NULL);
}

static void what_happens_no_more_is_forgotten(void **state)
{
	for (int i = 0; i < 10; i++)
		chain_learn(3, "old.h");
	chain_learn(3, "new.h");
	assert_next(3, "old.h");
	chain_learn(3, "new.h");
	assert_next(3, NULL);
	chain_learn(3, "new.h");
	chain_learn(3, "new.h");
	assert_next(3, "new.h");
}

static void no_longer_than_there_is_room(void **state)
{
	char path[CHAIN_PATH + 1];

	memset(path, 'x', sizeof(path));
	path[CHAIN_PATH] = 0;
	chain_learn(4, path);
	chain_learn(4, path);
	assert_next(4, NULL);
	path[CHAIN_PATH - 1] = 0;
	chain_learn(4, path);
	chain_learn(4, path);
	assert_next(4, path);
}

static void nothing_comes_after_nothing(void **state)
{
	chain_learn(0, "a.h");
	chain_learn(0, "a.h");
	assert_next(0, NULL);
}

/* Two that share a place: the one that is believed stays, until the other has been seen as often. */
static void places_are_shared(void **state)
{
	const uint64_t a = 5, b = 5 + (1 << 20);

	chain_learn(a, "a.h");
	chain_learn(a, "a.h");
	chain_learn(b, "b.h");
	assert_next(b, NULL);
	chain_learn(b, "b.h");
	chain_learn(b, "b.h");
	assert_next(b, "b.h");
	assert_next(a, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(twice_is_believed),	       cmocka_unit_test(what_happens_no_more_is_forgotten),
		cmocka_unit_test(no_longer_than_there_is_room), cmocka_unit_test(nothing_comes_after_nothing),
		cmocka_unit_test(places_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
