/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers of system calls. Each gets the registers and returns 1 with regs->ret set, or 0: then the
 * dispatcher makes the call's placeholders real and the kernel does it. So "0" is always right, and never fast.
 */
#pragma once

#include <errno.h>
#include "ipc/front-count.h"
#include "preload/dispatch.h"
#include "preload/fd.h"
#include "preload/map.h"
#include "preload/path.h"
#include "preload/process.h"

typedef int call_handler(struct preload_regs *regs);

/* Answers with r, or passes if r is FS_KERNEL. */
static inline int call_done(struct preload_regs *regs, int64_t r)
{
	if (__builtin_expect(r == FS_KERNEL, 0))
		return 0;
	front_count_served(regs->nr);
	regs->ret = r;
	return 1;
}

/* Answers with r and ends a file's reference. */
static inline int call_done_file(struct preload_regs *regs, struct fs_file *f, int64_t r)
{
	fs_file_put(f);
	return call_done(regs, r);
}

/* calls-open.c */
call_handler call_open, call_openat, call_openat2, call_creat, call_close, call_close_range;
/* calls-data.c */
call_handler call_read, call_write, call_pread64, call_pwrite64, call_readv, call_writev, call_preadv, call_pwritev,
	call_preadv2, call_pwritev2, call_lseek, call_getdents64;
/* calls-range.c */
call_handler call_fsync, call_fdatasync, call_sync_file_range, call_syncfs, call_sync, call_fallocate, call_fadvise64,
	call_readahead;
/* calls-copy.c */
call_handler call_copy_file_range, call_sendfile;
/* calls-map.c */
call_handler call_mmap;
/* calls-memory.c */
call_handler call_msync, call_munmap, call_mprotect, call_mremap, call_brk, call_shmdt, call_mmap_fixed;
/* calls-stat.c */
call_handler call_stat, call_lstat, call_fstat, call_newfstatat, call_statx, call_access, call_faccessat,
	call_faccessat2, call_readlink, call_readlinkat, call_statfs, call_fstatfs;
/* calls-name.c */
call_handler call_mkdir, call_mkdirat, call_mknod, call_mknodat, call_symlink, call_symlinkat, call_link, call_linkat,
	call_unlink, call_rmdir, call_unlinkat, call_rename, call_renameat, call_renameat2;
/* calls-attr.c */
call_handler call_chmod, call_fchmod, call_fchmodat, call_fchmodat2, call_chown, call_lchown, call_fchown,
	call_fchownat, call_truncate, call_ftruncate, call_utime, call_utimes, call_futimesat, call_utimensat;
/* calls-watch.c */
call_handler call_inotify_add_watch;
int call_fcntl_notify(struct preload_regs *regs);
/* calls-xattr.c */
call_handler call_getxattr, call_lgetxattr, call_fgetxattr, call_setxattr, call_lsetxattr, call_fsetxattr,
	call_listxattr, call_llistxattr, call_flistxattr, call_removexattr, call_lremovexattr, call_fremovexattr;
/* calls-fd.c */
call_handler call_dup, call_dup2, call_dup3, call_fcntl, call_ioctl;
/* calls-lock.c */
call_handler call_flock;
int call_fcntl_lock(struct preload_regs *regs);
/* calls-wait.c */
call_handler call_poll, call_select, call_epoll_ctl, call_sendmsg, call_sendmmsg;
/* calls-process.c */
call_handler call_fork, call_vfork, call_clone, call_clone3, call_execve, call_execveat, call_unshare, call_setns,
	call_new_paths, call_mounts, call_move_mount, call_prctl, call_seccomp, call_io_uring, call_setrlimit, call_prlimit64;
/* calls-self.c */
call_handler call_chdir, call_fchdir, call_getcwd, call_umask, call_setid, call_setfsid;
