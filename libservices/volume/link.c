/* SPDX-License-Identifier: Apache-2.0 */
/* Names: more of them for an inode, and fewer. */
#include <errno.h>

#include "libservices/volume/vol.h"

enum { LINK_MAX_HERE = 1 << 30, NEED = 8 };

/* One more name for the inode, unless it is gone for good or has too many. */
static int link_count_up(struct vol *v, struct vol_inode *inode)
{
	int r = 0;

	pthread_mutex_lock(&inode->attr_lock);
	if (inode->attr.nlink == 0 && !inode->linkable)
		r = -ENOENT;
	else if (inode->attr.nlink >= LINK_MAX_HERE)
		r = -EMLINK;
	else
		inode->attr.nlink++;
	pthread_mutex_unlock(&inode->attr_lock);
	if (r == 0)
		vol_inode_touch(v, inode, LS_CTIME);
	return r;
}

static int dir_link(struct vol *v, struct vol_inode *dir, const char *name, struct vol_inode *inode)
{
	struct vol_entry e;
	int r;

	if (dir->dead)
		return -ENOENT;
	r = vol_dir_find(v, dir, name, &e);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	r = vol_op_begin(v, NEED);
	if (r < 0)
		return r;
	r = link_count_up(v, inode);
	if (r == 0) {
		r = vol_dir_add(v, dir, &e, name, inode);
		if (r < 0)
			vol_inode_links(v, inode, -1, 0);
		else
			vol_dir_changed(v, dir, 1);
	}
	vol_op_end(v);
	return r;
}

int vol_ls_link(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode,
		struct ls_inode *ls_dir, const char *name, struct ls_attr *ret_attr)
{
	struct vol_inode *inode = vol_inode_of(ls_inode), *dir = vol_inode_of(ls_dir);
	struct vol *v = vol_of(ls);
	int r = ls_name_check(name);

	if (r < 0)
		return r;
	if (dir->type != S_IFDIR || inode->type == S_IFDIR)
		return dir->type != S_IFDIR ? -ENOTDIR : -EPERM;
	vol_throttle(v);
	fair_lock_write(&dir->content);
	r = dir_link(v, dir, name, inode);
	if (r == 0)
		vol_inode_attr(inode, ret_attr);
	fair_unlock(&dir->content);
	return r;
}

/* With the directory's content held for writing. *ret: the inode, whose use is the caller's to end. */
static int dir_remove(struct vol *v, struct vol_inode *dir, const char *name, bool want_dir,
		      struct vol_inode **ret)
{
	struct vol_entry e;
	int r = vol_dir_find(v, dir, name, &e);

	if (r == 0)
		r = vol_entry_inode(v, &e, ret);
	if (r < 0)
		return r;
	if (((*ret)->type == S_IFDIR) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	r = want_dir ? vol_dir_kill(*ret) : 0;
	if (r < 0)
		return r;
	r = vol_op_begin(v, 0);
	if (r < 0) {
		if (want_dir)
			vol_dir_revive(*ret);
		return r;
	}
	r = vol_dir_remove(v, dir, &e);
	if (r == 0) {
		vol_inode_links(v, *ret, want_dir ? -2 : -1, LS_CTIME);
		if (want_dir)
			vol_inode_links(v, dir, -1, 0);
		vol_dir_changed(v, dir, -1);
	}
	vol_op_end(v);
	return r;
}

static int name_remove(struct ls *ls, struct ls_inode *ls_dir, const char *name, bool want_dir)
{
	struct vol_inode *dir = vol_inode_of(ls_dir), *inode = NULL;
	struct vol *v = vol_of(ls);
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	vol_throttle(v);
	fair_lock_write(&dir->content);
	r = dir_remove(v, dir, name, want_dir, &inode);
	fair_unlock(&dir->content);
	vol_inode_put(v, inode, 1);
	return r;
}

int vol_ls_unlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, dir, name, false);
}

int vol_ls_rmdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name)
{
	return name_remove(ls, dir, name, true);
}
