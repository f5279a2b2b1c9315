/* SPDX-License-Identifier: Apache-2.0 */
/* Names: finding them, and making what they name. link.c has links and removal, rename.c moves them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { NEED = 8 }; /* nodes that the tree may need for it */

_Static_assert(NAME_MAX <= VF_NAME_MAX, "a directory's item holds what ls_name_check lets pass");

int vol_ls_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name,
		  struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct vol_inode *dir = vol_inode_of(ls_dir), *inode;
	struct vol *v = vol_of(ls);
	struct vol_entry e;
	int r = ls_name_check(name);

	if (r < 0 || dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	fair_lock_read(&dir->content);
	r = vol_dir_find(v, dir, name, &e);
	if (r == 0)
		r = vol_entry_inode(v, &e, &inode);
	fair_unlock(&dir->content);
	if (r < 0)
		return r;
	vol_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

int vol_ls_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir,
		  struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct vol_inode *dir = vol_inode_of(ls_dir), *parent;
	struct vol *v = vol_of(ls);
	uint64_t ino;
	int r;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	pthread_mutex_lock(&dir->attr_lock);
	ino = dir->parent;
	pthread_mutex_unlock(&dir->attr_lock);
	r = vol_inode_get(v, ino, &parent);
	if (r < 0) /* only of a removed directory, whose parent may be gone too */
		return r == -ESTALE ? -ENOENT : r;
	vol_inode_attr(parent, ret_attr);
	*ret_inode = (struct ls_inode *)parent;
	return 0;
}

int vol_ls_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		   struct ls_attr *ret_attr)
{
	struct vol_inode *inode;
	int r = vol_inode_get(vol_of(ls), ino, &inode);

	if (r < 0)
		return r;
	vol_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	return 0;
}

void vol_ls_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	if (inode != ls->root)
		vol_inode_put(vol_of(ls), vol_inode_of(inode), n);
}

/* ---- making ---------------------------------------------------------------------------------- */

struct making {
	const struct ls_call *call;
	struct vol_inode *dir;
	const char *name;
	struct vol_new what;
	const char *target; /* of a symbolic link */
	struct vol_inode *made;
};

static int link_target_put(struct vol *v, struct vol_inode *inode, const char *target)
{
	size_t length = strlen(target);
	int r = 0;

	inode->attr.size = length;
	vol_clothe(inode);
	for (size_t at = 0; at < length && r == 0; at += VF_INLINE_MAX)
		r = vol_put(v, vol_key(inode->ino, VF_INLINE, at / VF_INLINE_MAX), target + at,
			    length - at < VF_INLINE_MAX ? length - at : VF_INLINE_MAX);
	return r;
}

/* Within an operation. */
static int dir_make(struct vol *v, struct making *m, const struct vol_entry *e)
{
	int r = vol_inode_new(v, m->call, &m->what, &m->made);

	if (r < 0)
		return r;
	if (m->target)
		r = link_target_put(v, m->made, m->target);
	if (r == 0)
		r = vol_dir_add(v, m->dir, e, m->name, m->made);
	if (r < 0) {
		m->made->attr.nlink = 0; /* its only user erases it */
		return r;
	}
	if (m->made->type == S_IFDIR)
		vol_inode_links(v, m->dir, 1, 0);
	vol_dir_changed(v, m->dir, 1);
	return 0;
}

/* With the directory's content held for writing. */
static int making_run(struct vol *v, struct making *m)
{
	struct vol_entry e;
	int r;

	if (m->dir->dead)
		return -ENOENT;
	r = vol_dir_find(v, m->dir, m->name, &e);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	r = vol_op_begin(v, NEED);
	if (r < 0)
		return r;
	r = dir_make(v, m, &e);
	vol_op_end(v);
	return r;
}

static int name_make(struct ls *ls, struct making *m, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct vol *v = vol_of(ls);
	int r = ls_name_check(m->name);

	if (r < 0 || m->dir->type != S_IFDIR)
		return r < 0 ? r : -ENOTDIR;
	vol_throttle(v);
	fair_lock_write(&m->dir->content);
	r = making_run(v, m);
	if (r == 0)
		vol_inode_attr(m->made, ret_attr);
	fair_unlock(&m->dir->content);
	if (r == 0)
		*ret_inode = (struct ls_inode *)m->made;
	else
		vol_inode_put(v, m->made, 1);
	return r;
}

int vol_ls_mknod(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 mode_t mode, unsigned major, unsigned minor, struct ls_inode **ret_inode,
		 struct ls_attr *ret_attr)
{
	struct making m = {
	    .call = call,
	    .dir = vol_inode_of(dir),
	    .name = name,
	    .what = {
		.mode = mode & S_IFMT ? mode : mode | S_IFREG, .nlink = 1, .major = major, .minor = minor}};

	switch (m.what.mode & S_IFMT) {
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return name_make(ls, &m, ret_inode, ret_attr);
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int vol_ls_mkdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 mode_t mode, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct making m = {
	    .call = call,
	    .dir = vol_inode_of(dir),
	    .name = name,
	    .what = {.mode = S_IFDIR | (mode & 07777), .nlink = 2, .parent = vol_inode_of(dir)->ino}};

	return name_make(ls, &m, ret_inode, ret_attr);
}

int vol_ls_symlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		   const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct making m = {.call = call,
			   .dir = vol_inode_of(dir),
			   .name = name,
			   .what = {.mode = S_IFLNK | 0777, .nlink = 1},
			   .target = target};

	if (!*target)
		return -ENOENT;
	if (strlen(target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return name_make(ls, &m, ret_inode, ret_attr);
}

static struct vol_file *file_new(struct vol_inode *inode, int flags)
{
	struct vol_file *file = calloc(1, sizeof(*file));

	if (file)
		*file = (struct vol_file){inode, flags, UINT64_MAX};
	return file;
}

int vol_ls_open(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, int flags,
		struct ls_file **ret_file)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol_file *file;
	int r = ls_open_check(inode->type, flags);

	if (r < 0)
		return r;
	file = file_new(inode, flags);
	if (!file)
		return -ENOMEM;
	vol_inode_ref(vol_of(ls), inode);
	*ret_file = (struct ls_file *)file;
	return 0;
}

void vol_ls_release(struct ls *ls, const struct ls_call *call, struct ls_file *f)
{
	vol_inode_put(vol_of(ls), vol_file_of(f)->inode, 1);
	free(f);
}

int vol_ls_create(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		  mode_t mode, int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		  struct ls_file **ret_file)
{
	struct making m = {.call = call,
			   .dir = vol_inode_of(dir),
			   .name = name,
			   .what = {.mode = S_IFREG | (mode & 07777), .nlink = 1}};
	struct vol_file *file = file_new(NULL, flags);
	int r;

	if (!file)
		return -ENOMEM;
	r = name_make(ls, &m, ret_inode, ret_attr);
	if (r < 0) {
		free(file);
		return r;
	}
	file->inode = vol_inode_ref(vol_of(ls), m.made);
	*ret_file = (struct ls_file *)file;
	return 0;
}

int vol_ls_tmpfile(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, mode_t mode,
		   int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr,
		   struct ls_file **ret_file)
{
	struct vol_new what = {.mode = S_IFREG | (mode & 07777), .linkable = !(flags & O_EXCL)};
	struct vol *v = vol_of(ls);
	struct vol_inode *inode;
	struct vol_file *file;
	int r;

	if (vol_inode_of(ls_dir)->type != S_IFDIR)
		return -ENOTDIR;
	file = file_new(NULL, flags);
	if (!file)
		return -ENOMEM;
	vol_throttle(v);
	r = vol_op_begin(v, NEED);
	if (r == 0) {
		r = vol_inode_new(v, call, &what, &inode);
		vol_op_end(v);
	}
	if (r < 0) {
		free(file);
		return r;
	}
	file->inode = vol_inode_ref(v, inode);
	vol_inode_attr(inode, ret_attr);
	*ret_inode = (struct ls_inode *)inode;
	*ret_file = (struct ls_file *)file;
	return 0;
}
