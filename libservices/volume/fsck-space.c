/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space: the bitmaps, as the journal has changed them, against what somebody has. Bitmaps of groups that
 * nobody ever used are not there, so a large volume costs as much memory as is used of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

enum { BITMAP_BYTES = VF_BLOCK - VF_HEAD };

static bool bit_get(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

static void bit_put(uint8_t *bits, uint64_t i, bool set)
{
	bits[i / 8] = (bits[i / 8] & ~(1u << i % 8)) | (unsigned)set << i % 8;
}

int fsck_space_init(struct fsck *f)
{
	f->group_count = (f->super.blocks - f->super.groups_start + VF_GROUP_BLOCKS - 1) / VF_GROUP_BLOCKS;
	f->owned = calloc(f->group_count, sizeof(*f->owned));
	return f->owned ? 0 : fsck_fail(f, -ENOMEM, "out of memory");
}

void fsck_space_fini(struct fsck *f)
{
	for (uint64_t g = 0; f->owned && g < f->group_count; g++)
		free(f->owned[g]);
	free(f->owned);
	f->owned = NULL;
}

/* What the group's own metadata take, and what lies beyond the volume's end. */
static void own_fixed(const struct fsck *f, uint64_t group, uint8_t *bits)
{
	for (uint64_t i = 0; i < fsck_group_own(group); i++)
		bit_put(bits, i, true);
	for (uint64_t i = fsck_group_blocks(f, group); i < VF_GROUP_BLOCKS; i++)
		bit_put(bits, i, true);
}

static uint8_t *group_owned(struct fsck *f, uint64_t group)
{
	if (!f->owned[group]) {
		f->owned[group] = calloc(1, BITMAP_BYTES);
		if (f->owned[group])
			own_fixed(f, group, f->owned[group]);
	}
	return f->owned[group];
}

bool fsck_own(struct fsck *f, uint64_t start, uint64_t count)
{
	uint64_t group = (start - f->super.groups_start) / VF_GROUP_BLOCKS,
		 first = start - fsck_group_start(f, group);
	uint8_t *bits = group_owned(f, group);
	bool free = true;

	for (uint64_t i = first; bits && i < first + count && free; i++)
		free = !bit_get(bits, i);
	for (uint64_t i = first; bits && i < first + count && free; i++)
		bit_put(bits, i, true);
	return free;
}

/* ---- the bitmaps ---------------------------------------------------------------------------------- */

static uint64_t count_free(const uint8_t *bits)
{
	const uint64_t *words = (const void *)bits;
	uint64_t used = 0;

	for (unsigned i = 0; i < BITMAP_BYTES / 8; i++)
		used += __builtin_popcountll(words[i]);
	return VF_GROUP_BLOCKS - used;
}

static uint64_t span_group(const struct fsck *f, const struct fsck_span *s)
{
	return (s->start - f->super.groups_start) / VF_GROUP_BLOCKS;
}

/* A span lies within one group. */
static int span_compare(const void *a, const void *b, void *arg)
{
	const struct fsck_span *x = a, *y = b;
	uint64_t g = span_group(arg, x), h = span_group(arg, y);

	if (g != h)
		return g < h ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Groups come in their order, and so do spans: *next is the first of those that are left. */
static void apply_journal(const struct fsck *f, uint64_t group, uint8_t *bits, size_t *next)
{
	uint64_t start = fsck_group_start(f, group);

	while (*next < f->span_count && span_group(f, &f->span[*next]) < group)
		++*next;
	for (; *next < f->span_count && span_group(f, &f->span[*next]) == group; ++*next) {
		const struct fsck_span *s = &f->span[*next];
		for (uint64_t b = s->start - start; b < s->start - start + s->count; b++)
			bit_put(bits, b, s->used);
	}
}

/* How many bits differ, and the first. */
static uint64_t differences(const uint8_t *a, const uint8_t *b, uint64_t *ret_first)
{
	uint64_t n = 0;

	for (unsigned byte = 0; byte < BITMAP_BYTES; byte++) {
		uint8_t differ = a[byte] & ~b[byte];
		if (differ && !n)
			*ret_first = byte * 8 + __builtin_ctz(differ);
		n += __builtin_popcount(differ);
	}
	return n;
}

static void group_compare(struct fsck *f, uint64_t group, const uint8_t *marked, const uint8_t *owned)
{
	uint64_t first = 0, n = differences(owned, marked, &first), start = fsck_group_start(f, group);

	if (n) {
		fsck_say(f, FSCK_DAMAGE, 0, start + first,
			 "group %" PRIu64 ": %" PRIu64
			 " blocks are used and marked free, the first is %" PRIu64,
			 group, n, start + first);
		f->rewrite_space = true;
	}
	n = differences(marked, owned, &first);
	f->counts->blocks_leaked += n;
	if (n) {
		fsck_say(f, FSCK_LEAK, 0, start + first,
			 "group %" PRIu64 ": %" PRIu64
			 " blocks are marked used and nobody has them, the first is %" PRIu64,
			 group, n, start + first);
		f->rewrite_space = true;
	}
}

/* The bitmap as it lies on the area. */
static int group_read(struct fsck *f, uint64_t group, const struct vf_group *g, uint8_t *buf,
		      bool *ret_good)
{
	uint64_t block = fsck_group_start(f, group) + fsck_group_own(group) - 1;
	const char *wrong;
	int r = 0;

	*ret_good = true;
	if (g->flags & VF_GROUP_FRESH) {
		memset(buf, 0, VF_BLOCK);
		own_fixed(f, group, buf + VF_HEAD);
		return 0;
	}
	wrong = fsck_read_block(f, block, VF_KIND_BITMAP, buf, &r);
	if (!wrong && vol_head(buf)->owner != group)
		wrong = "it is of another group";
	if (!wrong)
		return r;
	*ret_good = false;
	f->rewrite_space = true;
	fsck_say(f, FSCK_DAMAGE, 0, block,
		 "block %" PRIu64 " should be the bitmap of group %" PRIu64 ": %s", block, group, wrong);
	return r;
}

/* From the first group to the last. */
struct sweep {
	uint8_t *groups, *bitmap; /* blocks */
	size_t next;              /* span of the journal */
	uint64_t free;
};

static void group_count_check(struct fsck *f, uint64_t group, const struct vf_group *g, uint64_t base)
{
	if (g->free == base && !(g->flags & ~VF_GROUP_FRESH))
		return;
	fsck_say(f, FSCK_DAMAGE, 0, 0, "group %" PRIu64 " has %" PRIu64 " free blocks and counts %u", group,
		 base, g->free);
	f->rewrite_space = true;
}

/* Nobody has ever used it: nothing is to be compared. A large volume is mostly like that. */
static bool group_untouched(struct fsck *f, uint64_t group, const struct vf_group *g, struct sweep *s)
{
	uint64_t base = fsck_group_blocks(f, group) - fsck_group_own(group);

	if (!(g->flags & VF_GROUP_FRESH) || f->owned[group] ||
	    (s->next < f->span_count && span_group(f, &f->span[s->next]) <= group))
		return false;
	s->free += base;
	f->counts->blocks_used += fsck_group_own(group);
	group_count_check(f, group, g, base);
	return true;
}

static int group_check(struct fsck *f, uint64_t group, const struct vf_group *g, struct sweep *s)
{
	uint64_t none[BITMAP_BYTES / 8] = {0}, base;
	uint8_t *bits = s->bitmap + VF_HEAD, *owned = f->owned[group] ? f->owned[group] : (uint8_t *)none;
	bool good;
	int r;

	if (group_untouched(f, group, g, s))
		return 0;
	r = group_read(f, group, g, s->bitmap, &good);
	if (r < 0 || !good)
		return r;
	if (!f->owned[group])
		own_fixed(f, group, owned);
	base = count_free(bits);
	s->free += base;
	group_count_check(f, group, g, base);
	apply_journal(f, group, bits, &s->next);
	group_compare(f, group, bits, owned);
	f->counts->blocks_used += fsck_group_blocks(f, group) - count_free(owned);
	return 0;
}

/* ---- clusters ------------------------------------------------------------------------------------- */

static const char *cluster_wrong(struct fsck *f, uint64_t cluster, uint8_t *buf, int *ret_r)
{
	const struct vf_group *g = (const void *)(buf + VF_HEAD);
	uint64_t first = cluster * VF_CLUSTER_GROUPS;
	const char *wrong = fsck_read_block(f, fsck_group_start(f, first), VF_KIND_GROUPS, buf, ret_r);

	if (!wrong && vol_head(buf)->owner != cluster)
		return "it is of other groups";
	for (uint64_t i = 0; i < VF_CLUSTER_GROUPS && !wrong; i++)
		if (first + i >= f->group_count && (g[i].free || g[i].flags))
			return "it has groups that are not there";
	return wrong;
}

static int cluster_check(struct fsck *f, uint64_t cluster, struct sweep *s)
{
	uint64_t first = cluster * VF_CLUSTER_GROUPS, block = fsck_group_start(f, first);
	const struct vf_group *g = (const void *)(s->groups + VF_HEAD);
	const char *wrong;
	int r = 0;

	wrong = cluster_wrong(f, cluster, s->groups, &r);
	if (wrong) {
		fsck_say(f, FSCK_DAMAGE, 0, block,
			 "block %" PRIu64 " should describe the groups from %" PRIu64 " on: %s", block,
			 first, wrong);
		f->rewrite_space = true;
	}
	for (uint64_t i = 0; i < VF_CLUSTER_GROUPS && first + i < f->group_count && !wrong && r == 0; i++) {
		r = group_check(f, first + i, &g[i], s);
		if ((first + i) % 64 == 0)
			fsck_progress(f, "space", first + i, f->group_count);
	}
	return r;
}

int fsck_space(struct fsck *f)
{
	uint64_t clusters = (f->group_count + VF_CLUSTER_GROUPS - 1) / VF_CLUSTER_GROUPS;
	uint8_t *buf = aligned_alloc(VF_BLOCK, 2 * VF_BLOCK);
	struct sweep s = {.groups = buf, .bitmap = buf + VF_BLOCK};
	bool before = f->rewrite_space;
	int r = buf ? 0 : fsck_fail(f, -ENOMEM, "out of memory");

	f->rewrite_space = false;
	if (f->span_count)
		qsort_r(f->span, f->span_count, sizeof(*f->span), span_compare, f);
	for (uint64_t c = 0; c < clusters && r == 0; c++)
		r = cluster_check(f, c, &s);
	free(buf);
	/* What a bitmap that is damaged has, the sum cannot tell. */
	if (r == 0 && !f->rewrite_space && s.free != f->super.free_blocks) {
		fsck_say(f, FSCK_DAMAGE, 0, 0,
			 "%" PRIu64 " blocks are free, and the superblock counts %" PRIu64, s.free,
			 f->super.free_blocks);
		f->rewrite_space = true;
	}
	f->rewrite_space |= before;
	return r;
}
