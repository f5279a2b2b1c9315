/* SPDX-License-Identifier: Apache-2.0 */
/* The copies copy: every byte, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ipc/copy.h"

enum { ROOM = 4096, MARGIN = 128 };

static void assert_copies(void (*copy)(void *, const void *, uint64_t), size_t to, size_t from, size_t length)
{
	static unsigned char source[ROOM], target[ROOM], expected[ROOM];

	for (size_t i = 0; i < ROOM; i++)
		source[i] = (unsigned char)(i * 7 + i / 256);
	memset(target, 0xee, ROOM);
	memset(expected, 0xee, ROOM);
	memcpy(expected + to, source + from, length);
	copy(target + to, source + from, length);
	assert_memory_equal(target, expected, ROOM);
}

static void every_size_and_alignment(void **state)
{
	for (size_t length = 0; length < 700; length += length < 300 ? 1 : 37) {
		for (size_t shift = 0; shift < 70; shift += 3) {
			assert_copies(copy_smc, MARGIN + shift, MARGIN, length);
			assert_copies(copy_smo, MARGIN + shift, MARGIN, length);
			assert_copies(copy_smo, MARGIN, MARGIN + shift, length);
		}
	}
	assert_copies(copy_smo, MARGIN + 1, MARGIN + 5, ROOM - 2 * MARGIN);
}

/* The prefetches reach beyond the source: they must not fault. */
static void up_to_the_end_of_memory(void **state)
{
	char *memory = mmap(NULL, 3 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *target = malloc(ROOM);

	assert_int_equal(munmap(memory + ROOM, 2 * ROOM), 0);
	memset(memory, 5, ROOM);
	copy_smo(target, memory, ROOM);
	assert_memory_equal(target, memory, ROOM);
	munmap(memory, ROOM);
	free(target);
}

static void another_process_memory(void **state)
{
	static char theirs[3 * ROOM] = "before";
	char mine[3 * ROOM];
	int ready[2], done[2], status;
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready) + pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		strcpy(theirs, "child");
		if (write(ready[1], "", 1) != 1 || read(done[0], &byte, 1) != 1)
			_exit(9);
		_exit(strcmp(theirs, "changed") != 0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(cma_read(pid, mine, (uintptr_t)theirs, sizeof(mine)), sizeof(mine));
	assert_string_equal(mine, "child");
	assert_int_equal(cma_write(pid, (uintptr_t)theirs, "changed", 8), 8);
	assert_int_equal(cma_read(pid, mine, 16, 1), -EFAULT);
	assert_int_equal(write(done[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cma_read(pid, mine, (uintptr_t)theirs, 1), -ESRCH);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(done[i]);
	}
}

static void a_range_that_ends_early_is_short(void **state)
{
	char *memory = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char mine[2 * ROOM];

	assert_int_equal(munmap(memory + ROOM, ROOM), 0);
	assert_int_equal(cma_read(getpid(), mine, (uintptr_t)memory + 100, sizeof(mine) - 100), ROOM - 100);
	munmap(memory, ROOM);
}

static void thresholds_are_sizes(void **state)
{
	struct copy_thresholds t;

	copy_measure(&t);
	assert_true(t.smo_min == UINT32_MAX || (t.smo_min >= 4096 && !(t.smo_min & (t.smo_min - 1))));
	assert_true(t.cma_min == UINT32_MAX || (t.cma_min >= 4096 && !(t.cma_min & (t.cma_min - 1))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_and_alignment),
		cmocka_unit_test(up_to_the_end_of_memory),
		cmocka_unit_test(another_process_memory),
		cmocka_unit_test(a_range_that_ends_early_is_short),
		cmocka_unit_test(thresholds_are_sizes),
	};

	return cmocka_run_group_tests_name("ipc-copy", tests, NULL, NULL) != 0;
}
