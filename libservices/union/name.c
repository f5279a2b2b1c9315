/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, remembered once looked up: those that are there with their inode, and those that are not. What is remembered
 * holds because the branches are ours alone; over one that others may change each lookup asks again.
 */
#include <errno.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

int union_name_check(const struct union_fs *u, const struct union_inode *dir, const char *name)
{
	return union_is_dir(dir) ? ls_name_check(name) : -ENOTDIR;
}

void union_name_set(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n,
		    struct union_inode *inode)
{
	struct union_inode *old = n->inode;

	dir->absent_count -= n->type == DT_UNKNOWN;
	dir->subdirs -= n->type == DT_DIR;
	n->inode = inode;
	n->type = inode ? inode->type >> 12 : DT_UNKNOWN;
	dir->absent_count += n->type == DT_UNKNOWN;
	dir->subdirs += n->type == DT_DIR;
	if (inode)
		n->whiteout = false;
	else
		n->above = false;
	if (old)
		union_inode_unref(u, call, old, 1);
}

/* A file below that has other names: the one that was copied up by another name, if it was. */
static int found_by_index(struct union_fs *u, const struct ls_call *call, struct union_found *found)
{
	char name[UNION_WORK_NAME], links[32];
	struct union_real real = {0};
	struct ls_attr attr;
	int r;

	if (!__atomic_load_n(&u->has_index, __ATOMIC_RELAXED) || S_ISDIR(found->attr.mode) || found->attr.nlink < 2 ||
	    found->real[0].branch == 0)
		return 0;
	found->origin = union_number(u, found->real[0].branch, found->attr.ino);
	union_index_name(found->origin, name);
	r = ls_lookup(u->ls->below[0], call, u->work, name, &real.inode, &attr);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = union_mark_get(u, call, &real, "union.links", links, sizeof(links));
	ls_forget(u->ls->below[found->real[0].branch], call, found->real[0].inode, 1);
	found->real[0] = real;
	found->attr = attr;
	return r < 0 ? r : 0;
}

/* An inode above knows by its marks how many names it has. */
static int inode_links(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	char links[32];
	int n;

	if (union_is_dir(inode) || inode->indexed || !inode->above || !__atomic_load_n(&u->has_index, __ATOMIC_RELAXED))
		return 0;
	n = union_mark_get(u, call, &inode->real, "union.links", links, sizeof(links));
	if (n > 0) {
		__atomic_store_n(&inode->links, strtoul(links, NULL, 10), __ATOMIC_RELAXED);
		__atomic_store_n(&inode->indexed, true, __ATOMIC_RELEASE);
	}
	return n < 0 ? n : 0;
}

/* The inode that was found, ready to be led to by that name. */
static int found_enter(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name,
		       struct union_found *found, struct union_inode **ret)
{
	int r = found_by_index(u, call, found);

	if (r == 0)
		r = union_parts_find(u, call, dir, name, found);
	if (r < 0) {
		union_found_fini(u, call, found);
		return r;
	}
	r = union_inode_enter(u, call, found, ret);
	if (r < 0)
		return r;
	r = inode_links(u, call, *ret);
	if (r == 0 && !__atomic_load_n(&(*ret)->parent, __ATOMIC_RELAXED))
		r = union_place_set(u, call, *ret, dir, name);
	if (r < 0)
		union_inode_unref(u, call, *ret, 1);
	return r;
}

/* Branches of the directory above that of the listed entry do not have the name. */
static unsigned name_first(const struct union_inode *dir, const struct union_name *n)
{
	unsigned i = 0;

	if (n && n->type != DT_UNKNOWN && !n->inode)
		while (i + 1 < dir->branch_count && dir->branch[i].branch < n->branch)
			i++;
	return i;
}

/* Walks, and makes the name say what was found. On failure it says what it said. */
static int name_walk(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name,
		     struct union_name **n, unsigned first)
{
	struct union_inode *inode = NULL;
	struct union_found found;
	bool above, merged;
	int r = union_walk(u, call, dir, first, name, &found);

	if (r < 0)
		return r;
	above = found.count && u->writable && found.real[0].branch == 0;
	merged = found.count > 1 && !found.redirect;
	if (found.count)
		r = found_enter(u, call, dir, name, &found, &inode);
	if (r == 0 && !*n && !(*n = union_name_add(u, dir, name, strlen(name)))) {
		union_inode_unref(u, call, inode, 1);
		return -ENOMEM;
	}
	if (r < 0)
		return r;
	(*n)->above = above;
	(*n)->under = (inode && !above) || merged ? UNION_SOMETHING : (*n)->under;
	union_name_set(u, call, dir, *n, inode);
	(*n)->whiteout = !inode && found.whiteout;
	return 0;
}

int union_name_load(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name,
		    struct union_name **ret)
{
	struct union_name *n = union_name_find(u, dir, name);
	int r = 0;

	union_names_used(u, dir);
	if (!n && dir->complete && !u->shared && !(n = union_name_add(u, dir, name, strlen(name))))
		return -ENOMEM;
	if (n && (n->inode || n->type == DT_UNKNOWN) && !u->shared)
		__atomic_add_fetch(&u->hits, 1, __ATOMIC_RELAXED);
	else
		r = name_walk(u, call, dir, name, &n, u->shared ? 0 : name_first(dir, n));
	if (r == 0)
		*ret = n;
	return r;
}

int union_name_under(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n)
{
	struct union_found found;
	int r;

	if (dir->branch_count < 2)
		return 0;
	if (n->under == UNION_UNKNOWN || u->shared) {
		r = union_walk(u, call, dir, 1, n->name, &found);
		if (r < 0)
			return r;
		n->under = found.count ? UNION_SOMETHING : UNION_NOTHING;
		union_found_fini(u, call, &found);
	}
	return n->under == UNION_SOMETHING;
}

/* ---- operations -------------------------------------------------------------------------------------- */

int union_lookup(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, const char *name,
		 struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct union_inode *dir = union_inode_of(ls_dir), *inode = NULL;
	struct union_fs *u = union_of(ls);
	struct union_name *n;
	int r = union_name_check(u, dir, name);

	if (r < 0)
		return r;
	if (dir == u->root && u->work && strcmp(name, u->work_name) == 0)
		return -ENOENT;
	pthread_mutex_lock(&dir->lock);
	r = dir->dead ? -ENOENT : union_name_load(u, call, dir, name, &n);
	if (r == 0 && n->inode) {
		inode = union_inode_ref(u, n->inode);
		if (!__atomic_load_n(&inode->parent, __ATOMIC_RELAXED))
			union_place_set(u, call, inode, dir, name);
	}
	pthread_mutex_unlock(&dir->lock);
	if (r == 0)
		r = inode ? union_give(u, call, inode, ret_inode, ret_attr) : -ENOENT;
	union_names_limit(u, call);
	return r;
}

void union_forget(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	if (union_inode_of(inode) != union_of(ls)->root)
		union_inode_unref(union_of(ls), call, union_inode_of(inode), n);
}

int union_parent(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_dir, struct ls_inode **ret_inode,
		 struct ls_attr *ret_attr)
{
	struct union_inode *dir = union_inode_of(ls_dir), *parent;
	char name[UNION_NAME_MAX + 1];

	if (!union_is_dir(dir))
		return -ENOTDIR;
	parent = dir == union_of(ls)->root ? union_inode_ref(union_of(ls), dir)
					   : union_place(union_of(ls), dir, name);
	return parent ? union_give(union_of(ls), call, parent, ret_inode, ret_attr) : -ENOENT;
}

/*
 * An inode of the writable branch can be found again by its number alone. One of a branch below would need its place,
 * to be copied up; it has to be looked up.
 */
static int resolve_above(struct union_fs *u, const struct ls_call *call, uint64_t number, struct union_inode **ret)
{
	struct union_found found = {.count = 1};
	char origin[32];
	int r;

	if (!u->writable || number >> 56 != u->count - 1)
		return -ESTALE;
	r = ls_resolve(u->ls->below[0], call, number & ((1ull << 56) - 1), &found.real[0].inode, &found.attr);
	if (r < 0)
		return r;
	r = union_mark_get(u, call, &found.real[0], "union.origin", origin, sizeof(origin));
	if (r != 0 || S_ISDIR(found.attr.mode)) {
		union_found_fini(u, call, &found);
		return r < 0 ? r : -ESTALE;
	}
	return union_inode_enter(u, call, &found, ret);
}

int union_resolve(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		  struct ls_attr *ret_attr)
{
	struct union_inode *inode = union_inode_find(union_of(ls), ino);
	int r = inode ? 0 : resolve_above(union_of(ls), call, ino, &inode);

	return r < 0 ? r : union_give(union_of(ls), call, inode, ret_inode, ret_attr);
}
