/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving names, in the writable branch: what moves is copied up first. A directory that has parts below is marked
 * with where those are (redirect); one that has none, and comes to where something is below, is marked opaque. Where
 * the name it leaves would uncover something below, a whiteout stays behind, by the same rename.
 */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

struct moving {
	struct union_fs *u;
	const struct ls_call *call;
	struct union_inode *dir, *dir2;
	const char *name, *name2;
	unsigned flags;
	struct union_name *n, *n2;
	bool under, under2; /* is there something below the names? */
};

/* With u->rename held. */
static bool is_ancestor(const struct union_inode *above, const struct union_inode *dir)
{
	while (dir && dir != above)
		dir = dir->parent;
	return dir != NULL;
}

static void moving_lock(struct moving *m)
{
	bool second_first;

	pthread_mutex_lock(&m->u->rename);
	second_first = m->dir != m->dir2 && is_ancestor(m->dir2, m->dir);
	pthread_mutex_lock(&(second_first ? m->dir2 : m->dir)->lock);
	if (m->dir != m->dir2)
		pthread_mutex_lock(&(second_first ? m->dir : m->dir2)->lock);
}

static void moving_unlock(struct moving *m)
{
	pthread_mutex_unlock(&m->dir->lock);
	if (m->dir != m->dir2)
		pthread_mutex_unlock(&m->dir2->lock);
	pthread_mutex_unlock(&m->u->rename);
}

/* May s go to where t (or nothing) is now? 0, 1 if there is nothing to do, or why not. */
static int moving_check(const struct moving *m, const struct union_inode *s, const struct union_inode *t)
{
	bool exchange = m->flags & RENAME_EXCHANGE;

	if (t && (m->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!t && exchange)
		return -ENOENT;
	if (m->dir != m->dir2 && union_is_dir(s) && is_ancestor(s, m->dir2))
		return -EINVAL;
	if (m->dir != m->dir2 && t && union_is_dir(t) && is_ancestor(t, m->dir))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (s == t)
		return 1;
	if (!t || exchange || union_is_dir(s) == union_is_dir(t))
		return 0;
	return union_is_dir(s) ? -ENOTDIR : -EISDIR;
}

/* ---- directories with parts below ------------------------------------------------------------------------ */

int union_path_below(const struct union_inode *dir, char path[static PATH_MAX])
{
	const char *name = dir->redirect ? dir->redirect : dir->name;
	int r = 0;
	size_t len;

	if (!dir->parent) {
		*path = 0;
		return 0;
	}
	if (*name == '/') {
		snprintf(path, PATH_MAX, "%s", name);
		return 0;
	}
	r = union_path_below(dir->parent, path);
	len = strlen(path);
	if (r < 0 || len + strlen(name) + 2 > PATH_MAX)
		return r < 0 ? r : -ENAMETOOLONG;
	sprintf(path + len, "/%s", name);
	return 0;
}

/* So that the directory finds its parts below from anywhere, and no others. */
static int dir_detach(struct moving *m, struct union_inode *dir)
{
	char path[PATH_MAX], *redirect;
	int r = 0;

	if (dir->branch_count < 2)
		return union_mark_set(m->u, m->call, union_above(dir), "opaque", "y");
	if (dir->redirect && *dir->redirect == '/')
		return 0;
	r = union_path_below(dir, path);
	if (r < 0)
		return r;
	redirect = strdup(path);
	if (!redirect)
		return -ENOMEM;
	r = union_mark_set(m->u, m->call, union_above(dir), "redirect", path);
	if (r < 0) {
		free(redirect);
		return r;
	}
	free(dir->redirect);
	dir->redirect = redirect;
	return 0;
}

/* Needed where the new name has something below, or the directory has. */
static int moving_detach(struct moving *m, struct union_inode *inode, const struct union_inode *to)
{
	if (!union_is_dir(inode) || (inode->branch_count < 2 && to->branch_count < 2))
		return 0;
	return dir_detach(m, inode);
}

/* An empty directory with whiteouts in it cannot be replaced: an empty, opaque one comes to its place. */
static int dir_empty_out(struct moving *m, struct union_inode *victim, const char *name)
{
	struct ls *below = m->u->ls->below[0];
	struct ls_attr attr, after;
	char work[UNION_WORK_NAME];
	struct ls_inode *fresh;
	int r = ls_getattr(below, m->call, union_above(victim), NULL, &attr);

	if (r < 0)
		return r;
	union_work_name(m->u, work);
	r = ls_mkdir(below, m->call, m->u->work, work, attr.mode & 07777, &fresh, &after);
	if (r < 0)
		return r;
	r = union_mark_set(m->u, m->call, fresh, "opaque", "y");
	if (r == 0)
		r = union_copy_attr(m->u, m->call, &attr, fresh);
	if (r == 0)
		r = ls_rename(below, m->call, m->u->work, work, union_above(m->dir2), name, RENAME_EXCHANGE);
	ls_forget(below, m->call, fresh, 1);
	union_work_remove(m->u, m->call, work, true);
	return r;
}

/* ---- the move ------------------------------------------------------------------------------------------- */

static int moving_load(struct moving *m)
{
	int r = m->dir->dead || m->dir2->dead ? -ENOENT : 0;

	if (r == 0)
		r = union_name_load(m->u, m->call, m->dir, m->name, &m->n);
	if (r == 0 && !m->n->inode)
		r = -ENOENT;
	if (r == 0)
		r = union_name_load(m->u, m->call, m->dir2, m->name2, &m->n2);
	return r;
}

/* 0, 1: first copy *ret up (a reference), without locks. */
static int moving_needs(struct moving *m, struct union_inode **ret)
{
	struct union_inode *s = m->n->inode, *t = m->n2->inode;

	*ret = !union_is_above(s) ? s : t && (m->flags & RENAME_EXCHANGE) && !union_is_above(t) ? t : NULL;
	if (*ret)
		union_inode_ref(m->u, *ret);
	return *ret != NULL;
}

static int moving_under(struct moving *m)
{
	int r = union_name_under(m->u, m->call, m->dir, m->n), r2;

	if (r < 0)
		return r;
	m->under = r;
	if (!m->n2->inode)
		r2 = m->n2->whiteout;
	else
		r2 = m->n2->above ? union_name_under(m->u, m->call, m->dir2, m->n2) : 1;
	m->under2 = r2 > 0;
	return r2 < 0 ? r2 : 0;
}

static int place_moves(struct moving *m, struct union_inode *inode, struct union_inode *dir, const char *name)
{
	return union_place_set(m->u, m->call, inode, dir, name);
}

static int exchange(struct moving *m)
{
	struct union_inode *s = m->n->inode, *t = m->n2->inode;
	int r = union_name_up(m->u, m->call, m->dir2, m->n2);

	if (r == 0)
		r = moving_detach(m, t, m->dir);
	if (r == 0)
		r = ls_rename(m->u->ls->below[0], m->call, union_above(m->dir), m->name, union_above(m->dir2),
			      m->name2, RENAME_EXCHANGE);
	if (r < 0)
		return r;
	m->n->under = m->under ? UNION_SOMETHING : UNION_NOTHING;
	m->n2->under = m->under2 ? UNION_SOMETHING : UNION_NOTHING;
	union_inode_ref(m->u, s);
	union_inode_ref(m->u, t);
	union_name_set(m->u, m->call, m->dir, m->n, t);
	union_name_set(m->u, m->call, m->dir2, m->n2, s);
	place_moves(m, s, m->dir2, m->name2);
	place_moves(m, t, m->dir, m->name);
	return 0;
}

/* A directory cannot replace a whiteout: they change places, and the whiteout stays or goes. */
static int move_above(struct moving *m)
{
	struct ls_inode *above = union_above(m->dir), *above2 = union_above(m->dir2);
	struct ls *below = m->u->ls->below[0];
	static const struct ls_cred root_cred;
	struct ls_call own = *m->call;
	int r;

	own.cred = &root_cred; /* whose the whiteout is */
	if (union_is_dir(m->n->inode) && m->n2->whiteout) {
		r = ls_rename(below, &own, above, m->name, above2, m->name2, RENAME_EXCHANGE);
		return r < 0 || m->under ? r : ls_unlink(below, &own, above, m->name);
	}
	return ls_rename(below, &own, above, m->name, above2, m->name2, m->under ? RENAME_WHITEOUT : 0);
}

/* The one that is replaced; a directory's lock is held from the look to the end. */
static int victim_check(struct moving *m, struct union_inode *t)
{
	int r = union_check_empty(m->u, m->call, t);

	if (r == 0 && m->n2->above && t->name_count > 0)
		r = dir_empty_out(m, t, m->name2);
	return r;
}

static int move(struct moving *m)
{
	struct union_inode *s = m->n->inode, *t = m->n2->inode;
	bool dir = t && union_is_dir(t);
	int r = 0;

	if (t)
		union_inode_ref(m->u, t);
	if (dir) {
		pthread_mutex_lock(&t->lock);
		r = victim_check(m, t);
	}
	if (r == 0)
		r = move_above(m);
	if (r == 0) {
		if (t)
			union_inode_lost(m->u, m->call, t, m->dir2, m->name2);
		if (dir)
			t->dead = true;
		place_moves(m, s, m->dir2, m->name2);
		union_name_set(m->u, m->call, m->dir2, m->n2, union_inode_ref(m->u, s));
		m->n2->above = true;
		m->n2->under = m->under2 ? UNION_SOMETHING : UNION_NOTHING;
		union_name_set(m->u, m->call, m->dir, m->n, NULL);
		m->n->whiteout = m->under;
		m->n->under = m->under ? UNION_SOMETHING : UNION_NOTHING;
	}
	if (dir)
		pthread_mutex_unlock(&t->lock);
	union_inode_unref(m->u, m->call, t, 1);
	return r;
}

/* The new directory's entries may have other branches' numbers now. */
static int moving_impure(struct moving *m, struct union_inode *dir)
{
	int r = dir->impure ? 0 : union_mark_set(m->u, m->call, union_above(dir), "impure", "y");

	dir->impure |= r == 0;
	return r == -EOPNOTSUPP || r == -EPERM ? 0 : r;
}

static int moving_run(struct moving *m)
{
	bool numbers_move = m->dir != m->dir2 && (m->dir->impure || m->dir2->impure || m->dir->branch_count > 1);
	int r = moving_under(m);

	if (r == 0)
		r = union_name_up(m->u, m->call, m->dir, m->n);
	if (r == 0)
		r = moving_detach(m, m->n->inode, m->dir2);
	if (r == 0 && numbers_move)
		r = moving_impure(m, m->dir2);
	if (r == 0 && numbers_move && (m->flags & RENAME_EXCHANGE))
		r = moving_impure(m, m->dir);
	if (r < 0)
		return r;
	return m->flags & RENAME_EXCHANGE ? exchange(m) : move(m);
}

/* 1: something must be copied up first, and has been: again. */
static int moving_try(struct moving *m)
{
	struct union_inode *low = NULL;
	int r;

	moving_lock(m);
	r = moving_load(m);
	if (r == 0)
		r = moving_check(m, m->n->inode, m->n2->inode);
	if (r == 0 && moving_needs(m, &low))
		r = 0;
	else
		r = r == 0 ? moving_run(m) : r == 1 ? 0 : r;
	moving_unlock(m);
	if (!low)
		return r;
	r = union_up(m->u, m->call, low);
	union_inode_unref(m->u, m->call, low, 1);
	return r < 0 ? r : 1;
}

/* The whiteout that the user asked for is a device of his, not one of ours. */
static int leave_device(struct moving *m)
{
	struct ls_inode *inode;
	struct ls_attr attr;
	int r = union_mknod(m->u->ls, m->call, (struct ls_inode *)m->dir, m->name, S_IFCHR, 0, 0, &inode, &attr);

	if (r == 0)
		union_inode_unref(m->u, m->call, union_inode_of(inode), 1);
	return r == -EEXIST ? 0 : r; /* two names of one file: nothing happened */
}

int union_rename(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		 struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct moving m = {.u = union_of(ls), .call = call, .dir = union_inode_of(dir),
			   .dir2 = union_inode_of(dir2), .name = name, .name2 = name2, .flags = flags};
	int r = union_name_check(m.u, m.dir, name);

	if (r == 0)
		r = union_name_check(m.u, m.dir2, name2);
	if (r == 0)
		r = ls_rename_check(flags);
	if (r == 0 && m.u->work &&
	    ((m.dir == m.u->root && strcmp(name, m.u->work_name) == 0) ||
	     (m.dir2 == m.u->root && strcmp(name2, m.u->work_name) == 0)))
		r = -EPERM;
	if (r == 0 && !m.u->writable)
		r = -EROFS;
	if (r == 0)
		r = union_up(m.u, call, m.dir);
	if (r == 0)
		r = union_up(m.u, call, m.dir2);
	if (r < 0)
		return r;
	while ((r = moving_try(&m)) == 1)
		;
	return r == 0 && (flags & RENAME_WHITEOUT) ? leave_device(&m) : r;
}
