/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of blocks: how their bitmaps and descriptors come from the area, and what a checkpoint has to
 * write of them. The counts of free blocks are all in memory, of the bitmaps as many as are in use and some
 * more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/bitmap.h"
#include "libservices/volume/group.h"

enum {
	LOADED_MIN = 64,
	LOADED_MAX = 2048,
	EVICT_STEPS = 32,
	FLOOR_MIN = 256,
	FLOOR_MAX = 16384,
	FLOOR_PART = 128
};

uint64_t vol_group_start(const struct vf_super *s, uint64_t group)
{
	return s->groups_start + group * VF_GROUP_BLOCKS;
}

uint64_t vol_group_blocks(const struct vf_super *s, uint64_t group)
{
	uint64_t left = s->blocks - vol_group_start(s, group);

	return left < VF_GROUP_BLOCKS ? left : VF_GROUP_BLOCKS;
}

unsigned vol_group_own(uint64_t group)
{
	return group % VF_CLUSTER_GROUPS == 0 ? 2 : 1;
}

/* A last group that would have nothing but its own metadata is none. */
uint64_t vol_group_count(const struct vf_super *s)
{
	uint64_t blocks = s->blocks - s->groups_start, count = blocks / VF_GROUP_BLOCKS;

	return blocks % VF_GROUP_BLOCKS > vol_group_own(count) ? count + 1 : count;
}

void vol_head_init(const struct vf_super *s, uint8_t *buf, enum vf_kind kind, uint64_t block,
		   uint64_t owner)
{
	struct vf_head *h = vol_head(buf);

	*h = (struct vf_head){.magic = VF_BLOCK_MAGIC, .block = block, .kind = kind, .owner = owner};
	memcpy(h->uuid, s->uuid, sizeof(h->uuid));
}

void vol_bitmap_init(const struct vf_super *s, uint64_t group, uint8_t *buf)
{
	unsigned own = vol_group_own(group);

	memset(buf, 0, VF_BLOCK);
	vol_head_init(s, buf, VF_KIND_BITMAP, vol_group_start(s, group) + own - 1, group);
	for (uint64_t i = 0; i < own; i++)
		bitmap_put(buf, i, true);
	for (uint64_t i = vol_group_blocks(s, group); i < VF_GROUP_BLOCKS; i++)
		bitmap_put(buf, i, true);
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

static void evict(struct vol *v)
{
	struct vol_space *s = &v->space;

	for (int i = 0; i < EVICT_STEPS && s->loaded >= s->loaded_max; i++) {
		struct vol_group *g = &s->group[s->hand++ % s->group_count];
		if (!g->bits || g->dirty || g->shared)
			continue;
		vol_buffer_put(v, g->bits);
		g->bits = NULL;
		s->loaded--;
	}
}

static int bitmap_read(struct vol *v, struct vol_group *g, uint64_t group, uint8_t *buf)
{
	uint64_t block = vol_group_start(&v->super, group) + vol_group_own(group) - 1;
	const char *wrong;
	int r = vol_read_meta(v, buf, block);

	if (r < 0)
		return vol_fail(v, -EIO, "block %" PRIu64 " cannot be read: %s", block, strerror(-r));
	wrong = vol_check_head(&v->super, buf, block, VF_KIND_BITMAP);
	if (!wrong && (vol_head(buf)->owner != group || bitmap_zeros(buf) != g->free))
		wrong = "it does not agree with its group's descriptor";
	return wrong ? vol_fail(v, -EIO, "bitmap at block %" PRIu64 ": %s", block, wrong) : 0;
}

int vol_group_load(struct vol *v, struct vol_group *g)
{
	uint64_t group = g - v->space.group;
	uint8_t *buf;
	int r = 0;

	if (g->bits)
		return 0;
	evict(v);
	buf = vol_buffer_get(v);
	if (!buf)
		return -ENOMEM;
	if (g->flags & VF_GROUP_FRESH)
		vol_bitmap_init(&v->super, group, buf);
	else
		r = bitmap_read(v, g, group, buf);
	if (r < 0) {
		vol_buffer_put(v, buf);
		return r;
	}
	g->bits = buf;
	v->space.loaded++;
	return 0;
}

static void group_dirty(struct vol *v, struct vol_group *g)
{
	if (g->dirty)
		return;
	g->dirty = true;
	g->next = v->space.dirty;
	v->space.dirty = g;
	__atomic_add_fetch(&v->space.dirty_count, 1, __ATOMIC_RELAXED);
}

int vol_group_change(struct vol *v, struct vol_group *g)
{
	int r = vol_group_load(v, g);

	if (r < 0)
		return r;
	g->flags &= ~VF_GROUP_FRESH;
	group_dirty(v, g);
	return 0;
}

/* ---- for checkpoints ------------------------------------------------------------------------- */

static int image_bitmap(struct vol *v, const struct vol_group *g, vol_image_add *add, void *arg)
{
	uint64_t group = g - v->space.group;
	uint8_t *buf;

	if (g->flags & VF_GROUP_FRESH)
		return 0;
	buf = vol_buffer_get(v);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, g->bits, VF_BLOCK);
	return add(arg, vol_group_start(&v->super, group) + vol_group_own(group) - 1, buf);
}

static int image_cluster(struct vol *v, uint64_t cluster, vol_image_add *add, void *arg)
{
	uint64_t first = cluster * VF_CLUSTER_GROUPS, block = vol_group_start(&v->super, first);
	uint8_t *buf = vol_buffer_get(v);
	struct vf_group *d;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, VF_BLOCK);
	vol_head_init(&v->super, buf, VF_KIND_GROUPS, block, cluster);
	d = (struct vf_group *)(buf + VF_HEAD);
	for (uint64_t i = 0; i < VF_CLUSTER_GROUPS && first + i < v->space.group_count; i++)
		d[i] = (struct vf_group){v->space.group[first + i].free, v->space.group[first + i].flags};
	return add(arg, block, buf);
}

int vol_space_images(struct vol *v, vol_image_add *add, void *arg)
{
	struct vol_space *s = &v->space;
	uint64_t clusters = (s->group_count + VF_CLUSTER_GROUPS - 1) / VF_CLUSTER_GROUPS;
	bool *changed = calloc(clusters + 1, sizeof(*changed));
	struct vol_group *g;
	int r = changed ? 0 : -ENOMEM;

	pthread_mutex_lock(&s->lock);
	while (r == 0 && (g = s->dirty)) {
		s->dirty = g->next;
		g->dirty = false;
		g->shared = g->bits != NULL;
		changed[(g - s->group) / VF_CLUSTER_GROUPS] = true;
		r = image_bitmap(v, g, add, arg);
	}
	for (uint64_t i = 0; r == 0 && i < clusters; i++)
		if (changed[i])
			r = image_cluster(v, i, add, arg);
	__atomic_store_n(&s->dirty_count, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&s->lock);
	free(changed);
	return r;
}

void vol_space_imaged(struct vol *v)
{
	struct vol_space *s = &v->space;

	pthread_mutex_lock(&s->lock);
	for (uint64_t i = 0; i < s->group_count; i++)
		s->group[i].shared = false;
	pthread_mutex_unlock(&s->lock);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static int cluster_read(struct vol *v, uint64_t cluster, uint8_t *buf)
{
	struct vol_space *s = &v->space;
	uint64_t first = cluster * VF_CLUSTER_GROUPS, block = vol_group_start(&v->super, first);
	const struct vf_group *d = (const struct vf_group *)(buf + VF_HEAD);
	const char *wrong;
	int r = vol_read_meta(v, buf, block);

	if (r < 0)
		return vol_fail(v, -EIO, "block %" PRIu64 " cannot be read: %s", block, strerror(-r));
	wrong = vol_check_head(&v->super, buf, block, VF_KIND_GROUPS);
	if (!wrong && vol_head(buf)->owner != cluster)
		wrong = "it belongs to another cluster";
	for (uint64_t i = 0; !wrong && i < VF_CLUSTER_GROUPS && first + i < s->group_count; i++) {
		if (d[i].free > vol_group_blocks(&v->super, first + i) - vol_group_own(first + i))
			wrong = "it has more free blocks than there are";
		s->group[first + i].free = d[i].free;
		s->group[first + i].flags = d[i].flags & VF_GROUP_FRESH;
		s->free += d[i].free;
	}
	return wrong ? vol_fail(v, -EIO, "descriptors at block %" PRIu64 ": %s", block, wrong) : 0;
}

static void floor_set(struct vol *v)
{
	uint64_t floor = v->super.blocks / FLOOR_PART;

	v->space.floor = floor < FLOOR_MIN ? FLOOR_MIN : floor > FLOOR_MAX ? FLOOR_MAX : floor;
}

int vol_space_init(struct vol *v)
{
	struct vol_space *s = &v->space;
	uint8_t *buf = vol_buffer_get(v);
	int r = buf ? 0 : -ENOMEM;

	s->group_count = vol_group_count(&v->super);
	s->group = calloc(s->group_count, sizeof(*s->group));
	if (!s->group)
		r = -ENOMEM;
	for (uint64_t i = 0; r == 0 && i * VF_CLUSTER_GROUPS < s->group_count; i++)
		r = cluster_read(v, i, buf);
	vol_buffer_put(v, buf);
	s->loaded_max = s->group_count / 4 < LOADED_MIN ? LOADED_MIN : s->group_count / 4;
	s->loaded_max = s->loaded_max > LOADED_MAX ? LOADED_MAX : s->loaded_max;
	floor_set(v);
	s->node_hint = v->super.groups_start;
	s->data_hint = v->super.groups_start + 2048; /* the tree's nodes come first, and keep together */
	return r;
}

void vol_space_fini(struct vol *v)
{
	struct vol_space *s = &v->space;

	for (uint64_t i = 0; s->group && i < s->group_count; i++) {
		vol_buffer_put(v, s->group[i].bits);
		vol_buffer_put(v, s->group[i].busy);
	}
	free(s->group);
	vol_ranges_fini(&s->node_freed);
	pthread_mutex_destroy(&s->lock);
}

/* The group that was the last one has more blocks now. */
static int last_group_grow(struct vol *v, uint64_t group, uint64_t old_blocks)
{
	struct vol_space *s = &v->space;
	uint64_t n = vol_group_blocks(&v->super, group);
	struct vol_group *g = &s->group[group];
	int r = old_blocks < n ? vol_group_change(v, g) : 0;

	for (uint64_t i = old_blocks; r == 0 && i < n; i++) {
		bitmap_put(g->bits, i, false);
		g->free++;
		s->free++;
	}
	return r;
}

/* With all groups clean: nothing points into the array. */
static int groups_extend(struct vol *v, uint64_t count)
{
	struct vol_space *s = &v->space;
	struct vol_group *group = realloc(s->group, count * sizeof(*group));

	if (!group)
		return -ENOMEM;
	s->group = group;
	for (uint64_t i = s->group_count; i < count; i++) {
		group[i] = (struct vol_group){.flags = VF_GROUP_FRESH,
					      .free = vol_group_blocks(&v->super, i) - vol_group_own(i)};
		s->free += group[i].free;
		group_dirty(v, &group[i]);
	}
	s->group_count = count;
	return 0;
}

int vol_space_grow(struct vol *v, uint64_t blocks)
{
	struct vol_space *s = &v->space;
	uint64_t last = s->group_count - 1, before = vol_group_blocks(&v->super, last),
		 old = v->super.blocks;
	int r;

	pthread_mutex_lock(&s->lock);
	r = s->dirty ? -EBUSY : vol_group_load(v, &s->group[last]);
	if (r == 0) {
		v->super.blocks = blocks;
		r = groups_extend(v, vol_group_count(&v->super));
	}
	if (r == 0)
		r = last_group_grow(v, last,
				    before); /* dirty from here on, so the array stays where it is */
	if (r < 0)
		v->super.blocks = old;
	floor_set(v);
	pthread_mutex_unlock(&s->lock);
	return r;
}
