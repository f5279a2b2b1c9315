/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The B+tree that everything is in: finding and visiting items.
 *
 * Readers share tree_lock and read nodes from the area as they need them. A writer holds it alone and never
 * waits for the area meanwhile: if a node that it needs is not in memory it lets go, reads it as a reader
 * does, and starts again. tree-change.c has the writers.
 */
#include <errno.h>
#include <string.h>

#include "libservices/volume/tree.h"

int vol_path_find(struct vol *v, struct vf_key key, bool load, struct vol_path *ret)
{
	uint64_t block = v->root;
	int r;

	ret->has_upper = ret->has_lower = false;
	for (unsigned level = v->root_level;; level--) {
		struct vol_node *n = load ? NULL : vol_cache_find(v, block);
		if (load) {
			r = vol_cache_load(v, block, level, &n);
			if (r < 0)
				return r;
		} else if (!n) {
			return -EAGAIN;
		}
		ret->node[level] = n;
		if (level == 0)
			return 0;
		unsigned at = vol_inner_search(n->buf, key);
		ret->at[level] = at;
		if (at > 0) {
			ret->lower = vol_inner_key(n->buf, at);
			ret->has_lower = true;
		}
		if (at + 1 < vol_head(n->buf)->count) {
			ret->upper = vol_inner_key(n->buf, at + 1);
			ret->has_upper = true;
		}
		block = vol_inner_child(n->buf, at);
	}
}

/* Readers cannot make room in the cache; when they have filled it, it is done after them. */
static void reader_end(struct vol *v)
{
	bool full = __atomic_load_n(&v->cache.count, __ATOMIC_RELAXED) > v->cache.max;

	fair_unlock(&v->tree_lock);
	if (full && fair_lock_try_write(&v->tree_lock)) {
		vol_cache_shrink(v);
		fair_unlock(&v->tree_lock);
	}
}

static int answer(const uint8_t *leaf, unsigned i, void *value, unsigned max)
{
	unsigned length;
	const void *from = vol_leaf_value(leaf, i, &length);

	if (max)
		memcpy(value, from, length < max ? length : max);
	return length;
}

int vol_tree_get(struct vol *v, struct vf_key key, void *value, unsigned max)
{
	struct vol_path path;
	bool found;
	int r;

	fair_lock_read(&v->tree_lock);
	r = vol_path_find(v, key, true, &path);
	if (r == 0) {
		unsigned i = vol_leaf_search(path.node[0]->buf, key, &found);
		r = found ? answer(path.node[0]->buf, i, value, max) : -ENOENT;
	}
	reader_end(v);
	return r;
}

/* What one leaf has of it. 1: visit has had enough, or there is no more. */
static int scan_leaf(const struct vol_path *path, struct vf_key from, struct vf_key to, vol_visit *visit,
		     void *arg)
{
	const uint8_t *leaf = path->node[0]->buf;
	bool found;

	for (unsigned i = vol_leaf_search(leaf, from, &found); i < vol_head(leaf)->count; i++) {
		struct vf_key key = vol_leaf_key(leaf, i);
		unsigned length;
		const void *value = vol_leaf_value(leaf, i, &length);
		if (vol_key_compare(key, to) > 0 || visit(arg, key, value, length))
			return 1;
	}
	return !path->has_upper || vol_key_compare(path->upper, to) > 0;
}

int vol_tree_scan(struct vol *v, struct vf_key from, struct vf_key to, vol_visit *visit, void *arg)
{
	struct vol_path path;
	int r;

	fair_lock_read(&v->tree_lock);
	while ((r = vol_path_find(v, from, true, &path)) == 0) {
		if (scan_leaf(&path, from, to, visit, arg))
			break;
		if (vol_key_compare(path.upper, from) <= 0) {
			r = vol_fail(v, -EIO, "the tree leads back to where it came from");
			break;
		}
		from = path.upper;
	}
	reader_end(v);
	return r;
}

struct first {
	struct vf_key *key;
	void *value;
	unsigned max;
	int result;
};

static int take_first(void *arg, struct vf_key key, const void *value, unsigned length)
{
	struct first *f = arg;

	*f->key = key;
	if (f->max)
		memcpy(f->value, value, length < f->max ? length : f->max);
	f->result = length;
	return 1;
}

int vol_tree_first(struct vol *v, struct vf_key from, struct vf_key to, struct vf_key *ret, void *value,
		   unsigned max)
{
	struct first f = {ret, value, max, -ENOENT};
	int r = vol_tree_scan(v, from, to, take_first, &f);

	return r < 0 ? r : f.result;
}

static struct vf_key key_before(struct vf_key key)
{
	if (key.lo-- == 0)
		key.hi--;
	return key;
}

int vol_tree_last(struct vol *v, struct vf_key from, struct vf_key to, struct vf_key *ret, void *value,
		  unsigned max)
{
	struct vol_path path;
	bool found;
	int r;

	fair_lock_read(&v->tree_lock);
	while ((r = vol_path_find(v, to, true, &path)) == 0) {
		const uint8_t *leaf = path.node[0]->buf;
		unsigned i = vol_leaf_search(leaf, to, &found) + found;
		if (i > 0) {
			struct vf_key key = vol_leaf_key(leaf, i - 1);
			r = -ENOENT;
			if (vol_key_compare(key, from) >= 0) {
				*ret = key;
				r = answer(leaf, i - 1, value, max);
			}
			break;
		}
		r = -ENOENT;
		if (!path.has_lower || vol_key_compare(path.lower, from) <= 0 ||
		    vol_key_compare(path.lower, to) > 0)
			break;
		to = key_before(path.lower);
	}
	reader_end(v);
	return r;
}
