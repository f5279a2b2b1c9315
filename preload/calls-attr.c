/* SPDX-License-Identifier: Apache-2.0 */
/* Changing what files are: mode, owner, size, times. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>
#include "ipc/sys.h"
#include "libfs/stat.h"
#include "preload/calls.h"

#define CWD ((uint64_t)AT_FDCWD)

static int set_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint16_t flags, const struct fs_setattr *in)
{
	struct target t;

	if (!path_resolve(dirfd, path, &t))
		return 0;
	t.o.flags |= flags;
	return path_done(r, &t, fs_setattr(&t.o, in));
}

static int set_descriptor(struct preload_regs *r, const struct fs_setattr *in)
{
	struct target t;

	return path_descriptor(r->a[0], &t) ? path_done(r, &t, fs_setattr(&t.o, in)) : 0;
}

/* ---- mode ------------------------------------------------------------------------------------ */

static struct fs_setattr with_mode(uint64_t mode)
{
	return (struct fs_setattr){.set = WIRE_SET_MODE, .mode = (uint32_t)mode & 07777};
}

int call_chmod(struct preload_regs *r)
{
	struct fs_setattr in = with_mode(r->a[1]);

	return set_path(r, CWD, r->a[0], 0, &in);
}

int call_fchmod(struct preload_regs *r)
{
	struct fs_setattr in = with_mode(r->a[1]);

	return set_descriptor(r, &in);
}

int call_fchmodat(struct preload_regs *r)
{
	struct fs_setattr in = with_mode(r->a[2]);

	return set_path(r, r->a[0], r->a[1], 0, &in);
}

int call_fchmodat2(struct preload_regs *r)
{
	struct fs_setattr in = with_mode(r->a[2]);

	return r->a[3] ? 0 : set_path(r, r->a[0], r->a[1], 0, &in);
}

/* ---- owner ----------------------------------------------------------------------------------- */

/* 0: neither is given; a change of nothing, with the effects that the kernel gives it. */
static int with_owner(uint64_t uid, uint64_t gid, struct fs_setattr *in)
{
	stat_owner((uint32_t)uid, (uint32_t)gid, in);
	return in->set != 0;
}

int call_chown(struct preload_regs *r)
{
	struct fs_setattr in;

	return with_owner(r->a[1], r->a[2], &in) ? set_path(r, CWD, r->a[0], 0, &in) : 0;
}

int call_lchown(struct preload_regs *r)
{
	struct fs_setattr in;

	return with_owner(r->a[1], r->a[2], &in) ? set_path(r, CWD, r->a[0], WIRE_NOFOLLOW, &in) : 0;
}

int call_fchown(struct preload_regs *r)
{
	struct fs_setattr in;

	return with_owner(r->a[1], r->a[2], &in) ? set_descriptor(r, &in) : 0;
}

int call_fchownat(struct preload_regs *r)
{
	uint32_t flags = (uint32_t)r->a[4];
	struct fs_setattr in;

	if ((flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) || !with_owner(r->a[2], r->a[3], &in))
		return 0;
	if ((flags & AT_EMPTY_PATH) && path_is_empty(r->a[1]))
		return set_descriptor(r, &in);
	return set_path(r, r->a[0], r->a[1], flags & AT_SYMLINK_NOFOLLOW ? WIRE_NOFOLLOW : 0, &in);
}

/* ---- size ------------------------------------------------------------------------------------ */

int call_truncate(struct preload_regs *r)
{
	struct fs_setattr in = {.set = WIRE_SET_SIZE, .size = r->a[1]};

	if ((int64_t)r->a[1] < 0 || process_size_limited())
		return 0;
	return set_path(r, CWD, r->a[0], 0, &in);
}

int call_ftruncate(struct preload_regs *r)
{
	struct fs_setattr in = {.set = WIRE_SET_SIZE, .size = r->a[1]};
	struct target t;
	int64_t result = FS_KERNEL;

	if (!path_descriptor(r->a[0], &t))
		return 0;
	if ((int64_t)r->a[1] < 0 || t.held->type != S_IFREG || (t.held->flags & O_ACCMODE) == O_RDONLY)
		result = -EINVAL;
	else if (!process_size_limited())
		result = fs_setattr(&t.o, &in);
	return path_done(r, &t, result);
}

/* ---- times ----------------------------------------------------------------------------------- */

static void with_now(struct fs_setattr *in)
{
	*in = (struct fs_setattr){.set = WIRE_SET_ATIME | WIRE_SET_MTIME | WIRE_SET_ATIME_NOW | WIRE_SET_MTIME_NOW};
}

/* 1: *in is to be set. 0: the kernel knows what to say. */
static int with_times(const struct timespec *times, struct fs_setattr *in)
{
	if (!stat_time_valid(&times[0]) || !stat_time_valid(&times[1]))
		return 0;
	stat_times(times, in);
	return in->set != 0;
}

int call_utimensat(struct preload_regs *r)
{
	struct fs_setattr in;

	if (r->a[3] & ~(uint64_t)AT_SYMLINK_NOFOLLOW)
		return 0;
	if (!r->a[2])
		with_now(&in);
	else if (!fs_memory_readable(r->a[2], 2 * sizeof(struct timespec)) ||
		 !with_times((const struct timespec *)r->a[2], &in))
		return 0;
	if (!r->a[1])
		return r->a[3] ? 0 : set_descriptor(r, &in);
	return set_path(r, r->a[0], r->a[1], r->a[3] ? WIRE_NOFOLLOW : 0, &in);
}

static int times_of_microseconds(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t times)
{
	const struct timeval *tv = (const struct timeval *)times;
	struct timespec ts[2];
	struct fs_setattr in;

	if (!times) {
		with_now(&in);
		return set_path(r, dirfd, path, 0, &in);
	}
	if (!fs_memory_readable(times, 2 * sizeof(*tv)) || tv[0].tv_usec < 0 || tv[0].tv_usec > 999999 ||
	    tv[1].tv_usec < 0 || tv[1].tv_usec > 999999)
		return 0;
	ts[0] = (struct timespec){tv[0].tv_sec, tv[0].tv_usec * 1000};
	ts[1] = (struct timespec){tv[1].tv_sec, tv[1].tv_usec * 1000};
	return with_times(ts, &in) ? set_path(r, dirfd, path, 0, &in) : 0;
}

int call_utimes(struct preload_regs *r)
{
	return times_of_microseconds(r, CWD, r->a[0], r->a[1]);
}

int call_futimesat(struct preload_regs *r)
{
	return r->a[1] ? times_of_microseconds(r, r->a[0], r->a[1], r->a[2]) : 0;
}

int call_utime(struct preload_regs *r)
{
	const struct utimbuf *times = (const struct utimbuf *)r->a[1];
	struct fs_setattr in;

	if (!times)
		with_now(&in);
	else if (fs_memory_readable(r->a[1], sizeof(*times)))
		in = (struct fs_setattr){.set = WIRE_SET_ATIME | WIRE_SET_MTIME,
					 .times = {.atime = times->actime, .mtime = times->modtime}};
	else
		return 0;
	return set_path(r, CWD, r->a[0], 0, &in);
}
