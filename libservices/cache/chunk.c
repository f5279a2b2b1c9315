/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunks of a file: a tree with 64 ways a node, as high as the highest chunk needs, so that a file may
 * be sparse and of any size. A file of one chunk at its start has no node. Each node knows which ways lead
 * to dirty pages.
 *
 * With the file's lock held, for writing but for find and from.
 */
#include <stdlib.h>

#include "libservices/cache/cache.h"

enum { WAY_BITS = 6, WAYS = 1 << WAY_BITS, HEIGHT_MAX = 9 };

struct node {
	uint64_t used, dirty;
	void *way[WAYS];
};

static unsigned way_of(uint64_t index, unsigned height)
{
	return index >> WAY_BITS * (height - 1) & (WAYS - 1);
}

static bool is_within(uint64_t index, unsigned height)
{
	return height * WAY_BITS >= 64 || index >> height * WAY_BITS == 0;
}

struct chunk *chunk_find(const struct cinode *c, uint64_t index)
{
	void *p = c->root;

	if (!is_within(index, c->height))
		return NULL;
	for (unsigned h = c->height; h > 0 && p; h--)
		p = ((struct node *)p)->way[way_of(index, h)];
	return p;
}

/* One node more above the root. */
static bool tree_grow(struct cinode *c)
{
	struct node *node;

	if (c->root) {
		node = calloc(1, sizeof(*node));
		if (!node)
			return false;
		node->way[0] = c->root;
		node->used = 1;
		node->dirty = c->height ? ((struct node *)c->root)->dirty != 0
					: ((struct chunk *)c->root)->dirty != 0;
		c->root = node;
	}
	c->height++;
	return true;
}

static void tree_trim(struct cinode *c, uint64_t index);

static bool tree_add(struct cinode *c, struct chunk *chunk)
{
	void **p = &c->root;

	while (!is_within(chunk->index, c->height))
		if (!tree_grow(c))
			return false;
	for (unsigned h = c->height; h > 0; h--) {
		struct node *node = *p;
		if (!node && !(node = *p = calloc(1, sizeof(*node)))) {
			tree_trim(c, chunk->index);
			return false;
		}
		node->used |= 1ull << way_of(chunk->index, h);
		p = &node->way[way_of(chunk->index, h)];
	}
	*p = chunk;
	return true;
}

/* After the chunk's place became NULL: nodes without chunks go. */
static void tree_trim(struct cinode *c, uint64_t index)
{
	struct node *path[HEIGHT_MAX + 2] = {NULL};
	void *p = c->root;
	bool empty = true;

	for (unsigned h = c->height; h > 0 && p; h--) {
		path[h] = p;
		p = path[h]->way[way_of(index, h)];
	}
	for (unsigned h = 1; h <= c->height && empty; h++) {
		uint64_t bit = 1ull << way_of(index, h);
		if (!path[h])
			continue;
		path[h]->way[way_of(index, h)] = NULL;
		path[h]->used &= ~bit;
		path[h]->dirty &= ~bit;
		empty = path[h]->used == 0;
		if (empty)
			free(path[h]);
	}
	if (empty) {
		c->root = NULL;
		c->height = 0;
	}
}

void chunk_tag(struct cinode *c, const struct chunk *chunk)
{
	struct node *path[HEIGHT_MAX + 2];
	bool dirty = chunk->dirty != 0;
	void *p = c->root;

	for (unsigned h = c->height; h > 0; h--) {
		path[h] = p;
		p = path[h]->way[way_of(chunk->index, h)];
	}
	for (unsigned h = 1; h <= c->height; h++) {
		uint64_t bit = 1ull << way_of(chunk->index, h);
		if (dirty)
			path[h]->dirty |= bit;
		else
			path[h]->dirty &= ~bit;
		dirty = path[h]->dirty != 0;
	}
}

static struct chunk *node_from(const struct node *node, unsigned height, uint64_t index, bool dirty)
{
	unsigned first = way_of(index, height);
	uint64_t ways = (dirty ? node->dirty : node->used) & ~0ull << first;

	for (; ways; ways &= ways - 1) {
		unsigned way = __builtin_ctzll(ways);
		struct chunk *found;
		if (height == 1)
			return node->way[way];
		found = node_from(node->way[way], height - 1, way == first ? index : 0, dirty);
		if (found)
			return found;
	}
	return NULL;
}

struct chunk *chunk_from(const struct cinode *c, uint64_t index, bool dirty)
{
	struct chunk *chunk = c->root;

	if (!c->root || !is_within(index, c->height))
		return NULL;
	if (c->height)
		return node_from(c->root, c->height, index, dirty);
	return !dirty || chunk->dirty ? chunk : NULL;
}

struct chunk *chunk_make(struct cinode *c, uint64_t index)
{
	struct chunk *chunk = chunk_find(c, index);

	if (chunk)
		return chunk;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->inode = c;
	chunk->index = index;
	if (!tree_add(c, chunk)) {
		free(chunk);
		return NULL;
	}
	if (c->chunks++ == 0)
		cinode_hold(c); /* its pages keep it known */
	queue_enter(c->cache->budget, chunk);
	budget_charge(c->cache->budget, chunk, sizeof(*chunk) + (c->chunks == 1 ? sizeof(*c) : 0));
	return chunk;
}

void chunk_free(struct chunk *chunk)
{
	struct cinode *c = chunk->inode;

	queue_leave(c->cache->budget, chunk);
	budget_charge(c->cache->budget, chunk, -(int64_t)chunk->charged);
	tree_trim(c, chunk->index);
	if (--c->chunks == 0)
		__atomic_sub_fetch(&c->users, 1,
				   __ATOMIC_RELAXED); /* never the last: the caller holds it */
	free(chunk->hash);
	free(chunk);
}
