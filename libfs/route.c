/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mount an absolute path leads into, by its text. Most paths of most programs lead into none, so that
 * answer must be cheap: it usually takes the first byte after the slash.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/stat.h"

/* Skips "/", "//", "/./" and a last "/.". */
static const char *route_skip(const char *p)
{
	for (;;) {
		if (*p == '/')
			p++;
		else if (p[0] == '.' && (p[1] == '/' || !p[1]))
			p++;
		else
			return p;
	}
}

/* What remains of the path below the mount point, which is at `want` from where the path starts; or NULL. */
static const char *route_match(const char *path, const char *want)
{
	const char *p = route_skip(path);

	while (*want) {
		while (*want && *want != '/' && *p == *want) {
			p++;
			want++;
		}
		if ((*want && *want != '/') || (*p && *p != '/'))
			return 0;
		if (*want)
			want++;
		p = route_skip(p);
	}
	return p;
}

static int route_starts(const char *p, const char *name)
{
	for (; *name; p++, name++)
		if (*p != *name)
			return 0;
	return !*p || *p == '/';
}

/* Below a pool's "/" the kernel's own file systems stay where programs look for them. */
static int route_is_kernels(const char *rest)
{
	return route_starts(rest, "proc") || route_starts(rest, "sys") || route_starts(rest, "dev") ||
	       route_starts(rest, &WIRE_POOL_DIR[1]);
}

static int route_to(uint32_t mount, const char *path, const char *rest, struct fs_object *ret)
{
	*ret = (struct fs_object){.mount = mount, .path = rest, .ino = fs_table()->mount[mount].root_ino};
	ret->base = WIRE_MOUNT(mount);
	ret->len = fs_path_length(rest);
	return (uint64_t)(rest - path) + ret->len < FS_PATH_MAX;
}

int fs_route(const char *path, struct fs_object *ret)
{
	const struct wire_table *t = fs_table();
	const struct wire_mount *found = 0;
	const char *rest = 0, *p;
	uint32_t i, count = t->mount_count;

	for (i = 0; i < count && i < WIRE_MOUNTS_MAX; i++) {
		const struct wire_mount *m = &t->mount[i];

		if (path[1] != m->path[1] && m->path_len > 1 && path[1] != '/' && path[1] != '.')
			continue;
		p = route_match(path, m->path + 1);
		if (p && (!found || m->path_len > found->path_len)) {
			found = m;
			rest = p;
		}
	}
	if (!found || (found->flags & WIRE_MOUNT_KERNEL) || (found->path_len == 1 && route_is_kernels(rest)))
		return 0;
	return route_to((uint32_t)(found - t->mount), path, rest, ret);
}

/* ---- a container's root ------------------------------------------------------------------------ */

/* The place of the root that is this process' "/", and its device, by which one sees that it is there still. */
static struct {
	uint32_t mount; /* 0: there is none */
	uint64_t dev;
} own_root;

/* To who may mount something in there, or become who may, the service would say no. */
static int route_may_mount(void)
{
	return sys5(__NR_prctl, PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0;
}

/* All of the root, not a directory in it: what is above that is in nobody's way. */
void fs_route_begin(void)
{
	const struct wire_table *t = fs_table();
	uint32_t i, top = __atomic_load_n(&t->mount_top, __ATOMIC_ACQUIRE);
	struct statx st;
	uint64_t dev;

	own_root.mount = 0;
	if (top <= t->mount_count || top > WIRE_MOUNTS_MAX || route_may_mount() ||
	    sys5(__NR_statx, AT_FDCWD, (long)"/", AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, (long)&st) < 0)
		return;
	dev = stat_dev(st.stx_dev_major, st.stx_dev_minor);
	for (i = t->mount_count; i < top; i++)
		if (__atomic_load_n(&t->mount[i].dev, __ATOMIC_ACQUIRE) == dev && t->mount[i].root_ino == st.stx_ino) {
			own_root.dev = dev;
			own_root.mount = i;
		}
}

static int own_root_holds(void)
{
	return own_root.mount &&
	       __atomic_load_n(&fs_table()->mount[own_root.mount].dev, __ATOMIC_RELAXED) == own_root.dev;
}

uint32_t fs_route_own(void)
{
	return own_root_holds() ? own_root.mount : 0;
}

int fs_route_root(const char *path, struct fs_object *ret)
{
	const char *rest = route_skip(path);

	return own_root_holds() && !route_is_kernels(rest) && route_to(own_root.mount, path, rest, ret);
}

const char *fs_route_path(uint32_t mount)
{
	return mount && mount == own_root.mount ? "/" : fs_table()->mount[mount].path;
}

/* Where the mount point is from a directory at or above it, or NULL. */
static const char *route_below(const char *dir, uint32_t len, const struct wire_mount *m)
{
	const char *p = m->path;
	uint32_t i;

	if (len == 1)
		return p + 1;
	for (i = 0; i < len; i++)
		if (p[i] != dir[i])
			return 0;
	return p[len] == '/' ? p + len + 1 : p[len] ? 0 : p + len;
}

int fs_route_above(const char *dir, uint32_t len)
{
	const struct wire_table *t = fs_table();
	uint32_t i;

	for (i = 0; i < t->mount_count && i < WIRE_MOUNTS_MAX; i++)
		if (route_below(dir, len, &t->mount[i]))
			return 1;
	return 0;
}

int fs_route_from(const char *dir, uint32_t len, const char *path, struct fs_object *ret)
{
	const struct wire_table *t = fs_table();
	const struct wire_mount *found = 0;
	const char *rest = 0, *p;
	uint32_t i;

	for (i = 0; i < t->mount_count && i < WIRE_MOUNTS_MAX; i++) {
		const struct wire_mount *m = &t->mount[i];
		const char *want = route_below(dir, len, m);

		p = want ? route_match(path, want) : 0;
		if (p && (!found || m->path_len > found->path_len)) {
			found = m;
			rest = p;
		}
	}
	if (!found || (found->flags & WIRE_MOUNT_KERNEL))
		return 0;
	*ret = (struct fs_object){.mount = (uint32_t)(found - t->mount), .path = rest, .len = fs_path_length(rest)};
	ret->base = WIRE_MOUNT(ret->mount);
	return 1;
}

int fs_route_dev(uint64_t dev)
{
	const struct wire_table *t = fs_table();
	uint32_t i;

	for (i = 0; i < t->mount_count && i < WIRE_MOUNTS_MAX; i++)
		if (t->mount[i].dev == dev && !(t->mount[i].flags & WIRE_MOUNT_KERNEL))
			return (int)i;
	return own_root_holds() && own_root.dev == dev ? (int)own_root.mount : -1;
}
