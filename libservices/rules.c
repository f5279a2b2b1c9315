/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel's filesystems answer: see rules.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "libservices/rules.h"

int ls_name_check(const char *name)
{
	if (!*name)
		return -ENOENT;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
		return -EINVAL;
	return strlen(name) > NAME_MAX ? -ENAMETOOLONG : 0;
}

int ls_rename_check(unsigned flags)
{
	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	return flags & RENAME_EXCHANGE && flags != RENAME_EXCHANGE ? -EINVAL : 0;
}

int ls_open_check(mode_t type, int flags)
{
	if (type == S_IFLNK)
		return -ELOOP;
	if (type != S_IFREG && type != S_IFDIR)
		return -ENXIO;
	return type == S_IFDIR && (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : 0;
}

int ls_fallocate_check(mode_t type, int mode, off_t offset, off_t length)
{
	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (type != S_IFREG)
		return type == S_IFDIR ? -EISDIR : -ENODEV;
	switch (mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

bool ls_xattr_in(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 && name[n];
}

int ls_xattr_check(mode_t type, const char *name)
{
	if (!*name || strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (ls_xattr_in(name, "user."))
		return type == S_IFREG || type == S_IFDIR ? 0 : -EPERM;
	if (ls_xattr_in(name, "trusted.") || ls_xattr_in(name, "security."))
		return 0;
	if (strcmp(name, ACL_ACCESS) == 0)
		return type == S_IFLNK ? -EOPNOTSUPP : 0;
	if (strcmp(name, ACL_DEFAULT) == 0)
		return type == S_IFDIR ? 0 : -EACCES;
	return strcmp(name, "user.") && strcmp(name, "trusted.") && strcmp(name, "security.") ? -EOPNOTSUPP : -EINVAL;
}

static bool time_reached(const struct timespec *t, const struct timespec *by)
{
	return by->tv_sec != t->tv_sec ? by->tv_sec > t->tv_sec : by->tv_nsec >= t->tv_nsec;
}

bool ls_atime_due(const struct ls_attr *a)
{
	return time_reached(&a->atime, &a->mtime) || time_reached(&a->atime, &a->ctime);
}

bool ls_atime_due_kernel(const struct ls_attr *a)
{
	enum { AGE = 24 * 3600 };
	struct timespec now;

	if (ls_atime_due(a))
		return true;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec - a->atime.tv_sec >= AGE;
}

void ls_attr_touch(struct ls_attr *a, unsigned what)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (what & LS_ATIME)
		a->atime = now;
	if (what & LS_MTIME)
		a->mtime = now;
	if (what & LS_CTIME)
		a->ctime = now;
}

void ls_attr_apply(struct ls_attr *a, const struct ls_attr *in, unsigned set)
{
	if (set & LS_SET_MODE)
		a->mode = (a->mode & S_IFMT) | (in->mode & 07777);
	if (set & LS_SET_UID)
		a->uid = in->uid;
	if (set & LS_SET_GID)
		a->gid = in->gid;
	ls_attr_touch(a, LS_CTIME | (set & LS_SET_ATIME_NOW ? LS_ATIME : 0) |
				 (set & (LS_SET_MTIME_NOW | LS_SET_SIZE) ? LS_MTIME : 0));
	if ((set & LS_SET_ATIME) && !(set & LS_SET_ATIME_NOW))
		a->atime = in->atime;
	if ((set & LS_SET_MTIME) && !(set & LS_SET_MTIME_NOW))
		a->mtime = in->mtime;
	if (set & LS_SET_CTIME)
		a->ctime = in->ctime;
}
