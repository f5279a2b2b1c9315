/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the program gives back or protects: what libfs/memory.h remembers of it is forgotten. Afterwards, so
 * the call is made here: what another thread found in between was still there.
 */
#include <sys/mman.h>
#include "ipc/sys.h"
#include "libfs/memory.h"
#include "preload/calls.h"

#define ADDRESSES_END (1ull << 47)

static int64_t memory_call(struct preload_regs *r)
{
	r->ret = sys6(r->nr, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3], (long)r->a[4], (long)r->a[5]);
	return r->ret;
}

/* musl's threads unmap the stack that they run on: that must happen where nothing returns. */
static int is_own_stack(const struct preload_regs *r)
{
	return sys_stack_pointer() - r->a[0] < r->a[1];
}

int call_munmap(struct preload_regs *r)
{
	if (is_own_stack(r)) {
		fs_memory_changed(r->a[0], r->a[1]);
		return 0;
	}
	if (!sys_failed(map_any() ? map_over(r) : memory_call(r)))
		fs_memory_changed(r->a[0], r->a[1]);
	return 1;
}

/* Part of it may have been done when it fails. */
int call_mprotect(struct preload_regs *r)
{
	map_any() ? map_protect(r) : memory_call(r);
	fs_memory_changed(r->a[0], r->a[1]);
	return 1;
}

int call_mremap(struct preload_regs *r)
{
	if (sys_failed(map_any() ? map_move(r) : memory_call(r)))
		return 1;
	fs_memory_changed(r->a[0], r->a[1]);
	fs_memory_changed((uint64_t)r->ret, r->a[2]);
	return 1;
}

int call_brk(struct preload_regs *r)
{
	uint64_t before = r->a[0] ? (uint64_t)sys1(__NR_brk, 0) : 0;

	if (memory_call(r) < (int64_t)before)
		fs_memory_changed((uint64_t)r->ret, before - (uint64_t)r->ret);
	return 1;
}

/* Of an unknown size. */
int call_shmdt(struct preload_regs *r)
{
	memory_call(r);
	fs_memory_changed(r->a[0], ADDRESSES_END - r->a[0]);
	return 1;
}

/* In place of what was there. */
int call_mmap_fixed(struct preload_regs *r)
{
	if (!sys_failed(map_any() ? map_over(r) : memory_call(r)))
		fs_memory_changed(r->a[0], r->a[1]);
	return 1;
}
