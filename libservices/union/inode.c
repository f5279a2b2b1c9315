/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The union's inodes and their numbers.
 *
 * A number is made of a branch, counted from the bottom so that putting another on top changes none, and the inode's
 * number there. What is copied up keeps its number, by a mark on the copy. So numbers stay over copy-up and restarts.
 * Should two inodes claim one number (a branch was changed by hand), the later gets one of its own for as long as it
 * is known.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/union/union.h"

enum { BUCKETS_MIN = 256, INO_BITS = 56 };

static const uint64_t spare_number = 0xffull << INO_BITS; /* no branch has so high an id */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0x9fb21c651e98df25u;
	return x ^ x >> 32;
}

uint64_t union_number(const struct union_fs *u, unsigned branch, uint64_t ino)
{
	uint64_t id = u->count - 1 - branch;

	if (ino >> INO_BITS)
		ino = mix(ino) & ((1ull << INO_BITS) - 1);
	return id << INO_BITS | ino;
}

int union_table_init(struct union_fs *u)
{
	u->bucket = calloc(BUCKETS_MIN, sizeof(*u->bucket));
	u->bucket_count = BUCKETS_MIN;
	return u->bucket ? 0 : -ENOMEM;
}

static struct union_inode **table_bucket(const struct union_fs *u, uint64_t number)
{
	return &u->bucket[mix(number) & (u->bucket_count - 1)];
}

static struct union_inode *table_find(const struct union_fs *u, uint64_t number)
{
	struct union_inode *inode = *table_bucket(u, number);

	while (inode && inode->number != number)
		inode = inode->next;
	return inode;
}

/* If there is no memory for more buckets, the chains get longer. */
static void table_grow(struct union_fs *u)
{
	size_t old_count = u->bucket_count;
	struct union_inode **old = u->bucket, *inode, **to;

	u->bucket = calloc(old_count * 2, sizeof(*u->bucket));
	if (!u->bucket) {
		u->bucket = old;
		return;
	}
	u->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		while ((inode = old[i])) {
			old[i] = inode->next;
			to = table_bucket(u, inode->number);
			inode->next = *to;
			*to = inode;
		}
	free(old);
}

static void table_add(struct union_fs *u, struct union_inode *inode)
{
	struct union_inode **to;

	if (u->inode_count++ == u->bucket_count)
		table_grow(u);
	to = table_bucket(u, inode->number);
	inode->next = *to;
	*to = inode;
}

static void table_remove(struct union_fs *u, struct union_inode *inode)
{
	struct union_inode **p = table_bucket(u, inode->number);

	while (*p != inode)
		p = &(*p)->next;
	*p = inode->next;
	u->inode_count--;
}

/* ---- lives ------------------------------------------------------------------------------------------- */

static void names_free(struct union_name *n)
{
	struct union_name *left;

	for (; n; n = left) { /* as a list by `left` */
		if (n->right) {
			left = n->right;
			n->right = left->left;
			left->left = n;
			continue;
		}
		left = n->left;
		free(n);
	}
}

/* Ends what it has of the branches. Nobody else knows it any more. */
static void inode_free(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	for (unsigned i = 0; i < inode->branch_count; i++)
		if (inode->branch[i].inode != u->ls->below[inode->branch[i].branch]->root)
			ls_forget(u->ls->below[inode->branch[i].branch], call, inode->branch[i].inode, 1);
	if (inode->real.inode)
		ls_forget(u->ls->below[inode->real.branch], call, inode->real.inode, 1);
	union_parts_free(u, call, inode->parts);
	if (inode->old.inode && !inode->old_lent)
		ls_forget(u->ls->below[inode->old.branch], call, inode->old.inode, 1);
	names_free(inode->names);
	free(inode->branch);
	free(inode->redirect);
	free(inode->name);
	pthread_mutex_destroy(&inode->up);
	pthread_mutex_destroy(&inode->lock);
	pthread_rwlock_destroy(&inode->content);
	free(inode);
}

void union_table_fini(struct union_fs *u)
{
	static const struct ls_cred root_cred;
	const struct ls_call call = {.tenant = u->ls->tenant, .cred = &root_cred};
	struct union_inode *inode;

	for (size_t i = 0; i < u->bucket_count && u->bucket; i++)
		while ((inode = u->bucket[i])) {
			u->bucket[i] = inode->next;
			inode_free(u, &call, inode);
		}
	free(u->bucket);
}

struct union_inode *union_inode_ref(struct union_fs *u, struct union_inode *inode)
{
	pthread_mutex_lock(&u->lock);
	inode->refs++;
	pthread_mutex_unlock(&u->lock);
	return inode;
}

/* With u->lock held. Was it the last reference? Then it is in the table no more. */
static bool inode_end(struct union_fs *u, struct union_inode *inode, uint64_t n)
{
	inode->refs -= n;
	if (inode->refs)
		return false;
	if (inode->name_count) { /* only names that lead nowhere: it is in the order of use */
		union_names_unlink(u, inode);
		__atomic_sub_fetch(&u->name_total, inode->name_count, __ATOMIC_RELAXED);
	}
	table_remove(u, inode);
	return true;
}

void union_inode_unref(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t n)
{
	struct union_inode *parent;
	bool last;

	while (inode) {
		pthread_mutex_lock(&u->lock);
		parent = inode->parent;
		last = inode_end(u, inode, n);
		pthread_mutex_unlock(&u->lock);
		if (!last)
			return;
		inode_free(u, call, inode);
		inode = parent;
		n = 1;
	}
}

struct union_inode *union_inode_find(struct union_fs *u, uint64_t number)
{
	struct union_inode *inode;

	pthread_mutex_lock(&u->lock);
	inode = table_find(u, number);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&u->lock);
	return inode;
}

static struct union_inode *inode_new(struct union_fs *u, struct union_found *found)
{
	struct union_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->refs = 1;
	inode->type = found->attr.mode & S_IFMT;
	inode->above = u->writable && found->real[0].branch == 0;
	if (union_is_dir(inode)) {
		inode->branch = malloc(found->count * sizeof(*inode->branch));
		if (!inode->branch) {
			free(inode);
			return NULL;
		}
		memcpy(inode->branch, found->real, found->count * sizeof(*inode->branch));
		inode->branch_count = found->count;
		inode->redirect = found->redirect;
		inode->impure = found->impure;
		found->redirect = NULL;
	} else {
		inode->real = found->real[0];
		inode->parts = found->parts;
		found->parts = NULL;
	}
	pthread_mutex_init(&inode->up, NULL);
	pthread_mutex_init(&inode->lock, NULL);
	pthread_rwlock_init(&inode->content, NULL);
	return inode;
}

/* Is that the inode that was found? It may have been copied up since, if it was found by another name. */
static bool inode_is(const struct union_inode *inode, const struct union_found *found)
{
	if (inode->type != (found->attr.mode & S_IFMT))
		return false;
	if (union_is_dir(inode))
		return inode->branch[0].inode == found->real[0].inode;
	return inode->real.inode == found->real[0].inode || (inode->above && found->real[0].branch > 0);
}

int union_inode_enter(struct union_fs *u, const struct ls_call *call, struct union_found *found,
		      struct union_inode **ret)
{
	uint64_t number = found->origin ? found->origin : union_number(u, found->real[0].branch, found->attr.ino);
	struct union_inode *fresh = inode_new(u, found), *inode;

	if (!fresh) {
		union_found_fini(u, call, found);
		return -ENOMEM;
	}
	if (!union_is_dir(fresh)) /* what else there is below a file */
		for (unsigned i = 1; i < found->count; i++)
			ls_forget(u->ls->below[found->real[i].branch], call, found->real[i].inode, 1);
	pthread_mutex_lock(&u->lock);
	for (uint64_t n = number; (inode = table_find(u, number)) && !inode_is(inode, found); n = mix(n + 1))
		number = n | spare_number;
	if (inode) {
		inode->refs++;
	} else {
		fresh->number = number;
		table_add(u, fresh);
	}
	pthread_mutex_unlock(&u->lock);
	if (inode)
		inode_free(u, call, fresh);
	*ret = inode ? inode : fresh;
	return 0;
}

void union_inode_parts_end(struct union_fs *u, const struct ls_call *call, struct union_inode *inode)
{
	struct union_parts *p = inode->parts;

	for (unsigned i = 1; i < p->count; i++)
		if (inode->old_lent && p->part[i].real.inode == inode->old.inode) {
			p->part[i].real.inode = NULL;
			inode->old_lent = false;
		}
	__atomic_store_n(&inode->parts, NULL, __ATOMIC_RELEASE);
	union_parts_free(u, call, p);
}

/* ---- places ------------------------------------------------------------------------------------------ */

int union_place_set(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
		    struct union_inode *dir, const char *name)
{
	char *copy = dir ? strdup(name) : NULL, *old_name;
	struct union_inode *old;

	if (dir && !copy)
		return -ENOMEM;
	pthread_mutex_lock(&u->lock);
	old = inode->parent;
	old_name = inode->name;
	__atomic_store_n(&inode->parent, dir, __ATOMIC_RELAXED); /* is there one? is asked without the lock */
	inode->name = copy;
	if (dir)
		dir->refs++;
	pthread_mutex_unlock(&u->lock);
	free(old_name);
	union_inode_unref(u, call, old, 1);
	return 0;
}

struct union_inode *union_place(struct union_fs *u, struct union_inode *inode, char name[static UNION_NAME_MAX + 1])
{
	struct union_inode *dir;

	pthread_mutex_lock(&u->lock);
	dir = inode->parent;
	if (dir) {
		dir->refs++;
		strcpy(name, inode->name);
	}
	pthread_mutex_unlock(&u->lock);
	return dir;
}

/* ---- attributes -------------------------------------------------------------------------------------- */

static int dir_attr(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct ls_attr *ret)
{
	int r;

	pthread_mutex_lock(&dir->lock);
	r = ls_getattr(u->ls->below[dir->branch[0].branch], call, dir->branch[0].inode, NULL, ret);
	if (r == 0 && dir->dead)
		ret->nlink = 0;
	else if (r == 0 && dir->branch_count > 1) /* 1: nobody has counted */
		ret->nlink = dir->complete ? 2 + dir->subdirs : 1;
	else if (r == 0 && u->work && dir == u->root)
		ret->nlink--; /* the work directory is not shown */
	pthread_mutex_unlock(&dir->lock);
	return r;
}

static int file_attr(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *f,
		     struct ls_attr *ret)
{
	bool above = union_is_above(inode);
	unsigned gone;
	int r;

	if (!above)
		pthread_rwlock_rdlock(&inode->content);
	gone = inode->gone;
	r = ls_getattr(u->ls->below[inode->real.branch], call, inode->real.inode,
		       f ? union_file_of(f)->below : NULL, ret);
	if (!above)
		pthread_rwlock_unlock(&inode->content);
	if (r == 0 && __atomic_load_n(&inode->indexed, __ATOMIC_ACQUIRE))
		ret->nlink = __atomic_load_n(&inode->links, __ATOMIC_RELAXED);
	else if (r == 0)
		ret->nlink -= gone < ret->nlink ? gone : ret->nlink;
	return r;
}

int union_attr(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *f,
	       struct ls_attr *ret)
{
	struct ls_attr attr;
	int r = union_is_dir(inode) ? dir_attr(u, call, inode, &attr) : file_attr(u, call, inode, f, &attr);

	if (r == 0) {
		attr.ino = inode->number;
		*ret = attr;
	}
	return r;
}

int union_give(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_inode **ret_inode,
	       struct ls_attr *ret_attr)
{
	int r = union_attr(u, call, inode, NULL, ret_attr);

	if (r < 0)
		union_inode_unref(u, call, inode, 1);
	else
		*ret_inode = (struct ls_inode *)inode;
	return r;
}
