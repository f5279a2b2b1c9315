/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-memory attach: the kernel copies between the service's memory and a client's. A client that passes an
 * address of nothing gets a short count, or -EFAULT.
 */
#include <errno.h>
#include <sys/uio.h>
#include "ipc/copy.h"

typedef ssize_t cma_call(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long,
			 unsigned long);

/* The call may end early, at a boundary between two mappings. */
static int64_t cma_move(cma_call *call, int pid, char *local, uint64_t remote, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		struct iovec here = {local + done, length - done};
		struct iovec there = {(void *)(uintptr_t)(remote + done), length - done};
		ssize_t n = call(pid, &here, 1, &there, 1, 0);

		if (n <= 0)
			return done ? (int64_t)done : n < 0 ? -errno : 0;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

int64_t cma_read(int pid, void *to, uint64_t from, uint64_t length)
{
	return cma_move(process_vm_readv, pid, to, from, length);
}

int64_t cma_write(int pid, uint64_t to, const void *from, uint64_t length)
{
	return cma_move(process_vm_writev, pid, (char *)(uintptr_t)from, to, length);
}
