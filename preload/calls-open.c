/* SPDX-License-Identifier: Apache-2.0 */
/* open and close. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/calls.h"

/* Left to the kernel: descriptors that are no open files, unnamed files, and more files than we have room for (where it
 * has the mount), access modes that nobody should use. */
static int open_is_kernels(uint32_t flags, uint32_t mount)
{
	if ((flags & O_PATH) || (flags & O_TMPFILE) == O_TMPFILE || fs_files_full())
		return (fs_table()->mount[mount].flags & WIRE_MOUNT_FUSE) != 0;
	return (flags & O_ACCMODE) == O_ACCMODE || (flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY);
}

enum { OPEN_MAKES = O_CREAT | (O_TMPFILE & ~O_DIRECTORY) };

static int64_t open_descriptor(const struct fs_opened *opened, uint32_t mount, uint32_t flags,
			       struct fd_opening *opening)
{
	struct fs_file *f = fs_file_opened(mount, opened, flags & ~(uint32_t)O_CLOEXEC);

	if (!f) {
		fd_open_cancel(opening);
		fs_close(opened->handle, fs_session());
		return -ENFILE;
	}
	return fd_open(f, opening);
}

static int open_path(struct preload_regs *regs, uint64_t dirfd, uint64_t path, uint32_t flags, uint32_t mode)
{
	struct fd_opening opening = {-1, (flags & O_CLOEXEC) != 0};
	const struct front_meanwhile meanwhile = {fd_open_begin, &opening};
	struct fs_opened opened;
	struct target t;
	int64_t r;

	if (process_limited(NO_PLACEHOLDERS) || !path_resolve(dirfd, path, &t))
		return 0;
	if (open_is_kernels(flags, t.o.mount)) {
		path_end(&t);
		return 0;
	}
	mode = flags & OPEN_MAKES ? fs_mode(mode & 07777) : 0;
	r = fs_open(&t.o, flags & ~(uint32_t)O_CLOEXEC, mode, &meanwhile, &opened);
	if (r >= 0)
		r = open_descriptor(&opened, t.o.mount, flags, &opening);
	else
		fd_open_cancel(&opening);
	return path_done(regs, &t, r);
}

int call_open(struct preload_regs *r)
{
	return open_path(r, (uint64_t)AT_FDCWD, r->a[0], (uint32_t)r->a[1], (uint32_t)r->a[2]);
}

int call_openat(struct preload_regs *r)
{
	return open_path(r, r->a[0], r->a[1], (uint32_t)r->a[2], (uint32_t)r->a[3]);
}

int call_creat(struct preload_regs *r)
{
	return open_path(r, (uint64_t)AT_FDCWD, r->a[0], O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)r->a[1]);
}

int call_openat2(struct preload_regs *r)
{
	enum { KNOWN = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC |
		       O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC };
	const struct open_how *how = (const struct open_how *)r->a[2];

	if (r->a[3] != sizeof(*how) || !fs_memory_readable(r->a[2], sizeof(*how)) || how->resolve ||
	    (how->flags & ~(uint64_t)KNOWN) || (how->mode & ~07777ull) || (how->mode && !(how->flags & O_CREAT)))
		return 0;
	return open_path(r, r->a[0], r->a[1], (uint32_t)how->flags, (uint32_t)how->mode);
}

int call_close(struct preload_regs *r)
{
	uint64_t fd = r->a[0];

	process_closing(fd);
	if ((uint32_t)fd >= FD_MAX)
		return 0;
	if (process.posix_locked && !fd_is(fd, FD_FOREIGN))
		fd_adopt_locked(fd);
	if (FD_STATE(fd_entry(fd)) >= FD_PLACEHOLDER)
		return call_done(r, fd_close((uint32_t)fd));
	if (!fd_is(fd, FD_UNKNOWN))
		fd_take((uint32_t)fd);
	fd_used_closed((uint32_t)fd);
	return 0;
}

/* Ours are closed one by one; the kernel then closes what is left. */
int call_close_range(struct preload_regs *r)
{
	uint64_t fd, last = (uint32_t)r->a[1];

	if ((uint32_t)r->a[0] > last || r->a[2] & ~(uint64_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return 0;
	if (r->a[2] & CLOSE_RANGE_UNSHARE)
		process_limit(NO_PLACEHOLDERS);
	if (r->a[2] & CLOSE_RANGE_CLOEXEC)
		return 0;
	fd_used_closed((uint32_t)r->a[0]);
	for (fd = (uint32_t)r->a[0]; process.closing && fd <= last && fd < FD_MAX; fd++)
		process_closing(fd);
	for (fd = (uint32_t)r->a[0]; fd <= last && fd < process.fd_top; fd++) {
		if (!process.posix_locked && FD_STATE(fd_entry(fd)) == FD_UNKNOWN)
			continue;
		fd_adopt_locked(fd);
		if (FD_STATE(fd_entry(fd)) < FD_PLACEHOLDER)
			fd_take((uint32_t)fd);
		else
			fd_close((uint32_t)fd);
	}
	return 0;
}
