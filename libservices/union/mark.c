/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks on the branches' inodes, in overlayfs' convention: extended attributes that begin with "trusted.overlay."
 * (or "user.overlay."). Users do not see them. What a user calls trusted.overlay.x is trusted.overlay.overlay.x in
 * the branches, as overlayfs does it, so that an overlay can be made on top of a union.
 *
 *   opaque           "y": nothing below shows through this directory; "x": it may hold whiteouts in the xattr form
 *   whiteout         on an empty file in a directory marked "x"
 *   redirect         where the directory is called something else in the branches below
 *   impure           entries of the directory may have numbers of other branches
 *   union.origin     ours: the number of the inode, from before it was copied up
 *   union.links      ours: how many names an inode in the index has
 *   union.shown      ours: a 0/0 device that is a device, not a whiteout
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

static void mark_name(const struct union_fs *u, const char *mark, char *name, size_t size)
{
	snprintf(name, size, "%s%s", u->prefix, mark);
}

int union_mark_get(struct union_fs *u, const struct ls_call *call, const struct union_real *real, const char *mark,
		   char *buf, size_t size)
{
	char name[64];
	ssize_t n;

	mark_name(u, mark, name, sizeof(name));
	n = ls_getxattr(u->ls->below[real->branch], call, real->inode, name, buf, size - 1);
	if (n == -ENODATA || n == -EOPNOTSUPP || n == -EPERM)
		n = 0;
	if (n >= 0)
		buf[n] = 0;
	return n;
}

int union_mark_set(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode, const char *mark,
		   const char *value)
{
	char name[64];

	mark_name(u, mark, name, sizeof(name));
	return ls_setxattr(u->ls->below[0], call, inode, name, value, strlen(value), 0);
}

bool union_mark_is(const struct union_fs *u, const char *xattr)
{
	return strncmp(xattr, u->prefix, strlen(u->prefix)) == 0;
}

/* ---- the users' attributes ------------------------------------------------------------------------- */

enum { XATTR_NAME = 256, XATTR_LIST = 65536 };

/* The name that the branches know. */
static int name_inward(const struct union_fs *u, const char *name, char *ret)
{
	int n = union_mark_is(u, name)
			? snprintf(ret, XATTR_NAME, "%soverlay.%s", u->prefix, name + strlen(u->prefix))
			: snprintf(ret, XATTR_NAME, "%s", name);

	return n < XATTR_NAME ? 0 : -ERANGE;
}

/* The inode of the first branch. A directory's may be replaced meanwhile, by one with the same attributes. */
static struct union_real real_of(struct union_inode *inode)
{
	struct union_real real;

	if (union_is_dir(inode)) {
		pthread_mutex_lock(&inode->lock);
		real = inode->branch[0];
		pthread_mutex_unlock(&inode->lock);
		return real;
	}
	pthread_rwlock_rdlock(&inode->content);
	real = inode->real;
	pthread_rwlock_unlock(&inode->content);
	return real;
}

ssize_t union_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name, void *buf,
		       size_t size)
{
	struct union_real real = real_of(union_inode_of(inode));
	char inward[XATTR_NAME];
	int r = name_inward(union_of(ls), name, inward);

	return r < 0 ? r : ls_getxattr(ls->below[real.branch], call, real.inode, inward, buf, size);
}

/* Where attributes can be changed: copied up only if there is something to change. */
static int xattr_begin(struct ls *ls, const struct ls_call *call, struct union_inode *inode, const char *name,
		       char *inward)
{
	int r = name_inward(union_of(ls), name, inward);

	if (r < 0)
		return r;
	return union_of(ls)->writable ? union_up(union_of(ls), call, inode) : -EROFS;
}

int union_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name,
		   const void *buf, size_t size, int flags)
{
	char inward[XATTR_NAME];
	int r = xattr_begin(ls, call, union_inode_of(inode), name, inward);

	if (r < 0)
		return r;
	return ls_setxattr(ls->below[0], call, real_of(union_inode_of(inode)).inode, inward, buf, size, flags);
}

int union_removexattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, const char *name)
{
	ssize_t n = union_getxattr(ls, call, inode, name, NULL, 0);
	char inward[XATTR_NAME];
	int r = n < 0 ? (int)n : xattr_begin(ls, call, union_inode_of(inode), name, inward);

	if (r < 0)
		return r;
	return ls_removexattr(ls->below[0], call, real_of(union_inode_of(inode)).inode, inward);
}

/* Appends one name as users know it, or leaves it out. */
static size_t list_add(const struct union_fs *u, const char *name, char *buf, size_t used)
{
	size_t prefix = strlen(u->prefix);

	if (!union_mark_is(u, name)) {
		strcpy(buf + used, name);
	} else {
		if (strncmp(name + prefix, "overlay.", 8) != 0)
			return used;
		sprintf(buf + used, "%s%s", u->prefix, name + prefix + 8);
	}
	return used + strlen(buf + used) + 1;
}

ssize_t union_listxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf, size_t size)
{
	struct union_real real = real_of(union_inode_of(inode));
	char *all = malloc(XATTR_LIST), *own = malloc(XATTR_LIST); /* no name gets longer */
	ssize_t n = all && own ? ls_listxattr(ls->below[real.branch], call, real.inode, all, XATTR_LIST) : -ENOMEM;
	size_t used = 0;

	for (ssize_t at = 0; at < n; at += strlen(all + at) + 1)
		used = list_add(union_of(ls), all + at, own, used);
	if (n >= 0 && size > 0 && used <= size)
		memcpy(buf, own, used);
	free(all);
	free(own);
	if (n < 0)
		return n;
	return size > 0 && used > size ? -ERANGE : (ssize_t)used;
}
