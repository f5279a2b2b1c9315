/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What communication between processes costs, ours against others: bench-ipc [--json] [--quick] [PART...]
 *
 *   trip     a null request, there and back
 *   clients  many clients of one thread
 *   queue    our queue against those of well-known libraries
 *   paper    and against those of other papers
 *   copy     data, in one copy or two
 */
#include <stddef.h>

#include "bench/ipc.h"

int main(int argc, char **argv)
{
	static const char *const names[] = {"trip", "clients", "queue", "paper", "copy", NULL};
	static void (*const parts[])(const struct bench *) = {bench_trip, bench_clients, bench_queue, bench_paper_queue,
							      bench_copy};
	struct bench b;

	(void)argc;
	bench_begin(&b, "ipc", names, argv);
	for (int i = 0; names[i]; i++)
		if (bench_wants(&b, names[i]))
			parts[i](&b);
	return 0;
}
