/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>
#include "ipc/front-lease.h"
#include "ipc/sys.h"

static int turn_change(struct front_lease *l, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(&l->turn, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* The next one with which nothing may be used. */
static uint64_t turn_off(uint64_t turn)
{
	return (turn | 1) + 1;
}

void front_lease_drop(struct front_lease *l)
{
	uint64_t turn;

	do
		turn = __atomic_load_n(&l->turn, __ATOMIC_RELAXED);
	while (!turn_change(l, turn, turn_off(turn)));
}

static int table_valid(const struct lease_table *table)
{
	return table->magic == WIRE_MAGIC && table->version == WIRE_VERSION;
}

void front_lease_take(struct front_lease *l, uint64_t turn, int fd)
{
	int flags = (l->table ? MAP_FIXED : 0) | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED);
	void *memory;

	if (!turn_change(l, turn, turn_off(turn)) || (fd < 0 && !l->table))
		return;
	if (fd >= 0 && sys3(__NR_lseek, fd, 0, 2 /* SEEK_END */) < (long)sizeof(struct lease_table))
		return;
	memory = sys_mmap((void *)l->table, sizeof(struct lease_table), PROT_READ, flags, fd, 0);
	if (sys_failed((long)memory))
		return;
	l->table = memory;
	if (fd >= 0 && table_valid(l->table))
		turn_change(l, turn_off(turn), turn_off(turn) + 1);
}

void front_lease_end(struct front_lease *l)
{
	front_lease_drop(l);
	if (l->table)
		sys_munmap((void *)l->table, sizeof(struct lease_table));
	l->table = NULL;
}
