/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing names. What a branch below has cannot be removed: a whiteout hides it. Where the writable branch has
 * something in front of it, the whiteout is made in the work directory and takes its place in one step.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "libservices/union/union.h"

/* The writable branch's entry gives way to a whiteout; a directory's remains are then in the work directory. */
static int replace_by_whiteout(struct union_fs *u, const struct ls_call *call, struct ls_inode *above,
			       const char *name, bool dir)
{
	char work[UNION_WORK_NAME];
	int r;

	union_work_name(u, work);
	r = union_whiteout(u, call, u->work, work);
	if (r < 0)
		return r;
	r = ls_rename(u->ls->below[0], call, u->work, work, above, name, dir ? RENAME_EXCHANGE : 0);
	if (r < 0 || dir)
		union_work_remove(u, call, work, r == 0);
	return r;
}

/* A directory with nothing below it, which may hold whiteouts. */
static int remove_dir(struct union_fs *u, const struct ls_call *call, struct ls_inode *above, const char *name)
{
	char work[UNION_WORK_NAME];
	int r = ls_rmdir(u->ls->below[0], call, above, name);

	if (r != -ENOTEMPTY)
		return r;
	union_work_name(u, work);
	r = ls_rename(u->ls->below[0], call, above, name, u->work, work, 0);
	if (r == 0)
		union_work_remove(u, call, work, true);
	return r;
}

/* On the writable branch, so that the name is gone. *ret_whiteout: a whiteout is there now. */
static int name_remove(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n,
		       bool *ret_whiteout)
{
	struct ls_inode *above = union_above(dir);
	bool is_dir = n->type == S_IFDIR >> 12;
	int under = union_name_under(u, call, dir, n);

	if (under < 0)
		return under;
	*ret_whiteout = under || !n->above;
	if (!n->above)
		return union_whiteout(u, call, above, n->name);
	if (under)
		return replace_by_whiteout(u, call, above, n->name, is_dir);
	return is_dir ? remove_dir(u, call, above, n->name) : ls_unlink(u->ls->below[0], call, above, n->name);
}

static void name_gone(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n,
		      bool whiteout)
{
	union_inode_lost(u, call, n->inode, dir, n->name);
	union_name_set(u, call, dir, n, NULL);
	n->whiteout = whiteout;
	n->under = whiteout ? UNION_SOMETHING : UNION_NOTHING;
}

/* Where an inode loses a name: its place may be no more, and it has one name less. */
void union_inode_lost(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
		      struct union_inode *dir, const char *name)
{
	bool here;

	pthread_mutex_lock(&u->lock);
	here = inode->parent == dir && strcmp(inode->name, name) == 0;
	pthread_mutex_unlock(&u->lock);
	if (union_is_dir(inode))
		return; /* what a removed directory's parent was, it still says */
	if (here)
		union_place_set(u, call, inode, NULL, NULL);
	pthread_rwlock_wrlock(&inode->content);
	union_links(u, call, inode, -1);
	pthread_rwlock_unlock(&inode->content);
}

static int unlink_locked(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name)
{
	struct union_name *n;
	bool whiteout;
	int r = dir->dead ? -ENOENT : union_name_load(u, call, dir, name, &n);

	if (r == 0 && !n->inode)
		r = -ENOENT;
	if (r == 0 && union_is_dir(n->inode))
		r = -EISDIR;
	if (r == 0)
		r = name_remove(u, call, dir, n, &whiteout);
	if (r == 0)
		name_gone(u, call, dir, n, whiteout);
	return r;
}

/* Both locks are held from the look to the end: nothing is made in it meanwhile. */
static int rmdir_child(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n)
{
	struct union_inode *child = union_inode_ref(u, n->inode);
	bool whiteout;
	int r;

	pthread_mutex_lock(&child->lock);
	r = union_check_empty(u, call, child);
	if (r == 0)
		r = name_remove(u, call, dir, n, &whiteout);
	if (r == 0) {
		child->dead = true;
		name_gone(u, call, dir, n, whiteout);
	}
	pthread_mutex_unlock(&child->lock);
	union_inode_unref(u, call, child, 1);
	return r;
}

static int rmdir_locked(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name)
{
	struct union_name *n;
	int r = dir->dead ? -ENOENT : union_name_load(u, call, dir, name, &n);

	if (r == 0 && !n->inode)
		r = -ENOENT;
	if (r == 0 && !union_is_dir(n->inode))
		r = -ENOTDIR;
	return r < 0 ? r : rmdir_child(u, call, dir, n);
}

static int remove_begin(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = union_name_check(u, dir, name);

	if (r < 0)
		return r;
	/* What is not there needs no copy of the directory. */
	r = union_lookup(u->ls, call, (struct ls_inode *)dir, name, &inode, &attr);
	if (r < 0)
		return r;
	union_inode_unref(u, call, union_inode_of(inode), 1);
	return u->writable ? union_up(u, call, dir) : -EROFS;
}

int union_unlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name)
{
	struct union_inode *dir = union_inode_of(ls_dir);
	int r = remove_begin(union_of(ls), call, dir, name);

	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	r = unlink_locked(union_of(ls), call, dir, name);
	pthread_mutex_unlock(&dir->lock);
	return r;
}

int union_rmdir(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name)
{
	struct union_inode *dir = union_inode_of(ls_dir);
	int r = remove_begin(union_of(ls), call, dir, name);

	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	r = rmdir_locked(union_of(ls), call, dir, name);
	pthread_mutex_unlock(&dir->lock);
	return r;
}
