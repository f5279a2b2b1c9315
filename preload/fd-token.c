/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens: what a descriptor becomes where there is no FUSE mount to make it real, before others get it by fork, exec or
 * SCM_RIGHTS. It stays a placeholder, to the kernel and to us; but the kernel's part of it, which was the same for all
 * files, now says which open file it stands for, and the offset is the service's (libfs/offset.c). So whoever inherits
 * it recognises it (fd-adopt.c), in this process nothing else changes, and where nobody recognises it every use fails.
 *
 * As with making real, one thread does it at a time, with all signals blocked.
 */
#include <errno.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "preload/fd.h"

/* Puts the token under a descriptor of f's. */
static void token_replace(uint32_t fd, struct fs_file *f, int token)
{
	uint32_t entry = FD_ENTRY(FD_PLACEHOLDER, fs_file_index(f)), moving = FD_ENTRY(FD_MOVING, fs_file_index(f));
	int64_t flags;

	/* Before: fd-open.c must not duplicate it for another file. */
	__atomic_add_fetch(&process.fd_changes, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_compare_exchange_n(&process.fd[fd], &entry, moving, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	flags = sys3(__NR_fcntl, fd, F_GETFD, 0);
	if (fd_is_kernel_placeholder(fd))
		sys3(__NR_dup3, token, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	else
		process_broken("descriptor changed unseen:", fd);
	__atomic_store_n(&process.fd[fd], entry, __ATOMIC_RELEASE);
}

static int64_t token_get(struct fs_file *f)
{
	uint64_t offset = __atomic_exchange_n(&f->offset, FS_HANDED, __ATOMIC_ACQ_REL);
	int64_t token = fs_token(f, offset);
	uint32_t fd;

	__atomic_store_n(&f->offset, token < 0 ? offset : FS_KEPT, __ATOMIC_RELEASE);
	if (token < 0)
		return token;
	for (fd = 0; fd < process.fd_top; fd++)
		if (fd_is(fd, FD_PLACEHOLDER))
			token_replace(fd, f, (int)token);
	sys_close((int)token);
	return 0;
}

int64_t fd_token(struct fs_file *f)
{
	struct fd_moving moving;
	int64_t r = 0;

	if (__atomic_load_n(&f->offset, __ATOMIC_ACQUIRE) == FS_KEPT)
		return 0;
	fd_moving_begin(&moving);
	if (f->offset != FS_KEPT)
		r = token_get(f);
	fd_moving_end(&moving);
	return r;
}

int fd_is_token(uint32_t fd)
{
	uint32_t entry = fd_entry(fd);

	return FD_STATE(entry) == FD_PLACEHOLDER &&
	       __atomic_load_n(&fs_file_at(FD_INDEX(entry))->offset, __ATOMIC_ACQUIRE) == FS_KEPT;
}

/* A descriptor of f's that is a token. Or -1. */
static int token_find(struct fs_file *f)
{
	uint32_t fd, entry = FD_ENTRY(FD_PLACEHOLDER, fs_file_index(f));

	for (fd = 0; fd < process.fd_top; fd++)
		if (fd_entry(fd) == entry && !fd_is_kernel_placeholder(fd))
			return (int)fd;
	return -1;
}

void fd_token_settle(uint32_t fd, struct fs_file *f)
{
	struct fd_moving moving;
	int token;

	fd_moving_begin(&moving);
	if (fd_is_kernel_placeholder(fd) && (token = token_find(f)) >= 0)
		token_replace(fd, f, token);
	fd_moving_end(&moving);
}
