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

enum { SHOWS_NONE = -1, SHOWS_ALL = -2 };

static int path_number(const char *p, const char **ret_rest)
{
	uint32_t n = 0;

	if (*p < '0' || *p > '9')
		return SHOWS_ALL;
	for (; *p >= '0' && *p <= '9' && n < FD_MAX; p++)
		n = n * 10 + (uint32_t)(*p - '0');
	*ret_rest = p;
	return (int)n;
}

static int path_standard(const char *p)
{
	if (path_has(&p, "std"))
		return path_has(&p, "in") ? 0 : path_has(&p, "out") ? 1 : path_has(&p, "err") ? 2 : SHOWS_NONE;
	return SHOWS_NONE;
}

/*
 * "/proc/self/fd/7", "/dev/fd/7", "/dev/stdin" and their like show descriptors to the kernel. Which; *ret_rest is what
 * follows the number.
 */
static int path_shows(const char *p, const char **ret_rest)
{
	int fd;

	*ret_rest = "";
	if (path_has(&p, "/dev/")) {
		fd = path_standard(p);
		if (fd >= 0 || !path_has(&p, "fd"))
			return fd;
	} else if (path_has(&p, "/proc/")) {
		while (*p && *p != '/')
			p++;
		if (!path_has(&p, "/fd"))
			return SHOWS_NONE;
		path_has(&p, "info");
	} else {
		return SHOWS_NONE;
	}
	return *p == '/' ? path_number(p + 1, ret_rest) : SHOWS_ALL;
}

static int path_is_own(const char *p)
{
	const char *rest = "";

	if (path_has(&p, "/dev/"))
		return 1;
	if (!path_has(&p, "/proc/"))
		return 0;
	if (path_has(&p, "self/") || path_has(&p, "thread-self/"))
		return 1;
	return path_number(p, &rest) == (int)sys0(__NR_getpid) && *rest == '/';
}

int path_shows_own(const char *path)
{
	const char *rest;
	int fd = path_shows(path, &rest);

	return fd >= 0 && !*rest && path_is_own(path) ? fd : -1;
}

int path_is_made_up(const char *path, uint64_t length)
{
	static const char made_up[] = "/" WIRE_OPEN_NAME;
	const uint64_t n = sizeof(made_up) - 1;
	uint64_t at = length;

	while (at && path[at - 1] != '/')
		at--;
	return at && length - at + 1 > n && !mem_compare(path + at - 1, made_up, n);
}

/* The open file behind such a name, if the kernel cannot have it. */
static int path_is_descriptor(uint64_t fd, struct target *t)
{
	fd_learn(fd);
	if (!path_descriptor(fd, t))
		return 0;
	if (!(fs_table()->mount[t->o.mount].flags & WIRE_MOUNT_FUSE))
		return 1;
	path_end(t);
	return 0;
}

/* What is shown must be real. */
static int path_shows_descriptors(const char *p, struct target *t)
{
	const char *rest;
	int fd = path_shows(p, &rest);

	if (fd == SHOWS_NONE)
		return 0;
	if (fd >= 0 && !*rest && process.tokens && path_is_descriptor((uint64_t)fd, t))
		return 1;
	if (fd >= 0)
		fd_materialise((uint64_t)fd, WHY_PROC);
	else
		fd_materialise_all(WHY_PROC);
	return 0;
}

int path_route(const char *path, struct fs_object *ret)
{
	return (fs_route(path, ret) && path_mount_good(ret->mount)) || fs_route_root(path, ret);
}

static int path_absolute(const char *p, struct target *t)
{
	if (path_route(p, &t->o))
		return 1;
	if ((process.placeholders || process.tokens) && (p[1] == 'p' || p[1] == 'd'))
		return path_shows_descriptors(p, t);
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

static int path_is_up(const char *p)
{
	return p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]);
}

/* Goes up as often as the path begins with "..", in the text of a directory's own path. */
static const char *path_go_up(const char *p, const char *dir, int64_t *n)
{
	for (; path_is_up(p); p += 2) {
		while (*n > 1 && dir[--*n] != '/')
			;
		if (!p[2])
			return p + 2;
		while (p[2] == '/')
			p++;
	}
	return p;
}

/*
 * From a directory of the kernel's a path goes by text, too: what leads from the working directory into a mount is as much
 * ours as if it began with a slash. Without FUSE the kernel would not find the mount, or what is below the mount point,
 * and that goes for every directory.
 */
static int path_from_above(uint64_t dirfd, const char *p, struct target *t)
{
	char dir[FS_PATH_MAX / 4];
	int64_t n;

	if (!fd_is_above(dirfd) && !(path_is_up(p) && (process.tokens || (int)dirfd == AT_FDCWD)))
		return 0;
	n = fd_kernel_path((int)dirfd, dir, sizeof(dir));
	if (n <= 0)
		return 0;
	p = path_go_up(p, dir, &n);
	return fs_route_from(dir, (uint32_t)n, p, &t->o) && path_mount_good(t->o.mount);
}

int path_resolve(uint64_t dirfd, uint64_t path, struct target *t)
{
	const char *p = (const char *)path;
	int64_t len;

	t->held = NULL;
	if (process_limited(NO_PATHS) || (len = fs_memory_text(path)) <= 0 || len >= FS_PATH_MAX)
		return 0;
	if (*p == '/')
		return path_absolute(p, t);
	t->held = path_start(dirfd);
	if (!t->held)
		return path_from_above(dirfd, p, t);
	fs_object_below(t->held, p, (uint32_t)len, &t->o);
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
	if (__builtin_expect(r == FS_KERNEL, 0) && t->held && process.tokens)
		r = path_above(regs, t);
	path_end(t);
	return call_done(regs, r);
}
