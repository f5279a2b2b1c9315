/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: what is good, what is remembered of it, and that it is forgotten. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "libfs/fs.h"
#include "libfs/memory.h"

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE };

static uint64_t map(uint64_t pages, int prot)
{
	void *p = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return (uint64_t)p;
}

static void unmap(uint64_t at, uint64_t pages)
{
	assert_int_equal(munmap((void *)at, pages * PAGE), 0);
	fs_memory_changed(at, pages * PAGE);
}

static void nothing_is_looked_at_before(void **state)
{
	assert_true(fs_memory_readable(8, 100));
	assert_true(fs_memory_writable((uint64_t)-100, 10));
	fs_memory_watch();
	assert_false(fs_memory_readable(8, 100));
	assert_false(fs_memory_writable((uint64_t)-100, 10));
}

static void what_is_there(void **state)
{
	uint64_t rw = map(3, RW), ro = map(1, PROT_READ), none = map(1, PROT_NONE);

	assert_true(fs_memory_writable(rw, 3 * PAGE));
	assert_true(fs_memory_known(rw / PAGE, 1) && fs_memory_known(rw / PAGE + 2, 1));
	assert_true(fs_memory_readable(ro, PAGE));
	assert_false(fs_memory_writable(ro, 1));
	assert_true(fs_memory_known(ro / PAGE, 0) && !fs_memory_known(ro / PAGE, 1));
	assert_false(fs_memory_readable(none, 1));
	assert_int_equal(*(uint64_t *)rw, 0);
	assert_true(fs_memory_readable(none, 0));
	assert_false(fs_memory_readable(0, 1));
	assert_false(fs_memory_readable(1ull << 63, 1));
	assert_false(fs_memory_readable(~0ull, 1));
	unmap(rw + PAGE, 1);
	assert_int_equal(fs_memory_good(rw + 5, 3 * PAGE, 1), PAGE - 5);
	assert_int_equal(fs_memory_good(rw + PAGE - 1, 2, 0), 1);
	assert_true(fs_memory_known(rw / PAGE, 1) && !fs_memory_known(rw / PAGE + 1, 0));
	unmap(rw, 1);
	unmap(rw + 2 * PAGE, 1);
	unmap(ro, 1);
	unmap(none, 1);
}

/* Long ranges, of which the table holds a part, and which have holes. */
static void ranges(void **state)
{
	uint64_t at = map(2000, RW), page;

	assert_int_equal(fs_memory_good(at, 2000 * PAGE, 1), 2000 * PAGE);
	assert_int_equal(fs_memory_good(at, 2000 * PAGE, 1), 2000 * PAGE);
	unmap(at + 1234 * PAGE, 1);
	assert_int_equal(fs_memory_good(at + 1, 2000 * PAGE - 1, 1), 1234 * PAGE - 1);
	assert_int_equal(fs_memory_good(at + 1230 * PAGE, 10 * PAGE, 0), 4 * PAGE);
	unmap(at, 2000);
	for (page = 0; page < 2000; page++)
		assert_false(fs_memory_known(at / PAGE + page, 0));
	assert_int_equal(fs_memory_good(at, 2000 * PAGE, 0), 0);
}

static void strings(void **state)
{
	uint64_t at = map(3, RW);
	char *p = (char *)at;

	unmap(at + 2 * PAGE, 1);
	memset(p, 'x', 2 * PAGE);
	assert_int_equal(fs_memory_text(at), FS_PATH_MAX);
	assert_int_equal(fs_memory_text(at + PAGE), FS_PATH_MAX);
	assert_int_equal(fs_memory_text(at + PAGE + 1), -EFAULT);
	assert_int_equal(fs_memory_text(at + 2 * PAGE - 1), -EFAULT);
	assert_int_equal(fs_memory_text(at + 2 * PAGE), -EFAULT);
	assert_int_equal(fs_memory_text(8), -EFAULT);
	assert_int_equal(fs_memory_text(~0ull), -EFAULT);
	for (uint64_t end = 0; end < 40; end++) {
		p[2 * PAGE - 1 - end] = 0;
		for (uint64_t start = 0; start < 60; start++)
			assert_int_equal(fs_memory_text(at + 2 * PAGE - 1 - end - start), start);
		assert_int_equal(fs_memory_text(at + 2 * PAGE - 1 - end - FS_PATH_MAX + 1), FS_PATH_MAX - 1);
		assert_int_equal(fs_memory_text(at + 2 * PAGE - 1 - end - FS_PATH_MAX), FS_PATH_MAX);
		p[2 * PAGE - 1 - end] = 'x';
	}
	p[PAGE] = 0;
	assert_int_equal(fs_path_length(p + PAGE - 3), 3);
	assert_int_equal(fs_path_length(p + 1), PAGE - 1);
	assert_int_equal(fs_memory_text(at), FS_PATH_MAX);
	unmap(at, 2);
}

/* Bits beyond ASCII are no NULs. */
static void bytes(void **state)
{
	char text[32];

	for (int b = 1; b < 256; b++) {
		memset(text, b, sizeof(text));
		text[21] = 0;
		assert_int_equal(fs_path_length(text), 21);
		text[9] = 1;
		assert_int_equal(fs_path_length(text + 1), 20);
	}
}

static uint64_t shared;
static int stop;

static void *looks(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		fs_memory_readable(__atomic_load_n(&shared, __ATOMIC_RELAXED), 1);
	return NULL;
}

/* Whoever looks while a page goes does not leave it in the table. */
static void no_page_stays(void **state)
{
	pthread_t t;
	int stale = 0;

	shared = map(1, RW);
	pthread_create(&t, NULL, looks, NULL);
	for (int i = 0; i < 20000; i++) {
		mprotect((void *)shared, PAGE, PROT_NONE);
		fs_memory_changed(shared, PAGE);
		/* What it enters now it takes out itself; give it time to. */
		for (int tries = 0; fs_memory_known(shared / PAGE, 0) && tries < 1000000; tries++)
			if (tries == 999999)
				stale++;
		mprotect((void *)shared, PAGE, PROT_READ);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	assert_int_equal(stale, 0);
	unmap(shared, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_looked_at_before),
		cmocka_unit_test(what_is_there),
		cmocka_unit_test(ranges),
		cmocka_unit_test(strings),
		cmocka_unit_test(bytes),
		cmocka_unit_test(no_page_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
