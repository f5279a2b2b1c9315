/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: lookups and everything that changes a directory.
 *
 * Checks are made on attributes read just before the change. A concurrent chmod may fall between the two, as
 * it may fall between two system calls; no check is skipped because of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/perm.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

static int dir_attr(struct caller *c, struct inode *dir, unsigned may, struct ls_attr *ret)
{
	int r;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if ((may & MAY_WRITE) && dir->fs->rdonly)
		return -EROFS;
	r = ls_getattr(dir->fs->stack, &c->call, dir->ls, NULL, ret);
	return r < 0 ? r : perm_access(c, ret, may);
}

static int entry_enter(struct inode *dir, struct ls_inode *ls, const struct ls_attr *attr, struct entry *ret)
{
	int r = inode_enter(dir->fs, ls, attr, &ret->inode);

	if (r == 0)
		ret->attr = *attr;
	return r;
}

int vfs_lookup_checked(struct caller *c, struct inode *dir, const char *name, struct entry *ret)
{
	struct ls_inode *ls;
	struct ls_attr attr;
	int r;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	r = ls_lookup(dir->fs->stack, &c->call, dir->ls, name, &ls, &attr);
	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

int vfs_lookup(struct caller *c, struct inode *dir, const char *name, struct entry *ret)
{
	struct ls_attr attr;
	int r = dir_attr(c, dir, MAY_EXEC, &attr);

	return r < 0 ? r : vfs_lookup_checked(c, dir, name, ret);
}

int vfs_parent(struct caller *c, struct inode *dir, struct entry *ret)
{
	struct ls_inode *ls;
	struct ls_attr attr;
	int r = ls_parent(dir->fs->stack, &c->call, dir->ls, &ls, &attr);

	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

/* May the caller make a new name in dir? Sets owner and group of what it makes, and adjusts its mode. */
static int create_begin(struct caller *c, struct inode *dir, const char *name, mode_t *mode, gid_t *old_gid)
{
	struct ls_attr attr;
	gid_t gid;
	int r;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	r = dir_attr(c, dir, MAY_WRITE | MAY_EXEC, &attr);
	if (r < 0) {
		/* An existing name wins over the lack of permission to make it. */
		struct entry there;
		if ((r == -EACCES || r == -EROFS) && vfs_lookup(c, dir, name, &there) == 0) {
			inode_unref(there.inode);
			return -EEXIST;
		}
		return r;
	}
	if (attr.nlink == 0)
		return -ENOENT;
	perm_new(c, &attr, mode, &gid);
	*old_gid = c->cred.gid;
	c->cred.gid = gid;
	return 0;
}

static int create_end(struct caller *c, struct inode *dir, const char *name, gid_t old_gid, int r)
{
	c->cred.gid = old_gid;
	if (r == 0)
		notify_name(c, dir, name);
	return r;
}

int vfs_mknod(struct caller *c, struct inode *dir, const char *name, mode_t mode, unsigned major, unsigned minor,
	      struct entry *ret)
{
	struct ls_inode *ls;
	struct ls_attr attr;
	gid_t gid;
	int r;

	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	r = create_begin(c, dir, name, &mode, &gid);
	if (r < 0)
		return r;
	if ((S_ISCHR(mode) || S_ISBLK(mode)) && !caller_is_root(c) && !(S_ISCHR(mode) && !major && !minor))
		r = -EPERM;
	else
		r = ls_mknod(dir->fs->stack, &c->call, dir->ls, name, mode, major, minor, &ls, &attr);
	r = create_end(c, dir, name, gid, r);
	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

int vfs_mkdir(struct caller *c, struct inode *dir, const char *name, mode_t mode, struct entry *ret)
{
	struct ls_inode *ls;
	struct ls_attr attr;
	gid_t gid;
	int r;

	mode = (mode & 01777) | S_IFDIR;
	r = create_begin(c, dir, name, &mode, &gid);
	if (r < 0)
		return r;
	r = ls_mkdir(dir->fs->stack, &c->call, dir->ls, name, mode & 07777, &ls, &attr);
	r = create_end(c, dir, name, gid, r);
	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

int vfs_symlink(struct caller *c, struct inode *dir, const char *name, const char *target, struct entry *ret)
{
	mode_t mode = S_IFLNK | 0777;
	struct ls_inode *ls;
	struct ls_attr attr;
	gid_t gid;
	int r;

	if (!*target)
		return -ENOENT;
	r = create_begin(c, dir, name, &mode, &gid);
	if (r < 0)
		return r;
	r = ls_symlink(dir->fs->stack, &c->call, dir->ls, name, target, &ls, &attr);
	r = create_end(c, dir, name, gid, r);
	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

int vfs_link(struct caller *c, struct inode *inode, struct inode *dir, const char *name, struct ls_attr *ret)
{
	struct ls_attr attr;
	mode_t mode = 0;
	gid_t gid;
	int r;

	if (inode->fs != dir->fs)
		return -EXDEV;
	r = create_begin(c, dir, name, &mode, &gid);
	if (r < 0)
		return r;
	c->cred.gid = gid;
	if (inode->type == S_IFDIR)
		return -EPERM;
	r = ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &attr);
	if (r == 0)
		r = perm_hardlink(c, &attr);
	if (r == 0)
		r = ls_link(dir->fs->stack, &c->call, inode->ls, dir->ls, name, ret);
	if (r == 0)
		notify_attr(c, inode);
	return create_end(c, dir, name, gid, r);
}

/* The victim of a removal, with the caller's right to remove it checked. */
static int remove_begin(struct caller *c, struct inode *dir, const char *name, struct entry *victim)
{
	struct ls_attr attr;
	int r;

	/* As the kernel does: search first, then the name, then the right to remove it. */
	r = dir_attr(c, dir, MAY_EXEC, &attr);
	if (r == 0)
		r = vfs_lookup_checked(c, dir, name, victim);
	if (r < 0)
		return r;
	r = dir->fs->rdonly ? -EROFS : perm_delete(c, &attr, &victim->attr);
	if (r < 0)
		inode_unref(victim->inode);
	return r;
}

static int remove_name(struct caller *c, struct inode *dir, const char *name, bool directory)
{
	struct entry victim;
	int r = remove_begin(c, dir, name, &victim);

	if (r < 0)
		return r;
	if (directory)
		r = victim.inode->type != S_IFDIR ? -ENOTDIR : ls_rmdir(dir->fs->stack, &c->call, dir->ls, name);
	else
		r = victim.inode->type == S_IFDIR ? -EISDIR : ls_unlink(dir->fs->stack, &c->call, dir->ls, name);
	if (r == 0) {
		notify_name(c, dir, name);
		notify_attr(c, victim.inode);
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
		r = perm_delete(c, to_dir, &to->attr);
		if (r < 0)
			return r;
		if (!(flags & RENAME_EXCHANGE)) {
			if (from->inode->type == S_IFDIR && to->inode->type != S_IFDIR)
				return -ENOTDIR;
			if (from->inode->type != S_IFDIR && to->inode->type == S_IFDIR)
				return -EISDIR;
		} else if (to->inode->type == S_IFDIR && dir != dir2) {
			r = perm_access(c, &to->attr, MAY_WRITE);
			if (r < 0)
				return r;
		}
	} else {
		if (flags & RENAME_EXCHANGE)
			return -ENOENT;
		r = perm_access(c, to_dir, MAY_WRITE | MAY_EXEC);
		if (r < 0)
			return r;
	}
	/* Its ".." changes. */
	if (from->inode->type == S_IFDIR && dir != dir2)
		return perm_access(c, &from->attr, MAY_WRITE);
	return 0;
}

int vfs_rename(struct caller *c, struct inode *dir, const char *name, struct inode *dir2, const char *name2,
	       unsigned flags)
{
	struct entry from, to = {0};
	struct ls_attr to_dir;
	int r;

	if (dir->fs != dir2->fs)
		return -EXDEV;
	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
	    ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))))
		return -EINVAL;
	if (strlen(name2) > NAME_MAX)
		return -ENAMETOOLONG;
	r = remove_begin(c, dir, name, &from);
	if (r < 0)
		return r;
	r = dir_attr(c, dir2, MAY_EXEC, &to_dir);
	if (r == 0) {
		r = vfs_lookup_checked(c, dir2, name2, &to);
		if (r == -ENOENT)
			r = 0;
	}
	if (r == 0)
		r = rename_check(c, dir, &from, dir2, &to, &to_dir, flags);
	if (r == 0)
		r = ls_rename(dir->fs->stack, &c->call, dir->ls, name, dir2->ls, name2, flags);
	if (r == 0) {
		notify_name(c, dir, name);
		notify_name(c, dir2, name2);
		notify_attr(c, from.inode);
		if (to.inode)
			notify_attr(c, to.inode);
	}
	inode_unref(from.inode);
	inode_unref(to.inode);
	return r;
}

int vfs_create(struct caller *c, struct inode *dir, const char *name, mode_t mode, int flags, const char *path,
	       struct ofd **ret, struct entry *ret_entry)
{
	struct ls_inode *ls;
	struct ls_file *file;
	struct ls_attr attr;
	gid_t gid;
	int r;

	mode = (mode & 07777) | S_IFREG;
	r = create_begin(c, dir, name, &mode, &gid);
	if (r < 0)
		return r;
	r = ls_create(dir->fs->stack, &c->call, dir->ls, name, mode & 07777,
		      flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW), &ls, &attr, &file);
	r = create_end(c, dir, name, gid, r);
	if (r < 0)
		return r;
	r = entry_enter(dir, ls, &attr, ret_entry);
	if (r < 0) {
		ls_release(dir->fs->stack, &c->call, file);
		return r;
	}
	r = ofd_new(inode_ref(ret_entry->inode), file, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW), path, ret);
	if (r < 0)
		inode_unref(ret_entry->inode);
	return r;
}

int vfs_tmpfile(struct caller *c, struct inode *dir, mode_t mode, int flags, struct ofd **ret,
		struct entry *ret_entry)
{
	struct ls_inode *ls;
	struct ls_file *file;
	struct ls_attr attr;
	gid_t gid;
	int r;

	mode = (mode & 07777) | S_IFREG;
	r = create_begin(c, dir, "", &mode, &gid);
	if (r < 0)
		return r;
	r = ls_tmpfile(dir->fs->stack, &c->call, dir->ls, mode & 07777, flags, &ls, &attr, &file);
	c->cred.gid = gid;
	if (r < 0)
		return r;
	r = entry_enter(dir, ls, &attr, ret_entry);
	if (r < 0) {
		ls_release(dir->fs->stack, &c->call, file);
		return r;
	}
	r = ofd_new(inode_ref(ret_entry->inode), file, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE),
		    NULL, ret);
	if (r < 0)
		inode_unref(ret_entry->inode);
	return r;
}
