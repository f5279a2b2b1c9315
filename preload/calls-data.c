/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing. At the open file's own offset only while it is a placeholder, for else the kernel keeps that
 * offset; at a given offset always. The checks come in the kernel's order, and where the kernel does something odd
 * the call is left to it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

enum {
	DATA_MAX = 0x7ffff000, /* MAX_RW_COUNT */
	DATA_IOV_MAX = 1024,
	DATA_RWF_WRITE = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND,
};

/* 0, or what the call fails with. */
static int64_t data_check(const struct fs_file *f, int writes)
{
	uint32_t access = f->flags & O_ACCMODE;

	if (access == (writes ? O_RDONLY : O_WRONLY))
		return -EBADF;
	return f->type == S_IFDIR ? -EISDIR : 0;
}

/* The same of its memory. `ret_total` is what it asks for; > DATA_MAX: let the kernel cut it. */
static int64_t data_ranges(const struct iovec *iov, uint64_t count, uint64_t *ret_total)
{
	uint64_t i;

	*ret_total = 0;
	for (i = 0; i < count; i++) {
		if ((int64_t)iov[i].iov_len < 0)
			return -EINVAL;
		if (iov[i].iov_len && !address_good((uint64_t)iov[i].iov_base, iov[i].iov_len))
			return -EFAULT;
		*ret_total += iov[i].iov_len;
		if (*ret_total > DATA_MAX)
			return FS_KERNEL;
	}
	return 0;
}

struct transfer {
	const struct iovec *iov;
	uint64_t count;
	int writes;
	int at; /* at `offset`, else at the open file's own */
	int64_t offset;
	uint32_t flags; /* RWF_* */
};

static int64_t data_move(struct fs_file *f, const struct transfer *t)
{
	int count = (int)t->count;

	if (t->at)
		return t->writes ? fs_writev(f, t->iov, count, (uint64_t)t->offset, t->flags, NULL)
				 : fs_readv(f, t->iov, count, (uint64_t)t->offset);
	return t->writes ? fs_writev_next(f, t->iov, count, t->flags) : fs_readv_next(f, t->iov, count);
}

static int64_t data_checked(struct fs_file *f, const struct transfer *t)
{
	uint64_t total;
	int64_t r = data_check(f, t->writes);

	if (r < 0)
		return r;
	r = data_ranges(t->iov, t->count, &total);
	if (r < 0)
		return r;
	if (!total)
		return 0;
	if (t->writes && process_size_limited())
		return FS_KERNEL;
	r = data_move(f, t);
	/* Another thread made it real meanwhile: the offset is the kernel's now. */
	if (r == -EAGAIN && !t->at && __atomic_load_n(&f->offset, __ATOMIC_ACQUIRE) == FS_MOVED)
		return FS_KERNEL;
	return r;
}

static int data_call(struct preload_regs *regs, const struct transfer *t)
{
	struct fs_file *f = t->at ? fd_file(regs->a[0]) : fd_placeholder(regs->a[0]);

	if (!f)
		return 0;
	if (t->at && t->offset < 0)
		return call_done_file(regs, f, -EINVAL);
	return call_done_file(regs, f, data_checked(f, t));
}

/* One range, in the registers. Most calls are this, and most of those on files of others. */
static int data_plain(struct preload_regs *r, int writes, int at)
{
	struct iovec one = {(void *)r->a[1], r->a[2]};
	struct transfer t = {.iov = &one, .count = 1, .writes = writes, .at = at, .offset = (int64_t)r->a[3]};
	uint32_t state = FD_STATE(fd_entry(r->a[0]));

	if (state < FD_PLACEHOLDER || (state == FD_REAL && !at))
		return 0;
	if ((int64_t)one.iov_len > DATA_MAX)
		one.iov_len = DATA_MAX;
	return data_call(r, &t);
}

int call_read(struct preload_regs *r)
{
	return data_plain(r, 0, 0);
}

int call_write(struct preload_regs *r)
{
	return data_plain(r, 1, 0);
}

int call_pread64(struct preload_regs *r)
{
	return data_plain(r, 0, 1);
}

int call_pwrite64(struct preload_regs *r)
{
	return data_plain(r, 1, 1);
}

static int data_vector(struct preload_regs *r, int writes, int at, uint32_t flags)
{
	struct transfer t = {.iov = (const struct iovec *)r->a[1], .count = r->a[2], .writes = writes, .at = at,
			     .offset = (int64_t)r->a[3], .flags = flags};

	if (FD_STATE(fd_entry(r->a[0])) < FD_PLACEHOLDER)
		return 0;
	if (t.count > DATA_IOV_MAX)
		return 0;
	if (t.count && !fs_memory_readable(r->a[1], t.count * sizeof(struct iovec)))
		return call_done(r, -EFAULT);
	return data_call(r, &t);
}

int call_readv(struct preload_regs *r)
{
	return data_vector(r, 0, 0, 0);
}

int call_writev(struct preload_regs *r)
{
	return data_vector(r, 1, 0, 0);
}

int call_preadv(struct preload_regs *r)
{
	return data_vector(r, 0, 1, 0);
}

int call_pwritev(struct preload_regs *r)
{
	return data_vector(r, 1, 1, 0);
}

int call_preadv2(struct preload_regs *r)
{
	if (r->a[5] & ~(uint64_t)RWF_HIPRI)
		return 0;
	return data_vector(r, 0, (int64_t)r->a[3] != -1, 0);
}

int call_pwritev2(struct preload_regs *r)
{
	if (r->a[5] & ~(uint64_t)DATA_RWF_WRITE)
		return 0;
	return data_vector(r, 1, (int64_t)r->a[3] != -1, (uint32_t)r->a[5]);
}

int call_lseek(struct preload_regs *r)
{
	struct fs_file *f = fd_placeholder(r->a[0]);
	unsigned whence = (unsigned)r->a[2];
	int64_t result;

	if (!f)
		return 0;
	/* Of a directory only what we gave out as a position. */
	if (whence > SEEK_HOLE || (f->type == S_IFDIR && whence > SEEK_CUR)) {
		fs_file_put(f);
		return 0;
	}
	result = fs_lseek(f, (int64_t)r->a[1], (int)whence);
	return call_done_file(r, f, result == -EAGAIN ? FS_KERNEL : result);
}

int call_getdents64(struct preload_regs *r)
{
	struct fs_file *f = fd_placeholder(r->a[0]);
	uint64_t size = (uint32_t)r->a[2];
	int64_t result;

	if (!f)
		return 0;
	if (f->type != S_IFDIR)
		return call_done_file(r, f, -ENOTDIR);
	if (!address_good(r->a[1], size))
		return call_done_file(r, f, -EFAULT);
	result = fs_getdents_next(f, (void *)r->a[1], size);
	return call_done_file(r, f, result == -EAGAIN ? FS_KERNEL : result);
}
