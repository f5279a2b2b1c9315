/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying up. What is to be changed is first made in the writable branch: complete, in the work directory, its data on
 * disk before its name is there; then it is moved to its place, and open files change to it. So a crash, or an error
 * of a branch at any step, leaves the union as it was.
 *
 * The directories on the way are there before: an ancestor is never copied up with anything of its descendants
 * locked. Under inode.up alone the data is copied, so directories are not held for long; and readers of the file go
 * on in the old one until the moment of the change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

enum { PLACE_TRIES = 1000 };

#define RANGE_MAX (1ull << 40) /* its map takes 32 MiB */

struct copy {
	struct union_fs *u;
	const struct ls_call *call;
	struct union_inode *inode;
	struct ls_attr attr; /* of the old one */
	uint64_t cut;        /* data beyond this is not wanted */
	char work[UNION_WORK_NAME];
	struct ls_inode *made;
	struct union_parts *parts; /* of a copy by range */
	bool linked; /* the index holds it */
};

static uint64_t copy_size(const struct copy *c)
{
	return c->attr.size < c->cut ? c->attr.size : c->cut;
}

/* Is its data to stay below until it is changed? What is not all in one place below has to. */
static bool is_by_range(const struct copy *c)
{
	uint64_t size = copy_size(c), min = __atomic_load_n(&c->u->range_min, __ATOMIC_RELAXED);

	if (!S_ISREG(c->attr.mode) || size == 0 || c->u->shared)
		return false;
	return c->inode->parts || (min && size >= min && size <= RANGE_MAX);
}

/* A hole as long as the file. */
static int make_hole(struct copy *c)
{
	struct ls *below = c->u->ls->below[0];
	struct ls_attr attr, in = {.size = copy_size(c)};
	struct ls_file *f;
	int r = ls_create(below, c->call, c->u->work, c->work, 0600, O_RDWR, &c->made, &attr, &f);

	if (r < 0)
		return r;
	r = ls_setattr(below, c->call, c->made, f, &in, LS_SET_SIZE, &attr);
	ls_release(below, c->call, f);
	return r;
}

static int make_file(struct copy *c, const struct union_real *from)
{
	struct ls *below = c->u->ls->below[0];
	uint64_t size = copy_size(c);
	struct ls_attr attr, in = {.size = size};
	struct ls_file *f;
	int r = ls_create(below, c->call, c->u->work, c->work, 0600, O_RDWR, &c->made, &attr, &f);

	if (r < 0)
		return r;
	if (size > 0)
		r = union_copy_data(c->u, c->call, from, f, size);
	if (r == 0 && size > 0)
		r = ls_setattr(below, c->call, c->made, f, &in, LS_SET_SIZE, &attr);
	if (r == 0 && size > 0)
		r = ls_fsync(below, c->call, f, 0);
	ls_release(below, c->call, f);
	return r;
}

static int make_link(struct copy *c, const struct union_real *from)
{
	struct ls_attr attr;
	char target[4097];
	ssize_t n = ls_readlink(c->u->ls->below[from->branch], c->call, from->inode, target, sizeof(target) - 1);

	if (n < 0)
		return n;
	target[n] = 0;
	return ls_symlink(c->u->ls->below[0], c->call, c->u->work, c->work, target, &c->made, &attr);
}

static int make_any(struct copy *c, const struct union_real *from)
{
	struct ls *below = c->u->ls->below[0];
	struct ls_attr attr;

	switch (c->attr.mode & S_IFMT) {
	case S_IFREG:
		return is_by_range(c) ? make_hole(c) : make_file(c, from);
	case S_IFLNK:
		return make_link(c, from);
	case S_IFDIR:
		return ls_mkdir(below, c->call, c->u->work, c->work, 0700, &c->made, &attr);
	default:
		return ls_mknod(below, c->call, c->u->work, c->work, c->attr.mode, c->attr.rdev_major,
				c->attr.rdev_minor, &c->made, &attr);
	}
}

/* The data's parts from now on, with nothing in the first; the others are still the old one's. */
static int parts_prepare(struct copy *c)
{
	struct union_parts *old = c->inode->parts, *p;
	struct union_real from = c->inode->real;
	unsigned n = old ? old->count : 1;
	int r = 0;

	if (!is_by_range(c))
		return 0;
	if (old)
		r = union_parts_open(c->u, c->call, old);
	c->parts = p = r == 0 ? union_parts_new(n + 1) : NULL;
	if (!p)
		return r < 0 ? r : -ENOMEM;
	p->part[0] = (struct union_part){.real = {.inode = c->made}, .limit = copy_size(c)};
	r = union_part_begin(c->u, c->call, &p->part[0], true, true);
	if (r == 0 && !old) {
		p->part[1].real = from;
		r = union_part_begin(c->u, c->call, &p->part[1], false, true);
	}
	return r;
}

static void parts_drop(struct copy *c)
{
	if (c->parts && !c->inode->parts)
		c->parts->part[1].real.inode = NULL; /* it is the inode's */
	union_parts_free(c->u, c->call, c->parts);
	c->parts = NULL;
}

static void parts_change(struct copy *c)
{
	struct union_parts *old = c->inode->parts;

	if (old)
		memcpy(&c->parts->part[1], old->part, old->count * sizeof(old->part[0]));
	free(old);
	__atomic_store_n(&c->inode->parts, c->parts, __ATOMIC_RELEASE);
	c->parts = NULL;
}

static void copy_undo(struct copy *c)
{
	char index[UNION_WORK_NAME];

	if (!c->made)
		return;
	if (c->linked) {
		union_index_name(c->inode->number, index);
		ls_unlink(c->u->ls->below[0], c->call, c->u->work, index);
	}
	parts_drop(c);
	union_work_remove(c->u, c->call, c->work, union_is_dir(c->inode));
	ls_forget(c->u->ls->below[0], c->call, c->made, 1);
	c->made = NULL;
}

/* Where the branches below have the file. It stays there, wherever its place is then. */
static int copy_path(struct copy *c, char path[static PATH_MAX])
{
	char name[UNION_NAME_MAX + 1];
	struct union_inode *dir = union_place(c->u, c->inode, name);
	size_t len;
	int r = -ENOENT;

	if (!dir)
		return r;
	pthread_mutex_lock(&c->u->rename);
	r = union_path_below(dir, path);
	pthread_mutex_unlock(&c->u->rename);
	union_inode_unref(c->u, c->call, dir, 1);
	len = r == 0 ? strlen(path) : 0;
	if (r == 0 && len + strlen(name) + 2 > PATH_MAX)
		r = -ENAMETOOLONG;
	if (r == 0)
		sprintf(path + len, "/%s", name);
	return r;
}

/* Does the path lead to what is to be copied? Renamed meanwhile, it would not. */
static int copy_path_check(struct copy *c, const char *path)
{
	struct union_found *found = malloc(sizeof(*found));
	int r = found ? union_walk_from(c->u, c->call, 1, path, found) : -ENOMEM;

	if (r == 0) {
		r = found->count && found->real[0].inode == c->inode->real.inode ? 0 : -EAGAIN;
		union_found_fini(c->u, c->call, found);
	}
	free(found);
	return r;
}

/* What has no name any more needs no mark: nobody will find it after a crash. */
static int copy_mark(struct copy *c)
{
	char path[PATH_MAX];
	int r = copy_path(c, path);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = copy_path_check(c, path);
	return r < 0 ? r : union_parts_mark(c->u, c->call, c->made, path, copy_size(c));
}

/* The copy, in the work directory. */
static int copy_make(struct copy *c, const struct union_real *from)
{
	char number[32];
	int r = ls_getattr(c->u->ls->below[from->branch], c->call, from->inode, NULL, &c->attr);

	if (r < 0)
		return r;
	union_work_name(c->u, c->work);
	snprintf(number, sizeof(number), "%llx", (unsigned long long)c->inode->number);
	r = make_any(c, from);
	if (r == 0)
		r = union_copy_xattrs(c->u, c->call, from, c->made);
	if (r == 0 && !(c->inode->number >> 63)) {
		r = union_mark_set(c->u, c->call, c->made, "union.origin", number);
		r = r == -EOPNOTSUPP || r == -EPERM ? 0 : r; /* then the number will be another after a restart */
	}
	if (r == 0 && is_by_range(c))
		r = copy_mark(c);
	if (r == 0)
		r = union_copy_attr(c->u, c->call, &c->attr, c->made);
	if (r < 0)
		copy_undo(c);
	return r;
}

/* Into place. The directory's times stay: to its users nothing happens. Its lock is held. */
static int copy_place(struct copy *c, struct union_inode *dir, const char *name)
{
	struct ls *below = c->u->ls->below[0];
	struct ls_inode *above = union_above(dir);
	struct ls_attr before, after;
	int r = ls_getattr(below, c->call, above, NULL, &before);

	if (r == 0 && !dir->impure) {
		r = union_mark_set(c->u, c->call, above, "impure", "y");
		r = r == -EOPNOTSUPP || r == -EPERM ? 0 : r;
		dir->impure = r == 0;
	}
	if (r == 0)
		r = ls_rename(below, c->call, c->u->work, c->work, above, name, 0);
	if (r == 0)
		ls_setattr(below, c->call, above, NULL, &before, LS_SET_ATIME | LS_SET_MTIME, &after);
	return r;
}

/* ---- hard links ---------------------------------------------------------------------------------------- */

static int links_save(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode, unsigned links)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", links);
	return union_mark_set(u, call, inode, "union.links", text);
}

/* Where there are more names below, they must lead to the copy, too: they find it by the index. */
static int copy_index(struct copy *c)
{
	char index[UNION_WORK_NAME];
	struct ls_attr attr;
	unsigned links = c->attr.nlink > c->inode->gone ? c->attr.nlink - c->inode->gone : 0;
	int r;

	if (union_is_dir(c->inode) || c->attr.nlink < 2)
		return 0;
	union_index_name(c->inode->number, index);
	r = links_save(c->u, c->call, c->made, links);
	if (r == 0)
		r = ls_link(c->u->ls->below[0], c->call, c->made, c->u->work, index, &attr);
	c->linked = r == 0;
	if (r == 0)
		__atomic_store_n(&c->u->has_index, true, __ATOMIC_RELAXED);
	return r;
}

void union_links(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, int change)
{
	char index[UNION_WORK_NAME];

	if (!union_is_above(inode))
		inode->gone -= change;
	if (!inode->indexed)
		return;
	if (__atomic_add_fetch(&inode->links, change, __ATOMIC_RELAXED) > 0) {
		links_save(u, call, inode->real.inode, inode->links);
		return;
	}
	union_index_name(inode->number, index);
	ls_unlink(u->ls->below[0], call, u->work, index);
}

int union_name_up(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n)
{
	struct ls_attr attr;
	int r;

	if (n->above)
		return 0;
	r = ls_link(u->ls->below[0], call, n->inode->real.inode, union_above(dir), n->name, &attr);
	if (r == 0) {
		n->above = true;
		n->under = UNION_SOMETHING;
	}
	return r;
}

/* ---- files ----------------------------------------------------------------------------------------------- */

/* A handle of the copy for each open file. */
static int files_prepare(struct copy *c)
{
	struct ls *below = c->u->ls->below[0];
	int r = 0;

	for (struct union_file *f = c->inode->files; f && r == 0; f = f->next)
		r = ls_open(below, c->call, c->made, f->flags & ~(O_TRUNC | O_NOATIME), &f->fresh);
	return r;
}

static void files_drop(struct copy *c)
{
	for (struct union_file *f = c->inode->files; f; f = f->next) {
		if (f->fresh)
			ls_release(c->u->ls->below[0], c->call, f->fresh);
		f->fresh = NULL;
	}
}

static void files_change(struct copy *c)
{
	for (struct union_file *f = c->inode->files; f; f = f->next) {
		ls_release(c->u->ls->below[f->branch], c->call, f->below);
		f->below = f->fresh;
		f->branch = 0;
		f->fresh = NULL;
	}
}

static void inode_change(struct copy *c)
{
	struct union_inode *inode = c->inode;

	files_change(c);
	union_shares_recall(c->u, c->call, inode);
	inode->old_lent = c->parts && inode->maps;
	if (inode->maps)
		inode->old = inode->real;
	if (c->parts)
		parts_change(c);
	else if (!inode->maps)
		ls_forget(c->u->ls->below[inode->real.branch], c->call, inode->real.inode, 1);
	inode->real = (struct union_real){.inode = c->made};
	if (c->linked) {
		inode->links = c->attr.nlink > inode->gone ? c->attr.nlink - inode->gone : 0;
		inode->indexed = true;
	}
	inode->gone = 0;
	__atomic_store_n(&inode->above, true, __ATOMIC_RELEASE);
	__atomic_add_fetch(&c->u->copied_files, 1, __ATOMIC_RELAXED);
}

/* The last step, with the lock of the directory held (or dir NULL: the file has no name any more). */
static int file_change(struct copy *c, struct union_inode *dir, struct union_name *n)
{
	int r;

	pthread_rwlock_wrlock(&c->inode->content);
	r = files_prepare(c);
	if (r == 0)
		r = parts_prepare(c);
	if (r == 0)
		r = copy_index(c);
	if (r == 0)
		r = dir ? copy_place(c, dir, n->name)
			: ls_unlink(c->u->ls->below[0], c->call, c->u->work, c->work);
	if (r == 0)
		inode_change(c);
	else
		files_drop(c);
	pthread_rwlock_unlock(&c->inode->content);
	if (r == 0 && n) {
		n->above = true;
		n->under = UNION_SOMETHING;
	}
	return r;
}

/* Does the place still lead to the inode? The directory's lock is held. */
static struct union_name *place_name(struct union_fs *u, struct union_inode *dir, const char *name,
				     const struct union_inode *inode)
{
	struct union_name *n = dir->dead ? NULL : union_name_find(u, dir, name);

	return n && n->inode == inode ? n : NULL;
}

/* 0, -EAGAIN: the place has changed. */
static int file_change_at(struct copy *c, struct union_inode *dir, const char *name)
{
	struct union_fs *u = c->u;
	struct union_name *n;
	int r;

	pthread_mutex_lock(&dir->lock);
	r = dir->dead ? -EAGAIN : union_name_load(u, c->call, dir, name, &n);
	if (r == 0)
		n = place_name(u, dir, name, c->inode);
	if (r == 0)
		r = n ? file_change(c, dir, n) : -EAGAIN;
	pthread_mutex_unlock(&dir->lock);
	return r;
}

static int file_settle(struct copy *c)
{
	char name[UNION_NAME_MAX + 1];
	struct union_inode *dir;
	int r, tries = 0;

	do {
		dir = union_place(c->u, c->inode, name);
		if (!dir)
			return file_change(c, NULL, NULL);
		r = union_up(c->u, c->call, dir);
		if (r == 0)
			r = file_change_at(c, dir, name);
		union_inode_unref(c->u, c->call, dir, 1);
		if (r == -ENOENT) /* the directory is going, and the file has gone from it */
			r = -EAGAIN;
	} while (r == -EAGAIN && ++tries < PLACE_TRIES);
	return r == -EAGAIN ? -ESTALE : r; /* somebody else changed a branch */
}

int union_up_cut(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t size)
{
	struct copy c = {.u = u, .call = call, .inode = inode, .cut = size};
	int r = 0;

	if (union_is_above(inode))
		return 0;
	pthread_mutex_lock(&inode->up);
	for (int tries = 0; !union_is_above(inode) && (tries == 0 || r == -EAGAIN) && tries < PLACE_TRIES; tries++) {
		r = copy_make(&c, &inode->real);
		if (r == 0 && (r = file_settle(&c)) < 0)
			copy_undo(&c);
	}
	pthread_mutex_unlock(&inode->up);
	return r == -EAGAIN ? -ESTALE : r;
}

/* ---- directories ----------------------------------------------------------------------------------------- */

/* The copy is the directory's first branch. Its lock is held, and the parent's. */
static int dir_add_branch(struct copy *c)
{
	struct union_inode *dir = c->inode;
	struct union_real *branch = malloc((dir->branch_count + 1) * sizeof(*branch)), *old;

	if (!branch)
		return -ENOMEM;
	branch[0] = (struct union_real){.inode = c->made};
	memcpy(branch + 1, dir->branch, dir->branch_count * sizeof(*branch));
	pthread_mutex_lock(&c->u->lock);
	old = dir->branch;
	dir->branch = branch;
	dir->branch_count++;
	pthread_mutex_unlock(&c->u->lock);
	free(old);
	return 0;
}

static int dir_change(struct copy *c, struct union_inode *parent, struct union_name *n)
{
	struct union_inode *dir = c->inode;
	int r;

	pthread_mutex_lock(&dir->lock);
	r = copy_place(c, parent, n->name);
	if (r == 0)
		r = dir_add_branch(c);
	if (r == 0) {
		n->above = true;
		n->under = UNION_SOMETHING;
		__atomic_store_n(&dir->above, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&dir->lock);
	return r;
}

static int dir_change_at(struct copy *c, struct union_inode *parent, const char *name)
{
	struct union_name *n;
	int r;

	pthread_mutex_lock(&parent->lock);
	r = parent->dead ? -ENOENT : union_name_load(c->u, c->call, parent, name, &n);
	if (r == 0)
		n = place_name(c->u, parent, name, c->inode);
	if (r == 0)
		r = n ? dir_change(c, parent, n) : -EAGAIN;
	pthread_mutex_unlock(&parent->lock);
	return r;
}

static bool dir_is_dead(struct union_inode *dir)
{
	bool dead;

	pthread_mutex_lock(&dir->lock);
	dead = dir->dead;
	pthread_mutex_unlock(&dir->lock);
	return dead;
}

static int dir_up_at(struct copy *c, struct union_inode *parent, const char *name)
{
	int r = union_up(c->u, c->call, parent);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->inode->up);
	if (!union_is_above(c->inode)) {
		r = dir_is_dead(c->inode) ? -ENOENT : copy_make(c, &c->inode->branch[0]);
		if (r == 0 && (r = dir_change_at(c, parent, name)) < 0)
			copy_undo(c);
	}
	pthread_mutex_unlock(&c->inode->up);
	return r;
}

static int dir_up(struct union_fs *u, const struct ls_call *call, struct union_inode *dir)
{
	char name[UNION_NAME_MAX + 1];
	struct union_inode *parent;
	int r, tries = 0;

	do {
		struct copy c = {.u = u, .call = call, .inode = dir};
		parent = union_is_above(dir) ? NULL : union_place(u, dir, name);
		if (!parent)
			return union_is_above(dir) ? 0 : -ENOENT;
		r = dir_up_at(&c, parent, name);
		union_inode_unref(u, call, parent, 1);
	} while (r == -EAGAIN && ++tries < PLACE_TRIES);
	return r == -EAGAIN ? -ESTALE : r;
}

int union_up(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	if (union_is_above(inode))
		return 0;
	return union_is_dir(inode) ? dir_up(u, call, inode) : union_up_cut(u, call, inode, UINT64_MAX);
}
