/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: from the number of a system call to who serves it.
 *
 * One table says for each call which handler serves it, if any, and which of its arguments are descriptors. A call
 * that no handler served goes to the kernel, after the placeholders among those arguments were made real. So a
 * call that we have never heard of is slow, but right.
 */
#include "ipc/sys.h"
#include "preload/calls.h"
#include "preload/class.h"

enum {
	FD0 = 1 << 0,
	FD1 = 1 << 1,
	FD2 = 1 << 2,
	FD3 = 1 << 3,
	FD4 = 1 << 4,
	FDS = FD0 | FD1 | FD2 | FD3 | FD4,
	CALMLY = 1 << 7, /* who serves it makes no descriptor but by fd_open, and uses none but these (fd-vacant.c) */
};

enum { CALLS_MAX = 512 };

struct call {
	call_handler *serve;
	uint8_t descriptors; /* arguments that are; and CALMLY */
	uint8_t why;         /* enum reason, when they are made real */
};

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_setxattrat
#define __NR_setxattrat 463
#define __NR_getxattrat 464
#define __NR_listxattrat 465
#define __NR_removexattrat 466
#endif
#ifndef __NR_file_getattr
#define __NR_file_getattr 468
#define __NR_file_setattr 469
#endif

static const struct call calls[CALLS_MAX] = {
	[__NR_open] = {call_open, CALMLY},
	[__NR_openat] = {call_openat, FD0 | CALMLY},
	[__NR_openat2] = {call_openat2, FD0 | CALMLY},
	[__NR_creat] = {call_creat, CALMLY},
	[__NR_close] = {call_close, CALMLY},
	[__NR_close_range] = {call_close_range},

	[__NR_read] = {call_read, FD0 | CALMLY},
	[__NR_write] = {call_write, FD0 | CALMLY},
	[__NR_pread64] = {call_pread64, FD0 | CALMLY},
	[__NR_pwrite64] = {call_pwrite64, FD0 | CALMLY},
	[__NR_readv] = {call_readv, FD0 | CALMLY},
	[__NR_writev] = {call_writev, FD0 | CALMLY},
	[__NR_preadv] = {call_preadv, FD0 | CALMLY},
	[__NR_pwritev] = {call_pwritev, FD0 | CALMLY},
	[__NR_preadv2] = {call_preadv2, FD0 | CALMLY},
	[__NR_pwritev2] = {call_pwritev2, FD0 | CALMLY},
	[__NR_lseek] = {call_lseek, FD0 | CALMLY},
	[__NR_getdents] = {0, FD0},
	[__NR_getdents64] = {call_getdents64, FD0 | CALMLY},

	[__NR_fsync] = {call_fsync, FD0 | CALMLY},
	[__NR_fdatasync] = {call_fdatasync, FD0 | CALMLY},
	[__NR_sync_file_range] = {call_sync_file_range, FD0 | CALMLY},
	[__NR_syncfs] = {call_syncfs, FD0},
	[__NR_sync] = {call_sync},
	[__NR_fallocate] = {call_fallocate, FD0 | CALMLY},
	[__NR_fadvise64] = {call_fadvise64, FD0 | CALMLY},
	[__NR_readahead] = {call_readahead, FD0 | CALMLY},
	[__NR_copy_file_range] = {call_copy_file_range, FD0 | FD2 | CALMLY},

	[__NR_stat] = {call_stat, CALMLY},
	[__NR_lstat] = {call_lstat, CALMLY},
	[__NR_fstat] = {call_fstat, FD0 | CALMLY},
	[__NR_newfstatat] = {call_newfstatat, FD0 | CALMLY},
	[__NR_statx] = {call_statx, FD0 | CALMLY},
	[__NR_access] = {call_access, CALMLY},
	[__NR_faccessat] = {call_faccessat, FD0 | CALMLY},
	[__NR_faccessat2] = {call_faccessat2, FD0 | CALMLY},
	[__NR_readlink] = {call_readlink, CALMLY},
	[__NR_readlinkat] = {call_readlinkat, FD0 | CALMLY},
	[__NR_statfs] = {call_statfs},
	[__NR_fstatfs] = {call_fstatfs, FD0},

	[__NR_mkdir] = {call_mkdir, CALMLY},
	[__NR_mkdirat] = {call_mkdirat, FD0 | CALMLY},
	[__NR_mknod] = {call_mknod, CALMLY},
	[__NR_mknodat] = {call_mknodat, FD0 | CALMLY},
	[__NR_symlink] = {call_symlink, CALMLY},
	[__NR_symlinkat] = {call_symlinkat, FD1 | CALMLY},
	[__NR_link] = {call_link, CALMLY},
	[__NR_linkat] = {call_linkat, FD0 | FD2 | CALMLY},
	[__NR_unlink] = {call_unlink, CALMLY},
	[__NR_rmdir] = {call_rmdir, CALMLY},
	[__NR_unlinkat] = {call_unlinkat, FD0 | CALMLY},
	[__NR_rename] = {call_rename, CALMLY},
	[__NR_renameat] = {call_renameat, FD0 | FD2 | CALMLY},
	[__NR_renameat2] = {call_renameat2, FD0 | FD2 | CALMLY},

	[__NR_chmod] = {call_chmod, CALMLY},
	[__NR_fchmod] = {call_fchmod, FD0 | CALMLY},
	[__NR_fchmodat] = {call_fchmodat, FD0 | CALMLY},
	[__NR_fchmodat2] = {call_fchmodat2, FD0 | CALMLY},
	[__NR_chown] = {call_chown, CALMLY},
	[__NR_lchown] = {call_lchown, CALMLY},
	[__NR_fchown] = {call_fchown, FD0 | CALMLY},
	[__NR_fchownat] = {call_fchownat, FD0 | CALMLY},
	[__NR_truncate] = {call_truncate, CALMLY},
	[__NR_ftruncate] = {call_ftruncate, FD0 | CALMLY},
	[__NR_utime] = {call_utime, CALMLY},
	[__NR_utimes] = {call_utimes, CALMLY},
	[__NR_futimesat] = {call_futimesat, FD0 | CALMLY},
	[__NR_utimensat] = {call_utimensat, FD0 | CALMLY},

	[__NR_getxattr] = {call_getxattr, CALMLY},
	[__NR_lgetxattr] = {call_lgetxattr, CALMLY},
	[__NR_fgetxattr] = {call_fgetxattr, FD0 | CALMLY},
	[__NR_setxattr] = {call_setxattr, CALMLY},
	[__NR_lsetxattr] = {call_lsetxattr, CALMLY},
	[__NR_fsetxattr] = {call_fsetxattr, FD0 | CALMLY},
	[__NR_listxattr] = {call_listxattr, CALMLY},
	[__NR_llistxattr] = {call_llistxattr, CALMLY},
	[__NR_flistxattr] = {call_flistxattr, FD0 | CALMLY},
	[__NR_removexattr] = {call_removexattr, CALMLY},
	[__NR_lremovexattr] = {call_lremovexattr, CALMLY},
	[__NR_fremovexattr] = {call_fremovexattr, FD0 | CALMLY},

	[__NR_dup] = {call_dup},
	[__NR_dup2] = {call_dup2},
	[__NR_dup3] = {call_dup3},
	[__NR_fcntl] = {call_fcntl, FD0 | CALMLY},
	[__NR_ioctl] = {call_ioctl, FD0 | CALMLY},
	[__NR_flock] = {call_flock, FD0},

	[__NR_poll] = {call_poll},
	[__NR_ppoll] = {call_poll},
	[__NR_select] = {call_select},
	[__NR_pselect6] = {call_select},
	[__NR_epoll_ctl] = {call_epoll_ctl, FD0 | FD2, WHY_POLL},
	[__NR_sendmsg] = {call_sendmsg, FD0},
	[__NR_sendmmsg] = {call_sendmmsg, FD0},

	/* A file is the wrong thing for these, and programs ask by them what they have; of a placeholder they would say
	 * that it is not open. */
	[__NR_getsockname] = {0, FD0},
	[__NR_getpeername] = {0, FD0},
	[__NR_getsockopt] = {0, FD0},

	[__NR_mmap] = {call_mmap},
	[__NR_munmap] = {call_munmap},
	[__NR_mprotect] = {call_mprotect},
	[__NR_mremap] = {call_mremap},
	[__NR_msync] = {call_msync},
	[__NR_brk] = {call_brk},
	[__NR_shmdt] = {call_shmdt},
	[__NR_sendfile] = {call_sendfile, FD0 | FD1},
	[__NR_splice] = {0, FD0 | FD2},
	[__NR_tee] = {0, FD0 | FD1},
	[__NR_vmsplice] = {0, FD0},
	[__NR_inotify_add_watch] = {call_inotify_add_watch},
	[__NR_fanotify_mark] = {0, FD0 | FD3},
	[__NR_name_to_handle_at] = {0, FD0},
	[__NR_open_by_handle_at] = {0, FD0},
	[__NR_cachestat] = {0, FD0},
	[__NR_setxattrat] = {0, FD0},
	[__NR_getxattrat] = {0, FD0},
	[__NR_listxattrat] = {0, FD0},
	[__NR_removexattrat] = {0, FD0},
	[__NR_file_getattr] = {0, FD0},
	[__NR_file_setattr] = {0, FD0},
	[__NR_open_tree] = {0, FD0},
	[__NR_move_mount] = {call_move_mount, FD0 | FD2},
	[__NR_mount_setattr] = {0, FD0},
	[__NR_kcmp] = {0, FD3 | FD4},
	[__NR_io_submit] = {call_io_uring},
	[__NR_io_uring_setup] = {call_io_uring},
	[__NR_io_uring_enter] = {call_io_uring},
	[__NR_io_uring_register] = {call_io_uring},

	[__NR_fork] = {call_fork},
	[__NR_vfork] = {call_vfork},
	[__NR_clone] = {call_clone},
	[__NR_clone3] = {call_clone3},
	[__NR_execve] = {call_execve},
	[__NR_execveat] = {call_execveat, FD0, WHY_EXEC},

	[__NR_chdir] = {call_chdir},
	[__NR_fchdir] = {call_fchdir},
	[__NR_getcwd] = {call_getcwd},
	[__NR_umask] = {call_umask},
	[__NR_setuid] = {call_setid},
	[__NR_setgid] = {call_setid},
	[__NR_setreuid] = {call_setid},
	[__NR_setregid] = {call_setid},
	[__NR_setresuid] = {call_setid},
	[__NR_setresgid] = {call_setid},
	[__NR_setgroups] = {call_setid},
	[__NR_capset] = {call_setid},
	[__NR_setfsuid] = {call_setfsid},
	[__NR_setfsgid] = {call_setfsid},
	[__NR_unshare] = {call_unshare},
	[__NR_setns] = {call_setns},
	[__NR_chroot] = {call_new_paths},
	[__NR_pivot_root] = {call_new_paths},
	[__NR_mount] = {call_mounts},
	[__NR_umount2] = {call_mounts},
	[__NR_prctl] = {call_prctl},
	[__NR_seccomp] = {call_seccomp},
	[__NR_setrlimit] = {call_setrlimit},
	[__NR_prlimit64] = {call_prlimit64},
};

/* What a file says to what it cannot do, so that programs do it in another way. */
static int64_t dispatch_refusal(const struct preload_regs *regs)
{
	switch (regs->nr) {
	case __NR_ioctl:
		return -ENOTTY;
	case __NR_name_to_handle_at:
		return -EOPNOTSUPP;
	case __NR_getsockname:
	case __NR_getpeername:
	case __NR_getsockopt:
	case __NR_sendmsg:
	case __NR_sendmmsg:
		return -ENOTSOCK;
	default:
		return -EINVAL;
	}
}

/* Makes real what the kernel is about to use. 1: that failed, and so does the call. */
static int dispatch_pass(struct preload_regs *regs, const struct call *call)
{
	unsigned left = call->descriptors & FDS, i;
	int64_t r;

	front_count_kernel(regs->nr);
	if (__builtin_expect(process.vacant, 0))
		fd_vacate();
	if (__builtin_expect(!process.placeholders, 1))
		return 0;
	for (i = 0; left >> i; i++) {
		if (!(left >> i & 1))
			continue;
		r = fd_materialise(regs->a[i], (enum reason)call->why);
		if (r < 0) {
			regs->ret = r == -ENOTSUP ? dispatch_refusal(regs) : r;
			return 1;
		}
	}
	return 0;
}

/* Without FUSE a descriptor that we know nothing of may be a token. */
static void dispatch_learn(const struct preload_regs *regs, const struct call *call)
{
	unsigned left = call->descriptors & FDS, i;

	for (i = 0; left >> i; i++)
		if (left >> i & 1)
			fd_learn(regs->a[i]);
}

/* The vacant descriptor stays: this call will not see it. */
static int dispatch_is_calm(const struct preload_regs *regs, const struct call *call)
{
	unsigned left = call->descriptors & FDS, i;

	if (!(call->descriptors & CALMLY))
		return 0;
	for (i = 0; left >> i; i++)
		if (left >> i & 1 && (uint32_t)regs->a[i] + 1 == process.vacant)
			return 0;
	return 1;
}

int preload_dispatch(struct preload_regs *regs)
{
	static const struct call unknown;
	const struct call *call;

	if (process_limited(NO_SERVICE) || !process_enter())
		return 0;
	call = (uint64_t)regs->nr < CALLS_MAX ? &calls[regs->nr] : &unknown;
	if (process.vacant && !dispatch_is_calm(regs, call))
		fd_vacate();
	if (__builtin_expect(process.tokens, 0))
		dispatch_learn(regs, call);
	if (call->serve && call->serve(regs))
		return 1;
	return dispatch_pass(regs, call);
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum process_mode mode_of(const char *text)
{
	if (str_equal(text, "off"))
		return MODE_OFF;
	if (str_equal(text, "real"))
		return MODE_REAL;
	return str_equal(text, "strict") ? MODE_STRICT : MODE_LAZY;
}

int preload_init(char **envp)
{
	const char *wanted = class_getenv(envp, "POLYTROPON_MODE");
	enum process_mode mode = wanted ? mode_of(wanted) : MODE_LAZY;

	return mode != MODE_OFF && fs_init() == 0 && process_init(mode) == 0;
}
