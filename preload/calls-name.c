/* SPDX-License-Identifier: Apache-2.0 */
/* Making, moving and removing names. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "preload/calls.h"

#define CWD ((uint64_t)AT_FDCWD)

static int mkdir_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint64_t mode)
{
	struct target t;

	if (!path_resolve(dirfd, path, &t))
		return 0;
	return path_done(r, &t, fs_mkdir(&t.o, fs_mode((uint32_t)mode & 01777)));
}

int call_mkdir(struct preload_regs *r)
{
	return mkdir_path(r, CWD, r->a[0], r->a[1]);
}

int call_mkdirat(struct preload_regs *r)
{
	return mkdir_path(r, r->a[0], r->a[1], r->a[2]);
}

static int mknod_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint32_t mode, uint32_t dev)
{
	uint32_t major = dev >> 8 & 0xfff, minor = (dev & 0xff) | (dev >> 12 & 0xfff00);
	struct target t;

	if (!path_resolve(dirfd, path, &t))
		return 0;
	return path_done(r, &t, fs_mknod(&t.o, fs_mode(mode), major, minor));
}

int call_mknod(struct preload_regs *r)
{
	return mknod_path(r, CWD, r->a[0], (uint32_t)r->a[1] & 0xffff, (uint32_t)r->a[2]);
}

int call_mknodat(struct preload_regs *r)
{
	return mknod_path(r, r->a[0], r->a[1], (uint32_t)r->a[2] & 0xffff, (uint32_t)r->a[3]);
}

static int symlink_path(struct preload_regs *r, uint64_t target, uint64_t dirfd, uint64_t path)
{
	int64_t len = fs_memory_text(target);
	struct target t;

	if (len < 0 || !path_resolve(dirfd, path, &t))
		return 0;
	if (!len || len >= FS_PATH_MAX)
		return path_done(r, &t, len ? -ENAMETOOLONG : -ENOENT);
	return path_done(r, &t, fs_symlink(&t.o, (const char *)target, (uint32_t)len));
}

int call_symlink(struct preload_regs *r)
{
	return symlink_path(r, r->a[0], CWD, r->a[1]);
}

int call_symlinkat(struct preload_regs *r)
{
	return symlink_path(r, r->a[0], r->a[1], r->a[2]);
}

static int unlink_path(struct preload_regs *r, uint64_t dirfd, uint64_t path, uint16_t flags)
{
	struct target t;

	if (!path_resolve(dirfd, path, &t))
		return 0;
	t.o.flags |= flags;
	return path_done(r, &t, fs_unlink(&t.o));
}

int call_unlink(struct preload_regs *r)
{
	return unlink_path(r, CWD, r->a[0], 0);
}

int call_rmdir(struct preload_regs *r)
{
	return unlink_path(r, CWD, r->a[0], WIRE_REMOVEDIR);
}

int call_unlinkat(struct preload_regs *r)
{
	if (r->a[2] & ~(uint64_t)AT_REMOVEDIR)
		return 0;
	return unlink_path(r, r->a[0], r->a[1], r->a[2] & AT_REMOVEDIR ? WIRE_REMOVEDIR : 0);
}

/* Both names, if both are on one mount of ours; else the kernel says why not (0), or -errno. */
static int two_paths(const uint64_t *from, const uint64_t *to, struct target *a, struct target *b)
{
	/* Without FUSE the kernel would not find the first, before it looks at this. */
	if (process.tokens && fs_memory_text(to[1]) < 0)
		return -EFAULT;
	if (!path_resolve(from[0], from[1], a))
		return 0;
	if (!path_resolve(to[0], to[1], b)) {
		path_end(a);
		return 0;
	}
	if (a->o.mount == b->o.mount)
		return 1;
	path_end(a);
	path_end(b);
	return 0;
}

static int link_paths(struct preload_regs *r, const uint64_t *from, const uint64_t *to, uint32_t flags)
{
	struct target a, b;
	int64_t result;

	result = two_paths(from, to, &a, &b);
	if (result <= 0)
		return result ? call_done(r, result) : 0;
	if (!(flags & AT_SYMLINK_FOLLOW))
		a.o.flags |= WIRE_NOFOLLOW;
	result = fs_link(&a.o, &b.o);
	path_end(&b);
	return path_done(r, &a, result);
}

int call_link(struct preload_regs *r)
{
	uint64_t from[2] = {CWD, r->a[0]}, to[2] = {CWD, r->a[1]};

	return link_paths(r, from, to, 0);
}

int call_linkat(struct preload_regs *r)
{
	if (r->a[4] & ~(uint64_t)AT_SYMLINK_FOLLOW)
		return 0;
	return link_paths(r, &r->a[0], &r->a[2], (uint32_t)r->a[4]);
}

static int rename_paths(struct preload_regs *r, const uint64_t *from, const uint64_t *to, uint32_t flags)
{
	struct target a, b;
	int64_t result;

	result = two_paths(from, to, &a, &b);
	if (result <= 0)
		return result ? call_done(r, result) : 0;
	result = fs_rename(&a.o, &b.o, flags);
	path_end(&b);
	return path_done(r, &a, result);
}

int call_rename(struct preload_regs *r)
{
	uint64_t from[2] = {CWD, r->a[0]}, to[2] = {CWD, r->a[1]};

	return rename_paths(r, from, to, 0);
}

int call_renameat(struct preload_regs *r)
{
	return rename_paths(r, &r->a[0], &r->a[2], 0);
}

int call_renameat2(struct preload_regs *r)
{
	enum { NOT_WITH_EXCHANGE = RENAME_NOREPLACE | RENAME_WHITEOUT, KNOWN = RENAME_EXCHANGE | NOT_WITH_EXCHANGE };
	const uint32_t flags = (uint32_t)r->a[4];

	/* Flags that do not go together the kernel refuses before it looks for the names. */
	if ((flags & ~(uint32_t)KNOWN) || ((flags & RENAME_EXCHANGE) && (flags & NOT_WITH_EXCHANGE)))
		return 0;
	return rename_paths(r, &r->a[0], &r->a[2], flags);
}
