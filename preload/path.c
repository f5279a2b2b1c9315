/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths. An absolute one is ours if its text leads into a mount of the pool; a relative one if it starts from a
 * directory of ours. All others are the kernel's, and the FUSE mount brings back to us those that wander in by
 * symbolic links or "..".
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/path.h"
#include "preload/process.h"

/*
 * Whether the mount's path leads to it in this process: somebody may have mounted over it in a namespace that we
 * inherited. Asked once.
 */
static int path_mount_good(uint32_t mount)
{
	const struct wire_mount *m = &fs_table()->mount[mount];
	uint32_t bit = 1u << mount;
	struct fd_identity id;

	if (process.mount_good & bit)
		return 1;
	if (process.mount_checked & bit)
		return 0;
	if (!(m->flags & WIRE_MOUNT_FUSE) ||
	    (fd_identify(AT_FDCWD, m->path, &id) == 0 && id.dev == m->dev))
		__atomic_or_fetch(&process.mount_good, bit, __ATOMIC_RELAXED);
	__atomic_or_fetch(&process.mount_checked, bit, __ATOMIC_RELAXED);
	return (process.mount_good & bit) != 0;
}

static int path_has(const char **p, const char *text)
{
	const char *s = *p;

	for (; *text; s++, text++)
		if (*s != *text)
			return 0;
	*p = s;
	return 1;
}

/*
 * "/proc/self/fd/7", "/dev/fd/7", "/dev/stdin" and their like show descriptors to the kernel: those must be real.
 * One that is named by its number alone; else all.
 */
static void path_shows_descriptors(const char *p)
{
	uint32_t fd = 0;

	if (path_has(&p, "/dev/")) {
		if (path_has(&p, "std"))
			fd_materialise_all(WHY_PROC);
		if (!path_has(&p, "fd"))
			return;
	} else if (path_has(&p, "/proc/")) {
		while (*p && *p != '/')
			p++;
		if (!path_has(&p, "/fd"))
			return;
		path_has(&p, "info");
	} else {
		return;
	}
	if (*p != '/' || p[1] < '0' || p[1] > '9') {
		fd_materialise_all(WHY_PROC);
		return;
	}
	for (p++; *p >= '0' && *p <= '9' && fd < FD_MAX; p++)
		fd = fd * 10 + (uint32_t)(*p - '0');
	fd_materialise(fd, WHY_PROC);
}

static int path_absolute(const char *p, struct target *t)
{
	if (fs_route(p, &t->o) && path_mount_good(t->o.mount))
		return 1;
	if (process.placeholders && (p[1] == 'p' || p[1] == 'd'))
		path_shows_descriptors(p);
	return 0;
}

/* The directory that a relative path starts from, referenced, if it is ours. */
static struct fs_file *path_start(uint64_t dirfd)
{
	struct fs_file *dir;

	if ((int)dirfd == AT_FDCWD)
		return fd_cwd();
	if (fd_is(dirfd, FD_FOREIGN))
		return NULL;
	dir = fd_adopt(dirfd);
	if (dir && dir->type != S_IFDIR) {
		fs_file_put(dir);
		return NULL;
	}
	return dir;
}

int path_resolve(uint64_t dirfd, uint64_t path, struct target *t)
{
	const char *p = (const char *)path;
	uint32_t len;

	t->held = NULL;
	if (!address_good(path, 0) || !*p || process_limited(NO_PATHS))
		return 0;
	if (*p == '/')
		return path_absolute(p, t);
	t->held = path_start(dirfd);
	if (!t->held)
		return 0;
	len = fs_path_length(p);
	if (len >= FS_PATH_MAX) {
		path_end(t);
		return 0;
	}
	fs_object_below(t->held, p, len, &t->o);
	return 1;
}

int path_descriptor(uint64_t fd, struct target *t)
{
	t->held = fd_file(fd);
	if (!t->held)
		return 0;
	fs_object_file(t->held, &t->o);
	return 1;
}

void path_end(struct target *t)
{
	if (t->held)
		fs_file_put(t->held);
	t->held = NULL;
}

int path_done(struct preload_regs *regs, struct target *t, int64_t r)
{
	path_end(t);
	return call_done(regs, r);
}
