/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree's nodes in memory, by block number.
 *
 * Whoever holds tree_lock may use what he finds: nodes leave only under tree_lock held alone. Several
 * readers may add nodes at once, so a bucket's chain only grows at its front then, and is walked without a
 * lock.
 *
 * A node that changes is dirty until a checkpoint takes it. From then on until it is at its place its bytes
 * are shared with the checkpoint: changing it again gives it new ones, and the checkpoint keeps the old.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { SHRINK_STEPS = 64 };

static struct vol_node **bucket_of(struct vol_cache *c, uint64_t block)
{
	return &c->bucket[(block * 0x9e3779b97f4a7c15u) >> 32 & (c->bucket_count - 1)];
}

struct vol_node *vol_cache_find(struct vol *v, uint64_t block)
{
	struct vol_node *n = __atomic_load_n(bucket_of(&v->cache, block), __ATOMIC_ACQUIRE);

	while (n && n->block != block)
		n = n->hash_next;
	if (n && !__atomic_load_n(&n->used, __ATOMIC_RELAXED))
		__atomic_store_n(&n->used, true, __ATOMIC_RELAXED);
	return n;
}

static int make_room(struct vol_cache *c)
{
	size_t max = c->all_max ? c->all_max * 2 : 256;
	struct vol_node **all;

	if (c->count < c->all_max)
		return 0;
	all = realloc(c->all, max * sizeof(*all));
	if (!all)
		return -ENOMEM;
	c->all = all;
	c->all_max = max;
	return 0;
}

/* Adds the node, or finds that another was quicker: then that one, and this is freed. */
static int cache_add(struct vol *v, struct vol_node *fresh, struct vol_node **ret)
{
	struct vol_cache *c = &v->cache;
	struct vol_node **bucket = bucket_of(c, fresh->block), *n;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	n = vol_cache_find(v, fresh->block);
	if (!n)
		r = make_room(c);
	if (!n && r == 0) {
		c->all[c->count] = fresh;
		__atomic_store_n(&c->count, c->count + 1, __ATOMIC_RELAXED);
		fresh->hash_next = *bucket;
		__atomic_store_n(bucket, fresh, __ATOMIC_RELEASE);
		n = fresh;
	}
	pthread_mutex_unlock(&c->lock);
	if (n != fresh) {
		vol_buffer_put(v, fresh->buf);
		free(fresh);
	}
	if (r == 0)
		*ret = n;
	return r;
}

static struct vol_node *node_new(struct vol *v, uint64_t block)
{
	struct vol_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->block = block;
	n->used = true;
	n->buf = vol_buffer_get(v);
	if (!n->buf) {
		free(n);
		return NULL;
	}
	return n;
}

static int node_read(struct vol *v, struct vol_node *n, unsigned level)
{
	const char *wrong;
	int r;

	if (!vol_in_groups(&v->super, n->block, 1))
		return vol_fail(v, -EIO, "a node refers to block %" PRIu64 ", which cannot be one",
				n->block);
	r = vol_read_meta(v, n->buf, n->block);
	if (r < 0)
		return vol_fail(v, -EIO, "block %" PRIu64 " cannot be read: %s", n->block, strerror(-r));
	wrong = vol_check_head(&v->super, n->buf, n->block, VF_KIND_NODE);
	if (!wrong)
		wrong = vol_check_node(n->buf, level);
	return wrong ? vol_fail(v, -EIO, "node at block %" PRIu64 ": %s", n->block, wrong) : 0;
}

int vol_cache_load(struct vol *v, uint64_t block, unsigned level, struct vol_node **ret)
{
	struct vol_node *n = vol_cache_find(v, block);
	int r;

	if (n) {
		if (vol_head(n->buf)->level != level) /* a node that is its own descendant */
			return vol_fail(v, -EIO, "node at block %" PRIu64 " is used on two levels", block);
		*ret = n;
		return 0;
	}
	n = node_new(v, block);
	if (!n)
		return -ENOMEM;
	r = node_read(v, n, level);
	if (r < 0) {
		vol_buffer_put(v, n->buf);
		free(n);
		return r;
	}
	return cache_add(v, n, ret);
}

static void node_mark(struct vol_cache *c, struct vol_node *n)
{
	n->dirty = true;
	n->next = c->dirty;
	n->prev = &c->dirty;
	if (n->next)
		n->next->prev = &n->next;
	c->dirty = n;
	__atomic_add_fetch(&c->dirty_count, 1, __ATOMIC_RELAXED);
}

int vol_cache_new(struct vol *v, uint64_t block, unsigned level, struct vol_node **ret)
{
	struct vol_node *n = node_new(v, block), *added;
	int r;

	if (!n)
		return -ENOMEM;
	vol_leaf_init(n->buf, level);
	r = cache_add(v, n, &added);
	if (r < 0)
		return r;
	if (added != n)
		return vol_fail(v, -EIO, "free block %" PRIu64 " is a node", block);
	node_mark(&v->cache, n);
	*ret = n;
	return 0;
}

int vol_cache_change(struct vol *v, struct vol_node *n)
{
	uint8_t *copy;

	if (n->shared) {
		copy = vol_buffer_get(v);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, n->buf, VF_BLOCK);
		n->buf = copy; /* the checkpoint frees the old one */
		n->shared = false;
	}
	if (!n->dirty)
		node_mark(&v->cache, n);
	return 0;
}

static void node_unhash(struct vol_cache *c, struct vol_node *n)
{
	struct vol_node **p = bucket_of(c, n->block);

	while (*p != n)
		p = &(*p)->hash_next;
	*p = n->hash_next;
}

static void node_free(struct vol *v, size_t place)
{
	struct vol_cache *c = &v->cache;
	struct vol_node *n = c->all[place];

	node_unhash(c, n);
	c->all[place] = c->all[--c->count];
	if (!n->shared)
		vol_buffer_put(v, n->buf);
	free(n);
}

void vol_cache_drop(struct vol *v, struct vol_node *n)
{
	struct vol_cache *c = &v->cache;

	if (n->dirty) {
		*n->prev = n->next;
		if (n->next)
			n->next->prev = n->prev;
		n->dirty = false;
		__atomic_sub_fetch(&c->dirty_count, 1, __ATOMIC_RELAXED);
	}
	/* Its place in `all` is found when the hand comes by: it is unreachable, clean and unused until
	 * then. */
	node_unhash(c, n);
	if (!n->shared)
		vol_buffer_put(v, n->buf);
	n->shared = false;
	n->buf = NULL;
}

/* The node under the hand goes if it is not needed, dropped ones always. */
static void shrink_step(struct vol *v)
{
	struct vol_cache *c = &v->cache;
	struct vol_node *n;

	if (c->hand >= c->count)
		c->hand = 0;
	n = c->all[c->hand];
	if (!n->buf) {
		c->all[c->hand] = c->all[--c->count];
		free(n);
	} else if (n->dirty || n->shared || n->used) {
		n->used = false;
		c->hand++;
	} else {
		node_free(v, c->hand);
	}
}

void vol_cache_shrink(struct vol *v)
{
	struct vol_cache *c = &v->cache;

	for (int i = 0; i < SHRINK_STEPS && c->count > c->max; i++)
		shrink_step(v);
}

int vol_cache_init(struct vol *v, size_t bytes)
{
	struct vol_cache *c = &v->cache;

	c->max = bytes / (VF_BLOCK + sizeof(struct vol_node));
	for (c->bucket_count = 1024; c->bucket_count < c->max; c->bucket_count *= 2)
		;
	pthread_mutex_init(&c->lock, NULL);
	c->bucket = calloc(c->bucket_count, sizeof(*c->bucket));
	return c->bucket ? 0 : -ENOMEM;
}

void vol_cache_fini(struct vol *v)
{
	struct vol_cache *c = &v->cache;

	for (size_t i = 0; i < c->count; i++) {
		vol_buffer_put(v, c->all[i]->buf);
		free(c->all[i]);
	}
	free(c->all);
	free(c->bucket);
	pthread_mutex_destroy(&c->lock);
}
