/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offset of a library open file, which all descriptors that refer to it share.
 *
 * No lock guards it: a lock would be held while a request waits, and a signal handler that reads the same file
 * would wait for itself. A read takes effect when it moves the offset from where it read to where it ended; if
 * somebody moved it meanwhile, it reads again. A write first moves the offset over its range, so that two
 * threads never write to one place, then writes; what a short write leaves is given back if nobody has moved
 * on. An appending write moves the offset to the end of what the service appended.
 *
 * When the file gets a descriptor of the kernel's the offset becomes FS_MOVED for ever, and these functions say
 * -EAGAIN: the same call then goes to the kernel.
 *
 * When it gets a token, because there is no FUSE mount, other processes may move the offset, too, and the service
 * keeps it: FS_KEPT. Each of these functions is then one request, which the service does not mix with others.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "libfs/internal.h"

/* A thread that hands it over (preload/fd-token.c) has blocked all signals and is soon done. */
static uint64_t offset_load(const struct fs_file *f)
{
	uint64_t at;

	while ((at = __atomic_load_n(&f->offset, __ATOMIC_ACQUIRE)) == FS_HANDED)
		sys_yield();
	return at;
}

static int offset_move(struct fs_file *f, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(&f->offset, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int64_t fs_readv_next(struct fs_file *f, const struct iovec *iov, int count)
{
	uint64_t at;
	int64_t r;

	do {
		at = offset_load(f);
		if (at == FS_MOVED)
			return -EAGAIN;
		r = fs_readv(f, iov, count, at);
		if (r <= 0 || at == FS_KEPT)
			return r;
	} while (!offset_move(f, at, at + (uint64_t)r));
	return r;
}

static int64_t offset_append(struct fs_file *f, const struct iovec *iov, int count, uint32_t flags)
{
	uint64_t at = offset_load(f), end = 0;
	int64_t r;

	if (at == FS_MOVED)
		return -EAGAIN;
	r = fs_writev(f, iov, count, at, flags, &end);
	if (r <= 0)
		return r;
	while (at < FS_HANDED && !offset_move(f, at, end))
		at = offset_load(f);
	return r;
}

static uint64_t offset_total(const struct iovec *iov, int count)
{
	uint64_t n = 0;

	while (count--)
		n += (iov++)->iov_len;
	return n;
}

/* What does not go in one request gets its place in the file first. */
static int64_t offset_write_kept(struct fs_file *f, const struct iovec *iov, int count, uint32_t flags, uint64_t n)
{
	int64_t end;

	if (n <= WIRE_BULK)
		return fs_writev(f, iov, count, FS_KEPT, flags, NULL);
	end = fs_seek(f, n, SEEK_CUR, WIRE_OWN_OFFSET);
	return end < 0 ? end : fs_writev(f, iov, count, (uint64_t)end - n, flags, NULL);
}

int64_t fs_writev_next(struct fs_file *f, const struct iovec *iov, int count, uint32_t flags)
{
	uint64_t at, n = offset_total(iov, count);
	int64_t r;

	if ((f->flags & O_APPEND) || (flags & RWF_APPEND))
		return offset_append(f, iov, count, flags);
	do {
		at = offset_load(f);
		if (at == FS_MOVED)
			return -EAGAIN;
		if (at == FS_KEPT)
			return offset_write_kept(f, iov, count, flags, n);
	} while (!offset_move(f, at, at + n));
	r = fs_writev(f, iov, count, at, flags, NULL);
	if (r < (int64_t)n)
		offset_move(f, at + n, at + (r > 0 ? (uint64_t)r : 0));
	return r;
}

int64_t fs_getdents_next(struct fs_file *f, void *buf, uint64_t size)
{
	uint64_t at, next;
	int64_t r;

	do {
		at = offset_load(f);
		if (at == FS_MOVED)
			return -EAGAIN;
		r = fs_getdents(f, buf, size, at, &next);
		if (r < 0 || at == FS_KEPT)
			return r;
	} while (!offset_move(f, at, next));
	return r;
}

/* Where SEEK_END, SEEK_DATA and SEEK_HOLE lead. */
static int64_t offset_find(struct fs_file *f, int64_t offset, int whence)
{
	struct fs_object o;
	struct wire_attr attr;
	int64_t r;

	if (whence != SEEK_END)
		return offset < 0 ? -ENXIO : fs_seek(f, (uint64_t)offset, whence, 0);
	fs_object_file(f, &o);
	r = fs_getattr(&o, &attr);
	if (r < 0)
		return r;
	return __builtin_add_overflow((int64_t)attr.size, offset, &r) || r < 0 ? -EINVAL : r;
}

int64_t fs_lseek(struct fs_file *f, int64_t offset, int whence)
{
	int64_t r = offset;
	uint64_t at;

	if (offset_load(f) == FS_KEPT)
		return fs_seek(f, (uint64_t)offset, whence, WIRE_OWN_OFFSET);
	if (whence != SEEK_SET && whence != SEEK_CUR) {
		r = offset_find(f, offset, whence);
		if (r < 0)
			return r;
	}
	do {
		at = offset_load(f);
		if (at == FS_MOVED)
			return -EAGAIN;
		if (at == FS_KEPT)
			return fs_seek(f, (uint64_t)r, whence == SEEK_CUR ? SEEK_CUR : SEEK_SET, WIRE_OWN_OFFSET);
		if (whence == SEEK_CUR && __builtin_add_overflow((int64_t)at, offset, &r))
			return -EINVAL;
		if (r < 0)
			return -EINVAL;
	} while (!offset_move(f, at, (uint64_t)r));
	return r;
}
