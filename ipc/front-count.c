/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/front-count.h"
#include <sys/mman.h>
#include "ipc/sys.h"

struct wire_counts front_counts __attribute__((aligned(WIRE_PAGE))); /* whole pages, and nothing else in them */

static uint32_t counts_mapped;

/* What was counted before the first session; later counts are in the session before. Of our shard: nobody else has
 * done much yet, and a look at all would cost more than they are worth. */
static void counts_move(struct wire_counts *to)
{
	const struct wire_count_shard *from = front_count_shard();

	mem_copy(&to->shard[from - front_counts.shard], from, sizeof(*from));
}

void front_count_attach(char *segment, int fd)
{
	if (!counts_mapped)
		counts_move((struct wire_counts *)(segment + WIRE_COUNTS_AT));
	/* In one step, for other threads count meanwhile. */
	if (!sys_failed((long)sys_mmap(&front_counts, sizeof(front_counts), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, fd, WIRE_COUNTS_AT)))
		counts_mapped = 1;
}
