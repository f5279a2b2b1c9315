/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "engine/table.h"

struct wire_table *table_map(int fd)
{
	void *p = mmap(NULL, sizeof(struct wire_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct wire_table *table_unmap(struct wire_table *table)
{
	if (table)
		munmap(table, sizeof(*table));
	return NULL;
}

void table_state(struct wire_table *table, enum wire_service_state state, pid_t service)
{
	if (!table)
		return;
	__atomic_store_n(&table->service_pid, service, __ATOMIC_RELAXED);
	/* The state before the generation: who sees the new generation sees why. */
	__atomic_store_n(&table->service_state, state, __ATOMIC_RELEASE);
	__atomic_add_fetch(&table->generation, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &table->generation, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
