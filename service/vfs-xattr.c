/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes, and what those that are access control lists mean for the mode. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "service/acl-find.h"
#include "service/acl.h"
#include "service/lease.h"
#include "service/perm.h"
#include "service/share.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

static struct ls *stack_of(const struct inode *inode)
{
	return inode->fs->stack;
}

static int xattr_begin(struct caller *c, struct inode *inode, const char *name, unsigned may)
{
	struct ls_attr attr;
	int r;

	if (!*name || strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if ((may & MAY_WRITE) && inode->fs->rdonly)
		return -EROFS;
	r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &attr);
	return r < 0 ? r : perm_xattr(c, inode, &attr, name, may);
}

ssize_t vfs_getxattr(struct caller *c, struct inode *inode, const char *name, void *buf, size_t size)
{
	int r = xattr_begin(c, inode, name, MAY_READ);

	return r < 0 ? r : ls_getxattr(stack_of(inode), &c->call, inode->ls, name, buf, size);
}

static bool xattr_is_acl(const char *name)
{
	return !strcmp(name, ACL_ACCESS) || !strcmp(name, ACL_DEFAULT);
}

/* An ACL that is not there is removed without complaint; what can have none, has none. */
static int acl_remove(struct caller *c, struct inode *inode, const char *name)
{
	int r;

	if (!strcmp(name, ACL_DEFAULT) && inode->type != S_IFDIR)
		return inode->type == S_IFLNK ? -EOPNOTSUPP : 0;
	r = ls_removexattr(stack_of(inode), &c->call, inode->ls, name);
	return r == -ENODATA ? 0 : r;
}

static int acl_set_mode(struct caller *c, struct inode *inode, mode_t bits)
{
	struct ls_attr in, after;
	int r = ls_getattr(stack_of(inode), &c->call, inode->ls, NULL, &in);

	if (r < 0)
		return r;
	in.mode = (in.mode & ~0777u) | bits;
	if (!caller_is_root(c) && !caller_in_group(c, in.gid))
		in.mode &= ~S_ISGID;
	return ls_setattr(stack_of(inode), &c->call, inode->ls, NULL, &in, LS_SET_MODE, &after);
}

/* No more than the mode says. The mode first: without the ACL, its group's bits would be the mask's. */
static int acl_set_minimal(struct caller *c, struct inode *inode, const char *name, mode_t bits)
{
	int r = acl_set_mode(c, inode, bits);

	if (r == 0)
		r = acl_remove(c, inode, name);
	return r == -EOPNOTSUPP ? 0 : r;
}

/*
 * An access ACL sets the mode, and is stored only if it says more than that; before the mode, which gives the group all
 * that anybody in the ACL may have. The kernel, too, ignores setxattr's flags here.
 */
static int acl_set(struct caller *c, struct inode *inode, const char *name, const void *value, size_t size)
{
	bool access = !strcmp(name, ACL_ACCESS);
	mode_t bits;
	int kind = acl_mode(value, size, &bits), r;

	if (inode->type == S_IFLNK)
		return -EOPNOTSUPP;
	if (kind == ACL_NONE)
		return acl_remove(c, inode, name);
	if (kind < 0)
		return kind;
	if (size > ACL_SIZE_MAX)
		return -E2BIG;
	if (!access && inode->type != S_IFDIR)
		return -EACCES;
	if (access && kind == ACL_MINIMAL)
		return acl_set_minimal(c, inode, name, bits);
	r = ls_setxattr(stack_of(inode), &c->call, inode->ls, name, value, size, 0);
	acl_changed(inode->fs, access ? ACL_OF_ACCESS : ACL_OF_DEFAULT, inode->ino);
	return r == 0 && access ? acl_set_mode(c, inode, bits) : r;
}

int vfs_setxattr(struct caller *c, struct inode *inode, const char *name, const void *buf, size_t size, int flags)
{
	bool sets_mode = !strcmp(name, ACL_ACCESS);
	struct lease_change change;
	int r;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	r = xattr_begin(c, inode, name, MAY_WRITE);
	if (r < 0)
		return r;
	if (!strcmp(name, "security.capability") && share_kernel_through(inode))
		return -ETXTBSY;
	lease_change_one(&change, inode, sets_mode);
	if (xattr_is_acl(name))
		r = acl_set(c, inode, name, buf, size);
	else
		r = ls_setxattr(stack_of(inode), &c->call, inode->ls, name, buf, size, flags);
	lease_change_end(&change);
	if (r == 0 && sets_mode)
		notify_mode(inode);
	else if (r == 0)
		notify_attr(c, inode);
	return r;
}

/* Names of the trusted class are not for everybody to see. */
static ssize_t list_filter(char *buf, ssize_t n)
{
	char *from = buf, *to = buf, *end = buf + n;

	while (from < end) {
		size_t length = strnlen(from, end - from) + 1;
		if (strncmp(from, "trusted.", 8)) {
			memmove(to, from, length);
			to += length;
		}
		from += length;
	}
	return to - buf;
}

ssize_t vfs_listxattr(struct caller *c, struct inode *inode, char *buf, size_t size)
{
	char *all;
	ssize_t n;

	if (caller_is_root(c))
		return ls_listxattr(stack_of(inode), &c->call, inode->ls, buf, size);
	all = malloc(XATTR_LIST_MAX);
	if (!all)
		return -ENOMEM;
	n = ls_listxattr(stack_of(inode), &c->call, inode->ls, all, XATTR_LIST_MAX);
	if (n > 0)
		n = list_filter(all, n);
	if (n > 0 && size > 0) {
		if ((size_t)n > size)
			n = -ERANGE;
		else
			memcpy(buf, all, n);
	}
	free(all);
	return n;
}

int vfs_removexattr(struct caller *c, struct inode *inode, const char *name)
{
	struct lease_change change;
	int r = xattr_begin(c, inode, name, MAY_WRITE);

	if (r < 0)
		return r;
	lease_change_one(&change, inode, !strcmp(name, ACL_ACCESS));
	if (xattr_is_acl(name))
		r = acl_remove(c, inode, name);
	else
		r = ls_removexattr(stack_of(inode), &c->call, inode->ls, name);
	lease_change_end(&change);
	if (r == 0)
		notify_attr(c, inode);
	return r;
}
