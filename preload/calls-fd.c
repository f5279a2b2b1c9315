/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors as such: dup, fcntl, ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/calls.h"

static int fd_is_ours(uint64_t fd)
{
	return FD_STATE(fd_entry(fd)) >= FD_PLACEHOLDER;
}

static int dup_command(struct preload_regs *r, int command, uint64_t from)
{
	/* The kernel refuses such a number before it looks at the descriptor's kind. */
	if (!fd_is_ours(r->a[0]) || (int)from < 0)
		return 0;
	return call_done(r, fd_dup((uint32_t)r->a[0], command, (uint32_t)from));
}

int call_dup(struct preload_regs *r)
{
	return dup_command(r, F_DUPFD, 0);
}

static int dup_onto(struct preload_regs *r, int cloexec)
{
	uint64_t fd = r->a[0], onto = r->a[1];

	if ((uint32_t)fd == (uint32_t)onto)
		return 0;
	if (process.closing && !sys_failed(sys3(__NR_fcntl, (long)fd, F_GETFD, 0)))
		process_closing(onto);
	if (!fd_is_ours(fd) && !fd_is_ours(onto) && !process.posix_locked) {
		if ((uint32_t)onto < FD_MAX && !fd_is(onto, FD_UNKNOWN))
			fd_take((uint32_t)onto);
		return 0;
	}
	return call_done(r, fd_dup_onto((uint32_t)fd, (uint32_t)onto, cloexec));
}

int call_dup2(struct preload_regs *r)
{
	if ((uint32_t)r->a[0] == (uint32_t)r->a[1] && fd_is(r->a[0], FD_PLACEHOLDER))
		return call_done(r, (int64_t)(uint32_t)r->a[1]);
	return dup_onto(r, 0);
}

int call_dup3(struct preload_regs *r)
{
	if (r->a[2] & ~(uint64_t)O_CLOEXEC)
		return 0;
	return dup_onto(r, r->a[2] != 0);
}

/* ---- fcntl ----------------------------------------------------------------------------------- */

#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028 /* Linux 6.12 */
#endif

enum {
	GETFL_HIDES = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC,
	GETFL_LARGE = 0100000, /* what the kernel calls O_LARGEFILE, and always sets */
	SETFL_CHANGES = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC,
};

static int64_t fcntl_setfl(struct fs_file *f, uint32_t flags)
{
	int64_t r = fs_setfl(f, flags & SETFL_CHANGES);

	if (r >= 0)
		f->flags = (f->flags & ~(uint32_t)SETFL_CHANGES) | (flags & SETFL_CHANGES);
	return r;
}

/* The kernel keeps a change to itself; the service must know of it too. */
static int fcntl_setfl_real(struct preload_regs *r)
{
	struct fs_file *f = fd_adopt(r->a[0]);

	if (f) {
		fcntl_setfl(f, (uint32_t)r->a[2]);
		fs_file_put(f);
	}
	return 0;
}

/*
 * How long what is written will live: databases say so of each of their files. Nobody below uses it, so it is kept for
 * who asks, and the file stays ours.
 */
static int64_t fcntl_set_hint(struct fs_file *f, uint64_t address)
{
	struct wire_attr attr;
	struct fs_object o;
	uint32_t uid = (uint32_t)sys0(__NR_geteuid);
	uint64_t hint;
	int64_t r;

	if (!fs_memory_readable(address, sizeof(hint)))
		return -EFAULT;
	hint = *(const uint64_t *)address;
	if (hint > RWH_WRITE_LIFE_EXTREME)
		return -EINVAL;
	fs_object_file(f, &o);
	r = fs_getattr(&o, &attr);
	if (r >= 0 && uid && attr.uid != uid)
		r = -EPERM;
	if (r >= 0)
		f->hint = 1 + (uint32_t)hint;
	return r;
}

static int64_t fcntl_get_hint(const struct fs_file *f, uint64_t address)
{
	if (!f->hint)
		return FS_KERNEL;
	if (!fs_memory_writable(address, sizeof(uint64_t)))
		return -EFAULT;
	*(uint64_t *)address = f->hint - 1;
	return 0;
}

static int fcntl_placeholder(struct preload_regs *r, struct fs_file *f)
{
	switch ((int)r->a[1]) {
	case F_GETFD:
	case F_SETFD:
		return call_done_file(r, f, sys3(__NR_fcntl, (long)r->a[0], (long)r->a[1], (long)r->a[2]));
	case F_GETFL:
		return call_done_file(r, f, (f->flags & ~(uint32_t)GETFL_HIDES) | GETFL_LARGE);
	case F_SETFL:
		return call_done_file(r, f, fcntl_setfl(f, (uint32_t)r->a[2]));
	case F_SET_RW_HINT:
		return call_done_file(r, f, fcntl_set_hint(f, r->a[2]));
	case F_GET_RW_HINT:
		return call_done_file(r, f, fcntl_get_hint(f, r->a[2]));
	}
	fs_file_put(f);
	return 0;
}

/* The kernel would grant it, and never hear of the opens that have to break it. As if somebody had the file open. */
static int fcntl_lease(struct preload_regs *r)
{
	struct fs_file *f = fd_adopt(r->a[0]);

	return f ? call_done_file(r, f, -EAGAIN) : 0;
}

/* Of a file that became the kernel's later it thinks that it was there. */
static int fcntl_created(struct preload_regs *r)
{
	struct fs_file *f = fd_file(r->a[0]);

	return f ? call_done_file(r, f, f->created ? 1 : FS_KERNEL) : 0;
}

int call_fcntl(struct preload_regs *r)
{
	struct fs_file *f;

	switch ((int)r->a[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return dup_command(r, (int)r->a[1], r->a[2]);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return call_fcntl_lock(r);
	case F_NOTIFY:
		return call_fcntl_notify(r);
	}
	if ((int)r->a[1] == F_CREATED_QUERY)
		return fcntl_created(r);
	if ((int)r->a[1] == F_SETLEASE && (int)r->a[2] != F_UNLCK)
		return fcntl_lease(r);
	f = fd_placeholder(r->a[0]);
	if (f)
		return fcntl_placeholder(r, f);
	return (int)r->a[1] == F_SETFL ? fcntl_setfl_real(r) : 0;
}

/* ---- ioctl ----------------------------------------------------------------------------------- */

/* Bytes that a read could still get. */
static int64_t ioctl_fionread(struct fs_file *f, uint64_t address)
{
	int64_t at = fs_lseek(f, 0, SEEK_CUR);
	struct wire_attr attr;
	struct fs_object o;
	int64_t r;

	if (at == -EAGAIN || f->type != S_IFREG)
		return FS_KERNEL;
	if (!fs_memory_writable(address, sizeof(int)))
		return -EFAULT;
	fs_object_file(f, &o);
	r = fs_getattr(&o, &attr);
	if (r < 0)
		return r;
	*(int *)address = (int)((int64_t)attr.size - at);
	return 0;
}

static int64_t ioctl_fionbio(struct fs_file *f, uint64_t address)
{
	if (!fs_memory_readable(address, sizeof(int)))
		return -EFAULT;
	return fcntl_setfl(f, (f->flags & ~(uint32_t)O_NONBLOCK) | (*(const int *)address ? O_NONBLOCK : 0));
}

/* No reflinks: what the kernel says of a FUSE file; cp(1) asks for each file. */
static int64_t ioctl_ficlone(uint64_t to_fd, uint64_t from_fd)
{
	struct fs_file *to = fd_file(to_fd), *from = fd_file(from_fd);
	int64_t r = FS_KERNEL;

	if (to && from)
		r = to->mount == from->mount ? -EOPNOTSUPP : -EXDEV;
	else if ((to && fd_is_foreign(from_fd)) || (from && fd_is_foreign(to_fd)))
		r = -EXDEV;
	if (to)
		fs_file_put(to);
	if (from)
		fs_file_put(from);
	return r;
}

static int64_t ioctl_placeholder(struct preload_regs *r, struct fs_file *f)
{
	uint32_t command = (uint32_t)r->a[1];

	switch (command) {
	case FIOCLEX:
	case FIONCLEX:
		return sys3(__NR_fcntl, (long)r->a[0], F_SETFD, command == FIOCLEX ? FD_CLOEXEC : 0);
	case FIONREAD:
		return ioctl_fionread(f, r->a[2]);
	case FIONBIO:
		return ioctl_fionbio(f, r->a[2]);
	case FIOASYNC:
	case FIOQSIZE:
		return FS_KERNEL;
	}
	/* isatty, and whatever else is asked of terminals */
	return command >> 8 == 'T' ? -ENOTTY : FS_KERNEL;
}

/* A device or another file is told of a descriptor. */
static int ioctl_passes(const struct preload_regs *r, uint64_t *ret)
{
	switch ((uint32_t)r->a[1]) {
	case LOOP_SET_FD:
	case LOOP_CHANGE_FD:
	case FICLONE:
		*ret = r->a[2];
		return 1;
	case LOOP_CONFIGURE:
		if (!fs_memory_readable(r->a[2], sizeof(uint32_t)))
			return 0;
		*ret = *(const uint32_t *)r->a[2];
		return 1;
	case FICLONERANGE:
		if (!fs_memory_readable(r->a[2], sizeof(uint64_t)))
			return 0;
		*ret = *(const uint64_t *)r->a[2];
		return 1;
	}
	return 0;
}

/*
 * isatty(3) of what the kernel has open through our mount, such as output that was redirected: it would ask the
 * service. Of a path alone (O_PATH) nothing is open, as the kernel says without asking.
 */
static int is_file_not_terminal(const struct preload_regs *r)
{
	const uint32_t command = (uint32_t)r->a[1];
	struct fd_identity id;

	return (command == TCGETS || command == TIOCGWINSZ || command == TIOCGPGRP) &&
	       fd_identify((int)r->a[0], "", &id) == 0 && id.type == S_IFREG && fs_route_dev(id.dev) >= 0 &&
	       !(sys3(__NR_fcntl, (long)r->a[0], F_GETFL, 0) & O_PATH);
}

int call_ioctl(struct preload_regs *r)
{
	struct fs_file *f;
	uint64_t passed;

	if ((uint32_t)r->a[1] == FICLONE && process.placeholders && call_done(r, ioctl_ficlone(r->a[0], r->a[2])))
		return 1;
	f = fd_placeholder(r->a[0]);
	if (!f && is_file_not_terminal(r))
		return call_done(r, -ENOTTY);
	if (process.placeholders && ioctl_passes(r, &passed))
		fd_materialise(passed, WHY_PASSED);
	return f ? call_done_file(r, f, ioctl_placeholder(r, f)) : 0;
}
