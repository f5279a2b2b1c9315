/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks, execs, and what changes the rules for good.
 *
 * Whatever leaves this process, by fork or over an exec, leaves as the kernel's: descriptors are made real first, or
 * where there is no FUSE mount, get tokens.
 * What our process keeps to itself, close-on-exec placeholders and locks, must end when an exec succeeds and stay
 * when it fails. The service sees that by itself: a connection to it is close-on-exec, and its end ends the
 * session.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "ipc/sys.h"
#include "preload/calls.h"

#define NO_MORE (NO_PLACEHOLDERS | NO_PATHS | NO_SERVICE)

/* ---- fork ------------------------------------------------------------------------------------ */

static void clone_files(void)
{
	/* Nor shall another thread leave the child a vacant one. */
	fd_used_closed(0);
	fd_vacate();
	fd_materialise_all(WHY_FORK);
	fd_cwd_token();
}

static void clone_prepare(uint64_t flags)
{
	if (flags & CLONE_VM) {
		if ((flags & CLONE_THREAD) && (flags & (CLONE_FILES | CLONE_FS)) == (CLONE_FILES | CLONE_FS))
			return;
		clone_files();
		if (flags & CLONE_THREAD)
			process_limit(NO_MORE); /* a thread with descriptors or paths of its own */
		else
			process_vfork(!(flags & CLONE_VFORK));
		return;
	}
	clone_files();
	if (flags & CLONE_FILES)
		process_limit(NO_MORE); /* two processes change one descriptor table */
	if (flags & CLONE_FS)
		process_limit(NO_PATHS);
}

/* Where the child has to tell at once what it has mapped, we fork ourselves. */
static int clone_done(struct preload_regs *r, int on_our_stack)
{
	if (!map_any() || !on_our_stack)
		return 0;
	map_fork(r);
	return 1;
}

int call_fork(struct preload_regs *r)
{
	clone_prepare(0);
	return clone_done(r, 1);
}

/*
 * The child of a vfork is left to the kernel, which without FUSE cannot open files for it, nor go to its directory. A
 * fork is a vfork, too, as POSIX has it.
 */
int call_vfork(struct preload_regs *r)
{
	if (!process.tokens) {
		clone_prepare(CLONE_VM | CLONE_VFORK);
		return 0;
	}
	clone_prepare(0);
	r->ret = sys0(__NR_fork);
	return 1;
}

int call_clone(struct preload_regs *r)
{
	clone_prepare(r->a[0]);
	return clone_done(r, !(r->a[0] & CLONE_VM) && !r->a[1]);
}

int call_clone3(struct preload_regs *r)
{
	if (fs_memory_readable(r->a[0], sizeof(uint64_t)))
		clone_prepare(*(const uint64_t *)r->a[0]);
	return 0;
}

/* ---- exec ------------------------------------------------------------------------------------ */

/* Lets go of all handles that descriptors of the kernel's, or tokens, stand for. If the exec fails they are adopted
 * again. */
static void exec_forget(void)
{
	struct fs_file *f;
	uint32_t fd, entry;

	for (fd = 0; fd < process.fd_top; fd++) {
		if (!fd_is(fd, FD_REAL) && !fd_is_token(fd))
			continue;
		entry = fd_take(fd);
		f = fs_file_at(FD_INDEX(entry));
		fs_file_put(f);
	}
}

static int exec_knows_files(void)
{
	uint32_t fd;

	for (fd = 0; fd < process.fd_top; fd++)
		if (FD_STATE(fd_entry(fd)) >= FD_PLACEHOLDER)
			return 1;
	return map_any();
}

static int exec_with_session(struct preload_regs *r, int connection)
{
	r->ret = sys5((long)r->nr, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3], (long)r->a[4]);
	/* It failed: the session lives on. */
	sys_sendto(connection, "", 1, 0x4000 /* MSG_NOSIGNAL */);
	sys_close(connection);
	return 1;
}

static int exec_call(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t flags)
{
	int remain, connection;

	fd_cwd_token();
	if (!fs_attached() || !exec_knows_files())
		return 0;
	/* Shells try one directory of PATH after the other: most fail, and need nothing done. */
	if (!(flags & AT_EMPTY_PATH) && sys3(__NR_faccessat, (long)dirfd, (long)path, 1) < 0)
		return 0;
	remain = fd_materialise_inherited();
	if (!remain && !process.posix_locked && !map_any()) {
		exec_forget();
		return 0;
	}
	connection = fs_hello_exec();
	return connection < 0 ? 0 : exec_with_session(r, connection);
}

int call_execve(struct preload_regs *r)
{
	return exec_call(r, (uint64_t)AT_FDCWD, r->a[0], 0);
}

int call_execveat(struct preload_regs *r)
{
	if (fd_materialise(r->a[0], WHY_EXEC) < 0)
		return 0;
	return exec_call(r, r->a[0], r->a[1], r->a[4]);
}

/* ---- rules ----------------------------------------------------------------------------------- */

int call_unshare(struct preload_regs *r)
{
	if (r->a[0] & CLONE_FILES)
		process_limit(NO_MORE);
	if (r->a[0] & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER))
		process_limit(NO_PLACEHOLDERS | NO_PATHS);
	return 0;
}

int call_setns(struct preload_regs *r)
{
	process_limit(NO_PLACEHOLDERS | NO_PATHS);
	return 0;
}

/* chroot, pivot_root: paths may mean something else from now on. */
int call_new_paths(struct preload_regs *r)
{
	process_limit(NO_PLACEHOLDERS | NO_PATHS);
	return 0;
}

/* And to others, too, as soon as it is done: mount, umount2. */
int call_mounts(struct preload_regs *r)
{
	process_limit(NO_PLACEHOLDERS | NO_PATHS);
	r->ret = sys5(r->nr, r->a[0], r->a[1], r->a[2], r->a[3], r->a[4]);
	if (r->ret == 0)
		fs_mounts_changed();
	return 1;
}

/* Its descriptors may be placeholders, which the dispatcher makes real before the kernel has the call. */
int call_move_mount(struct preload_regs *r)
{
	return process.placeholders ? call_new_paths(r) : call_mounts(r);
}

int call_prctl(struct preload_regs *r)
{
	if (r->a[0] == PR_SET_SECCOMP)
		process_limit(NO_MORE);
	return 0;
}

int call_seccomp(struct preload_regs *r)
{
	enum { SET_MODE_STRICT = 0, SET_MODE_FILTER = 1 };

	if (r->a[0] == SET_MODE_STRICT || r->a[0] == SET_MODE_FILTER)
		process_limit(NO_MORE);
	return 0;
}

/* Descriptors named in rings, which we do not read. If they cannot be real, there are no rings. */
int call_io_uring(struct preload_regs *r)
{
	if (process.tokens && r->nr == __NR_io_uring_setup)
		return call_done(r, -ENOSYS);
	if (!process_limited(NO_PLACEHOLDERS))
		process_limit(NO_PLACEHOLDERS);
	return 0;
}

/*
 * Before a limit is lowered: nothing can be put under a number beyond it any more, so what is to be made real or given
 * a token is made so now. Another process may lower our limit unseen (prlimit(1)): children lose those descriptors then.
 */
static void limit_comes(uint64_t resource, uint64_t address)
{
	if ((uint32_t)resource == RLIMIT_NOFILE && process.placeholders &&
	    fs_memory_readable(address, sizeof(struct rlimit)))
		fd_materialise_from(((const struct rlimit *)address)->rlim_cur, WHY_NUMBER);
}

/* RLIMIT_FSIZE may change; it is asked for again after the kernel has done this. */
int call_setrlimit(struct preload_regs *r)
{
	limit_comes(r->a[0], r->a[1]);
	r->ret = sys2(__NR_setrlimit, (long)r->a[0], (long)r->a[1]);
	process_size_limit_changed();
	return 1;
}

int call_prlimit64(struct preload_regs *r)
{
	if (!r->a[2])
		return 0;
	limit_comes(r->a[1], r->a[2]);
	r->ret = sys4(__NR_prlimit64, (long)r->a[0], (long)r->a[1], (long)r->a[2], (long)r->a[3]);
	process_size_limit_changed();
	return 1;
}
