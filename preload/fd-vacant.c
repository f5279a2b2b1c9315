/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vacant descriptor: a placeholder that the program has closed, and the kernel not yet, for the next open needs just
 * that number. There is one at most, and only while the program asks nothing of the kernel: whatever the dispatcher lets
 * pass, and whatever might see the descriptor or make another, has it closed first. So nothing is kept open, but between
 * the open files of a program that does nothing else.
 *
 * An open must get the lowest number that is free. process.used says what is known of that: no number below it is free.
 * The kernel gives the lowest, so when it gave one, all below were in use; a number that is closed is free. The upper half
 * counts what was closed, so that the news of a number that the kernel gave does not overwrite the later ones.
 */
#include <errno.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "preload/fd.h"

enum { CLOSED_SHIFT = 32 };
#define USED_BELOW(used) ((uint32_t)(used))
#define USED_WORD(before, below) ((((before) >> CLOSED_SHIFT) + 1) << CLOSED_SHIFT | (below))

uint64_t fd_used(void)
{
	return __atomic_load_n(&process.used, __ATOMIC_ACQUIRE);
}

void fd_used_given(uint64_t before, uint32_t fd)
{
	if (USED_BELOW(before) <= fd && fd < FD_MAX)
		__atomic_compare_exchange_n(&process.used, &before, USED_WORD(before, fd + 1), 0, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED);
}

void fd_used_closed(uint32_t fd)
{
	uint64_t used = fd_used();

	while (!__atomic_compare_exchange_n(&process.used, &used,
					    USED_WORD(used, USED_BELOW(used) < fd ? USED_BELOW(used) : fd), 1,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

/* Another thread may have learnt meanwhile that a higher number was given: this one is free, nevertheless. */
static void vacant_close(uint32_t vacant)
{
	if (!vacant)
		return;
	sys_close((int)vacant - 1);
	fd_used_closed(vacant - 1);
}

void fd_vacate(void)
{
	vacant_close(__atomic_exchange_n(&process.vacant, 0, __ATOMIC_ACQ_REL));
}

int fd_vacant_keep(uint32_t fd)
{
	uint64_t used = fd_used();

	do {
		if (USED_BELOW(used) <= fd)
			return 0;
	} while (!__atomic_compare_exchange_n(&process.used, &used, USED_WORD(used, fd), 1, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	vacant_close(__atomic_exchange_n(&process.vacant, fd + 1, __ATOMIC_ACQ_REL));
	return 1;
}

int64_t fd_vacant_take(int cloexec)
{
	uint32_t vacant = __atomic_exchange_n(&process.vacant, 0, __ATOMIC_ACQ_REL), fd = vacant - 1;
	uint64_t used;

	if (!vacant)
		return -EBADF;
	used = fd_used();
	if (USED_BELOW(used) == fd && __atomic_compare_exchange_n(&process.used, &used, USED_WORD(used, vacant), 0,
								  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED) &&
	    !sys_failed(sys3(__NR_fcntl, (long)fd, F_SETFD, cloexec ? FD_CLOEXEC : 0)))
		return fd;
	vacant_close(vacant); /* a lower number was closed since */
	return -EBADF;
}
