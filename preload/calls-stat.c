/* SPDX-License-Identifier: Apache-2.0 */
/* What files are: stat in all its forms, access, readlink, statfs. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "libfs/stat.h"
#include "preload/calls.h"

static int64_t stat_put(uint64_t buf, int extended, const struct wire_attr *attr, uint64_t dev)
{
	if (!fs_memory_writable(buf, extended ? sizeof(struct statx) : sizeof(struct stat)))
		return -EFAULT;
	if (extended)
		statx_fill((struct statx *)buf, attr, dev);
	else
		stat_fill((struct stat *)buf, attr, dev);
	return 0;
}

/* Ends t; fills a struct stat, or a struct statx if `extended`. */
static int stat_target(struct preload_regs *r, struct target *t, uint64_t buf, int extended)
{
	uint64_t dev = fs_table()->mount[t->o.mount].dev;
	struct wire_attr attr;
	int64_t result;

	result = fs_getattr(&t->o, &attr);
	if (result >= 0)
		result = stat_put(buf, extended, &attr, dev);
	return path_done(r, t, result);
}

static int stat_empty(uint64_t path, uint32_t flags)
{
	return (flags & AT_EMPTY_PATH) && path_is_empty(path);
}

/* (dirfd, path, AT_* flags) as an object: by path, or with AT_EMPTY_PATH the descriptor itself. */
static int stat_resolve(uint64_t dirfd, uint64_t path, uint32_t flags, struct target *t)
{
	if (stat_empty(path, flags))
		return path_descriptor(dirfd, t);
	if (!path_resolve(dirfd, path, t))
		return 0;
	if (flags & AT_SYMLINK_NOFOLLOW)
		t->o.flags |= WIRE_NOFOLLOW;
	return 1;
}

static int stat_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t buf, uint32_t flags)
{
	struct target t;

	if (flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return 0;
	return stat_resolve(dirfd, path, flags, &t) ? stat_target(r, &t, buf, 0) : 0;
}

int call_stat(struct preload_regs *r)
{
	return stat_path(r, (uint64_t)AT_FDCWD, r->a[0], r->a[1], 0);
}

int call_lstat(struct preload_regs *r)
{
	return stat_path(r, (uint64_t)AT_FDCWD, r->a[0], r->a[1], AT_SYMLINK_NOFOLLOW);
}

int call_newfstatat(struct preload_regs *r)
{
	return stat_path(r, r->a[0], r->a[1], r->a[2], (uint32_t)r->a[3]);
}

int call_fstat(struct preload_regs *r)
{
	struct target t;

	return path_descriptor(r->a[0], &t) ? stat_target(r, &t, r->a[1], 0) : 0;
}

/* What only the kernel knows, the number of the mount above all, it is asked for. */
int call_statx(struct preload_regs *r)
{
	uint32_t flags = (uint32_t)r->a[2];
	struct target t;

	if ((flags & ~(uint32_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_FORCE_SYNC |
				 AT_STATX_DONT_SYNC)) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
	    (((uint32_t)r->a[3] & ~(uint32_t)(STATX_BASIC_STATS | STATX_BTIME)) && !process.tokens))
		return 0;
	return stat_resolve(r->a[0], r->a[1], flags, &t) ? stat_target(r, &t, r->a[4], 1) : 0;
}

static int access_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t mode, uint32_t flags)
{
	struct target t;

	if ((mode & ~7ull) || (flags & ~(uint32_t)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) ||
	    !stat_resolve(dirfd, path, flags, &t))
		return 0;
	if (flags & AT_EACCESS)
		t.o.flags |= WIRE_EFFECTIVE;
	return path_done(r, &t, fs_access(&t.o, (uint32_t)mode));
}

int call_access(struct preload_regs *r)
{
	return access_path(r, (uint64_t)AT_FDCWD, r->a[0], r->a[1], 0);
}

int call_faccessat(struct preload_regs *r)
{
	return access_path(r, r->a[0], r->a[1], r->a[2], 0);
}

int call_faccessat2(struct preload_regs *r)
{
	return access_path(r, r->a[0], r->a[1], r->a[2], (uint32_t)r->a[3]);
}

/* Does the link lead to a name that the kernel knows one of ours by? `size`: of what there is of it in buf. */
static int link_is_made_up(const char *path, const char *buf, uint64_t size, int64_t n)
{
	char whole[WIRE_MOUNT_PATH_MAX + 64]; /* such a name is in a mount's root */

	if (n > 0 && (uint64_t)n == size && size < sizeof(whole)) { /* it may go on */
		n = sys4(__NR_readlinkat, AT_FDCWD, (long)path, (long)whole, sizeof(whole));
		buf = whole;
	}
	return n > 0 && path_is_made_up(buf, (uint64_t)n);
}

/* What the kernel opened by such a name, because its own is gone, is shown as what it is. */
static int readlink_descriptor(struct preload_regs *r, const char *path, uint64_t buf, uint64_t size)
{
	int fd = path_shows_own(path);
	struct fs_file *f = fd >= 0 ? fd_adopt((uint64_t)fd) : NULL;
	int64_t n;

	if (!f)
		return 0;
	n = sys4(__NR_readlinkat, AT_FDCWD, (long)path, (long)buf, (long)size);
	if (link_is_made_up(path, (const char *)buf, size, n))
		n = fs_getlink(f, (char *)buf, size);
	return call_done_file(r, f, n);
}

static int readlink_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t buf, uint64_t size)
{
	struct target t;

	if ((int32_t)size <= 0)
		return 0;
	if (!path_resolve(dirfd, path, &t))
		return fs_memory_text(path) > 0 ? readlink_descriptor(r, (const char *)path, buf, (uint32_t)size) : 0;
	if (t.o.flags & WIRE_EMPTY) /* /proc/self/fd, where the kernel has nothing to show */
		return path_done(r, &t, fs_getlink(t.held, (char *)buf, (uint32_t)size));
	t.o.flags |= WIRE_NOFOLLOW;
	return path_done(r, &t, fs_readlink(&t.o, (char *)buf, (uint32_t)size));
}

int call_readlink(struct preload_regs *r)
{
	return readlink_path(r, (uint64_t)AT_FDCWD, r->a[0], r->a[1], r->a[2]);
}

int call_readlinkat(struct preload_regs *r)
{
	return readlink_path(r, r->a[0], r->a[1], r->a[2], r->a[3]);
}

static void statfs_fill(struct statfs *to, const struct wire_statfs *s)
{
	*to = (struct statfs){
		.f_type = (int64_t)s->type,
		.f_bsize = (int64_t)s->bsize,
		.f_blocks = s->blocks,
		.f_bfree = s->bfree,
		.f_bavail = s->bavail,
		.f_files = s->files,
		.f_ffree = s->ffree,
		.f_namelen = (int64_t)s->namelen,
		.f_frsize = (int64_t)s->frsize,
	};
}

/* The kernel adds the mount's flags, so it is asked where there is a mount; one file answers for all. */
static int statfs_target(struct preload_regs *r, struct target *t, uint64_t buf)
{
	const struct wire_mount *m = &fs_table()->mount[t->o.mount];
	struct wire_statfs s;
	int64_t result;

	if (m->flags & WIRE_MOUNT_FUSE)
		return path_done(r, t, sys2(__NR_statfs, (long)fs_route_path(t->o.mount), (long)buf));
	result = fs_statfs(&t->o, &s);
	if (result >= 0 && !fs_memory_writable(buf, sizeof(struct statfs)))
		result = -EFAULT;
	if (result >= 0)
		statfs_fill((struct statfs *)buf, &s);
	return path_done(r, t, result < 0 ? result : 0);
}

int call_statfs(struct preload_regs *r)
{
	struct target t;

	if (!path_resolve((uint64_t)AT_FDCWD, r->a[0], &t))
		return 0;
	if (!(fs_table()->mount[t.o.mount].flags & WIRE_MOUNT_FUSE))
		return statfs_target(r, &t, r->a[1]);
	path_end(&t);
	return 0;
}

int call_fstatfs(struct preload_regs *r)
{
	struct target t;

	return path_descriptor(r->a[0], &t) ? statfs_target(r, &t, r->a[1]) : 0;
}
