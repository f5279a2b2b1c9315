/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks. All those of a process on our mounts go to the service directly, also on descriptors that are the
 * kernel's: the service knows a process by its session, the kernel's messages name another owner.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

int call_flock(struct preload_regs *r)
{
	int how = (int)r->a[1];
	struct fs_file *f;

	switch (how & ~LOCK_NB) {
	case LOCK_SH:
	case LOCK_EX:
	case LOCK_UN:
		break;
	default:
		return 0;
	}
	f = fd_adopt(r->a[0]);
	return f ? call_done_file(r, f, fs_flock(f, how)) : 0;
}

/* What l_start counts from. */
static int64_t lock_origin(uint64_t fd, struct fs_file *f, int whence)
{
	struct wire_attr attr;
	struct fs_object o;
	int64_t r;

	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		r = fs_lseek(f, 0, SEEK_CUR);
		return r == -EAGAIN ? sys3(__NR_lseek, (long)fd, 0, SEEK_CUR) : r;
	case SEEK_END:
		fs_object_file(f, &o);
		r = fs_getattr(&o, &attr);
		return r < 0 ? r : (int64_t)attr.size;
	}
	return -EINVAL;
}

/* The range as the kernel counts it: l_len < 0 is the bytes before l_start. */
static int64_t lock_range(uint64_t fd, struct fs_file *f, const struct flock *l, struct fs_lock *ret)
{
	int64_t start = lock_origin(fd, f, l->l_whence), length = l->l_len, end;

	if (start < 0)
		return start;
	if (__builtin_add_overflow(start, l->l_start, &start))
		return -EOVERFLOW;
	if (length < 0) {
		if (__builtin_add_overflow(start, length, &start))
			return -EINVAL;
		length = -length;
	}
	if (start < 0)
		return -EINVAL;
	if (length && __builtin_add_overflow(start, length - 1, &end))
		return -EOVERFLOW;
	ret->start = (uint64_t)start;
	ret->length = (uint64_t)length;
	return 0;
}

static int64_t lock_access(const struct fs_file *f, int type)
{
	uint32_t access = f->flags & O_ACCMODE;

	if (type == F_RDLCK)
		return access == O_WRONLY ? -EBADF : 0;
	if (type == F_WRLCK)
		return access == O_RDONLY ? -EBADF : 0;
	return type == F_UNLCK ? 0 : -EINVAL;
}

static int64_t lock_get(struct fs_file *f, struct flock *l, struct fs_lock *lock)
{
	int64_t r;

	if (l->l_type != F_RDLCK && l->l_type != F_WRLCK && (l->l_type != F_UNLCK || lock->command != F_OFD_GETLK))
		return -EINVAL;
	r = fs_lock(f, lock);
	if (r < 0)
		return r;
	if (!fs_memory_writable((uint64_t)l, sizeof(*l)))
		return -EFAULT;
	l->l_type = (short)lock->type;
	if (lock->type == F_UNLCK)
		return 0;
	l->l_whence = SEEK_SET;
	l->l_start = (int64_t)lock->start;
	l->l_len = (int64_t)lock->length;
	l->l_pid = (int)lock->pid;
	return 0;
}

static int64_t lock_set(struct fs_file *f, const struct flock *l, struct fs_lock *lock)
{
	int64_t r = lock_access(f, l->l_type);

	if (r < 0)
		return r;
	if (lock->command == F_SETLK || lock->command == F_SETLKW)
		process.posix_locked = 1;
	return fs_lock(f, lock);
}

static int64_t lock_call(uint64_t fd, struct fs_file *f, int command, struct flock *l)
{
	struct fs_lock lock = {.command = (uint32_t)command, .type = (uint32_t)(uint16_t)l->l_type};
	int ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
	int64_t r;

	if (ofd && l->l_pid)
		return -EINVAL;
	r = lock_range(fd, f, l, &lock);
	if (r < 0)
		return r;
	return command == F_GETLK || command == F_OFD_GETLK ? lock_get(f, l, &lock) : lock_set(f, l, &lock);
}

int call_fcntl_lock(struct preload_regs *r)
{
	struct fs_file *f;

	if (!fs_memory_readable(r->a[2], sizeof(struct flock)))
		return 0;
	f = fd_adopt(r->a[0]);
	if (!f)
		return 0;
	return call_done_file(r, f, lock_call(r->a[0], f, (int)r->a[1], (struct flock *)r->a[2]));
}
