/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dispatcher for tests of the mechanism. It counts what comes, in the file that PATCH_TEST_COUNTERS names, and
 * handles some calls on two descriptors that the kernel does not have, so that a program can tell who answered.
 */
#include "tests/unit/patch/dispatch.h"

#include "ipc/sys.h"
#include "preload/class.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct patch_counters *counters;
static int linker;

int preload_init(char **envp)
{
	const char *path = class_getenv(envp, "PATCH_TEST_COUNTERS");
	long fd = path ? sys_openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;

	if (fd >= 0) {
		void *at = sys_mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);

		counters = sys_failed((long)at) ? NULL : at;
		sys_close((int)fd);
	}
	linker = class_getenv(envp, "PATCH_TEST_LINKER") != NULL;
	return class_getenv(envp, "PATCH_TEST_LOAD_ONLY") == NULL;
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
static void wait_ms(uint64_t ms)
{
	const int64_t until = sys_now() + (int64_t)ms * 1000000;
	const struct sys_time moment = {0, 1000000};

	__atomic_fetch_add(&counters->slow_begun, 1, __ATOMIC_RELAXED);
	while (sys_now() < until)
		sys_nanosleep(&moment);
	__atomic_fetch_add(&counters->slow_done, 1, __ATOMIC_RELAXED);
}

static int64_t fake(const struct preload_regs *regs)
{
	switch (regs->nr) {
	case __NR_read:
		if (regs->a[0] == FAKE_FD_SLOW && counters)
			wait_ms(regs->a[2]);
		mem_fill((void *)regs->a[1], 'x', regs->a[2] < 16 ? regs->a[2] : 16);
		return (int64_t)regs->a[2];
	case __NR_fcntl:
		return (int64_t)(regs->a[1] ^ regs->a[2]);
	case __NR_pwrite64:
		return (int64_t)((regs->a[2] + regs->a[3]) % 3);
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
	if (linker)
		preload_patch_linker();
	if (regs->a[0] != FAKE_FD && regs->a[0] != FAKE_FD_SLOW)
		return 0;
	regs->ret = fake(regs);
	return 1;
}
