/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on ranges of open files, and what makes them durable. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

static int sync_file(struct preload_regs *r, int datasync)
{
	struct fs_file *f = fd_file(r->a[0]);

	return f ? call_done_file(r, f, fs_fsync(f, datasync)) : 0;
}

int call_fsync(struct preload_regs *r)
{
	return sync_file(r, 0);
}

int call_fdatasync(struct preload_regs *r)
{
	return sync_file(r, 1);
}

int call_sync_file_range(struct preload_regs *r)
{
	struct fs_file *f = fd_placeholder(r->a[0]);

	if (!f)
		return 0;
	if ((int64_t)r->a[1] < 0 || (int64_t)r->a[2] < 0 || (int64_t)(r->a[1] + r->a[2]) < 0 || r->a[3] & ~7ull)
		return call_done_file(r, f, -EINVAL);
	return call_done_file(r, f, r->a[3] ? fs_fsync(f, 1) : 0);
}

int call_syncfs(struct preload_regs *r)
{
	uint32_t state = (uint32_t)r->a[0] < FD_MAX ? fd_probe((uint32_t)r->a[0]) : FD_UNKNOWN;
	struct fs_file *f = fd_file(r->a[0]);

	if (f)
		return call_done_file(r, f, fs_syncfs(f->mount));
	return state == FD_PASS ? call_done(r, fs_syncfs(FD_INDEX(fd_entry(r->a[0])))) : 0;
}

/* The kernel does not tell a FUSE server of it. */
int call_sync(struct preload_regs *r)
{
	const struct wire_table *t = fs_table();
	uint32_t i;

	for (i = 0; i < t->mount_count && i < WIRE_MOUNTS_MAX; i++)
		if (!(t->mount[i].flags & WIRE_MOUNT_KERNEL))
			fs_syncfs(i);
	if (fs_route_own())
		fs_syncfs(fs_route_own());
	return 0;
}

int call_fallocate(struct preload_regs *r)
{
	struct fs_file *f = fd_file(r->a[0]);
	int64_t offset = (int64_t)r->a[2], length = (int64_t)r->a[3], end;

	if (!f)
		return 0;
	if (offset < 0 || length <= 0)
		return call_done_file(r, f, -EINVAL);
	if (__builtin_add_overflow(offset, length, &end))
		return call_done_file(r, f, -EFBIG);
	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return call_done_file(r, f, -EBADF);
	if (process_size_limited())
		return call_done_file(r, f, FS_KERNEL);
	return call_done_file(r, f, fs_fallocate(f, (int)r->a[1], r->a[2], r->a[3]));
}

int call_fadvise64(struct preload_regs *r)
{
	struct fs_file *f = fd_file(r->a[0]);

	if (!f)
		return 0;
	if ((int64_t)r->a[2] < 0 || (uint32_t)r->a[3] > POSIX_FADV_NOREUSE)
		return call_done_file(r, f, -EINVAL);
	return call_done_file(r, f, fs_fadvise(f, r->a[1], r->a[2], (int)r->a[3]));
}

int call_readahead(struct preload_regs *r)
{
	struct fs_file *f = fd_placeholder(r->a[0]);

	if (!f)
		return 0;
	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return call_done_file(r, f, -EBADF);
	if (f->type != S_IFREG)
		return call_done_file(r, f, -EINVAL);
	return call_done_file(r, f, fs_fadvise(f, r->a[1], r->a[2], POSIX_FADV_WILLNEED));
}
