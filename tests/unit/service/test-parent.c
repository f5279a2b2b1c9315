/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of processes whose children were looked for: of that process, of no other with its number or place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/parent.h"
#include "service/stats.h"

enum { ROW = 3, DEPTH = 2 };

/* Of a process that ends by itself, should the test fail. */
static uint64_t id_of_child(pid_t *ret)
{
	*ret = fork();
	if (*ret == 0) {
		sleep(5);
		_exit(0);
	}
	return parent_id(*ret);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void processes_differ(void **state)
{
	pid_t a, b;
	uint64_t of_a = id_of_child(&a), of_b = id_of_child(&b);

	assert_true(of_a && of_b && of_a != of_b);
	assert_true(parent_id(a) == of_a);
	end(a);
	end(b);
	assert_true(parent_id(a) == 0);
}

static void a_row_is_known_while_it_is_the_same(void **state)
{
	struct meter *m = stat_meter();
	pid_t pid;
	uint64_t id = id_of_child(&pid);
	unsigned row = 0;

	end(pid);
	m->container[ROW].pid = 77;
	assert_false(parent_known(id, DEPTH, &row));
	parent_remember(id, DEPTH, ROW);
	assert_true(parent_known(id, DEPTH, &row));
	assert_int_equal(row, ROW);
	assert_false(parent_known(id, DEPTH + 1, &row)); /* in a namespace of its own */
	assert_false(parent_known(id + 64, DEPTH, &row));
	assert_false(parent_known(0, DEPTH, &row));
	m->container[ROW].pid = 78; /* another container has the row */
	assert_false(parent_known(id, DEPTH, &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_differ),
		cmocka_unit_test(a_row_is_known_while_it_is_the_same),
	};

	if (stat_open(-1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
