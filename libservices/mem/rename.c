/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving names.
 *
 * While mem.rename is held no directory gets another parent, so the two directories can be locked ancestor
 * first, and "is it below itself?" has an answer that stays true. Everything that can fail is done before
 * anything is changed.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "libservices/mem/mem.h"

struct moving {
	struct mem *mem;
	const struct ls_call *call;
	struct mem_inode *dir, *dir2;
	const char *name, *name2;
	unsigned flags;
	/* What has lost its last use is let go after the locks. */
	struct mem_inode *victim, *old_parent, *old_parent2, *moved;
};

/* With mem.rename held. */
static bool is_ancestor(const struct mem_inode *above, const struct mem_inode *dir)
{
	while (dir && dir != above)
		dir = dir->dir.parent;
	return dir != NULL;
}

static void moving_lock(struct moving *m)
{
	bool second_first;

	if (m->dir == m->dir2) {
		fair_lock_write(&m->dir->content);
		return;
	}
	pthread_mutex_lock(&m->mem->rename);
	second_first = is_ancestor(m->dir2, m->dir);
	fair_lock_write(&(second_first ? m->dir2 : m->dir)->content);
	fair_lock_write(&(second_first ? m->dir : m->dir2)->content);
}

static void moving_unlock(struct moving *m)
{
	fair_unlock(&m->dir->content);
	if (m->dir == m->dir2)
		return;
	fair_unlock(&m->dir2->content);
	pthread_mutex_unlock(&m->mem->rename);
}

/* May s go to dir2, where t (or NULL) is now? 0, 1 if there is nothing to do, or why not. */
static int moving_check(const struct moving *m, const struct mem_inode *s, const struct mem_inode *t)
{
	bool exchange = m->flags & RENAME_EXCHANGE;

	if (m->dir2->dir.dead)
		return -ENOENT;
	if (t && (m->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!t && exchange)
		return -ENOENT;
	if (m->dir != m->dir2 && s->type == S_IFDIR && is_ancestor(s, m->dir2))
		return -EINVAL;
	if (m->dir != m->dir2 && t && t->type == S_IFDIR && is_ancestor(t, m->dir))
		return exchange ? -EINVAL : -ENOTEMPTY;
	if (s == t)
		return 1;
	if (!t || exchange || (s->type == S_IFDIR) == (t->type == S_IFDIR))
		return 0;
	return s->type == S_IFDIR ? -ENOTDIR : -EISDIR;
}

/* The directory's ".." is `to` from now on. Returns the old one, whose reference is the caller's to end. */
static struct mem_inode *dir_reparent(struct mem_inode *dir, struct mem_inode *to)
{
	struct mem_inode *old;

	pthread_mutex_lock(&dir->attr_lock);
	old = dir->dir.parent;
	dir->dir.parent = mem_inode_ref(to);
	pthread_mutex_unlock(&dir->attr_lock);
	mem_inode_links(old, -1, 0);
	mem_inode_links(to, 1, 0);
	return old;
}

static void exchange(struct moving *m, struct mem_entry *e, struct mem_entry *e2)
{
	struct mem_inode *s = e->inode, *t = e2->inode;

	e->inode = t;
	e2->inode = s;
	if (m->dir != m->dir2 && s->type == S_IFDIR)
		m->old_parent = dir_reparent(s, m->dir2);
	if (m->dir != m->dir2 && t->type == S_IFDIR)
		m->old_parent2 = dir_reparent(t, m->dir);
	mem_inode_touch(s, LS_CTIME);
	mem_inode_touch(t, LS_CTIME);
}

/* Puts s in the place of the entry's inode. */
static int replace(struct moving *m, struct mem_inode *s, struct mem_entry *e2)
{
	struct mem_inode *t = e2->inode;
	bool dir = t->type == S_IFDIR;
	int r = dir ? mem_dir_kill(t) : 0;

	if (r < 0)
		return r;
	m->victim = t;
	e2->inode = mem_inode_ref(s);
	mem_inode_links(t, dir ? -2 : -1, LS_CTIME);
	if (dir)
		mem_inode_links(m->dir2, -1, 0);
	return 0;
}

static int move(struct moving *m, struct mem_entry *e, struct mem_entry *e2)
{
	struct mem_new what = {.mode = S_IFCHR, .nlink = 1};
	struct mem_inode *s = e->inode, *whiteout = NULL;
	int r = 0;

	if (m->flags & RENAME_WHITEOUT)
		r = mem_inode_new(m->mem, m->call, &what, &whiteout);
	if (r == 0)
		r = e2 ? replace(m, s, e2) : mem_dir_add(m->mem, &m->dir2->dir, m->name2, s);
	if (r < 0) {
		mem_inode_unref(m->mem, whiteout, 1);
		return r;
	}
	m->moved = s; /* the old entry's reference */
	if (whiteout)
		e->inode = whiteout;
	else
		mem_dir_remove(m->mem, &m->dir->dir, e);
	if (m->dir != m->dir2 && s->type == S_IFDIR)
		m->old_parent = dir_reparent(s, m->dir2);
	mem_inode_touch(s, LS_CTIME);
	return 0;
}

static int moving_run(struct moving *m)
{
	struct mem_entry *e = mem_dir_find(m->mem, &m->dir->dir, m->name);
	struct mem_entry *e2 = mem_dir_find(m->mem, &m->dir2->dir, m->name2);
	int r;

	if (!e)
		return -ENOENT;
	r = moving_check(m, e->inode, e2 ? e2->inode : NULL);
	if (r != 0)
		return r < 0 ? r : 0;
	if (m->flags & RENAME_EXCHANGE)
		exchange(m, e, e2);
	else
		r = move(m, e, e2);
	if (r < 0)
		return r;
	mem_dir_changed(m->dir);
	if (m->dir2 != m->dir)
		mem_dir_changed(m->dir2);
	return 0;
}

int mem_rename(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, const char *name,
	       struct ls_inode *dir2, const char *name2, unsigned flags)
{
	struct moving m = {.mem = mem_of(ls),
			   .call = call,
			   .dir = mem_inode_of(dir),
			   .dir2 = mem_inode_of(dir2),
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
	moving_lock(&m);
	r = moving_run(&m);
	moving_unlock(&m);
	mem_inode_unref(m.mem, m.moved, 1);
	mem_inode_unref(m.mem, m.victim, 1);
	mem_inode_unref(m.mem, m.old_parent, 1);
	mem_inode_unref(m.mem, m.old_parent2, 1);
	return r;
}
