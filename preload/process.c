/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's state: its beginning, its forks, and what it gave up.
 *
 * A child made by vfork or posix_spawn shares our memory and runs while its parent's thread waits. It must not
 * touch our tables, which describe the parent's descriptors. It is recognised by its process id, which costs a
 * system call; so we ask only between a thread's vfork and that thread's next call.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include "ipc/sys.h"
#include "libfs/memory.h"
#include "preload/fd.h"
#include "preload/map.h"
#include "preload/process.h"

struct process process;
struct process_kept process_kept;

enum size_limit {
	SIZE_LIMIT_UNKNOWN = 0,
	SIZE_LIMIT_NONE,
	SIZE_LIMIT_SET,
};

int process_init(uint32_t mode)
{
	int r = fs_wipe_on_fork(&process, sizeof(process));

	if (r < 0)
		return r;
	fs_memory_watch();
	fs_cwd_by(fd_cwd_identify);
	process_kept.mode = mode;
	if (mode == MODE_REAL)
		process_kept.limits |= NO_PLACEHOLDERS;
	return 0;
}

static int process_has_tokens(void)
{
	const struct wire_table *t = fs_table();
	uint32_t i;

	for (i = 0; i < t->mount_count && i < WIRE_MOUNTS_MAX; i++)
		if (!(t->mount[i].flags & (WIRE_MOUNT_FUSE | WIRE_MOUNT_KERNEL)))
			return 1;
	return 0;
}

/* The first call in this process: of the program, or of the child of a fork. */
static int process_begin(void)
{
	if (fs_init() < 0)
		return 0;
	/* Calls that do not come here would find placeholders. */
	if (preload_status.coverage != PRELOAD_FULL)
		__atomic_or_fetch(&process_kept.limits, NO_PLACEHOLDERS, __ATOMIC_RELAXED);
	process.tokens = (uint32_t)process_has_tokens();
	__atomic_store_n(&process.pid, (uint32_t)sys_getpid(), __ATOMIC_RELEASE);
	if (map_any())
		map_inherited();
	return 1;
}

static void process_vfork_over(uint32_t tid)
{
	unsigned i;

	for (i = 0; i < PROCESS_FORKERS; i++)
		if (process.vfork_tid[i] == tid) {
			__atomic_store_n(&process.vfork_tid[i], 0, __ATOMIC_RELEASE);
			__atomic_sub_fetch(&process.vforks, 1, __ATOMIC_ACQ_REL);
			return;
		}
}

int process_enter_slow(void)
{
	if (!process.pid)
		return process_begin();
	if ((uint32_t)sys_getpid() != process.pid)
		return 0;
	process_vfork_over((uint32_t)sys_gettid());
	return 1;
}

void process_vfork(int for_ever)
{
	uint32_t free, tid = (uint32_t)sys_gettid();
	unsigned i;

	__atomic_add_fetch(&process.vforks, 1, __ATOMIC_ACQ_REL);
	for (i = 0; i < PROCESS_FORKERS && !for_ever; i++) {
		free = 0;
		if (__atomic_compare_exchange_n(&process.vfork_tid[i], &free, tid, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return;
	}
}

void process_limit(uint32_t limits)
{
	if (limits & NO_PLACEHOLDERS) {
		__atomic_or_fetch(&process_kept.limits, NO_PLACEHOLDERS, __ATOMIC_SEQ_CST);
		fd_materialise_all(WHY_CLASS);
	}
	__atomic_or_fetch(&process_kept.limits, limits, __ATOMIC_SEQ_CST);
}

void process_size_limit_changed(void)
{
	process.size_limit = SIZE_LIMIT_UNKNOWN;
}

int process_size_limited(void)
{
	struct rlimit limit;

	if (process.tokens)
		return 0; /* the kernel cannot */
	if (__builtin_expect(process.size_limit == SIZE_LIMIT_UNKNOWN, 0)) {
		if (sys_failed(sys2(__NR_getrlimit, RLIMIT_FSIZE, (long)&limit)))
			return 0;
		process.size_limit = limit.rlim_cur == RLIM_INFINITY ? SIZE_LIMIT_NONE : SIZE_LIMIT_SET;
	}
	return process.size_limit == SIZE_LIMIT_SET;
}

static unsigned process_digits(char *to, int64_t number)
{
	char reversed[24];
	unsigned n = 0, i;
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do {
		reversed[n++] = (char)('0' + left % 10);
		left /= 10;
	} while (left);
	if (number < 0)
		reversed[n++] = '-';
	for (i = 0; i < n; i++)
		to[i] = reversed[n - 1 - i];
	return n;
}

void process_broken(const char *what, int64_t number)
{
	char line[160];
	unsigned n = 0;
	const char *p;

	if (!process_strict())
		return;
	for (p = "polytropon: "; *p; p++)
		line[n++] = *p;
	for (p = what; *p && n < 120; p++)
		line[n++] = *p;
	line[n++] = ' ';
	n += process_digits(line + n, number);
	line[n++] = '\n';
	sys3(__NR_write, 2, (long)line, n);
	sys3(__NR_tgkill, sys_getpid(), sys_gettid(), SIGABRT);
	sys1(__NR_exit_group, 134);
}
