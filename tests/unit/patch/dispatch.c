/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dispatcher for tests of the mechanism. It counts what comes, in a file that PATCH_TEST_COUNTERS names, and
 * handles calls on descriptors from FAKE_FD on, so that a program can tell whether the kernel was asked.
 */
#include "tests/unit/patch/dispatch.h"

#include "ipc/sys.h"
#include "preload/class.h"
#include "preload/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct patch_counters *counters;
static uint32_t handle_all;

int preload_init(char **envp)
{
	const char *path = class_getenv(envp, "PATCH_TEST_COUNTERS");
	long fd = path ? sys_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *at = fd < 0 ? NULL : sys_mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);

	if (fd >= 0)
		sys_close((int)fd);
	counters = sys_failed((long)at) ? NULL : at;
	handle_all = class_getenv(envp, "PATCH_TEST_HANDLE") != NULL;
	return class_getenv(envp, "PATCH_TEST_INIT_ONLY") != NULL;
}

static void count(const struct preload_regs *regs)
{
	if (!counters)
		return;
	counters->status = preload_status;
	if (regs->nr >= 0 && regs->nr < PATCH_COUNTERS)
		__atomic_fetch_add(&counters->calls[regs->nr], 1, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(&counters->strange, 1, __ATOMIC_RELAXED);
}

/* Long enough that signals and cancellations arrive meanwhile. */
static void wait_for(uint64_t ms)
{
	const int64_t until = sys_now() + (int64_t)ms * 1000000;
	struct sys_time pause = {0, 1000000};

	while (sys_now() < until)
		sys_nanosleep(&pause);
}

static int64_t fake(struct preload_regs *regs)
{
	switch (regs->nr) {
	case __NR_read:
		if (regs->a[0] == FAKE_FD_SLOW)
			wait_for(regs->a[2]);
		mem_fill((void *)regs->a[1], 'x', regs->a[2] < 16 ? regs->a[2] : 16);
		return (int64_t)regs->a[2];
	case __NR_fcntl:
		return (int64_t)(regs->a[1] ^ regs->a[2]);
	case __NR_pwrite64:
		return (int64_t)(regs->a[1] + regs->a[2] + regs->a[3]);
	case __NR_copy_file_range:
		return (int64_t)(regs->a[1] + regs->a[2] + regs->a[3] + regs->a[4] + regs->a[5]);
	case __NR_lseek:
		return -ESPIPE;
	default:
		return 0;
	}
}

int preload_dispatch(struct preload_regs *regs)
{
	count(regs);
	if (regs->a[0] - FAKE_FD >= 100 || regs->nr == __NR_brk)
		return 0;
	if (!handle_all)
		return 0;
	regs->ret = fake(regs);
	return 1;
}
