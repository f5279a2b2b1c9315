/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New placeholders: the one that was closed last (fd-vacant.c), a duplicate of one that is there, or a new one, which costs
 * several times as much.
 * The one to duplicate may be closed by another thread meanwhile, or get a token; whoever gives up a placeholder's
 * number or changes what is behind it says so in fd_changes first, so that an unchanged count proves that the duplicate
 * is of a placeholder.
 */
#include <errno.h>
#include <fcntl.h>
#include "ipc/sys.h"
#include "preload/fd.h"

static int64_t placeholder_duplicate(int cloexec)
{
	uint32_t changes = __atomic_load_n(&process.fd_changes, __ATOMIC_SEQ_CST);
	uint32_t source = __atomic_load_n(&process.source, __ATOMIC_RELAXED) - 1;
	int64_t fd;

	if (!fd_entry_plain(fd_entry(source))) /* a token stands for one file and no other */
		return -EBADF;
	fd = sys3(__NR_fcntl, source, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	if (__atomic_load_n(&process.fd_changes, __ATOMIC_SEQ_CST) == changes)
		return fd;
	if (fd >= 0)
		sys_close((int)fd);
	return -EBADF;
}

static int64_t placeholder_new(int cloexec)
{
	int64_t fd = fd_vacant_take(cloexec);
	uint64_t used;

	if (fd >= 0)
		return fd;
	used = fd_used();
	fd = placeholder_duplicate(cloexec);
	if (fd < 0 && fd != -EMFILE)
		fd = sys_openat(AT_FDCWD, WIRE_PLACEHOLDER, O_PATH | (cloexec ? O_CLOEXEC : 0), 0);
	if (fd >= 0)
		fd_used_given(used, (uint32_t)fd);
	return fd;
}

void fd_open_begin(void *arg)
{
	struct fd_opening *opening = arg;
	int64_t fd = placeholder_new(opening->cloexec);

	if (fd >= FD_MAX)
		sys_close((int)fd);
	opening->fd = fd < FD_MAX ? fd : -1;
	if (opening->fd >= 0)
		fd_enter_opening((uint32_t)fd);
}

void fd_open_cancel(struct fd_opening *opening)
{
	if (opening->fd >= 0)
		fd_leave_opening((uint32_t)opening->fd);
}

static int64_t open_descriptor(struct fs_file *f, const struct fd_opening *opening)
{
	int64_t fd = opening->fd;

	if (fd >= 0 && fd_enter_opened((uint32_t)fd, f))
		return fd;
	fd = placeholder_new(opening->cloexec);
	if (fd >= FD_MAX && (fs_table()->mount[f->mount].flags & WIRE_MOUNT_FUSE))
		return fd_open_real(f, (uint32_t)fd, opening->cloexec);
	if (fd < 0 || fd >= FD_MAX) {
		if (fd >= 0)
			sys_close((int)fd);
		fs_file_put(f);
		return fd < 0 ? fd : -EMFILE;
	}
	fd_enter((uint32_t)fd, FD_PLACEHOLDER, f);
	return fd;
}

int64_t fd_open(struct fs_file *f, struct fd_opening *opening)
{
	int64_t fd = open_descriptor(f, opening), r = 0;

	/* Another thread may just have lost us the right to placeholders. */
	if (fd >= 0 && process_limited(NO_PLACEHOLDERS))
		r = fd_materialise((uint64_t)fd, WHY_CLASS);
	return r < 0 ? r : fd;
}

int fd_is_kernel_placeholder(uint32_t fd)
{
	const struct wire_table *t = fs_table();
	struct fd_identity id;

	if (fd_identify((int)fd, "", &id) < 0)
		return 0;
	return id.ino == (t->placeholder_ino_lo | (uint64_t)t->placeholder_ino_hi << 32) &&
	       id.dev == (t->placeholder_dev_lo | (uint64_t)t->placeholder_dev_hi << 32);
}
