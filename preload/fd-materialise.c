/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making placeholders real.
 *
 * One thread of the process does it at a time, with all signals blocked: a handler that touched the same file would
 * wait for itself. It holds that lock while it waits for the service, which is the one exception to the rule of
 * docs/architecture.md: two threads must not open the same file twice, for only one kernel file can keep its offset.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "ipc/front-count.h"
#include "ipc/sys.h"
#include "preload/fd.h"
#include "preload/path.h"

enum { MOVING_FREE, MOVING_HELD, MOVING_AWAITED };

static uint64_t signals_block(void)
{
	uint64_t all = ~0ull, old = 0;

	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all));
	return old;
}

static void signals_restore(uint64_t old)
{
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old));
}

static void moving_lock(void)
{
	uint32_t word = MOVING_FREE;

	if (__atomic_compare_exchange_n(&process.moving, &word, MOVING_HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&process.moving, MOVING_AWAITED, __ATOMIC_ACQUIRE) != MOVING_FREE)
		sys_futex_wait(&process.moving, MOVING_AWAITED, NULL);
}

static void moving_unlock(void)
{
	if (__atomic_exchange_n(&process.moving, MOVING_FREE, __ATOMIC_RELEASE) == MOVING_AWAITED)
		sys_futex_wake(&process.moving, 0x7fffffff);
}

void fd_moving_begin(struct fd_moving *m)
{
	m->signals = signals_block();
	moving_lock();
}

void fd_moving_end(struct fd_moving *m)
{
	moving_unlock();
	signals_restore(m->signals);
}

void fd_wait(void)
{
	uint32_t word = MOVING_HELD;

	if (__atomic_compare_exchange_n(&process.moving, &word, MOVING_AWAITED, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		word = MOVING_AWAITED;
	if (word == MOVING_AWAITED)
		sys_futex_wait(&process.moving, MOVING_AWAITED, NULL);
}

static int64_t move_open(const char *path, void *arg)
{
	struct fs_file *f = arg;
	int64_t fd = sys_openat(AT_FDCWD, path,
				(int)(f->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW)) | O_CLOEXEC, 0);

	/* A name that leads to it this once: looked for again, it is gone, and the kernel forgets the file when it is closed. */
	if (path_is_made_up(path, str_length(path)))
		sys4(__NR_faccessat, AT_FDCWD, (long)path, F_OK, 0);
	return fd;
}

/* Puts the kernel's file `real` under one descriptor that is a placeholder of f's. */
static void move_replace(uint32_t fd, struct fs_file *f, int real)
{
	uint32_t entry = FD_ENTRY(FD_PLACEHOLDER, fs_file_index(f)), moving = FD_ENTRY(FD_MOVING, fs_file_index(f));
	uint32_t after = FD_ENTRY(FD_REAL, fs_file_index(f));
	int64_t flags;

	__atomic_add_fetch(&process.fd_changes, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_compare_exchange_n(&process.fd[fd], &entry, moving, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	flags = sys3(__NR_fcntl, fd, F_GETFD, 0);
	if (!fd_is_kernel_placeholder(fd) || sys_failed(sys3(__NR_dup3, real, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0))) {
		process_broken("descriptor changed unseen:", fd);
		front_count(WIRE_COUNT_STALE, 1);
		after = FD_UNKNOWN;
	}
	__atomic_store_n(&process.fd[fd], after, __ATOMIC_RELEASE);
	/* Not before: who sees that there are none lets the kernel use any descriptor. */
	__atomic_sub_fetch(&process.placeholders, 1, __ATOMIC_RELEASE);
	if (after == FD_UNKNOWN)
		fs_file_put(f); /* not the last: fd_materialise holds one */
}

/* A descriptor of f's that is real already: a duplicate of f was made while f moved. Or -1. */
static int move_find(struct fs_file *f)
{
	uint32_t fd, real = FD_ENTRY(FD_REAL, fs_file_index(f));

	for (fd = 0; fd < process.fd_top; fd++)
		if (fd_entry(fd) == real)
			return (int)fd;
	return -1;
}

static int64_t move_file_opened(struct fs_file *f)
{
	int64_t real = fs_materialise(f, 0, move_open, f);

	if (real < 0 && real != -EMFILE)
		real = fs_materialise(f, 1, move_open, f);
	/* A file that this process made and may not open again, or that is being renamed all the time: the service does
	 * it. */
	if (real < 0 && real != -EMFILE)
		real = fs_fetch(f);
	return real;
}

/*
 * No number is free, and the program cannot know that we need one: its soft limit is raised for a moment. At its hard
 * limit it has to do without.
 */
static int64_t move_file_beyond_limit(struct fs_file *f)
{
	enum { ROOM = 64 };
	struct rlimit before, more;
	int64_t real;

	if (sys_failed(sys2(__NR_getrlimit, RLIMIT_NOFILE, (long)&before)))
		return -EMFILE;
	more = before;
	more.rlim_cur = (before.rlim_cur > process.fd_top ? before.rlim_cur : process.fd_top) + ROOM;
	if (more.rlim_cur > before.rlim_max)
		more.rlim_cur = before.rlim_max;
	if (sys_failed(sys2(__NR_setrlimit, RLIMIT_NOFILE, (long)&more)))
		return -EMFILE;
	real = move_file_opened(f);
	sys2(__NR_setrlimit, RLIMIT_NOFILE, (long)&before);
	return real;
}

int64_t fd_open_real(struct fs_file *f, uint32_t fd, int cloexec)
{
	struct fd_moving moving;
	int64_t real;

	fd_moving_begin(&moving);
	f->offset = FS_MOVED;
	front_count(WIRE_COUNT_REAL_CALL + WHY_NUMBER, 1);
	real = move_file_opened(f);
	if (real >= 0) {
		sys3(__NR_dup3, real, fd, cloexec ? O_CLOEXEC : 0);
		sys_close((int)real);
	} else {
		sys_close((int)fd);
	}
	fd_moving_end(&moving);
	fs_file_put(f);
	return real < 0 ? real : (int64_t)fd;
}

static int64_t move_file(struct fs_file *f)
{
	uint64_t offset = __atomic_exchange_n(&f->offset, FS_MOVED, __ATOMIC_ACQ_REL);
	int found = move_find(f);
	int64_t real = found >= 0 ? found : move_file_opened(f);
	uint32_t fd;

	if (real == -EMFILE)
		real = move_file_beyond_limit(f);
	if (real < 0) {
		__atomic_store_n(&f->offset, offset, __ATOMIC_RELEASE);
		return real;
	}
	if (offset && offset != FS_MOVED)
		sys3(__NR_lseek, real, (long)offset, SEEK_SET);
	for (fd = 0; fd < process.fd_top; fd++)
		if (fd_is(fd, FD_PLACEHOLDER))
			move_replace(fd, f, (int)real);
	if (found < 0)
		sys_close((int)real);
	return 0;
}

static int64_t move_to_others(struct fs_file *f, enum reason why)
{
	return why == WHY_FORK || why == WHY_EXEC || why == WHY_PASSED || why == WHY_NUMBER ? fd_token(f) : -ENOTSUP;
}

int64_t fd_materialise(uint64_t fd, enum reason why)
{
	struct fs_file *f = fd_placeholder(fd);
	struct fd_moving moving;
	int64_t r = 0;

	if (!f)
		return 0;
	if (!(fs_table()->mount[f->mount].flags & WIRE_MOUNT_FUSE)) {
		r = move_to_others(f, why);
		fs_file_put(f);
		return r;
	}
	fd_moving_begin(&moving);
	if (fd_is(fd, FD_PLACEHOLDER)) {
		front_count(WIRE_COUNT_REAL_CALL + why, 1);
		r = move_file(f);
	}
	fd_moving_end(&moving);
	fs_file_put(f);
	if (r < 0 && r != -EMFILE)
		process_broken("cannot make a descriptor real:", r);
	return r;
}

void fd_materialise_from(uint64_t from, enum reason why)
{
	for (; from < process.fd_top && process.placeholders; from++) {
		fd_leave_opening((uint32_t)from);
		fd_materialise(from, why);
	}
}

void fd_materialise_all(enum reason why)
{
	fd_materialise_from(0, why);
}

int fd_materialise_inherited(void)
{
	uint32_t fd;
	int remain = 0;

	for (fd = 0; fd < process.fd_top; fd++) {
		fd_leave_opening(fd);
		if (!fd_is(fd, FD_PLACEHOLDER))
			continue;
		if (sys3(__NR_fcntl, fd, F_GETFD, 0) == 0)
			fd_materialise(fd, WHY_EXEC);
		else if (!fd_is_token(fd))
			remain = 1;
	}
	return remain;
}

void fd_settle(uint32_t fd, struct fs_file *f)
{
	uint32_t entry = FD_ENTRY(FD_PLACEHOLDER, fs_file_index(f));
	struct fd_moving moving;

	fd_moving_begin(&moving);
	if (fd_is_kernel_placeholder(fd))
		move_file(f);
	else if (__atomic_compare_exchange_n(&process.fd[fd], &entry, FD_ENTRY(FD_REAL, fs_file_index(f)), 0,
					     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		__atomic_sub_fetch(&process.placeholders, 1, __ATOMIC_RELAXED);
	fd_moving_end(&moving);
}
