/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving names.
 *
 * While vol.rename is held no directory gets another parent, so the two directories can be locked ancestor
 * first, and "is it below itself?" has an answer that stays true. All of it is one operation, so it is in
 * one transaction. Everything that can fail, but for the medium, is done before anything is changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { NEED = 12 };

struct moving {
	struct vol *v;
	const struct ls_call *call;
	struct vol_inode *dir, *dir2;
	const char *name, *name2;
	unsigned flags;
	struct vol_entry e, e2;
	/* What they name; t may be NULL. Their uses end after the locks. */
	struct vol_inode *s, *t, *whiteout;
};

/* With vol.rename held: is `above` the directory or an ancestor of it? 1, 0 or -errno. */
static int is_ancestor(struct vol *v, const struct vol_inode *above, const struct vol_inode *dir)
{
	uint64_t ino = dir->ino, parent, steps = __atomic_load_n(&v->inode_count, __ATOMIC_RELAXED) + 1;
	struct vol_inode *inode;
	int r;

	while (ino != above->ino) {
		if (ino == VF_INO_ROOT)
			return 0;
		if (steps-- == 0)
			return vol_fail(v, -EIO, "directory %" PRIu64 " is below itself", ino);
		r = vol_inode_get(v, ino, &inode);
		if (r < 0) /* the parent of one that was removed */
			return r == -ESTALE ? 0 : r;
		parent = inode->type == S_IFDIR ? inode->parent : VF_INO_ROOT;
		vol_inode_put(v, inode, 1);
		ino = parent;
	}
	return 1;
}

static int moving_lock(struct moving *m)
{
	int second_first;

	if (m->dir == m->dir2) {
		fair_lock_write(&m->dir->content);
		return 0;
	}
	pthread_mutex_lock(&m->v->rename);
	second_first = is_ancestor(m->v, m->dir2, m->dir);
	if (second_first < 0) {
		pthread_mutex_unlock(&m->v->rename);
		return second_first;
	}
	fair_lock_write(&(second_first ? m->dir2 : m->dir)->content);
	fair_lock_write(&(second_first ? m->dir : m->dir2)->content);
	return 0;
}

static void moving_unlock(struct moving *m)
{
	fair_unlock(&m->dir->content);
	if (m->dir == m->dir2)
		return;
	fair_unlock(&m->dir2->content);
	pthread_mutex_unlock(&m->v->rename);
}

/* Would a directory come to lie below itself? 0, or what to say. */
static int moving_check_loops(const struct moving *m)
{
	int r = 0;

	if (m->dir == m->dir2)
		return 0;
	if (m->s->type == S_IFDIR) {
		r = is_ancestor(m->v, m->s, m->dir2);
		if (r != 0)
			return r < 0 ? r : -EINVAL;
	}
	if (m->t && m->t->type == S_IFDIR) {
		r = is_ancestor(m->v, m->t, m->dir);
		if (r != 0)
			return r < 0 ? r : (m->flags & RENAME_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
	}
	return 0;
}

/* 0, 1 if there is nothing to do, or why not. */
static int moving_check(const struct moving *m)
{
	bool exchange = m->flags & RENAME_EXCHANGE;
	int r;

	if (m->dir2->dead)
		return -ENOENT;
	if (m->t && (m->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!m->t && exchange)
		return -ENOENT;
	r = moving_check_loops(m);
	if (r < 0)
		return r;
	if (m->s == m->t)
		return 1;
	if (!m->t || exchange || (m->s->type == S_IFDIR) == (m->t->type == S_IFDIR))
		return 0;
	return m->s->type == S_IFDIR ? -ENOTDIR : -EISDIR;
}

static void dir_reparent(struct vol *v, struct vol_inode *dir, struct vol_inode *from, struct vol_inode *to)
{
	pthread_mutex_lock(&dir->attr_lock);
	dir->parent = to->ino;
	pthread_mutex_unlock(&dir->attr_lock);
	vol_inode_links(v, from, -1, 0);
	vol_inode_links(v, to, 1, 0);
}

static int exchange(struct moving *m)
{
	struct vol *v = m->v;
	int r = vol_dir_set(v, &m->e, m->name, m->t);

	if (r == 0)
		r = vol_dir_set(v, &m->e2, m->name2, m->s);
	if (r < 0)
		return r;
	if (m->dir != m->dir2 && m->s->type == S_IFDIR)
		dir_reparent(v, m->s, m->dir, m->dir2);
	if (m->dir != m->dir2 && m->t->type == S_IFDIR)
		dir_reparent(v, m->t, m->dir2, m->dir);
	vol_inode_touch(v, m->t, LS_CTIME);
	return 0;
}

/* Puts s in the place of t. */
static int replace(struct moving *m)
{
	bool dir = m->t->type == S_IFDIR;
	int r = vol_dir_set(m->v, &m->e2, m->name2, m->s);

	if (r < 0)
		return r;
	vol_inode_links(m->v, m->t, dir ? -2 : -1, LS_CTIME);
	if (dir)
		vol_inode_links(m->v, m->dir2, -1, 0);
	return 0;
}

static int move(struct moving *m)
{
	struct vol_new what = {.mode = S_IFCHR, .nlink = 1};
	struct vol *v = m->v;
	int r = 0;

	if (m->flags & RENAME_WHITEOUT)
		r = vol_inode_new(v, m->call, &what, &m->whiteout);
	if (r == 0)
		r = m->t ? replace(m) : vol_dir_add(v, m->dir2, &m->e2, m->name2, m->s);
	if (r < 0) {
		if (m->whiteout)
			m->whiteout->attr.nlink = 0;
		return r;
	}
	r = m->whiteout ? vol_dir_set(v, &m->e, m->name, m->whiteout) : vol_dir_remove(v, m->dir, &m->e);
	if (r == 0 && m->dir != m->dir2 && m->s->type == S_IFDIR)
		dir_reparent(v, m->s, m->dir, m->dir2);
	return r;
}

static int moving_change(struct moving *m)
{
	bool exchanged = m->flags & RENAME_EXCHANGE, kill = !exchanged && m->t && m->t->type == S_IFDIR;
	int r = kill ? vol_dir_kill(m->t) : 0;

	if (r < 0)
		return r;
	r = vol_op_begin(m->v, NEED);
	if (r < 0) {
		if (kill)
			vol_dir_revive(m->t);
		return r;
	}
	r = exchanged ? exchange(m) : move(m);
	if (r == 0) {
		vol_inode_touch(m->v, m->s, LS_CTIME);
		vol_dir_changed(m->v, m->dir, exchanged || m->whiteout ? 0 : -1);
		vol_dir_changed(m->v, m->dir2, exchanged || m->t ? 0 : 1);
	}
	vol_op_end(m->v);
	return r;
}

static int moving_run(struct moving *m)
{
	int r = vol_dir_find(m->v, m->dir, m->name, &m->e);

	if (r == 0)
		r = vol_entry_inode(m->v, &m->e, &m->s);
	if (r < 0)
		return r;
	r = vol_dir_find(m->v, m->dir2, m->name2, &m->e2);
	if (r == 0)
		r = vol_entry_inode(m->v, &m->e2, &m->t);
	if (r < 0 && r != -ENOENT)
		return r;
	r = moving_check(m);
	return r == 0 ? moving_change(m) : r < 0 ? r : 0;
}

int vol_ls_rename(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
		  struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct moving m = {.v = vol_of(ls),
			   .call = call,
			   .dir = vol_inode_of(dir),
			   .dir2 = vol_inode_of(dir2),
			   .name = name,
			   .name2 = name2,
			   .flags = flags};
	int r = ls_name_check(name);

	if (r == 0)
		r = ls_name_check(name2);
	if (r == 0)
		r = ls_rename_check(flags);
	if (r == 0 && (m.dir->type != S_IFDIR || m.dir2->type != S_IFDIR))
		r = -ENOTDIR;
	if (r < 0)
		return r;
	vol_throttle(m.v);
	r = moving_lock(&m);
	if (r < 0)
		return r;
	r = moving_run(&m);
	moving_unlock(&m);
	vol_inode_put(m.v, m.s, 1);
	vol_inode_put(m.v, m.t, 1);
	vol_inode_put(m.v, m.whiteout, 1);
	return r;
}
