/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: what the check has seen, corrected, becomes the volume.
 *
 * If only space is counted wrongly, the bitmaps and their descriptors are written anew. Otherwise the
 * stream of items is written out as a new tree, into blocks that neither the old state nor the new one has,
 * so that until the superblock says otherwise the old one is there as it was. The journal ends; nothing in
 * it is left to say.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

struct fresh_child {
	struct vf_key key;
	uint64_t block;
};

/* The nodes of one level as far as their parents must know them. */
struct fresh_level {
	struct fresh_child *child;
	size_t count, max;
};

struct repair {
	struct fsck *f;
	uint8_t **before; /* who had what */
	uint64_t generation;
	uint64_t group, at; /* where the next free block is looked for */
	uint8_t *buf;       /* the leaf that is being filled */
	struct fresh_level leaves;
	uint64_t inodes, next_inode; /* next_inode: index into f->inode */
	int error;
};

static int write_block(struct repair *r, uint8_t *buf, enum vf_kind kind, uint64_t block, uint64_t owner)
{
	struct vf_head *h = vol_head(buf);

	h->magic = VF_BLOCK_MAGIC;
	memcpy(h->uuid, r->f->super.uuid, sizeof(h->uuid));
	h->block = block;
	h->generation = r->generation;
	h->kind = kind;
	h->owner = owner;
	h->crc = vol_block_crc(buf);
	return area_write(r->f->area, buf, VF_BLOCK, block * VF_BLOCK, 0);
}

/* ---- the items as they shall be ------------------------------------------------------------------- */

static struct fsck_inode *inode_at(struct repair *r, uint64_t ino)
{
	struct fsck *f = r->f;

	while (r->next_inode < f->inode_count && f->inode[r->next_inode].ino < ino)
		r->next_inode++;
	return r->next_inode < f->inode_count && f->inode[r->next_inode].ino == ino &&
		       !(f->inode[r->next_inode].fix & FSCK_DROP)
		   ? &f->inode[r->next_inode]
		   : NULL;
}

static void inode_correct(struct vf_inode *v, const struct fsck_inode *i)
{
	if (S_ISDIR(i->mode)) {
		v->nlink = i->names || i->ino == VF_INO_ROOT ? 2 + i->subdirs : 0;
		v->size = i->found;
		v->blocks = 0;
		v->parent = i->ino == VF_INO_ROOT ? VF_INO_ROOT : i->named_in ? i->named_in : i->parent;
	} else {
		v->nlink = i->names;
		v->blocks = i->found;
	}
}

/* Calls emit for what remains of an item. */
static int item_correct(struct repair *r, struct vf_key key, const uint8_t *value, unsigned length,
			int (*emit)(struct repair *, struct vf_key, const void *, unsigned))
{
	uint8_t copy[VF_VALUE_MAX];
	struct fsck_inode *i, *target;

	if (key.hi >> 8 == 0)
		return emit(r, key, value, length);
	i = inode_at(r, key.hi >> 8);
	if (!i || length > sizeof(copy))
		return 0;
	if (length)
		memcpy(copy, value, length);
	if ((key.hi & 255) == VF_INODE)
		inode_correct((struct vf_inode *)copy, i);
	if ((key.hi & 255) == VF_DIRENT) {
		target = fsck_inode_find(r->f, ((struct vf_dirent *)copy)->ino);
		if (!target)
			return 0;
		((struct vf_dirent *)copy)->type = target->mode >> 12;
	}
	return emit(r, key, copy, length);
}

static int item_own(struct repair *r, struct vf_key key, const void *value, unsigned length)
{
	const struct vf_extent *e = value;

	r->inodes += (key.hi & 255) == VF_INODE;
	if ((key.hi & 255) == VF_EXTENT)
		fsck_own(r->f, e->start, e->length);
	return 0;
}

static int visit_own(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	return item_correct(arg, key, value, length, item_own);
}

/* ---- a new tree ------------------------------------------------------------------------------------ */

static bool is_free(const struct repair *r, uint64_t group, uint64_t i)
{
	const uint8_t *now = r->f->owned[group], *before = r->before[group];

	if (i < fsck_group_own(group) || i >= fsck_group_blocks(r->f, group))
		return false;
	return !(now && now[i / 8] >> i % 8 & 1) && !(before && before[i / 8] >> i % 8 & 1);
}

static int node_place(struct repair *r, uint64_t *ret)
{
	struct fsck *f = r->f;

	for (; r->group < f->group_count; r->group++, r->at = 0)
		for (; r->at < VF_GROUP_BLOCKS; r->at++)
			if (is_free(r, r->group, r->at)) {
				*ret = fsck_group_start(f, r->group) + r->at;
				fsck_own(f, *ret, 1);
				return 0;
			}
	return fsck_fail(f, -ENOSPC, "there is no room for a repaired tree beside the damaged one");
}

static int level_add(struct fresh_level *l, struct vf_key key, uint64_t block)
{
	if (fsck_grow(&l->child, l->count, &l->max, sizeof(*l->child)) < 0)
		return -ENOMEM;
	l->child[l->count++] = (struct fresh_child){key, block};
	return 0;
}

static int leaf_end(struct repair *r)
{
	uint64_t block;
	int e = node_place(r, &block);

	if (e == 0)
		e = level_add(&r->leaves,
			      vol_head(r->buf)->count ? vol_leaf_key(r->buf, 0) : (struct vf_key){0, 0},
			      block);
	if (e == 0)
		e = write_block(r, r->buf, VF_KIND_NODE, block, 0);
	vol_leaf_init(r->buf, 0);
	return e;
}

static int item_write(struct repair *r, struct vf_key key, const void *value, unsigned length)
{
	int e = 0;

	if (vol_leaf_room(r->buf) < sizeof(struct vf_slot) + length)
		e = leaf_end(r);
	if (e == 0)
		vol_leaf_insert(r->buf, vol_head(r->buf)->count, key, value, length);
	return e;
}

static int visit_write(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	return item_correct(arg, key, value, length, item_write);
}

/* One level above; at least two children each, as there are at least two. */
static int level_write(struct repair *r, const struct fresh_level *below, unsigned level,
		       struct fresh_level *ret)
{
	size_t nodes = (below->count + VF_CHILDREN_MAX - 1) / VF_CHILDREN_MAX, done = 0;
	uint64_t block;
	int e = 0;

	for (size_t n = 0; n < nodes && e == 0; n++) {
		size_t end = below->count * (n + 1) / nodes, first = done;
		vol_leaf_init(r->buf, level);
		for (; done < end; done++)
			vol_inner_insert(r->buf, vol_head(r->buf)->count, below->child[done].key,
					 below->child[done].block);
		e = node_place(r, &block);
		if (e == 0)
			e = write_block(r, r->buf, VF_KIND_NODE, block, 0);
		if (e == 0)
			e = level_add(ret, below->child[first].key, block);
	}
	return e;
}

static int tree_write(struct repair *r)
{
	struct fresh_level below, above = {0};
	unsigned level = 0;
	int e;

	vol_leaf_init(r->buf, 0);
	r->next_inode = 0;
	e = fsck_tree_scan(r->f, false, visit_write, r);
	if (e == 0 && (vol_head(r->buf)->count || !r->leaves.count))
		e = leaf_end(r);
	for (below = r->leaves; e == 0 && below.count > 1; below = above) {
		above = (struct fresh_level){0};
		e = level_write(r, &below, ++level, &above);
		free(below.child);
	}
	if (e == 0) {
		r->f->super.root = below.child[0].block;
		r->f->super.root_level = level;
	}
	free(below.child);
	return e;
}

static int tree_renew(struct repair *r)
{
	struct fsck *f = r->f;
	int e;

	r->before = f->owned;
	f->owned = NULL;
	e = fsck_space_init(f);
	if (e == 0)
		e = fsck_tree_scan(f, false, visit_own, r);
	if (e == 0)
		e = tree_write(r);
	for (uint64_t g = 0; g < f->group_count; g++)
		free(r->before[g]);
	free(r->before);
	return e;
}

/* ---- space ----------------------------------------------------------------------------------------- */

static int group_write(struct repair *r, uint64_t group, struct vf_group *g)
{
	const uint8_t *owned = r->f->owned[group];
	const uint64_t *words = (const void *)owned;
	uint64_t used = 0;

	*g = (struct vf_group){fsck_group_blocks(r->f, group) - fsck_group_own(group), VF_GROUP_FRESH};
	if (!owned)
		return 0;
	for (unsigned i = 0; i < (VF_BLOCK - VF_HEAD) / 8; i++)
		used += __builtin_popcountll(words[i]);
	*g = (struct vf_group){VF_GROUP_BLOCKS - used, 0};
	memset(r->buf, 0, VF_HEAD);
	memcpy(r->buf + VF_HEAD, owned, VF_BLOCK - VF_HEAD);
	return write_block(r, r->buf, VF_KIND_BITMAP,
			   fsck_group_start(r->f, group) + fsck_group_own(group) - 1, group);
}

static int space_write(struct repair *r)
{
	struct fsck *f = r->f;
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	struct vf_group *g = (void *)(buf + VF_HEAD);
	int e = buf ? 0 : -ENOMEM;

	f->super.free_blocks = 0;
	for (uint64_t first = 0; first < f->group_count && e == 0; first += VF_CLUSTER_GROUPS) {
		memset(buf, 0, VF_BLOCK);
		for (uint64_t i = 0; i < VF_CLUSTER_GROUPS && first + i < f->group_count && e == 0; i++) {
			e = group_write(r, first + i, &g[i]);
			f->super.free_blocks += g[i].free;
		}
		if (e == 0)
			e = write_block(r, buf, VF_KIND_GROUPS, fsck_group_start(f, first),
					first / VF_CLUSTER_GROUPS);
	}
	free(buf);
	return e;
}

/* What was no complete shadow until now must not become one. */
static int shadow_wipe(struct repair *r)
{
	memset(r->buf, 0, VF_BLOCK);
	return area_write(r->f->area, r->buf, VF_BLOCK, r->f->super.shadow_start * VF_BLOCK, 0);
}

/* ---- the superblock -------------------------------------------------------------------------------- */

/* One after the other, so that one is whole at every moment. */
static int supers_write(struct repair *r)
{
	static const uint64_t place[2] = {VF_SUPER_0, VF_SUPER_1};
	struct vf_super *s = (void *)r->buf;
	int e = area_flush(r->f->area);

	for (int i = 0; i < 2 && e == 0; i++) {
		memset(r->buf, 0, VF_BLOCK);
		*s = r->f->super;
		s->generation = r->generation + i;
		s->crc = vol_super_crc(s);
		e = area_write(r->f->area, r->buf, VF_BLOCK, place[s->generation % 2] * VF_BLOCK, 0);
		if (e == 0)
			e = area_flush(r->f->area);
	}
	return e;
}

static void journal_end(struct fsck *f)
{
	f->super.journal_tail = f->next_tail;
	/* No frame that lies in the ring has a number that is still to come. */
	f->super.journal_seq = f->next_seq + f->super.journal_blocks;
	f->super.next_ino = f->next_ino;
	f->super.clean = 1;
}

int fsck_repair(struct fsck *f)
{
	struct repair r = {.f = f, .generation = f->super.generation + 1};
	int e;

	r.buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	if (!r.buf)
		return fsck_fail(f, -ENOMEM, "out of memory");
	if (f->journal_data)
		fsck_say(f, FSCK_DAMAGE, 0, 0, "bytes of files that only the journal had are lost");
	r.inodes = f->inode_count;
	/* What is in memory alone must get to the area: the shadow's images, the journal's items. */
	e = f->rewrite_tree || f->image_count || f->over.count ? (r.inodes = 0, tree_renew(&r)) : 0;
	f->super.inode_count = r.inodes;
	journal_end(f);
	if (e == 0)
		e = shadow_wipe(&r);
	if (e == 0)
		e = area_flush(f->area);
	if (e == 0)
		e = space_write(&r);
	if (e == 0)
		e = supers_write(&r);
	free(r.buf);
	return e < 0 && !*f->error ? fsck_fail(f, e, "the repair cannot be written: %s", strerror(-e)) : e;
}
