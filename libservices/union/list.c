/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings. The branches' directories are read once, top to bottom, into the tree of names, which then knows all that
 * there is; from there every listing is served, until the tree is dropped. No name is looked up for that but those
 * that may be whiteouts, and, in directories marked impure, those whose number may be another branch's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

enum { BATCH = 64 };

struct reading {
	struct union_fs *u;
	struct union_inode *dir;
	const struct union_real *real;
	bool first;
	struct union_name **doubtful; /* to be looked up when the branch has been read */
	size_t doubtful_count;
	int error;
};

static int doubtful_add(struct reading *rd, struct union_name *n)
{
	size_t count = rd->doubtful_count;
	struct union_name **list = rd->doubtful;

	if ((count & (count + 1)) == 0) {
		list = realloc(list, (count + 1) * 2 * sizeof(*list));
		if (!list)
			return -ENOMEM;
		rd->doubtful = list;
	}
	list[rd->doubtful_count++] = n;
	return 0;
}

/* A name that is new to the tree. Its absence, if it is a whiteout, comes out later. */
static int read_new(struct reading *rd, const char *name, size_t len, uint64_t ino, unsigned type)
{
	struct union_name *n = union_name_add(rd->u, rd->dir, name, len);

	if (!n)
		return -ENOMEM;
	n->ino = ino;
	n->branch = rd->real->branch;
	n->above = rd->u->writable && n->branch == 0;
	n->under = n->above ? UNION_UNKNOWN : UNION_SOMETHING;
	if (type == DT_UNKNOWN || type == DT_CHR || (rd->real->marked && type == DT_REG))
		return doubtful_add(rd, n);
	n->type = type;
	rd->dir->absent_count--;
	rd->dir->subdirs += type == DT_DIR;
	return 0;
}

static int read_one(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct reading *rd = arg;
	char text[UNION_NAME_MAX + 1];
	struct union_name *n;

	if (len > UNION_NAME_MAX || (len == 1 && *name == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return 0;
	memcpy(text, name, len);
	text[len] = 0;
	if (rd->dir == rd->u->root && rd->first && rd->u->work && strcmp(text, rd->u->work_name) == 0)
		return 0;
	n = union_name_find(rd->u, rd->dir, text);
	if (!n)
		rd->error = read_new(rd, text, len, ino, type);
	else if (!rd->first && n->above && n->under == UNION_UNKNOWN)
		n->under = UNION_SOMETHING; /* or a whiteout: one too many then does no harm */
	return rd->error < 0;
}

static int read_doubtful(struct reading *rd, const struct ls_call *call, unsigned first)
{
	struct union_found found;
	struct union_name *n;
	int r = 0;

	for (size_t i = 0; i < rd->doubtful_count && r == 0; i++) {
		n = rd->doubtful[i];
		r = union_walk(rd->u, call, rd->dir, first, n->name, &found);
		if (r == 0 && found.count) {
			n->type = (found.attr.mode & S_IFMT) >> 12;
			rd->dir->absent_count--;
			rd->dir->subdirs += n->type == DT_DIR;
		} else if (r == 0) {
			n->whiteout = found.whiteout;
		}
		union_found_fini(rd->u, call, &found);
	}
	free(rd->doubtful);
	return r;
}

static int read_branch(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, unsigned i)
{
	struct reading rd = {.u = u, .dir = dir, .real = &dir->branch[i], .first = i == 0};
	struct ls *below = u->ls->below[rd.real->branch];
	struct ls_file *f;
	int r = ls_open(below, call, rd.real->inode, O_RDONLY | O_DIRECTORY, &f), r2;

	if (r < 0)
		return r;
	r = ls_readdir(below, call, f, 0, read_one, &rd);
	ls_release(below, call, f);
	if (r == 0)
		r = rd.error;
	r2 = read_doubtful(&rd, call, i);
	return r < 0 ? r : r2;
}

int union_complete(struct union_fs *u, const struct ls_call *call, struct union_inode *dir)
{
	int r = 0;

	if (dir->complete)
		return 0;
	union_names_drop(u, call, dir); /* what is absent would be told from what is unknown otherwise */
	for (unsigned i = 0; i < dir->branch_count && r == 0; i++)
		r = read_branch(u, call, dir, i);
	if (r < 0)
		union_names_drop(u, call, dir);
	dir->complete = r == 0;
	return r;
}

int union_check_empty(struct union_fs *u, const struct ls_call *call, struct union_inode *dir)
{
	int r;

	if (u->shared)
		dir->complete = false;
	r = union_complete(u, call, dir);
	if (r < 0)
		return r;
	return dir->name_count > dir->absent_count ? -ENOTEMPTY : 0;
}

/* ---- giving entries away ------------------------------------------------------------------------------- */

struct listed {
	uint64_t ino, next;
	unsigned type, len;
	char name[UNION_NAME_MAX + 1];
};

static int listed_set(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n,
		      struct listed *ret)
{
	int r = 0;

	if (!n->inode && dir->impure && n->above)
		r = union_name_load(u, call, dir, n->name, &n);
	if (r < 0)
		return r;
	*ret = (struct listed){.ino = n->inode ? n->inode->number : union_number(u, n->branch, n->ino),
			       .next = n->cookie, .type = n->type, .len = n->len};
	memcpy(ret->name, n->name, n->len + 1);
	return 0;
}

static unsigned list_dots(struct union_fs *u, struct union_inode *dir, uint64_t cookie, struct listed *list)
{
	unsigned n = 0;

	if (cookie < 1)
		list[n++] = (struct listed){dir->number, 1, DT_DIR, 1, "."};
	pthread_mutex_lock(&u->lock);
	if (cookie < 2)
		list[n++] = (struct listed){(dir->parent ? dir->parent : dir)->number, 2, DT_DIR, 2, ".."};
	pthread_mutex_unlock(&u->lock);
	return n;
}

/* How many of the list it filled, or -errno. */
static int list_fill(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, uint64_t cookie,
		     struct listed *list)
{
	int count, r = 0;

	pthread_mutex_lock(&dir->lock);
	if (u->shared && cookie == 0)
		dir->complete = false;
	if (dir->dead)
		r = -ENOENT;
	if (r == 0)
		r = union_complete(u, call, dir);
	count = list_dots(u, dir, cookie, list);
	for (struct union_name *n; r == 0 && count < BATCH && (n = union_name_after(dir, cookie)); cookie = n->cookie)
		if (n->type != DT_UNKNOWN) {
			r = listed_set(u, call, dir, n, &list[count]);
			count += r == 0;
		}
	union_names_used(u, dir);
	pthread_mutex_unlock(&dir->lock);
	return r < 0 ? r : count;
}

static int stop(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	return 1;
}

/* The branch keeps the access time, by its own rule: it has to see somebody read. */
static void list_accessed(struct union_fs *u, const struct ls_call *call, struct union_inode *dir)
{
	struct ls *below = u->ls->below[0];
	struct ls_inode *above;
	struct ls_file *f;

	pthread_mutex_lock(&dir->lock);
	above = union_above(dir);
	pthread_mutex_unlock(&dir->lock);
	if (ls_open(below, call, above, O_RDONLY | O_DIRECTORY, &f) < 0)
		return;
	ls_readdir(below, call, f, 0, stop, NULL);
	ls_release(below, call, f);
}

int union_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie, ls_emit *emit,
		  void *arg)
{
	struct union_inode *dir = union_file_of(f)->inode;
	struct listed *list;
	bool go_on = true;
	int count = 1;

	if (!union_is_dir(dir))
		return -ENOTDIR;
	list = malloc(BATCH * sizeof(*list));
	if (!list)
		return -ENOMEM;
	if (cookie == 0 && union_is_above(dir) && !(union_file_of(f)->flags & O_NOATIME))
		list_accessed(union_of(ls), call, dir);
	while (go_on && count > 0) {
		count = list_fill(union_of(ls), call, dir, cookie, list);
		for (int i = 0; i < count && go_on; i++) {
			go_on = emit(arg, list[i].name, list[i].len, list[i].ino, list[i].type, list[i].next) == 0;
			cookie = list[i].next;
		}
	}
	free(list);
	return count < 0 ? count : 0;
}
