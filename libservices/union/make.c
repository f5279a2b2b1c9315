/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making names. Where nothing was, in one step; where a whiteout is, in the work directory, to replace the whiteout
 * when it is complete. A directory in the place of a whiteout is opaque: what the whiteout hid must not come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>

#include "libservices/union/union.h"

struct making {
	struct union_fs *u;
	const struct ls_call *call;
	mode_t mode; /* with its type */
	unsigned major, minor;
	const char *target;
	struct union_inode *linked; /* to give another name */
	bool open;
	int flags;
	struct ls_file *file; /* what was made, in the writable branch */
	struct ls_inode *made;
	struct ls_attr attr;
	bool changed; /* since `attr` was had */
};

static int make_in(struct making *m, struct ls_inode *dir, const char *name)
{
	struct ls *below = m->u->ls->below[0];

	if (m->linked)
		return ls_link(below, m->call, m->linked->real.inode, dir, name, &m->attr);
	if (m->open)
		return ls_create(below, m->call, dir, name, m->mode & 07777, m->flags, &m->made, &m->attr, &m->file);
	if (S_ISDIR(m->mode))
		return ls_mkdir(below, m->call, dir, name, m->mode & 07777, &m->made, &m->attr);
	if (S_ISLNK(m->mode))
		return ls_symlink(below, m->call, dir, name, m->target, &m->made, &m->attr);
	return ls_mknod(below, m->call, dir, name, m->mode, m->major, m->minor, &m->made, &m->attr);
}

/* A device that looks like a whiteout. */
static bool is_shown(const struct making *m)
{
	return !m->linked && S_ISCHR(m->mode) && m->major == 0 && m->minor == 0;
}

static void making_undo(struct making *m)
{
	if (m->file)
		ls_release(m->u->ls->below[0], m->call, m->file);
	if (m->made)
		ls_forget(m->u->ls->below[0], m->call, m->made, 1);
	m->file = NULL;
	m->made = NULL;
}

/* Through the work directory. A directory cannot replace a whiteout: they change places. */
static int make_over(struct making *m, struct ls_inode *above, const char *name, bool whiteout)
{
	struct ls *below = m->u->ls->below[0];
	bool dir = !m->linked && S_ISDIR(m->mode);
	char work[UNION_WORK_NAME];
	int r;

	m->changed = true;
	union_work_name(m->u, work);
	r = make_in(m, m->u->work, work);
	if (r < 0)
		return r;
	if (dir)
		r = union_mark_set(m->u, m->call, m->made, "opaque", "y");
	else if (is_shown(m))
		r = union_mark_set(m->u, m->call, m->made, "union.shown", "y");
	if (r == 0)
		r = ls_rename(below, m->call, m->u->work, work, above, name, dir && whiteout ? RENAME_EXCHANGE : 0);
	if (r < 0 || (dir && whiteout))
		union_work_remove(m->u, m->call, work, r < 0 && dir);
	return r;
}

static int make_at(struct making *m, struct union_inode *dir, const struct union_name *n)
{
	struct ls_inode *above = union_above(dir);
	int r;

	if (n->whiteout || is_shown(m))
		return make_over(m, above, n->name, n->whiteout);
	r = make_in(m, above, n->name);
	/* Nothing is below; saying so saves looking there after a restart. */
	if (r == 0 && m->made && S_ISDIR(m->mode) && dir->branch_count > 1) {
		m->changed = true;
		union_mark_set(m->u, m->call, m->made, "opaque", "y");
	}
	return r;
}

/* The inode of what was made. */
static int making_enter(struct making *m, struct union_inode *dir, const char *name, struct union_inode **ret)
{
	struct union_found found;
	int r;

	if (m->linked) {
		*ret = union_inode_ref(m->u, m->linked);
		union_links(m->u, m->call, m->linked, 1);
		if (!dir->impure)
			dir->impure = union_mark_set(m->u, m->call, union_above(dir), "impure", "y") == 0;
		return 0;
	}
	memset(&found, 0, offsetof(struct union_found, real));
	found.real[0] = (struct union_real){.inode = m->made};
	found.count = 1;
	found.attr = m->attr;
	found.redirect = NULL;
	found.parts = NULL;
	found.origin = 0;
	found.impure = false;
	m->made = NULL;
	r = union_inode_enter(m->u, m->call, &found, ret);
	if (r == 0 && dir)
		r = union_place_set(m->u, m->call, *ret, dir, name);
	if (r == 0 && union_is_dir(*ret))
		(*ret)->complete = true;
	return r;
}

static int make_locked(struct making *m, struct union_inode *dir, const char *name, struct union_inode **ret)
{
	struct union_inode *inode;
	struct union_name *n;
	bool whiteout;
	int r = dir->dead ? -ENOENT : union_name_load(m->u, m->call, dir, name, &n);

	if (r < 0 || n->inode)
		return r < 0 ? r : -EEXIST;
	whiteout = n->whiteout;
	r = make_at(m, dir, n);
	if (r == 0)
		r = making_enter(m, dir, name, &inode);
	if (r < 0)
		return r;
	/* While nobody else can reach it. */
	if (m->linked || m->changed)
		union_attr(m->u, m->call, inode, NULL, &m->attr);
	m->attr.ino = inode->number;
	union_name_set(m->u, m->call, dir, n, union_inode_ref(m->u, inode));
	n->above = true;
	n->under = whiteout ? UNION_SOMETHING : UNION_NOTHING;
	*ret = inode;
	return 0;
}

static int make(struct making *m, struct union_inode *dir, const char *name, struct union_inode **ret)
{
	int r = union_name_check(m->u, dir, name);

	if (r == 0 && dir == m->u->root && m->u->work && strcmp(name, m->u->work_name) == 0)
		r = -EPERM;
	if (r == 0 && !m->u->writable)
		r = -EROFS;
	if (r == 0)
		r = union_up(m->u, m->call, dir);
	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	r = make_locked(m, dir, name, ret);
	pthread_mutex_unlock(&dir->lock);
	if (r < 0)
		making_undo(m);
	union_names_limit(m->u, m->call);
	return r;
}

static int make_and_give(struct making *m, struct ls_inode *dir, const char *name, struct ls_inode **ret_inode,
			 struct ls_attr *ret_attr)
{
	struct union_inode *inode;
	int r = make(m, union_inode_of(dir), name, &inode);

	if (r < 0)
		return r;
	*ret_inode = (struct ls_inode *)inode;
	*ret_attr = m->attr;
	return 0;
}

int union_mknod(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		unsigned major, unsigned minor, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct making m = {.u = union_of(ls), .call = call, .mode = mode, .major = major, .minor = minor};

	return make_and_give(&m, dir, name, ret_inode, ret_attr);
}

int union_mkdir(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct making m = {.u = union_of(ls), .call = call, .mode = S_IFDIR | mode};

	return make_and_give(&m, dir, name, ret_inode, ret_attr);
}

int union_symlink(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		  const char *target, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct making m = {.u = union_of(ls), .call = call, .mode = S_IFLNK, .target = target};

	return make_and_give(&m, dir, name, ret_inode, ret_attr);
}

/* A file below that has lost its last name gets no other; of one above, the branch knows. */
static int link_check(const struct making *m)
{
	struct ls_attr attr;
	int r = union_is_above(m->linked) ? 1 : union_attr(m->u, m->call, m->linked, NULL, &attr);

	return r == 0 && attr.nlink == 0 ? -ENOENT : r < 0 ? r : 0;
}

int union_link(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_inode *dir,
	       const char *name, struct ls_attr *ret_attr)
{
	struct making m = {.u = union_of(ls), .call = call, .linked = union_inode_of(ls_inode)};
	struct union_inode *inode;
	int r = union_name_check(m.u, union_inode_of(dir), name);

	if (r == 0 && union_is_dir(m.linked))
		r = -EPERM;
	if (r == 0 && !m.u->writable)
		r = -EROFS;
	if (r == 0)
		r = link_check(&m);
	if (r == 0)
		r = union_up(m.u, call, m.linked);
	if (r == 0)
		r = make(&m, union_inode_of(dir), name, &inode);
	if (r < 0)
		return r;
	*ret_attr = m.attr;
	union_inode_unref(m.u, call, inode, 1);
	return 0;
}

/* ---- files that are open from birth ---------------------------------------------------------------------- */

/* What was made is open in m->file. */
static int file_give(struct making *m, struct union_inode *inode, struct ls_inode **ret_inode,
		     struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct ls_file *file;
	int r = union_file_new(m->u, m->call, inode, m->file, 0, m->flags, &file);

	if (r < 0) {
		union_inode_unref(m->u, m->call, inode, 1);
		return r;
	}
	*ret_inode = (struct ls_inode *)inode;
	*ret_attr = m->attr;
	*ret_file = file;
	return 0;
}

int union_create(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name, mode_t mode,
		 int flags, struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct making m = {
		.u = union_of(ls), .call = call, .mode = S_IFREG | mode, .open = true, .flags = flags};
	struct union_inode *inode;
	int r = make(&m, union_inode_of(dir), name, &inode);

	return r < 0 ? r : file_give(&m, inode, ret_inode, ret_attr, ret_file);
}

int union_tmpfile(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, mode_t mode, int flags,
		  struct ls_inode **ret_inode, struct ls_attr *ret_attr, struct ls_file **ret_file)
{
	struct union_inode *dir = union_inode_of(ls_dir), *inode;
	struct making m = {.u = union_of(ls), .call = call, .flags = flags};
	int r = union_is_dir(dir) ? 0 : -ENOTDIR;

	if (r == 0 && !m.u->writable)
		r = -EROFS;
	if (r == 0)
		r = union_up(m.u, call, dir);
	if (r < 0)
		return r;
	pthread_mutex_lock(&dir->lock);
	r = dir->dead ? -ENOENT
		      : ls_tmpfile(ls->below[0], call, union_above(dir), mode, flags, &m.made, &m.attr, &m.file);
	pthread_mutex_unlock(&dir->lock);
	if (r == 0)
		r = making_enter(&m, NULL, NULL, &inode);
	if (r == 0)
		m.attr.ino = inode->number;
	if (r < 0) {
		making_undo(&m);
		return r;
	}
	return file_give(&m, inode, ret_inode, ret_attr, ret_file);
}
