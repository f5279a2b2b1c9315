/* SPDX-License-Identifier: Apache-2.0 */
/* Names that go, or move, and what happens to what they stood for. */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "libservices/rules.h"
#include "service/lease.h"
#include "service/perm.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

void (*vfs_orphaned)(void *arg, struct inode *inode);
void *vfs_orphaned_arg;

/* The victim of a removal, with the caller's right to remove it checked. */
static int remove_begin(struct caller *c, struct inode *dir, const char *name, struct entry *victim)
{
	struct ls_attr attr;
	int r;

	/* As the kernel does: search first, then the name, then the right to remove it. */
	r = vfs_dir(c, dir, MAY_EXEC, &attr);
	if (r == 0)
		r = vfs_lookup_checked(c, dir, name, victim);
	if (r < 0)
		return r;
	r = dir->fs->rdonly ? -EROFS : perm_delete(c, dir, &attr, &victim->attr);
	if (r < 0)
		inode_unref(victim->inode);
	return r;
}

/*
 * It lost a name, perhaps the last: what clients only keep open to open it again goes, too, and what was to be written
 * back need not be.
 */
static void unnamed(struct caller *c, struct inode *inode)
{
	struct ls_attr attr;

	if (__atomic_load_n(&inode->dirty, __ATOMIC_RELAXED) &&
	    ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &attr) == 0 && !attr.nlink)
		inode_mark_clean(inode);
	if (vfs_orphaned && __atomic_load_n(&inode->handles, __ATOMIC_SEQ_CST))
		vfs_orphaned(vfs_orphaned_arg, inode);
}

static int remove_victim(struct caller *c, struct inode *dir, const char *name, struct inode *victim, bool directory)
{
	struct lease_change change;
	int r;

	if (directory != (victim->type == S_IFDIR))
		return directory ? -ENOTDIR : -EISDIR;
	lease_change_begin(&change);
	lease_change_attr(&change, dir);
	lease_change_name(&change, dir, name);
	lease_change_all(&change, victim);
	if (directory)
		r = ls_rmdir(dir->fs->stack, &c->call, dir->ls, name);
	else
		r = ls_unlink(dir->fs->stack, &c->call, dir->ls, name);
	lease_change_end(&change);
	if (r == 0)
		lease_name_gone(dir, name);
	return r;
}

static int remove_name(struct caller *c, struct inode *dir, const char *name, bool directory)
{
	struct entry victim;
	int r;

	pthread_mutex_lock(&dir->names);
	r = remove_begin(c, dir, name, &victim);
	if (r < 0) {
		pthread_mutex_unlock(&dir->names);
		return r;
	}
	r = remove_victim(c, dir, name, victim.inode, directory);
	pthread_mutex_unlock(&dir->names);
	if (r == 0) {
		notify_name_gone(c, dir, name, victim.inode);
		notify_attr(c, victim.inode);
		unnamed(c, victim.inode);
		if (victim.attr.nlink > 1 && !directory)
			lease_learn(c, victim.inode); /* it has other names, and who knew it will ask */
	}
	inode_unref(victim.inode);
	return r;
}

int vfs_unlink(struct caller *c, struct inode *dir, const char *name)
{
	return remove_name(c, dir, name, false);
}

int vfs_rmdir(struct caller *c, struct inode *dir, const char *name)
{
	return remove_name(c, dir, name, true);
}

static int rename_check(struct caller *c, struct inode *dir, const struct entry *from, struct inode *dir2,
			const struct entry *to, const struct ls_attr *to_dir, unsigned flags)
{
	int r;

	if (to->inode) {
		if (flags & RENAME_NOREPLACE)
			return -EEXIST;
		r = perm_delete(c, dir2, to_dir, &to->attr);
		if (r < 0)
			return r;
		if (!(flags & RENAME_EXCHANGE)) {
			if (from->inode->type == S_IFDIR && to->inode->type != S_IFDIR)
				return -ENOTDIR;
			if (from->inode->type != S_IFDIR && to->inode->type == S_IFDIR)
				return -EISDIR;
		} else if (to->inode->type == S_IFDIR && dir != dir2) {
			r = perm_access(c, to->inode, &to->attr, MAY_WRITE);
			if (r < 0)
				return r;
		}
	} else {
		if (flags & RENAME_EXCHANGE)
			return -ENOENT;
		r = perm_access(c, dir2, to_dir, MAY_WRITE | MAY_EXEC);
		if (r < 0)
			return r;
	}
	/* Its ".." changes. */
	if (from->inode->type == S_IFDIR && dir != dir2)
		return perm_access(c, from->inode, &from->attr, MAY_WRITE);
	return 0;
}

static void names_lock(struct inode *dir, struct inode *dir2)
{
	pthread_mutex_lock(dir < dir2 ? &dir->names : &dir2->names);
	if (dir != dir2)
		pthread_mutex_lock(dir < dir2 ? &dir2->names : &dir->names);
}

static void names_unlock(struct inode *dir, struct inode *dir2)
{
	pthread_mutex_unlock(&dir->names);
	if (dir != dir2)
		pthread_mutex_unlock(&dir2->names);
}

/* What moves, what is there already, if anything, and whether the caller may do it. References on success. */
static int rename_begin(struct caller *c, struct inode *dir, const char *name, struct inode *dir2, const char *name2,
			unsigned flags, struct entry *from, struct entry *to)
{
	struct ls_attr to_dir;
	int r = remove_begin(c, dir, name, from);

	if (r < 0)
		return r;
	to->inode = NULL;
	r = vfs_dir(c, dir2, MAY_EXEC, &to_dir);
	if (r == 0) {
		r = vfs_lookup_checked(c, dir2, name2, to);
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		r = rename_check(c, dir, from, dir2, to, &to_dir, flags);
	if (r < 0) {
		inode_unref(from->inode);
		inode_unref(to->inode);
	}
	return r;
}

/* A directory that moves keeps its names and who may search it; its ".." is nobody's to know anyway. */
static void rename_changes(struct lease_change *change, struct inode *dir, const char *name, struct inode *dir2,
			   const char *name2, unsigned flags, const struct inode *from, const struct inode *to)
{
	lease_change_begin(change);
	lease_change_attr(change, dir);
	if (dir != dir2)
		lease_change_attr(change, dir2);
	lease_change_name(change, dir, name);
	lease_change_name(change, dir2, name2);
	lease_change_attr(change, from);
	if (to && (flags & RENAME_EXCHANGE))
		lease_change_attr(change, to);
	else if (to)
		lease_change_all(change, to);
}

int vfs_rename(struct caller *c, struct inode *dir, const char *name, struct inode *dir2, const char *name2,
	       unsigned flags)
{
	struct lease_change change;
	struct entry from, to;
	int r;

	if (dir->fs != dir2->fs)
		return -EXDEV;
	r = ls_rename_check(flags);
	if (r < 0)
		return r;
	if (strlen(name2) > NAME_MAX)
		return -ENAMETOOLONG;
	names_lock(dir, dir2);
	r = rename_begin(c, dir, name, dir2, name2, flags, &from, &to);
	if (r == 0) {
		rename_changes(&change, dir, name, dir2, name2, flags, from.inode, to.inode);
		r = ls_rename(dir->fs->stack, &c->call, dir->ls, name, dir2->ls, name2, flags);
		lease_change_end(&change);
		if (r == 0 && !(flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)) && from.inode != to.inode)
			lease_name_gone(dir, name);
	} else {
		names_unlock(dir, dir2);
		return r;
	}
	names_unlock(dir, dir2);
	if (r == 0) {
		if (from.inode->type == S_IFDIR) /* who is in it shall find its way */
			notify_name(c, dir, name);
		else
			notify_name_gone(c, dir, name, from.inode);
		if (to.inode)
			notify_name_gone(c, dir2, name2, to.inode);
		else
			notify_name(c, dir2, name2);
		notify_attr(c, from.inode);
		if (to.inode) {
			notify_attr(c, to.inode);
			unnamed(c, to.inode);
		}
	}
	inode_unref(from.inode);
	inode_unref(to.inode);
	return r;
}
