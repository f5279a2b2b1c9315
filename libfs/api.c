/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public interface (polytropon.h) on open files. The preload library exports it too: a program that uses both
 * doors has one session, for the dynamic linker finds the preload library's functions first.
 */
#include <errno.h>
#include <sys/file.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "libfs/api.h"

int polytropon_connect(void)
{
	int r = fs_init();

	return r < 0 ? r : fs_ready();
}

int api_path(const char *path, struct fs_object *ret)
{
	int r = fs_init();

	if (r < 0)
		return r;
	if (!path)
		return -EFAULT;
	if (!*path)
		return -ENOENT;
	if (*path != '/' || !fs_route(path, ret))
		return -ENOTSUP;
	ret->flags |= WIRE_ALONE;
	return 0;
}

int64_t api_result(int64_t r)
{
	return r == FS_KERNEL ? -ENOTSUP : r;
}

/*
 * Handles are indices of library open files. Those of descriptors (preload/) lie in the same table; they are not
 * ours, and recognised by a mark.
 */
static struct fs_file *api_file(int file)
{
	struct fs_file *f;

	if (file < 0 || file >= FS_FILES_MAX || !fs_table())
		return NULL;
	f = fs_file_at((uint32_t)file);
	if (!fs_file_get(f))
		return NULL;
	if (__atomic_load_n(&f->api, __ATOMIC_ACQUIRE))
		return f;
	fs_file_put(f);
	return NULL;
}

static int64_t api_done(struct fs_file *f, int64_t r)
{
	fs_file_put(f);
	return api_result(r);
}

int polytropon_open(const char *path, int flags, mode_t mode)
{
	struct fs_opened opened;
	struct fs_object o;
	struct fs_file *f;
	int64_t r = api_path(path, &o);

	if (r < 0)
		return (int)r;
	if ((flags & O_PATH) || (flags & O_TMPFILE) == O_TMPFILE)
		return -ENOTSUP;
	flags &= ~O_CLOEXEC;
	r = fs_open(&o, (uint32_t)flags, flags & O_CREAT ? fs_mode(mode & 07777) : 0, NULL,
		    &opened);
	if (r < 0)
		return (int)api_result(r);
	f = fs_file_opened(o.mount, &opened, (uint32_t)flags);
	if (!f) {
		fs_close(opened.handle, fs_session());
		return -ENFILE;
	}
	__atomic_store_n(&f->api, 1, __ATOMIC_RELEASE);
	return (int)fs_file_index(f);
}

int polytropon_close(int file)
{
	struct fs_file *f = api_file(file);
	uint32_t open = 1;

	if (!f)
		return -EBADF;
	/* Of two threads that close it, one does. */
	if (!__atomic_compare_exchange_n(&f->api, &open, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		fs_file_put(f);
		return -EBADF;
	}
	fs_file_drop(f);
	return (int)fs_file_put(f);
}

static int64_t api_readable(const struct fs_file *f)
{
	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	return f->type == S_IFDIR ? -EISDIR : 0;
}

static int64_t api_writable(const struct fs_file *f)
{
	return (f->flags & O_ACCMODE) == O_RDONLY ? -EBADF : 0;
}

ssize_t polytropon_read(int file, void *buf, size_t size)
{
	struct iovec iov = {buf, size};
	struct fs_file *f = api_file(file);
	int64_t r;

	if (!f)
		return -EBADF;
	r = api_readable(f);
	return api_done(f, r < 0 || !size ? r : fs_readv_next(f, &iov, 1));
}

ssize_t polytropon_write(int file, const void *buf, size_t size)
{
	struct iovec iov = {(void *)buf, size};
	struct fs_file *f = api_file(file);
	int64_t r;

	if (!f)
		return -EBADF;
	r = api_writable(f);
	return api_done(f, r < 0 || !size ? r : fs_writev_next(f, &iov, 1, 0));
}

ssize_t polytropon_preadv(int file, const struct iovec *iov, int count, off_t offset)
{
	struct fs_file *f = api_file(file);
	int64_t r;

	if (!f)
		return -EBADF;
	r = offset < 0 || count < 0 ? -EINVAL : api_readable(f);
	return api_done(f, r < 0 ? r : fs_readv(f, iov, count, (uint64_t)offset));
}

ssize_t polytropon_pwritev(int file, const struct iovec *iov, int count, off_t offset)
{
	struct fs_file *f = api_file(file);
	int64_t r;

	if (!f)
		return -EBADF;
	r = offset < 0 || count < 0 ? -EINVAL : api_writable(f);
	return api_done(f, r < 0 ? r : fs_writev(f, iov, count, (uint64_t)offset, 0, NULL));
}

ssize_t polytropon_pread(int file, void *buf, size_t size, off_t offset)
{
	struct iovec iov = {buf, size};

	return polytropon_preadv(file, &iov, 1, offset);
}

ssize_t polytropon_pwrite(int file, const void *buf, size_t size, off_t offset)
{
	struct iovec iov = {(void *)buf, size};

	return polytropon_pwritev(file, &iov, 1, offset);
}

off_t polytropon_lseek(int file, off_t offset, int whence)
{
	struct fs_file *f = api_file(file);

	if (!f)
		return -EBADF;
	return api_done(f, whence < 0 || whence > SEEK_HOLE ? -EINVAL : fs_lseek(f, offset, whence));
}

int polytropon_fstat(int file, struct stat *ret)
{
	struct fs_file *f = api_file(file);
	struct wire_attr attr;
	struct fs_object o;
	int64_t r;

	if (!f)
		return -EBADF;
	fs_object_file(f, &o);
	r = fs_getattr(&o, &attr);
	if (r >= 0)
		stat_fill(ret, &attr, fs_table()->mount[f->mount].dev);
	return (int)api_done(f, r);
}

int polytropon_ftruncate(int file, off_t size)
{
	struct fs_setattr in = {.set = WIRE_SET_SIZE, .size = (uint64_t)size};
	struct fs_file *f = api_file(file);
	struct fs_object o;

	if (!f)
		return -EBADF;
	if (size < 0 || f->type != S_IFREG || api_writable(f) < 0)
		return (int)api_done(f, -EINVAL);
	fs_object_file(f, &o);
	return (int)api_done(f, fs_setattr(&o, &in));
}

int polytropon_fallocate(int file, int mode, off_t offset, off_t length)
{
	struct fs_file *f = api_file(file);
	int64_t r;

	if (!f)
		return -EBADF;
	r = offset < 0 || length <= 0 ? -EINVAL : api_writable(f);
	return (int)api_done(f, r < 0 ? r : fs_fallocate(f, mode, (uint64_t)offset, (uint64_t)length));
}

int polytropon_fsync(int file)
{
	struct fs_file *f = api_file(file);

	return f ? (int)api_done(f, fs_fsync(f, 0)) : -EBADF;
}

int polytropon_fdatasync(int file)
{
	struct fs_file *f = api_file(file);

	return f ? (int)api_done(f, fs_fsync(f, 1)) : -EBADF;
}

int polytropon_flock(int file, int operation)
{
	struct fs_file *f = api_file(file);
	int how = operation & ~LOCK_NB;

	if (!f)
		return -EBADF;
	if (how != LOCK_SH && how != LOCK_EX && how != LOCK_UN)
		return (int)api_done(f, -EINVAL);
	return (int)api_done(f, fs_flock(f, operation));
}

ssize_t polytropon_copy(int in, off_t in_offset, int out, off_t out_offset, size_t length)
{
	struct fs_file *from = api_file(in), *to;
	int64_t r = -EBADF;

	if (!from)
		return -EBADF;
	to = api_file(out);
	if (to) {
		r = api_readable(from);
		if (r == 0)
			r = api_writable(to);
		if (r == 0 && (in_offset < 0 || out_offset < 0))
			r = -EINVAL;
		if (r == 0)
			r = from->mount != to->mount ? -EXDEV
						     : fs_copy(from, (uint64_t)in_offset, to, (uint64_t)out_offset, length);
		fs_file_put(to);
	}
	return api_done(from, r);
}

/* A record of getdents64(2). */
struct api_record {
	uint64_t ino;
	int64_t next;
	uint16_t length;
	unsigned char type;
	char name[256];
};

static void api_entry(const struct api_record *record, struct polytropon_dirent *ret)
{
	size_t n = str_length_max(record->name, sizeof(ret->name) - 1);

	ret->ino = record->ino;
	ret->type = record->type;
	mem_copy(ret->name, record->name, n);
	ret->name[n] = 0;
}

ssize_t polytropon_getdents(int file, void *buf, size_t size)
{
	struct fs_file *f = api_file(file);

	if (!f)
		return -EBADF;
	return api_done(f, f->type == S_IFDIR ? fs_getdents_next(f, buf, size) : -ENOTDIR);
}

/* The library has no memory to keep more than one record in. */
int polytropon_readdir(int file, struct polytropon_dirent *ret)
{
	struct fs_file *f = api_file(file);
	struct api_record record;
	int64_t r;

	if (!f)
		return -EBADF;
	if (f->type != S_IFDIR)
		return (int)api_done(f, -ENOTDIR);
	r = fs_getdents_next(f, &record, sizeof(record));
	if (r > 0) {
		api_entry(&record, ret);
		fs_lseek(f, record.next, SEEK_SET);
		r = 1;
	}
	return (int)api_done(f, r);
}

int polytropon_rewinddir(int file)
{
	struct fs_file *f = api_file(file);

	return f ? (int)api_done(f, fs_lseek(f, 0, SEEK_SET)) : -EBADF;
}
