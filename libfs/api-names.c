/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface (polytropon.h) on names. */
#include <errno.h>
#include "libfs/api.h"

static int names_stat(const char *path, uint16_t flags, struct stat *ret)
{
	struct wire_attr attr;
	struct fs_object o;
	int64_t r = api_path(path, &o);

	if (r < 0)
		return (int)r;
	o.flags |= flags;
	r = fs_getattr(&o, &attr);
	if (r >= 0)
		stat_fill(ret, &attr, fs_table()->mount[o.mount].dev);
	return (int)api_result(r);
}

int polytropon_stat(const char *path, struct stat *ret)
{
	return names_stat(path, 0, ret);
}

int polytropon_lstat(const char *path, struct stat *ret)
{
	return names_stat(path, WIRE_NOFOLLOW, ret);
}

int polytropon_access(const char *path, int mode)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : (int)api_result(fs_access(&o, (uint32_t)mode));
}

int polytropon_mkdir(const char *path, mode_t mode)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : (int)api_result(fs_mkdir(&o, fs_mode(mode & 01777)));
}

static int names_unlink(const char *path, uint16_t flags)
{
	struct fs_object o;
	int r = api_path(path, &o);

	if (r < 0)
		return r;
	o.flags |= flags;
	return (int)api_result(fs_unlink(&o));
}

int polytropon_rmdir(const char *path)
{
	return names_unlink(path, WIRE_REMOVEDIR);
}

int polytropon_unlink(const char *path)
{
	return names_unlink(path, 0);
}

static int names_two(const char *from, const char *to, struct fs_object *a, struct fs_object *b)
{
	int r = api_path(from, a);

	if (r == 0)
		r = api_path(to, b);
	return r == 0 && a->mount != b->mount ? -EXDEV : r;
}

int polytropon_rename(const char *from, const char *to)
{
	struct fs_object a, b;
	int r = names_two(from, to, &a, &b);

	return r < 0 ? r : (int)api_result(fs_rename(&a, &b, 0));
}

int polytropon_link(const char *from, const char *to)
{
	struct fs_object a, b;
	int r = names_two(from, to, &a, &b);

	if (r < 0)
		return r;
	a.flags |= WIRE_NOFOLLOW;
	return (int)api_result(fs_link(&a, &b));
}

int polytropon_symlink(const char *target, const char *path)
{
	uint32_t len = target ? fs_path_length(target) : 0;
	struct fs_object o;
	int r = api_path(path, &o);

	if (r < 0)
		return r;
	if (!len || len >= FS_PATH_MAX)
		return len ? -ENAMETOOLONG : -ENOENT;
	return (int)api_result(fs_symlink(&o, target, len));
}

ssize_t polytropon_readlink(const char *path, char *buf, size_t size)
{
	struct fs_object o;
	int r = api_path(path, &o);

	if (r < 0)
		return r;
	o.flags |= WIRE_NOFOLLOW;
	return api_result(fs_readlink(&o, buf, size));
}

static int names_setattr(const char *path, const struct fs_setattr *in)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : (int)api_result(fs_setattr(&o, in));
}

int polytropon_chmod(const char *path, mode_t mode)
{
	struct fs_setattr in = {.set = WIRE_SET_MODE, .mode = mode & 07777};

	return names_setattr(path, &in);
}

int polytropon_chown(const char *path, uid_t uid, gid_t gid)
{
	struct fs_setattr in;

	stat_owner(uid, gid, &in);
	return names_setattr(path, &in);
}

int polytropon_truncate(const char *path, off_t size)
{
	struct fs_setattr in = {.set = WIRE_SET_SIZE, .size = (uint64_t)size};

	return size < 0 ? -EINVAL : names_setattr(path, &in);
}

int polytropon_utimens(const char *path, const struct timespec times[2])
{
	struct fs_setattr in;

	if (!stat_time_valid(&times[0]) || !stat_time_valid(&times[1]))
		return -EINVAL;
	stat_times(times, &in);
	return names_setattr(path, &in);
}

ssize_t polytropon_getxattr(const char *path, const char *name, void *buf, size_t size)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : api_result(fs_getxattr(&o, name, buf, size));
}

int polytropon_setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : (int)api_result(fs_setxattr(&o, name, value, size, flags));
}

ssize_t polytropon_listxattr(const char *path, char *buf, size_t size)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : api_result(fs_listxattr(&o, buf, size));
}

int polytropon_removexattr(const char *path, const char *name)
{
	struct fs_object o;
	int r = api_path(path, &o);

	return r < 0 ? r : (int)api_result(fs_removexattr(&o, name));
}
