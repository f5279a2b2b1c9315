/* SPDX-License-Identifier: Apache-2.0 */
/* Names: finding them, making them, removing them. rename.c moves them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/mem/mem.h"

int mem_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name,
	       struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct mem_inode *dir = mem_inode_of(ls_dir), *inode = NULL;
	struct mem_entry *e;
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	fair_lock_read(&dir->content);
	e = mem_dir_find(mem_of(ls), &dir->dir, name);
	if (e)
		inode = mem_inode_ref(e->inode);
	fair_unlock(&dir->content);
	if (!inode)
		return -ENOENT;
	mem_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

int mem_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir,
	       struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct mem_inode *dir = mem_inode_of(ls_dir), *parent;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	pthread_mutex_lock(&dir->attr_lock);
	parent = mem_inode_ref(dir->dir.parent ? dir->dir.parent : dir);
	pthread_mutex_unlock(&dir->attr_lock);
	mem_inode_attr(parent, ret_attr);
	*ret_inode = (struct ls_inode *)parent;
	return 0;
}

/* ---- making -------------------------------------------------------------------------------------- */

/* With the directory's content held for writing. The new inode has a reference for the caller. */
static int dir_make(struct mem *mem, const struct ls_call *call, struct mem_inode *dir, const char *name,
		    const struct mem_new *what, struct mem_inode **ret)
{
	struct mem_inode *inode;
	int r;

	if (dir->dir.dead)
		return -ENOENT;
	if (mem_dir_find(mem, &dir->dir, name))
		return -EEXIST;
	r = mem_inode_new(mem, call, what, &inode);
	if (r < 0)
		return r;
	r = mem_dir_add(mem, &dir->dir, name, inode);
	if (r < 0) {
		mem_inode_unref(mem, inode, 1);
		return r;
	}
	if (inode->type == S_IFDIR)
		mem_inode_links(dir, 1, 0);
	mem_dir_changed(dir);
	*ret = inode;
	return 0;
}

static int name_make(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name,
		     const struct mem_new *what, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct mem_inode *dir = mem_inode_of(ls_dir), *inode = NULL;
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	fair_lock_write(&dir->content);
	r = dir_make(mem_of(ls), call, dir, name, what, &inode);
	if (r == 0)
		mem_inode_attr(inode, ret_attr);
	fair_unlock(&dir->content);
	if (r == 0)
		*ret_inode = (struct ls_inode *)inode;
	return r;
}

int mem_mknod(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	      mode_t mode, unsigned major, unsigned minor, struct ls_inode **ret_inode,
	      struct ls_attr *ret_attr)
{
	struct mem_new what = {
		.mode = mode & S_IFMT ? mode : mode | S_IFREG, .nlink = 1, .major = major, .minor = minor};

	switch (what.mode & S_IFMT) {
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return name_make(ls, call, dir, name, &what, ret_inode, ret_attr);
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int mem_mkdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	      mode_t mode, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct mem_new what = {.mode = S_IFDIR | (mode & 07777), .nlink = 2, .parent = mem_inode_of(dir)};

	return name_make(ls, call, dir, name, &what, ret_inode, ret_attr);
}

int mem_symlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct mem_new what = {.mode = S_IFLNK | 0777, .nlink = 1, .target = target};

	if (!*target)
		return -ENOENT;
	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return name_make(ls, call, dir, name, &what, ret_inode, ret_attr);
}

static struct mem_file *file_new(struct mem_inode *inode, int flags)
{
	struct mem_file *file = malloc(sizeof(*file));

	if (file)
		*file = (struct mem_file){mem_inode_ref(inode), flags, 0};
	return file;
}

static uint64_t dir_last_cookie(struct mem_inode *dir)
{
	uint64_t cookie;

	fair_lock_read(&dir->content);
	cookie = dir->dir.last_cookie;
	fair_unlock(&dir->content);
	return cookie;
}

int mem_open(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, int flags,
	     struct ls_file **ret_file)
{
	struct mem_inode *inode = mem_inode_of(ls_inode);
	struct mem_file *file;
	int r = ls_open_check(inode->type, flags);

	if (r < 0)
		return r;
	file = file_new(inode, flags);
	if (!file)
		return -ENOMEM;
	if (inode->type == S_IFDIR)
		file->last_cookie = dir_last_cookie(inode);
	*ret_file = (struct ls_file *)file;
	return 0;
}

int mem_create(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	       mode_t mode, int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
	       struct ls_file **ret_file)
{
	struct mem_new what = {.mode = S_IFREG | (mode & 07777), .nlink = 1};
	struct mem_file *file = malloc(sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	r = name_make(ls, call, dir, name, &what, ret_inode, ret_attr);
	if (r < 0) {
		free(file);
		return r;
	}
	*file = (struct mem_file){mem_inode_ref(mem_inode_of(*ret_inode)), flags, 0};
	*ret_file = (struct ls_file *)file;
	return 0;
}

int mem_tmpfile(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, mode_t mode, int flags,
		struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct mem_new what = {.mode = S_IFREG | (mode & 07777), .linkable = !(flags & O_EXCL)};
	struct mem_inode *inode;
	struct mem_file *file;
	int r;

	if (mem_inode_of(ls_dir)->type != S_IFDIR)
		return -ENOTDIR;
	r = mem_inode_new(mem_of(ls), call, &what, &inode);
	if (r < 0)
		return r;
	file = file_new(inode, flags);
	if (!file) {
		mem_inode_unref(mem_of(ls), inode, 1);
		return -ENOMEM;
	}
	mem_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	*ret_file = (struct ls_file *)file;
	return 0;
}

/* ---- links --------------------------------------------------------------------------------------- */

/* One more name for the inode, unless it is gone for good or has too many. */
static int link_count_up(struct mem_inode *inode)
{
	int r = 0;

	pthread_mutex_lock(&inode->attr_lock);
	if (inode->attr.nlink == 0 && !inode->linkable)
		r = -ENOENT;
	else if (inode->attr.nlink >= MEM_LINK_MAX)
		r = -EMLINK;
	else
		inode->attr.nlink++;
	pthread_mutex_unlock(&inode->attr_lock);
	return r;
}

static int dir_link(struct mem *mem, struct mem_inode *dir, const char *name, struct mem_inode *inode)
{
	int r;

	if (dir->dir.dead)
		return -ENOENT;
	if (mem_dir_find(mem, &dir->dir, name))
		return -EEXIST;
	r = link_count_up(inode);
	if (r < 0)
		return r;
	r = mem_dir_add(mem, &dir->dir, name, inode);
	if (r < 0) {
		mem_inode_links(inode, -1, 0);
		return r;
	}
	mem_inode_touch(inode, LS_CTIME);
	mem_dir_changed(dir);
	return 0;
}

int mem_link(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_inode *ls_dir,
	     const char *name, struct ls_attr *ret_attr)
{
	struct mem_inode *inode = mem_inode_of(ls_inode), *dir = mem_inode_of(ls_dir);
	int r = ls_name_check(name);

	if (r < 0)
		return r;
	if (dir->type != S_IFDIR || inode->type == S_IFDIR)
		return dir->type != S_IFDIR ? -ENOTDIR : -EPERM;
	fair_lock_write(&dir->content);
	r = dir_link(mem_of(ls), dir, name, inode);
	if (r == 0)
		mem_inode_attr(inode, ret_attr);
	fair_unlock(&dir->content);
	return r;
}

int mem_unlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name)
{
	struct mem_inode *dir = mem_inode_of(ls_dir), *inode = NULL;
	struct mem *mem = mem_of(ls);
	struct mem_entry *e;
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	fair_lock_write(&dir->content);
	e = mem_dir_find(mem, &dir->dir, name);
	if (!e) {
		r = -ENOENT;
	} else if (e->inode->type == S_IFDIR) {
		r = -EISDIR;
	} else {
		inode = mem_dir_remove(mem, &dir->dir, e);
		mem_inode_links(inode, -1, LS_CTIME);
		mem_dir_changed(dir);
	}
	fair_unlock(&dir->content);
	mem_inode_unref(mem, inode, 1);
	return r;
}

int mem_dir_kill(struct mem_inode *dir)
{
	int r = 0;

	fair_lock_write(&dir->content);
	if (dir->dir.count)
		r = -ENOTEMPTY;
	else
		dir->dir.dead = true;
	fair_unlock(&dir->content);
	return r;
}

int mem_rmdir(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name)
{
	struct mem_inode *dir = mem_inode_of(ls_dir), *inode = NULL;
	struct mem *mem = mem_of(ls);
	struct mem_entry *e;
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	fair_lock_write(&dir->content);
	e = mem_dir_find(mem, &dir->dir, name);
	if (!e)
		r = -ENOENT;
	else if (e->inode->type != S_IFDIR)
		r = -ENOTDIR;
	else
		r = mem_dir_kill(e->inode);
	if (r == 0) {
		inode = mem_dir_remove(mem, &dir->dir, e);
		mem_inode_links(inode, -2, LS_CTIME);
		mem_inode_links(dir, -1, 0);
		mem_dir_changed(dir);
	}
	fair_unlock(&dir->content);
	mem_inode_unref(mem, inode, 1);
	return r;
}
