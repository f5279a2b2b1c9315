/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking one name up in the branches of a directory, from the top down.
 *
 * A file ends the walk; directories of one name are merged. A whiteout, or a directory marked opaque, ends it too.
 * A directory marked with a redirect is called otherwise further down: a bare name is one in the same directories, an
 * absolute path is walked from the branches' roots.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

struct walk {
	struct union_fs *u;
	const struct ls_call *call;
	struct union_found *found;
	char path[PATH_MAX]; /* a name; or, from the branches' roots, what begins with a slash */
	bool end;
};

void union_found_fini(struct union_fs *u, const struct ls_call *call, struct union_found *found)
{
	for (unsigned i = 0; i < found->count; i++)
		ls_forget(u->ls->below[found->real[i].branch], call, found->real[i].inode, 1);
	if (found->parts)
		union_parts_free(u, call, found->parts);
	free(found->redirect);
	found->count = 0;
	found->redirect = NULL;
	found->parts = NULL;
}

int union_is_whiteout(struct union_fs *u, const struct ls_call *call, const struct union_real *real, bool marked,
		      const struct ls_attr *attr)
{
	char buf[8];
	int n;

	if (S_ISCHR(attr->mode) && attr->rdev_major == 0 && attr->rdev_minor == 0) {
		n = union_mark_get(u, call, real, "union.shown", buf, sizeof(buf));
		return n < 0 ? n : n == 0;
	}
	if (!marked || !S_ISREG(attr->mode) || attr->size > 0)
		return 0;
	n = ls_getxattr(u->ls->below[real->branch], call, real->inode,
			strcmp(u->prefix, "user.overlay.") == 0 ? "user.overlay.whiteout" : "trusted.overlay.whiteout",
			NULL, 0);
	return n == -ENODATA || n == -EOPNOTSUPP ? 0 : n < 0 ? n : 1;
}

/* The redirect applies to what follows it in the path, in the branches below. */
static int walk_redirect(struct walk *w, const char *redirect, size_t before, const char *after)
{
	char path[PATH_MAX];
	int n = *redirect == '/' ? snprintf(path, sizeof(path), "%s%s", redirect, after)
				 : snprintf(path, sizeof(path), "%.*s%s%s", (int)before, w->path, redirect, after);

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(w->path, path);
	return 0;
}

/*
 * The marks of a directory; `before` and `after` are of its name in the path. *ret_redirect is for the caller, who
 * wants the writable branch's only: it says where the branches below have the directory.
 */
static int walk_marks(struct walk *w, struct union_real *real, size_t before, const char *after, char **ret_redirect)
{
	char buf[PATH_MAX];
	int n = union_mark_get(w->u, w->call, real, "opaque", buf, sizeof(buf));

	if (n < 0)
		return n;
	real->marked = n == 1 && *buf == 'x';
	if (n == 1 && *buf == 'y')
		w->end = true;
	if (real->branch == w->u->count - 1)
		return 0;
	n = union_mark_get(w->u, w->call, real, "redirect", buf, sizeof(buf));
	if (n <= 0)
		return n;
	if (ret_redirect && !(*ret_redirect = strdup(buf)))
		return -ENOMEM;
	return walk_redirect(w, buf, before, after);
}

/* The marks of the first thing found. */
static int walk_first(struct walk *w, const struct union_real *real, bool dir)
{
	char buf[32];
	int n;

	if (real->branch > 0 || !w->u->writable)
		return 0;
	n = union_mark_get(w->u, w->call, real, "union.origin", buf, sizeof(buf));
	if (n > 0)
		w->found->origin = strtoull(buf, NULL, 16);
	if (n >= 0 && dir) {
		n = union_mark_get(w->u, w->call, real, "impure", buf, sizeof(buf));
		w->found->impure = n > 0;
	}
	return n < 0 ? n : 0;
}

/* Adds what was found in a branch; takes the reference. */
static int walk_add(struct walk *w, struct union_real *real, const struct ls_attr *attr, size_t before,
		    const char *after)
{
	struct union_found *found = w->found;
	bool first = found->count == 0, dir = S_ISDIR(attr->mode);
	bool own = first && real->branch == 0 && w->u->writable;
	int r = 0;

	if (!first && !(dir && S_ISDIR(found->attr.mode))) {
		w->end = true;
		ls_forget(w->u->ls->below[real->branch], w->call, real->inode, 1);
		return 0;
	}
	if (first)
		found->attr = *attr;
	if (dir)
		r = walk_marks(w, real, before, after, own ? &found->redirect : NULL);
	else
		w->end = true;
	found->real[found->count++] = *real;
	return r == 0 && first ? walk_first(w, real, dir) : r;
}

/* One name in a directory of a branch. 1: *real is it; 0: there is none. */
static int walk_step(struct walk *w, const struct union_real *dir, const char *name, struct union_real *real,
		     struct ls_attr *attr)
{
	struct ls *below = w->u->ls->below[dir->branch];
	int r = ls_lookup(below, w->call, dir->inode, name, &real->inode, attr);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	real->branch = dir->branch;
	real->marked = false;
	r = union_is_whiteout(w->u, w->call, real, dir->marked, attr);
	if (r > 0 && real->branch == 0)
		w->found->whiteout = w->u->writable;
	if (r == 0)
		return 1;
	ls_forget(below, w->call, real->inode, 1);
	w->end = true;
	return r < 0 ? r : 0;
}

/* The path from the root of a branch. */
static int walk_path(struct walk *w, unsigned branch)
{
	struct union_real dir = {w->u->ls->below[branch]->root, branch, false}, real;
	char path[PATH_MAX], name[UNION_NAME_MAX + 1];
	const char *at = path;
	struct ls_attr attr;
	size_t len;
	int r = 1;

	strcpy(path, w->path);
	while (r == 1) {
		at += strspn(at, "/");
		len = strcspn(at, "/");
		if (len == 0 || len > UNION_NAME_MAX) {
			r = 0;
			break;
		}
		memcpy(name, at, len);
		name[len] = 0;
		r = walk_step(w, &dir, name, &real, &attr);
		if (dir.inode != w->u->ls->below[branch]->root)
			ls_forget(w->u->ls->below[branch], w->call, dir.inode, 1);
		if (r < 1)
			return r;
		if (!at[len + strspn(at + len, "/")])
			return walk_add(w, &real, &attr, at - path, at + len);
		r = S_ISDIR(attr.mode) ? walk_marks(w, &real, at - path, at + len, NULL) : -ENOTDIR;
		dir = real;
		at += len;
		r = r < 0 ? r : 1;
	}
	if (dir.inode != w->u->ls->below[branch]->root)
		ls_forget(w->u->ls->below[branch], w->call, dir.inode, 1);
	if (r == -ENOTDIR)
		w->end = true;
	return r == -ENOTDIR ? 0 : r;
}

/* While the path is a name, the directory's branches are where to look; then all of those below. */
static int walk_name(struct walk *w, const struct union_inode *dir, unsigned first)
{
	struct union_real real;
	struct ls_attr attr;
	unsigned i;
	int r = 0;

	for (i = first; i < dir->branch_count && r == 0 && !w->end && *w->path != '/'; i++) {
		r = walk_step(w, &dir->branch[i], w->path, &real, &attr);
		if (r == 1)
			r = walk_add(w, &real, &attr, 0, "");
	}
	if (*w->path == '/' && i > 0)
		for (i = dir->branch[i - 1].branch + 1; i < w->u->count && r == 0 && !w->end; i++)
			r = walk_path(w, i);
	return r;
}

static void found_init(struct union_found *found)
{
	found->count = 0;
	found->whiteout = found->impure = false;
	found->redirect = NULL;
	found->parts = NULL;
	found->origin = 0;
}

int union_walk_from(struct union_fs *u, const struct ls_call *call, unsigned branch, const char *path,
		    struct union_found *ret)
{
	struct walk w = {.u = u, .call = call, .found = ret};
	int r = 0;

	found_init(ret);
	strcpy(w.path, path);
	for (; branch < u->count && r == 0 && !w.end; branch++)
		r = walk_path(&w, branch);
	if (r < 0)
		union_found_fini(u, call, ret);
	return r;
}

int union_walk(struct union_fs *u, const struct ls_call *call, const struct union_inode *dir, unsigned first,
	       const char *name, struct union_found *ret)
{
	struct walk w = {.u = u, .call = call, .found = ret};
	int r;

	found_init(ret);
	strcpy(w.path, name);
	__atomic_add_fetch(&u->walks, 1, __ATOMIC_RELAXED);
	r = walk_name(&w, dir, first);
	if (r < 0)
		union_found_fini(u, call, ret);
	return r;
}
