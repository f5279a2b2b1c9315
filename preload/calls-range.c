/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on ranges of open files, and what makes them durable. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

enum { COPY_PIECE = 16 << 20 }; /* so that a signal finds the program between pieces */

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

/* Where a copy starts on one side: at *address, or at the open file's offset. -EAGAIN: the kernel keeps that. */
static int64_t copy_start(struct fs_file *f, uint64_t address)
{
	return address ? *(const int64_t *)address : fs_lseek(f, 0, SEEK_CUR);
}

static void copy_forward(struct fs_file *f, uint64_t address, int64_t to)
{
	if (address)
		*(int64_t *)address = to;
	else
		fs_lseek(f, to, SEEK_SET);
}

static int64_t copy_check(const struct fs_file *in, const struct fs_file *out)
{
	if (in->type == S_IFDIR || out->type == S_IFDIR)
		return -EISDIR;
	if ((in->flags & O_ACCMODE) == O_WRONLY || (out->flags & O_ACCMODE) == O_RDONLY || (out->flags & O_APPEND))
		return -EBADF;
	return in->mount == out->mount ? 0 : FS_KERNEL;
}

static int64_t copy_range(struct fs_file *in, struct fs_file *out, const uint64_t *a)
{
	uint64_t length = a[4] < COPY_PIECE ? a[4] : COPY_PIECE;
	int64_t from, to, r = copy_check(in, out);

	if (r < 0)
		return r;
	from = copy_start(in, a[1]);
	to = copy_start(out, a[3]);
	if (from == -EAGAIN || to == -EAGAIN || process_size_limited())
		return FS_KERNEL;
	if (from < 0 || to < 0)
		return -EINVAL;
	r = length ? fs_copy(in, (uint64_t)from, out, (uint64_t)to, length) : 0;
	if (r > 0) {
		copy_forward(in, a[1], from + r);
		copy_forward(out, a[3], to + r);
	}
	return r == -EOPNOTSUPP ? FS_KERNEL : r;
}

int call_copy_file_range(struct preload_regs *r)
{
	struct fs_file *in = fd_file(r->a[0]), *out = fd_file(r->a[2]);
	int64_t result = FS_KERNEL;

	/* From one file system to another of a different kind: what the kernel says of it. */
	if (in && !out && (uint32_t)r->a[2] < FD_MAX && fd_probe((uint32_t)r->a[2]) == FD_FOREIGN)
		result = -EXDEV;
	else if (out && !in && (uint32_t)r->a[0] < FD_MAX && fd_probe((uint32_t)r->a[0]) == FD_FOREIGN)
		result = -EXDEV;
	else if (in && out && r->a[5])
		result = -EINVAL;
	else if (in && out && (!r->a[1] || fs_memory_writable(r->a[1], 8)) && (!r->a[3] || fs_memory_writable(r->a[3], 8)))
		result = copy_range(in, out, r->a);
	if (in)
		fs_file_put(in);
	if (out)
		fs_file_put(out);
	return call_done(r, result);
}
