/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How inodes get into the tree, and out of it.
 *
 * An inode that changes is put on a list, and its item is stored once, when the transaction ends. What is
 * created and removed within one transaction never gets there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { ERASE_STEP = 128 };

void vol_inode_dirty(struct vol *v, struct vol_inode *inode, bool data)
{
	uint64_t seq = __atomic_load_n(&v->log.seq, __ATOMIC_RELAXED);

	__atomic_store_n(&inode->changed, seq, __ATOMIC_RELAXED);
	if (data)
		__atomic_store_n(&inode->data_changed, seq, __ATOMIC_RELAXED);
	if (__atomic_load_n(&inode->dirty, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&v->log.lock);
	if (!inode->dirty) {
		/* At the end: new ones are stored in the order of their numbers, which fills nodes. */
		inode->dirty_next = NULL;
		inode->dirty_prev = v->dirty_inodes_end;
		*v->dirty_inodes_end = inode;
		v->dirty_inodes_end = &inode->dirty_next;
		__atomic_store_n(&inode->dirty, true, __ATOMIC_RELEASE);
		__atomic_add_fetch(&v->dirty_inode_count, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&v->new_inode_count, !inode->stored, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&v->log.lock);
}

void vol_inode_undirty(struct vol *v, struct vol_inode *inode)
{
	pthread_mutex_lock(&v->log.lock);
	if (inode->dirty) {
		*inode->dirty_prev = inode->dirty_next;
		*(inode->dirty_next ? &inode->dirty_next->dirty_prev : &v->dirty_inodes_end) =
		    inode->dirty_prev;
		__atomic_store_n(&inode->dirty, false, __ATOMIC_RELEASE);
		__atomic_sub_fetch(&v->dirty_inode_count, 1, __ATOMIC_RELAXED);
		__atomic_sub_fetch(&v->new_inode_count, !inode->stored, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&v->log.lock);
}

static struct vf_inode inode_item(const struct vol_inode *inode)
{
	const struct ls_attr *a = &inode->attr;

	return (struct vf_inode){
	    .mode = a->mode,
	    .nlink = a->nlink,
	    .uid = a->uid,
	    .gid = a->gid,
	    .rdev_major = a->rdev_major,
	    .rdev_minor = a->rdev_minor,
	    .flags = inode->linkable && a->nlink == 0 ? VF_INODE_LINKABLE : 0,
	    .size = inode->type == S_IFREG ? inode->disk_size : a->size,
	    .blocks = inode->blocks,
	    .parent = inode->parent,
	    .atime = a->atime.tv_sec,
	    .mtime = a->mtime.tv_sec,
	    .ctime = a->ctime.tv_sec,
	    .btime = a->btime.tv_sec,
	    .atime_ns = a->atime.tv_nsec,
	    .mtime_ns = a->mtime.tv_nsec,
	    .ctime_ns = a->ctime.tv_nsec,
	    .btime_ns = a->btime.tv_nsec,
	};
}

static int inode_store(struct vol *v, struct vol_inode *inode)
{
	struct vf_key orphan = vol_key(0, VF_ORPHAN, inode->ino);
	struct vf_inode item = inode_item(inode);
	int r = vol_put(v, vol_key(inode->ino, VF_INODE, 0), &item, sizeof(item));

	if (r == 0 && !inode->orphan && item.nlink == 0)
		r = vol_put(v, orphan, NULL, 0);
	else if (r == 0 && inode->orphan && item.nlink)
		r = vol_del(v, orphan);
	inode->orphan = item.nlink == 0;
	return r;
}

int vol_inodes_store(struct vol *v)
{
	struct vol_inode *inode;
	int r;

	while ((inode = v->dirty_inodes)) {
		r = inode_store(v, inode);
		if (r < 0)
			return r;
		vol_inode_undirty(v, inode);
		inode->stored = true;
		vol_inode_settle(v, inode);
	}
	return 0;
}

/* ---- erasing --------------------------------------------------------------------------------- */

struct doomed {
	struct vf_key key[ERASE_STEP];
	struct vf_extent extent[ERASE_STEP];
	unsigned count;
};

static int doom(void *arg, struct vf_key key, const void *value, unsigned length)
{
	struct doomed *d = arg;

	if (d->count == ERASE_STEP)
		return 1;
	d->extent[d->count].length = 0;
	if ((uint8_t)key.hi == VF_EXTENT && length == sizeof(struct vf_extent))
		memcpy(&d->extent[d->count], value, length);
	d->key[d->count++] = key;
	return 0;
}

static int doomed_remove(struct vol *v, struct vol_inode *inode, const struct doomed *d)
{
	int r = 0;

	/* From the end on, as it shrinks the tree's nodes from their ends. */
	for (unsigned i = d->count; i-- > 0 && r == 0;) {
		const struct vf_extent *e = &d->extent[i];
		r = vol_del(v, d->key[i]);
		if (r == 0 && e->length)
			r = vol_free_blocks(v, e->start, e->length);
		inode->blocks -= e->length;
	}
	return r;
}

static int erase_last(struct vol *v, struct vol_inode *inode)
{
	int r = 0;

	vol_inode_undirty(v, inode);
	if (inode->stored)
		r = vol_del(v, vol_key(inode->ino, VF_INODE, 0));
	if (r == 0 && inode->orphan)
		r = vol_del(v, vol_key(0, VF_ORPHAN, inode->ino));
	return r;
}

/* One operation. 1: there is more. */
static int erase_step(struct vol *v, struct vol_inode *inode)
{
	struct vf_key from = vol_key(inode->ino, VF_INLINE, 0), to = vol_key(inode->ino, 0xff, UINT64_MAX);
	struct doomed d = {.count = 0};
	int r = vol_op_begin(v, 0);

	if (r < 0)
		return r;
	if (!vol_bare(inode))
		r = vol_tree_scan(v, from, to, doom, &d);
	if (r == 0)
		r = doomed_remove(v, inode, &d);
	if (r == 0 && d.count < ERASE_STEP)
		r = erase_last(v, inode);
	else if (r == 0)
		r = 1;
	vol_op_end(v);
	return r;
}

int vol_inode_erase(struct vol *v, struct vol_inode *inode)
{
	int r;

	fair_lock_write(&inode->content); /* somebody may just be writing back its pages */
	vol_pages_drop(v, inode, 0, UINT64_MAX);
	vol_pages_leave(v, inode, true);
	fair_unlock(&inode->content);
	do {
		vol_throttle(v);
		r = erase_step(v, inode);
	} while (r == 1);
	return r;
}
