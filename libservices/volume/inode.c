/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes in memory: their table and their life.
 *
 * While an inode is in the table, the table's is the truth, not the item in the tree. It stays there while
 * it has users, is dirty, or has pages; and then until its memory is needed for others. One that has
 * neither names nor users is erased, unless a crash or read-only mounting prevents it: then it is an
 * orphan.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { TRIM_STEPS = 4, INODE_COST = sizeof(struct vol_inode) + 64 };

static struct vol_inode **bucket_of(struct vol_table *t, uint64_t ino)
{
	return &t->bucket[(ino * 0x9e3779b97f4a7c15u) >> 32 & (t->bucket_count - 1)];
}

static void table_grow(struct vol_table *t)
{
	struct vol_table bigger = {.bucket_count = t->bucket_count * 2};
	struct vol_inode *inode, **to;

	bigger.bucket = calloc(bigger.bucket_count, sizeof(*bigger.bucket));
	if (!bigger.bucket)
		return; /* slower, and right */
	for (size_t i = 0; i < t->bucket_count; i++)
		while ((inode = t->bucket[i])) {
			t->bucket[i] = inode->next;
			to = bucket_of(&bigger, inode->ino);
			inode->next = *to;
			*to = inode;
		}
	free(t->bucket);
	t->bucket = bigger.bucket;
	t->bucket_count = bigger.bucket_count;
}

/* ---- with table.lock held -------------------------------------------------------------------- */

static struct vol_inode *table_find(struct vol_table *t, uint64_t ino)
{
	struct vol_inode *inode = *bucket_of(t, ino);

	while (inode && inode->ino != ino)
		inode = inode->next;
	return inode;
}

static void table_add(struct vol_table *t, struct vol_inode *inode)
{
	struct vol_inode **to;

	if (t->count >= t->bucket_count)
		table_grow(t);
	to = bucket_of(t, inode->ino);
	inode->next = *to;
	*to = inode;
	t->count++;
}

static void table_remove(struct vol_table *t, struct vol_inode *inode)
{
	struct vol_inode **p = bucket_of(t, inode->ino);

	while (*p != inode)
		p = &(*p)->next;
	*p = inode->next;
	t->count--;
	t->removals++;
}

static void unused_remove(struct vol_table *t, struct vol_inode *inode)
{
	if (!inode->unused)
		return;
	*(inode->older ? &inode->older->newer : &t->oldest) = inode->newer;
	*(inode->newer ? &inode->newer->older : &t->newest) = inode->older;
	inode->older = inode->newer = NULL;
	inode->unused = false;
}

static void unused_add(struct vol_table *t, struct vol_inode *inode)
{
	if (inode->unused || inode->users || inode->going ||
	    __atomic_load_n(&inode->dirty, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&inode->paged, __ATOMIC_ACQUIRE))
		return;
	inode->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = inode;
	t->newest = inode;
	inode->unused = true;
}

static void table_take(struct vol_table *t, struct vol_inode *inode)
{
	unused_remove(t, inode);
	inode->users++;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct vol_inode *inode_alloc(uint64_t ino, mode_t type)
{
	struct vol_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->ino = ino;
	inode->type = type;
	inode->users = 1;
	inode->attr.ino = ino;
	inode->attr.blksize = VF_BLOCK;
	fair_lock_init(&inode->content);
	pthread_mutex_init(&inode->attr_lock, NULL);
	return inode;
}

static void inode_free(struct vol *v, struct vol_inode *inode)
{
	for (uint64_t i = 0; i < inode->page_count; i++) {
		vol_buffer_put(v, inode->page[i]->data);
		free(inode->page[i]);
	}
	free(inode->page);
	vol_ranges_fini(&inode->owed);
	fair_lock_fini(&inode->content);
	pthread_mutex_destroy(&inode->attr_lock);
	free(inode);
}

int vol_inode_new(struct vol *v, const struct ls_call *call, const struct vol_new *what,
		  struct vol_inode **ret)
{
	uint64_t ino = __atomic_fetch_add(&v->next_ino, 1, __ATOMIC_RELAXED);
	struct vol_inode *inode;
	struct ls_attr *a;

	if (ino > VF_INO_MAX)
		return -ENOSPC;
	inode = inode_alloc(ino, what->mode & S_IFMT);
	if (!inode)
		return -ENOMEM;
	a = &inode->attr;
	a->mode = what->mode & (S_IFMT | 07777);
	a->nlink = what->nlink;
	a->uid = call->cred->uid;
	a->gid = call->cred->gid;
	if (inode->type == S_IFCHR || inode->type == S_IFBLK) {
		a->rdev_major = what->major;
		a->rdev_minor = what->minor;
	}
	inode->parent = what->parent;
	inode->linkable = what->linkable;
	inode->bare = true;
	clock_gettime(CLOCK_REALTIME, &a->btime);
	a->atime = a->mtime = a->ctime = a->btime;
	inode->atime_due = true;
	pthread_mutex_lock(&v->table.lock);
	table_add(&v->table, inode);
	pthread_mutex_unlock(&v->table.lock);
	__atomic_add_fetch(&v->inode_count, 1, __ATOMIC_RELAXED);
	vol_inode_dirty(v, inode, true);
	*ret = inode;
	return 0;
}

static void inode_from(struct vol_inode *inode, const struct vf_inode *i)
{
	struct ls_attr *a = &inode->attr;

	a->mode = i->mode;
	a->nlink = i->nlink;
	a->uid = i->uid;
	a->gid = i->gid;
	a->rdev_major = i->rdev_major;
	a->rdev_minor = i->rdev_minor;
	a->size = inode->disk_size = i->size;
	a->atime = (struct timespec){i->atime, i->atime_ns};
	a->mtime = (struct timespec){i->mtime, i->mtime_ns};
	a->ctime = (struct timespec){i->ctime, i->ctime_ns};
	a->btime = (struct timespec){i->btime, i->btime_ns};
	inode->blocks = i->blocks;
	inode->parent = i->parent;
	inode->linkable = i->flags & VF_INODE_LINKABLE;
	inode->stored = true;
	inode->orphan = inode->survivor = i->nlink == 0;
	inode->dead = inode->type == S_IFDIR && i->nlink == 0;
	inode->atime_due = true;
}

static int inode_load(struct vol *v, uint64_t ino, struct vol_inode **ret)
{
	struct vol_inode *inode;
	struct vf_inode i;
	const char *wrong;
	int r;

	if (ino == 0 || ino > VF_INO_MAX)
		return -ESTALE;
	r = vol_tree_get(v, vol_key(ino, VF_INODE, 0), &i, sizeof(i));
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	wrong = vol_check_inode(&i, r);
	if (wrong)
		return vol_fail(v, -EIO, "inode %" PRIu64 ": %s", ino, wrong);
	inode = inode_alloc(ino, i.mode & S_IFMT);
	if (!inode)
		return -ENOMEM;
	inode_from(inode, &i);
	r = inode->type == S_IFREG ? vol_tree_get(v, vol_key(ino, VF_INLINE, 0), NULL, 0) : -ENOENT;
	if (r < 0 && r != -ENOENT) {
		inode_free(v, inode);
		return r;
	}
	inode->inlined = r >= 0;
	*ret = inode;
	return 0;
}

int vol_inode_get(struct vol *v, uint64_t ino, struct vol_inode **ret)
{
	struct vol_table *t = &v->table;
	struct vol_inode *inode, *fresh = NULL;
	uint64_t removals;
	int r;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		inode = table_find(t, ino);
		if (inode)
			break;
		removals = t->removals;
		pthread_mutex_unlock(&t->lock);
		r = inode_load(v, ino, &fresh);
		if (r < 0)
			return r;
		pthread_mutex_lock(&t->lock);
		if (t->removals == removals && !table_find(t, ino)) {
			table_add(t, fresh);
			pthread_mutex_unlock(&t->lock);
			*ret = fresh;
			return 0;
		}
		inode_free(v, fresh); /* what was read may be old; again */
	}
	r = inode->going ? -ESTALE : 0;
	if (r == 0) {
		table_take(t, inode);
		*ret = inode;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

struct vol_inode *vol_inode_ref(struct vol *v, struct vol_inode *inode)
{
	pthread_mutex_lock(&v->table.lock);
	table_take(&v->table, inode);
	pthread_mutex_unlock(&v->table.lock);
	return inode;
}

bool vol_inode_ref_alive(struct vol *v, struct vol_inode *inode)
{
	bool alive = !inode->going;

	if (alive)
		table_take(&v->table, inode);
	return alive;
}

void vol_inode_settle(struct vol *v, struct vol_inode *inode)
{
	pthread_mutex_lock(&v->table.lock);
	unused_add(&v->table, inode);
	pthread_mutex_unlock(&v->table.lock);
}

/* With table.lock held: those longest unused go if there are too many. */
static struct vol_inode *table_trim(struct vol_table *t)
{
	struct vol_inode *list = NULL, *inode;

	for (int i = 0; i < TRIM_STEPS && t->count > t->max && (inode = t->oldest); i++) {
		unused_remove(t, inode);
		table_remove(t, inode);
		inode->next = list;
		list = inode;
	}
	return list;
}

static void inode_erase(struct vol *v, struct vol_inode *inode)
{
	int r = vol_inode_erase(v, inode);

	if (r < 0) /* what could not be erased is an orphan for the next mount */
		return;
	pthread_mutex_lock(&v->table.lock);
	table_remove(&v->table, inode);
	pthread_mutex_unlock(&v->table.lock);
	__atomic_sub_fetch(&v->inode_count, 1, __ATOMIC_RELAXED);
	inode_free(v, inode);
}

/* One that was an orphan when the volume was mounted may yet be asked for by who had it open before. */
static bool orphan_waits(const struct vol *v, const struct vol_inode *inode)
{
	return inode->survivor && __atomic_load_n(&v->orphans_due, __ATOMIC_RELAXED);
}

void vol_inode_put(struct vol *v, struct vol_inode *inode, uint64_t n)
{
	struct vol_table *t = &v->table;
	struct vol_inode *trimmed, *next;
	bool erase = false;

	if (!inode)
		return;
	pthread_mutex_lock(&t->lock);
	inode->users -= n;
	if (inode->users == 0)
		vol_owed_drop(v, inode, 0, UINT64_MAX);
	if (inode->users == 0 && !inode->going) {
		erase = inode->attr.nlink == 0 && !v->rdonly && !orphan_waits(v, inode);
		inode->going = erase;
		unused_add(t, inode);
	}
	trimmed = table_trim(t);
	pthread_mutex_unlock(&t->lock);
	for (; trimmed; trimmed = next) {
		next = trimmed->next;
		inode_free(v, trimmed);
	}
	if (erase)
		inode_erase(v, inode);
}

int vol_table_init(struct vol *v, size_t bytes)
{
	struct vol_table *t = &v->table;

	pthread_mutex_init(&t->lock, NULL);
	t->max = bytes / INODE_COST;
	t->bucket_count = 1024;
	t->bucket = calloc(t->bucket_count, sizeof(*t->bucket));
	return t->bucket ? 0 : -ENOMEM;
}

void vol_table_fini(struct vol *v)
{
	struct vol_table *t = &v->table;
	struct vol_inode *inode;

	for (size_t i = 0; t->bucket && i < t->bucket_count; i++)
		while ((inode = t->bucket[i])) {
			t->bucket[i] = inode->next;
			inode_free(v, inode);
		}
	free(t->bucket);
	pthread_mutex_destroy(&t->lock);
}
