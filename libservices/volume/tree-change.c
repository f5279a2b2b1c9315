/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The B+tree, changing: items come and go; nodes split when they are full, join a neighbour when there is
 * little left in both, and go when they are empty.
 *
 * A node that runs full at its end is not halved: what comes next goes to the node on the right, if that
 * has room, or to a new one. So items that come in ascending order, as new inodes do, or in descending
 * order, fill their nodes.
 */
#include <errno.h>
#include <string.h>

#include "libservices/volume/tree.h"

enum {
	CAPACITY = VF_BLOCK - VF_HEAD,
	SLOT = sizeof(struct vf_slot),
	SPARSE = CAPACITY / 3,
	JOINED = CAPACITY * 4 / 5
};

static int path_load(struct vol *v, struct vf_key key)
{
	struct vol_path path;
	int r;

	fair_lock_read(&v->tree_lock);
	r = vol_path_find(v, key, true, &path);
	fair_unlock(&v->tree_lock);
	return r;
}

/* Takes tree_lock alone when the whole path is in memory. */
static int change_begin(struct vol *v, struct vf_key key, struct vol_path *ret)
{
	for (;;) {
		fair_lock_write(&v->tree_lock);
		if (vol_path_find(v, key, false, ret) == 0)
			return 0;
		vol_cache_shrink(v);
		fair_unlock(&v->tree_lock);
		int r = path_load(v, key);
		if (r < 0)
			return r;
	}
}

static int change_end(struct vol *v, int r)
{
	vol_cache_shrink(v);
	fair_unlock(&v->tree_lock);
	return r;
}

static int node_new(struct vol *v, unsigned level, struct vol_node **ret)
{
	uint64_t block;
	int r = vol_space_node_new(v, &block);

	return r < 0 ? r : vol_cache_new(v, block, level, ret);
}

static int node_free(struct vol *v, struct vol_node *n)
{
	uint64_t block = n->block;

	vol_cache_drop(v, n);
	return vol_space_node_free(v, block);
}

/* ---- growing --------------------------------------------------------------------------------- */

static int root_grow(struct vol *v, struct vf_key key, uint64_t block)
{
	struct vol_node *n;
	int r;

	if (v->root_level + 1 >= VF_LEVEL_MAX)
		return -EIO;
	r = node_new(v, v->root_level + 1, &n);
	if (r < 0)
		return r;
	vol_inner_insert(n->buf, 0, (struct vf_key){0, 0}, v->root);
	vol_inner_insert(n->buf, 1, key, block);
	v->root = n->block;
	v->root_level++;
	return 0;
}

/* Adds a child at `level`, to the right of the one that the path takes. */
static int child_add(struct vol *v, struct vol_path *path, unsigned level, struct vf_key key,
		     uint64_t block)
{
	struct vol_node *n, *right;
	unsigned at, count, middle;
	struct vf_key between = key;
	int r;

	if (level > v->root_level)
		return root_grow(v, key, block);
	n = path->node[level];
	r = vol_cache_change(v, n);
	at = path->at[level] + 1;
	count = vol_head(n->buf)->count;
	if (r == 0 && count < VF_CHILDREN_MAX)
		vol_inner_insert(n->buf, at, key, block);
	if (r < 0 || count < VF_CHILDREN_MAX)
		return r;
	r = node_new(v, level, &right);
	if (r < 0)
		return r;
	middle = at == count ? count : count / 2;
	if (middle < count)
		between = vol_inner_key(n->buf, middle);
	vol_inner_move(n->buf, middle, right->buf, between);
	if (at > middle || middle == count)
		vol_inner_insert(right->buf, at - middle, key, block);
	else
		vol_inner_insert(n->buf, at, key, block);
	return child_add(v, path, level + 1, between, right->block);
}

/*
 * Where to cut a leaf that gets an item of `size` bytes before slot i: how many of its items, the new one
 * counted, stay. The larger side is as small as can be, and then always small enough.
 */
static unsigned leaf_cut(const uint8_t *buf, unsigned i, unsigned size)
{
	unsigned count = vol_head(buf)->count, length, best = 1, best_size = UINT32_MAX, left = 0;
	unsigned total = count * SLOT + vol_head(buf)->used + size, larger;

	if (i == count)
		return count;
	for (unsigned n = 0; n < count; n++) { /* of the n + 1 first ones */
		if (n == i)
			left += size;
		else
			vol_leaf_value(buf, n < i ? n : n - 1, &length), left += SLOT + length;
		larger = left > total - left ? left : total - left;
		if (larger < best_size) {
			best = n + 1;
			best_size = larger;
		}
	}
	return best;
}

static int leaf_split(struct vol *v, struct vol_path *path, unsigned i, struct vf_key key,
		      const void *value, unsigned length)
{
	struct vol_node *n = path->node[0], *right;
	unsigned cut = leaf_cut(n->buf, i, SLOT + length);
	int r = node_new(v, 0, &right);

	if (r < 0)
		return r;
	if (cut <= i) {
		vol_leaf_move(n->buf, cut, right->buf);
		vol_leaf_insert(right->buf, i - cut, key, value, length);
	} else {
		vol_leaf_move(n->buf, cut - 1, right->buf);
		vol_leaf_insert(n->buf, i, key, value, length);
	}
	return child_add(v, path, 1, vol_leaf_key(right->buf, 0), right->block);
}

/* An item that would be the last of a full leaf becomes the first of the next one, if that is at hand and
 * has room. */
static int leaf_pass_on(struct vol *v, struct vol_path *path, struct vf_key key, const void *value,
			unsigned length, bool *ret_done)
{
	struct vol_node *parent = path->node[1], *right;
	unsigned at = path->at[1] + 1;
	int r;

	if (v->root_level == 0 || at >= vol_head(parent->buf)->count)
		return 0;
	right = vol_cache_find(v, vol_inner_child(parent->buf, at));
	if (!right || vol_leaf_room(right->buf) < SLOT + length)
		return 0;
	r = vol_cache_change(v, right);
	if (r == 0)
		r = vol_cache_change(v, parent);
	if (r < 0)
		return r;
	vol_leaf_insert(right->buf, 0, key, value, length);
	vol_inner_set_key(parent->buf, at, key);
	*ret_done = true;
	return 0;
}

/* There is no room for it at slot i. */
static int leaf_overflow(struct vol *v, struct vol_path *path, unsigned i, struct vf_key key,
			 const void *value, unsigned length)
{
	bool done = false;
	int r = 0;

	if (i == vol_head(path->node[0]->buf)->count)
		r = leaf_pass_on(v, path, key, value, length, &done);
	return r < 0 || done ? r : leaf_split(v, path, i, key, value, length);
}

int vol_tree_put(struct vol *v, struct vf_key key, const void *value, unsigned length)
{
	struct vol_path path;
	bool found;
	unsigned i, old;
	uint8_t *buf;
	int r = change_begin(v, key, &path);

	if (r < 0)
		return r;
	r = vol_cache_change(v, path.node[0]);
	if (r < 0)
		return change_end(v, r);
	buf = path.node[0]->buf;
	i = vol_leaf_search(buf, key, &found);
	if (found) {
		vol_leaf_value(buf, i, &old);
		if (length <= old || length - old <= vol_leaf_room(buf)) {
			vol_leaf_replace(buf, i, value, length);
			return change_end(v, 0);
		}
		vol_leaf_remove(buf, i);
	}
	if (vol_leaf_room(buf) >= SLOT + length)
		vol_leaf_insert(buf, i, key, value, length);
	else
		r = leaf_overflow(v, &path, i, key, value, length);
	return change_end(v, r < 0 ? r : !found);
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* A root with one child is not needed. */
static int root_shrink(struct vol *v)
{
	struct vol_node *n;
	uint64_t child;
	int r = 0;

	while (r == 0 && v->root_level > 0 && (n = vol_cache_find(v, v->root)) &&
	       vol_head(n->buf)->count == 1) {
		child = vol_inner_child(n->buf, 0);
		r = node_free(v, n);
		v->root = child;
		v->root_level--;
	}
	return r;
}

static unsigned node_fill(const struct vol_node *n, unsigned level)
{
	return level ? vol_head(n->buf)->count * sizeof(struct vf_child) : CAPACITY - vol_leaf_room(n->buf);
}

static int node_shrunk(struct vol *v, struct vol_path *path, unsigned level);

static int child_remove(struct vol *v, struct vol_path *path, unsigned level, unsigned at,
			struct vol_node *child)
{
	struct vol_node *parent = path->node[level];
	int r = vol_cache_change(v, parent);

	if (r < 0)
		return r;
	vol_inner_remove(parent->buf, at);
	r = node_free(v, child);
	return r < 0 ? r : node_shrunk(v, path, level);
}

/* Moves what child at + 1 of path->node[level] has to child `at`, if both are in memory and there is
 * little. */
static int children_join(struct vol *v, struct vol_path *path, unsigned level, unsigned at, bool *ret_done)
{
	struct vol_node *parent = path->node[level], *left, *right;
	int r;

	left = vol_cache_find(v, vol_inner_child(parent->buf, at));
	right = vol_cache_find(v, vol_inner_child(parent->buf, at + 1));
	if (!left || !right || node_fill(left, level - 1) + node_fill(right, level - 1) > JOINED)
		return 0;
	r = vol_cache_change(v, left);
	if (r == 0)
		r = vol_cache_change(v, right);
	if (r < 0)
		return r;
	if (level == 1)
		vol_leaf_move(right->buf, 0, left->buf);
	else
		vol_inner_move(right->buf, 0, left->buf, vol_inner_key(parent->buf, at + 1));
	*ret_done = true;
	return child_remove(v, path, level, at + 1, right);
}

/* Something was removed from the path's node of that level. */
static int node_shrunk(struct vol *v, struct vol_path *path, unsigned level)
{
	struct vol_node *n = path->node[level], *parent;
	unsigned at;
	bool done = false;
	int r = 0;

	if (level == v->root_level)
		return root_shrink(v);
	parent = path->node[level + 1];
	at = path->at[level + 1];
	if (vol_head(n->buf)->count == 0)
		return child_remove(v, path, level + 1, at, n);
	if (node_fill(n, level) > SPARSE)
		return 0;
	if (at + 1 < vol_head(parent->buf)->count)
		r = children_join(v, path, level + 1, at, &done);
	if (r == 0 && !done && at > 0)
		r = children_join(v, path, level + 1, at - 1, &done);
	return r;
}

int vol_tree_del(struct vol *v, struct vf_key key)
{
	struct vol_path path;
	bool found;
	unsigned i;
	int r = change_begin(v, key, &path);

	if (r < 0)
		return r;
	i = vol_leaf_search(path.node[0]->buf, key, &found);
	if (!found)
		return change_end(v, 0);
	r = vol_cache_change(v, path.node[0]);
	if (r < 0)
		return change_end(v, r);
	vol_leaf_remove(path.node[0]->buf, i);
	r = node_shrunk(v, &path, 0);
	return change_end(v, r < 0 ? r : 1);
}
