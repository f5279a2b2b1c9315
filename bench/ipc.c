/* SPDX-License-Identifier: Apache-2.0 */
/* What communication between processes costs, ours against others: bench-ipc [--json] [--quick] */
#include "bench/ipc.h"

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, "ipc", argv);
	bench_trip(&b);
	bench_queue(&b);
	bench_copy(&b);
	return 0;
}
