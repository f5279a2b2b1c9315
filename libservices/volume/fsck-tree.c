/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of items: the tree's leaves from the first to the last, merged with the items that lie over
 * them.
 *
 * The children of a node above the leaves are read together, in one transfer. A node that is damaged is
 * left out, with everything below it; what stands around it goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

enum pass {
	PASS_NODES, /* only which blocks the tree has: before a file can claim them */
	PASS_FIRST, /* says what is wrong */
	PASS_AGAIN,
};

struct scan {
	struct fsck *f;
	enum pass pass;
	fsck_visit *visit;
	void *arg;
	struct vf_key from, to; /* only items from <= key <= to */
	size_t next;            /* of the items laid over */
	uint8_t *level[VF_LEVEL_MAX + 1];
	uint8_t *leaves;                  /* the children of the node of level 1 */
	uint64_t value[VF_VALUE_MAX / 8]; /* of an item, aligned as its structure wants to be */
};

/* All keys k of a subtree: from <= k, and k < to if there is a `to`. */
struct span {
	struct vf_key from, to;
	bool bounded;
};

static int item_visit(struct scan *s, struct vf_key key, const uint8_t *value, unsigned length)
{
	if (vol_key_compare(key, s->from) < 0 || vol_key_compare(key, s->to) > 0)
		return 0;
	if (length)
		memcpy(s->value, value, length);
	return s->visit(s->f, key, (const uint8_t *)s->value, length, s->arg);
}

/* What lies over the tree below that key (or all, without one). *ret_same: there is one with the key. */
static int over_visit(struct scan *s, const struct vf_key *key, bool *ret_same)
{
	const struct fsck_over *o = &s->f->over;
	int r = 0;

	for (; r == 0 && s->next < o->count; s->next++) {
		const struct fsck_item *item = &o->item[s->next];
		int order = key ? vol_key_compare(item->key, *key) : -1;
		if (order > 0)
			break;
		if (order == 0)
			*ret_same = true;
		if (item->length != FSCK_GONE)
			r = item_visit(s, item->key, item->value, item->length);
	}
	return r;
}

static int leaf_visit(struct scan *s, const uint8_t *buf)
{
	int r = 0;

	for (unsigned i = 0; i < vol_head(buf)->count && r == 0; i++) {
		struct vf_key key = vol_leaf_key(buf, i);
		bool same = false;
		unsigned length;
		const void *value = vol_leaf_value(buf, i, &length);

		if (s->pass == PASS_FIRST)
			s->f->base_inodes += (key.hi & 255) == VF_INODE;
		r = over_visit(s, &key, &same);
		if (r == 0 && !same)
			r = item_visit(s, key, value, length);
	}
	return r;
}

static void node_lost(struct scan *s, uint64_t block, const char *wrong)
{
	if (s->pass == PASS_FIRST)
		fsck_say(s->f, FSCK_DAMAGE, 0, block, "block %" PRIu64 " should be a node of the tree: %s",
			 block, wrong);
	s->f->lost = true;
}

static bool within(const struct span *span, struct vf_key key)
{
	return vol_key_compare(key, span->from) >= 0 &&
	       (!span->bounded || vol_key_compare(key, span->to) < 0);
}

/* Are its keys those that its parent promises? */
static const char *node_keys(const uint8_t *buf, const struct span *span, bool root)
{
	const struct vf_head *h = vol_head(buf);
	unsigned first = h->level ? 1 : 0;

	if (!root && h->count == 0)
		return "it is empty";
	if (root && h->level && h->count < 2)
		return "it is a root with one child";
	if (h->count > first) {
		struct vf_key a = h->level ? vol_inner_key(buf, first) : vol_leaf_key(buf, 0);
		struct vf_key z =
		    h->level ? vol_inner_key(buf, h->count - 1) : vol_leaf_key(buf, h->count - 1);
		if (!within(span, a) || !within(span, z))
			return "its items belong elsewhere";
	}
	return NULL;
}

static const char *node_wrong(struct scan *s, uint64_t block, const uint8_t *buf, unsigned level,
			      const struct span *span)
{
	const char *wrong = vol_check_head(&s->f->super, buf, block, VF_KIND_NODE);

	if (!wrong && vol_head(buf)->generation > s->f->super.generation)
		wrong = "it is of the future";
	if (!wrong)
		wrong = vol_check_node(buf, level);
	if (!wrong)
		wrong = node_keys(buf, span, block == s->f->super.root);
	return wrong;
}

static struct span span_of(const uint8_t *buf, unsigned i, const struct span *all)
{
	struct span span = *all;

	if (i > 0)
		span.from = vol_inner_key(buf, i);
	if (i + 1u < vol_head(buf)->count) {
		span.to = vol_inner_key(buf, i + 1);
		span.bounded = true;
	}
	return span;
}

/* Has nobody else it? Only the first to come gets any further, so a tree that runs into itself has an end.
 */
static bool node_own(struct scan *s, uint64_t block)
{
	s->f->counts->nodes++;
	if (fsck_own(s->f, block, 1))
		return true;
	fsck_say(s->f, FSCK_DAMAGE, 0, block, "block %" PRIu64 " is a node of the tree twice", block);
	return false;
}

/* Reads all leaves below a node in one transfer; if that fails, each is read alone later. */
static bool leaves_read(struct scan *s, const uint8_t *buf)
{
	unsigned count = vol_head(buf)->count;
	struct area_range range[VF_CHILDREN_MAX];
	struct iovec iov = {s->leaves, (size_t)count * VF_BLOCK};
	struct area_io io = {
	    .op = AREA_READ, .iov = &iov, .iov_count = 1, .ranges = range, .range_count = count};

	for (unsigned i = 0; i < count; i++) {
		if (!vol_in_groups(&s->f->super, vol_inner_child(buf, i), 1))
			return false;
		range[i] = (struct area_range){vol_inner_child(buf, i) * VF_BLOCK, VF_BLOCK};
	}
	return s->f->image_count == 0 && area_run(s->f->area, &io) == 0;
}

static int subtree_scan(struct scan *s, uint64_t block, unsigned level, struct span span,
			const uint8_t *here);

static int children_scan(struct scan *s, const uint8_t *buf, unsigned level, const struct span *span)
{
	bool ahead = level == 1 && s->pass != PASS_NODES && leaves_read(s, buf);
	int r = 0;

	for (unsigned i = 0; i < vol_head(buf)->count && r == 0; i++) {
		struct span part = span_of(buf, i, span);
		if (vol_key_compare(part.from, s->to) > 0 ||
		    (part.bounded && vol_key_compare(part.to, s->from) <= 0))
			continue;
		r = subtree_scan(s, vol_inner_child(buf, i), level - 1, part,
				 ahead ? s->leaves + (size_t)i * VF_BLOCK : NULL);
	}
	return r;
}

/* `here`: its bytes, if they have been read. */
static int subtree_scan(struct scan *s, uint64_t block, unsigned level, struct span span,
			const uint8_t *here)
{
	uint8_t *buf = s->level[level];
	const char *wrong = NULL;
	int r = 0;

	if (!vol_in_groups(&s->f->super, block, 1)) {
		node_lost(s, block, "it is not within the volume");
		return 0;
	}
	if (s->pass == PASS_NODES && (!node_own(s, block) || level == 0))
		return 0;
	if (!here)
		wrong = fsck_read_block(s->f, block, VF_KIND_NODE, buf, &r);
	here = here ? here : buf;
	if (!wrong)
		wrong = node_wrong(s, block, here, level, &span);
	if (wrong) {
		node_lost(s, block, wrong);
		return 0;
	}
	if (level == 0)
		return leaf_visit(s, here);
	return children_scan(s, here, level, &span);
}

static int scan(struct fsck *f, bool first, struct vf_key from, struct vf_key to, fsck_visit *visit,
		void *arg)
{
	struct scan s = {.f = f, .visit = visit, .arg = arg, .from = from, .to = to};
	struct span all = {{0, 0}, {0, 0}, false};
	uint8_t *space = aligned_alloc(VF_BLOCK, (VF_LEVEL_MAX + 1 + VF_CHILDREN_MAX) * VF_BLOCK);
	bool same;
	int r;

	if (!space)
		return fsck_fail(f, -ENOMEM, "out of memory");
	for (unsigned i = 0; i <= VF_LEVEL_MAX; i++)
		s.level[i] = space + (size_t)i * VF_BLOCK;
	s.leaves = space + (size_t)(VF_LEVEL_MAX + 1) * VF_BLOCK;
	s.pass = first ? PASS_NODES : PASS_AGAIN;
	r = subtree_scan(&s, f->super.root, f->super.root_level, all, NULL);
	if (r == 0 && first) {
		s.pass = PASS_FIRST;
		r = subtree_scan(&s, f->super.root, f->super.root_level, all, NULL);
	}
	if (r == 0)
		r = over_visit(&s, NULL, &same);
	free(space);
	return r;
}

int fsck_tree_scan(struct fsck *f, bool first, fsck_visit *visit, void *arg)
{
	return scan(f, first, (struct vf_key){0, 0}, (struct vf_key){UINT64_MAX, UINT64_MAX}, visit, arg);
}

int fsck_tree_range(struct fsck *f, struct vf_key from, struct vf_key to, fsck_visit *visit, void *arg)
{
	return scan(f, false, from, to, visit, arg);
}
