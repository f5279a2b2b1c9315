/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inodes that somebody refers to: one object each, whatever name it was reached by, with one reference of libcephfs.
 *
 * Whichever client reached an inode first has it, and does what is done to it, until nobody refers to it: so one client has its
 * capabilities, its delegation and its dirty data, though another may come upon it later, by a hard link or after a move.
 *
 * An inode and what it was in a snapshot have one number in Ceph. Ours of the latter is made of both.
 */
#include <errno.h>
#include <stdlib.h>

#include "libservices/ceph/ceph.h"
#include "libservices/mix.h"

enum { BUCKETS_MIN = 1024 };
#define OURS (1ull << 63)

uint64_t ceph_number(uint64_t ino, uint64_t snap)
{
	return snap == CEPH_NOSNAP ? ino : mix_two(ino, snap) | OURS;
}

static struct ceph_inode **bucket_of(struct ceph_table *t, uint64_t number)
{
	return &t->bucket[mix(number) & (t->bucket_count - 1)];
}

static struct ceph_inode *table_find(struct ceph_table *t, uint64_t number)
{
	struct ceph_inode *inode = *bucket_of(t, number);

	while (inode && ceph_number(inode->ino, inode->snap) != number)
		inode = inode->next;
	return inode;
}

/* If there is no memory for more buckets, the chains get longer. */
static void table_grow(struct ceph_table *t)
{
	struct ceph_inode **old = t->bucket, *inode, **to;
	size_t old_count = t->bucket_count;

	t->bucket = calloc(old_count * 2, sizeof(*t->bucket));
	if (!t->bucket) {
		t->bucket = old;
		return;
	}
	t->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		while ((inode = old[i])) {
			old[i] = inode->next;
			to = bucket_of(t, ceph_number(inode->ino, inode->snap));
			inode->next = *to;
			*to = inode;
		}
	free(old);
}

static void table_add(struct ceph_table *t, struct ceph_inode *inode)
{
	struct ceph_inode **to;

	if (t->count == t->bucket_count)
		table_grow(t);
	to = bucket_of(t, ceph_number(inode->ino, inode->snap));
	inode->next = *to;
	*to = inode;
	t->count++;
}

static struct ceph_inode *inode_new(struct ceph_client *client, Inode *in, const struct ceph_statx *stx)
{
	struct ceph_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	*inode = (struct ceph_inode){
		.client = client, .in = in, .ino = stx->stx_ino, .snap = stx->stx_dev, .type = stx->stx_mode & S_IFMT, .refs = 1};
	pthread_mutex_init(&inode->appends, NULL);
	return inode;
}

int ceph_inode_enter(struct ceph *c, struct ceph_client *client, Inode *in, const struct ceph_statx *stx,
		     struct ceph_inode **ret)
{
	struct ceph_table *t = &c->table;
	struct ceph_inode *inode;

	pthread_mutex_lock(&t->lock);
	inode = table_find(t, ceph_number(stx->stx_ino, stx->stx_dev));
	if (inode) {
		inode->refs++;
	} else {
		inode = inode_new(client, in, stx);
		if (inode) {
			table_add(t, inode);
			in = NULL;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (in)
		ceph_ll_put(client->mount, in);
	*ret = inode;
	return inode ? 0 : -ENOMEM;
}

struct ceph_inode *ceph_inode_known(struct ceph *c, uint64_t number)
{
	struct ceph_inode *inode;

	pthread_mutex_lock(&c->table.lock);
	inode = table_find(&c->table, number);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&c->table.lock);
	return inode;
}

struct ceph_inode *ceph_inode_ref(struct ceph *c, struct ceph_inode *inode)
{
	pthread_mutex_lock(&c->table.lock);
	inode->refs++;
	pthread_mutex_unlock(&c->table.lock);
	return inode;
}

static void inode_free(struct ceph_inode *inode)
{
	ceph_ll_put(inode->client->mount, inode->in);
	pthread_mutex_destroy(&inode->appends);
	free(inode);
}

void ceph_inode_unref(struct ceph *c, struct ceph_inode *inode, uint64_t n)
{
	struct ceph_table *t = &c->table;
	struct ceph_inode **p;
	bool last;

	pthread_mutex_lock(&t->lock);
	inode->refs -= n;
	last = inode->refs == 0;
	if (last) {
		for (p = bucket_of(t, ceph_number(inode->ino, inode->snap)); *p != inode; p = &(*p)->next)
			;
		*p = inode->next;
		t->count--;
	}
	pthread_mutex_unlock(&t->lock);
	if (last)
		inode_free(inode);
}

int ceph_table_init(struct ceph_table *t)
{
	pthread_mutex_init(&t->lock, NULL);
	t->bucket_count = BUCKETS_MIN;
	t->bucket = calloc(t->bucket_count, sizeof(*t->bucket));
	return t->bucket ? 0 : -ENOMEM;
}

/* What clients of the layer still refer to goes with it. */
void ceph_table_fini(struct ceph *c)
{
	struct ceph_table *t = &c->table;
	struct ceph_inode *inode;

	for (size_t i = 0; t->bucket && i < t->bucket_count; i++)
		while ((inode = t->bucket[i])) {
			t->bucket[i] = inode->next;
			inode_free(inode);
		}
	free(t->bucket);
	pthread_mutex_destroy(&t->lock);
}
