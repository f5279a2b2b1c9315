/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: lookups, and what makes new ones. What removes and moves them: vfs-remove.c.
 *
 * Checks are made on attributes read just before the change. A concurrent chmod may fall between the two, as
 * it may fall between two system calls; no check is skipped because of it.
 *
 * A directory's `names` is held from before a name in it is looked at until it is changed, so that what is said of
 * the victim of a removal is said of the right one. Two directories' are taken in the order of their addresses. It
 * is not held while other doors are told, who may be waiting for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/acl-default.h"
#include "service/lease.h"
#include "service/perm.h"
#include "service/vfs.h"
#include "service/vfs-notify.h"

int vfs_dir(struct caller *c, struct inode *dir, unsigned may, struct ls_attr *ret)
{
	int r;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if ((may & MAY_WRITE) && dir->fs->rdonly)
		return -EROFS;
	r = ls_getattr(dir->fs->stack, &c->call, dir->ls, NULL, ret);
	return r < 0 ? r : perm_access(c, dir, ret, may);
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
	int r = vfs_dir(c, dir, MAY_EXEC, &attr);

	return r < 0 ? r : vfs_lookup_checked(c, dir, name, ret);
}

int vfs_parent(struct caller *c, struct inode *dir, struct entry *ret)
{
	struct ls_inode *ls;
	struct ls_attr attr;
	int r = ls_parent(dir->fs->stack, &c->call, dir->ls, &ls, &attr);

	return r < 0 ? r : entry_enter(dir, ls, &attr, ret);
}

/* A name about to be made. */
struct making {
	struct inode *dir;
	const char *name;
	gid_t gid; /* the caller's own, while his is the new inode's */
	struct lease_change change;
	uint64_t token; /* as soon as it is made, to enter it in the caller's lease table */
	struct acl_default acl;
};

static int making_allowed(struct caller *c, struct inode *dir, const char *name, struct ls_attr *attr)
{
	struct entry there;
	int r;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	r = vfs_dir(c, dir, MAY_WRITE | MAY_EXEC, attr);
	/* An existing name wins over the lack of permission to make it. */
	if ((r == -EACCES || r == -EROFS) && vfs_lookup(c, dir, name, &there) == 0) {
		inode_unref(there.inode);
		return -EEXIST;
	}
	if (r == 0 && attr->nlink == 0)
		r = -ENOENT;
	return r;
}

/* May the caller make a new name in dir? Sets owner and group of what it makes, and adjusts its mode. */
static int create_begin(struct caller *c, struct inode *dir, const char *name, mode_t *mode, struct making *m)
{
	struct ls_attr attr;
	gid_t gid;
	int r = making_allowed(c, dir, name, &attr);

	if (r < 0)
		return r;
	perm_new(c, &attr, mode, &gid);
	*m = (struct making){.dir = dir, .name = name, .gid = c->cred.gid};
	c->cred.gid = gid;
	pthread_mutex_lock(&dir->names);
	lease_change_begin(&m->change);
	lease_change_attr(&m->change, dir);
	lease_change_name(&m->change, dir, name);
	return 0;
}

static int create_end(struct caller *c, struct making *m, int r)
{
	lease_change_end(&m->change);
	m->token = lease_name_token(c, m->dir, m->name);
	pthread_mutex_unlock(&m->dir->names);
	c->cred.gid = m->gid;
	if (r == 0)
		notify_name(c, m->dir, m->name);
	return r;
}

/* The same for a new object, which may get more from its directory than a group: *mode is what to make it with. */
static int create_begin_object(struct caller *c, struct inode *dir, const char *name, mode_t *mode, struct making *m)
{
	int r = create_begin(c, dir, name, mode, m);

	if (r < 0)
		return r;
	r = acl_default_begin(c, dir, mode, &m->acl);
	return r < 0 ? create_end(c, m, r) : 0;
}

/* It was made, if r is 0; or it is not there, if it cannot have all that it should. */
static int create_end_object(struct caller *c, struct making *m, int r, struct ls_inode *ls, struct ls_attr *attr)
{
	struct ls *stack = m->dir->fs->stack;

	if (r == 0)
		r = acl_default_give(c, m->dir->fs, ls, &m->acl, attr);
	if (r < 0 && m->acl.value && ls) {
		if (S_ISDIR(attr->mode))
			ls_rmdir(stack, &c->call, m->dir->ls, m->name);
		else
			ls_unlink(stack, &c->call, m->dir->ls, m->name);
		ls_forget(stack, &c->call, ls, 1);
	}
	acl_default_end(&m->acl);
	return create_end(c, m, r);
}

/* Somebody may have seen it before it had its mode. */
static void create_tell(struct inode *inode)
{
	struct lease_change change;

	lease_change_one(&change, inode, true);
	lease_change_end(&change);
	notify_mode(inode);
}

/* What was made is there for its maker to use. */
static int create_enter(struct caller *c, const struct making *m, struct ls_inode *ls, const struct ls_attr *attr,
			struct entry *ret)
{
	int r = entry_enter(m->dir, ls, attr, ret);

	if (r == 0 && m->acl.given)
		create_tell(ret->inode);
	if (r == 0)
		lease_enter_name(c, m->dir, m->name, ret->inode, m->token);
	return r;
}

int vfs_mknod(struct caller *c, struct inode *dir, const char *name, mode_t mode, unsigned major, unsigned minor,
	      struct entry *ret)
{
	struct ls_inode *ls = NULL;
	struct ls_attr attr;
	struct making m;
	int r;

	mode &= S_IFMT | 07777;
	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	r = create_begin_object(c, dir, name, &mode, &m);
	if (r < 0)
		return r;
	if ((S_ISCHR(mode) || S_ISBLK(mode)) && !caller_is_root(c) && !(S_ISCHR(mode) && !major && !minor))
		r = -EPERM;
	else
		r = ls_mknod(dir->fs->stack, &c->call, dir->ls, name, mode, major, minor, &ls, &attr);
	r = create_end_object(c, &m, r, ls, &attr);
	return r < 0 ? r : create_enter(c, &m, ls, &attr, ret);
}

int vfs_mkdir(struct caller *c, struct inode *dir, const char *name, mode_t mode, struct entry *ret)
{
	struct ls_inode *ls = NULL;
	struct ls_attr attr;
	struct making m;
	int r;

	mode = (mode & 01777) | S_IFDIR;
	r = create_begin_object(c, dir, name, &mode, &m);
	if (r < 0)
		return r;
	r = ls_mkdir(dir->fs->stack, &c->call, dir->ls, name, mode & 07777, &ls, &attr);
	r = create_end_object(c, &m, r, ls, &attr);
	return r < 0 ? r : create_enter(c, &m, ls, &attr, ret);
}

int vfs_symlink(struct caller *c, struct inode *dir, const char *name, const char *target, struct entry *ret)
{
	mode_t mode = S_IFLNK | 0777;
	struct ls_inode *ls;
	struct ls_attr attr;
	struct making m;
	int r;

	if (!*target)
		return -ENOENT;
	r = create_begin(c, dir, name, &mode, &m);
	if (r < 0)
		return r;
	r = ls_symlink(dir->fs->stack, &c->call, dir->ls, name, target, &ls, &attr);
	r = create_end(c, &m, r);
	return r < 0 ? r : create_enter(c, &m, ls, &attr, ret);
}

int vfs_link(struct caller *c, struct inode *inode, struct inode *dir, const char *name, struct ls_attr *ret)
{
	struct ls_attr attr;
	struct making m;
	mode_t mode = 0;
	int r;

	if (inode->fs != dir->fs)
		return -EXDEV;
	r = create_begin(c, dir, name, &mode, &m);
	if (r < 0)
		return r;
	lease_change_all(&m.change, inode);
	r = inode->type == S_IFDIR ? -EPERM : ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &attr);
	if (r == 0)
		r = perm_hardlink(c, inode, &attr);
	if (r == 0)
		r = ls_link(dir->fs->stack, &c->call, inode->ls, dir->ls, name, ret);
	r = create_end(c, &m, r);
	if (r == 0) {
		lease_enter_name(c, dir, name, inode, m.token);
		notify_attr(c, inode);
	}
	return r;
}

int vfs_create(struct caller *c, struct inode *dir, const char *name, mode_t mode, int flags, const char *path,
	       struct ofd **ret, struct entry *ret_entry)
{
	struct ls_inode *ls = NULL;
	struct ls_file *file = NULL;
	struct ls_attr attr;
	struct making m;
	int r;

	mode = (mode & 07777) | S_IFREG;
	r = create_begin_object(c, dir, name, &mode, &m);
	if (r < 0)
		return r;
	r = ls_create(dir->fs->stack, &c->call, dir->ls, name, mode & 07777,
		      flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW), &ls, &attr, &file);
	r = create_end_object(c, &m, r, ls, &attr);
	if (r < 0) {
		if (file)
			ls_release(dir->fs->stack, &c->call, file);
		return r;
	}
	r = create_enter(c, &m, ls, &attr, ret_entry);
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
	struct ls_attr attr, dir_now;
	gid_t own = c->cred.gid, gid;
	struct acl_default acl;
	int r;

	mode = (mode & 07777) | S_IFREG;
	r = making_allowed(c, dir, "", &dir_now);
	if (r < 0)
		return r;
	perm_new(c, &dir_now, &mode, &gid);
	r = acl_default_begin(c, dir, &mode, &acl);
	if (r < 0)
		return r;
	c->cred.gid = gid;
	r = ls_tmpfile(dir->fs->stack, &c->call, dir->ls, mode & 07777, flags, &ls, &attr, &file);
	c->cred.gid = own;
	if (r == 0) {
		r = acl_default_give(c, dir->fs, ls, &acl, &attr);
		if (r < 0) {
			ls_release(dir->fs->stack, &c->call, file);
			ls_forget(dir->fs->stack, &c->call, ls, 1);
		}
	}
	acl_default_end(&acl);
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
