/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a check starts from: the newest superblock, over it a complete shadow that is newer, over that the
 * frames of the journal. Nothing is written. What a crash leaves is no damage: a torn copy of the
 * superblock whose shadow is complete, and the first frame that is not valid.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/fsck-internal.h"

static void *blocks_new(uint64_t count)
{
	return aligned_alloc(VF_BLOCK, count * VF_BLOCK);
}

/* ---- the superblock ------------------------------------------------------------------------------ */

static int super_better(const struct vf_super *a, const char *wrong_a, const struct vf_super *b,
			const char *wrong_b)
{
	if (!wrong_a != !wrong_b)
		return wrong_a ? 1 : 0;
	return b->generation > a->generation;
}

/* Of two that are both wrong, what is wrong with the one that looks more like a volume. */
static const char *super_complaint(const uint8_t *const copy[2], const char *const wrong[2])
{
	return ((const struct vf_super *)copy[0])->magic == VF_MAGIC ? wrong[0] : wrong[1];
}

static const char *super_wrong(const struct vf_super *s, unsigned copy)
{
	const char *wrong = vol_check_super(s);

	return !wrong && s->generation % 2 != copy ? "the superblock belongs to another place" : wrong;
}

static bool is_zero(const uint8_t *block)
{
	for (unsigned i = 0; i < VF_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

static int super_take(struct fsck *f, uint8_t *const copy[2])
{
	const struct vf_super *s[2] = {(void *)copy[0], (void *)copy[1]};
	const char *wrong[2] = {super_wrong(s[0], 0), super_wrong(s[1], 1)};
	int newer = super_better(s[0], wrong[0], s[1], wrong[1]);

	if (wrong[newer]) {
		const char *why = super_complaint((const uint8_t *const *)copy, wrong);
		bool none = s[0]->magic != VF_MAGIC && s[1]->magic != VF_MAGIC;
		bool other = !none && s[0]->version != VF_VERSION && s[1]->version != VF_VERSION;
		return fsck_fail(f, none || other ? -EMEDIUMTYPE : -EUCLEAN, "%s", why);
	}
	if (!wrong[0] && !wrong[1] && memcmp(s[0]->uuid, s[1]->uuid, 16) != 0)
		return fsck_fail(f, -EUCLEAN, "the two superblocks are of different volumes");
	f->super = *s[newer];
	for (int i = 0; i < 2; i++)
		f->super_bad[i] = wrong[i] && !is_zero(copy[i]); /* a new volume has but one */
	return 0;
}

int fsck_read_super(struct fsck *f)
{
	static const uint64_t place[2] = {VF_SUPER_0, VF_SUPER_1};
	uint8_t *copy[2] = {blocks_new(1), blocks_new(1)};
	uint64_t size = area_size(f->area);
	int r = copy[0] && copy[1] ? 0 : fsck_fail(f, -ENOMEM, "out of memory");

	if (r == 0 && size < VF_HEAD_BLOCKS * VF_BLOCK)
		r = fsck_fail(f, -EMEDIUMTYPE, "not a volume: it has %" PRIu64 " bytes", size);
	for (int i = 0; i < 2 && r == 0; i++)
		if (area_read(f->area, copy[i], VF_BLOCK, place[i] * VF_BLOCK) < 0)
			memset(copy[i], 0, VF_BLOCK); /* the other one may do */
	if (r == 0)
		r = super_take(f, copy);
	if (r == 0 && f->super.blocks > size / VF_BLOCK)
		r = fsck_fail(f, -EUCLEAN, "truncated: %" PRIu64 " of %" PRIu64 " bytes are there", size,
			      f->super.blocks * VF_BLOCK);
	free(copy[0]);
	free(copy[1]);
	return r;
}

/* ---- the shadow ---------------------------------------------------------------------------------- */

static bool shadow_head_valid(const struct fsck *f, uint8_t *block)
{
	const struct vf_super *s = (void *)block;
	struct vf_shadow *h = (void *)(block + 512);
	uint32_t crc = h->crc;
	bool valid;

	h->crc = 0;
	valid = h->magic == VF_SHADOW_MAGIC && crc == crc32c(0, block, VF_BLOCK);
	h->crc = crc;
	return valid && !vol_check_super(s) && !memcmp(s->uuid, f->super.uuid, 16) &&
	       s->generation > f->super.generation && s->shadow_start == f->super.shadow_start &&
	       s->shadow_blocks == f->super.shadow_blocks && s->blocks <= area_size(f->area) / VF_BLOCK;
}

static uint64_t list_blocks(uint32_t count)
{
	return ((uint64_t)count * sizeof(struct vf_shadow_entry) + VF_BLOCK - 1) / VF_BLOCK;
}

static const char *image_check(const struct vf_super *s, const uint8_t *buf,
			       const struct vf_shadow_entry *e)
{
	const struct vf_head *h = vol_head(buf);
	const char *wrong = vol_check_head(s, buf, e->block, h->kind);

	if (!wrong && (h->crc != e->crc || !vol_in_groups(s, e->block, 1)))
		wrong = "it is not the one of the list";
	return wrong;
}

/* The images as an array; false: not all are there as they should be. */
static bool shadow_images(struct fsck *f, const uint8_t *block, uint8_t *list, uint64_t at, int *ret_r)
{
	const struct vf_super *s = (const void *)block;
	const struct vf_shadow *h = (const void *)(block + 512);
	const struct vf_shadow_entry *e = (const void *)list;

	f->image = calloc(h->count ? h->count : 1, sizeof(*f->image));
	if (!f->image) {
		*ret_r = fsck_fail(f, -ENOMEM, "out of memory");
		return false;
	}
	for (uint32_t i = 0; i < h->count; i++) {
		uint8_t *buf = blocks_new(1);
		f->image[f->image_count++] = (struct fsck_image){e[i].block, buf};
		if (!buf || area_read(f->area, buf, VF_BLOCK, (at + i) * VF_BLOCK) < 0 ||
		    image_check(s, buf, &e[i]))
			return false;
	}
	return true;
}

static int image_compare(const void *a, const void *b)
{
	const struct fsck_image *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

static void images_drop(struct fsck *f)
{
	while (f->image_count)
		free(f->image[--f->image_count].buf);
	free(f->image);
	f->image = NULL;
}

static void shadow_take(struct fsck *f, const uint8_t *block, int *ret_r)
{
	const struct vf_shadow *h = (const void *)(block + 512);
	uint64_t lists = list_blocks(h->count), at = f->super.shadow_start + 1;
	uint8_t *list;

	if (1 + lists + h->count > f->super.shadow_blocks)
		return;
	list = blocks_new(lists ? lists : 1);
	if (!list) {
		*ret_r = fsck_fail(f, -ENOMEM, "out of memory");
		return;
	}
	if ((!lists || area_read(f->area, list, lists * VF_BLOCK, at * VF_BLOCK) == 0) &&
	    crc32c(0, list, h->count * sizeof(struct vf_shadow_entry)) == h->list_crc &&
	    shadow_images(f, block, list, at + lists, ret_r)) {
		f->super = *(const struct vf_super *)block;
		/* What it is about to replace may be torn. */
		f->super_bad[f->super.generation % 2] = false;
		f->report->recovering = true;
		qsort(f->image, f->image_count, sizeof(*f->image), image_compare);
	} else {
		images_drop(f);
	}
	free(list);
}

int fsck_read_shadow(struct fsck *f)
{
	uint8_t *block = blocks_new(1);
	int r = block ? 0 : fsck_fail(f, -ENOMEM, "out of memory");

	if (r == 0 && area_read(f->area, block, VF_BLOCK, f->super.shadow_start * VF_BLOCK) == 0 &&
	    shadow_head_valid(f, block))
		shadow_take(f, block, &r);
	free(block);
	return r;
}

const char *fsck_read_block(struct fsck *f, uint64_t block, enum vf_kind kind, uint8_t *buf, int *ret_r)
{
	struct fsck_image key = {.block = block}, *image = NULL;
	const char *wrong;

	if (f->image_count)
		image = bsearch(&key, f->image, f->image_count, sizeof(key), image_compare);
	if (image)
		memcpy(buf, image->buf, VF_BLOCK);
	else if (area_read(f->area, buf, VF_BLOCK, block * VF_BLOCK) < 0)
		return "it cannot be read";
	wrong = vol_check_head(&f->super, buf, block, kind);
	return !wrong && vol_head(buf)->generation > f->super.generation ? "it is of the future" : wrong;
}

uint64_t fsck_group_start(const struct fsck *f, uint64_t group)
{
	return f->super.groups_start + group * VF_GROUP_BLOCKS;
}

uint64_t fsck_group_blocks(const struct fsck *f, uint64_t group)
{
	uint64_t left = f->super.blocks - fsck_group_start(f, group);

	return left < VF_GROUP_BLOCKS ? left : VF_GROUP_BLOCKS;
}

unsigned fsck_group_own(uint64_t group)
{
	return group % VF_CLUSTER_GROUPS ? 1 : 2;
}

/* ---- the journal --------------------------------------------------------------------------------- */

static int span_add(struct fsck *f, const struct vf_record *r)
{
	if (fsck_grow(&f->span, f->span_count, &f->span_max, sizeof(*f->span)) < 0)
		return fsck_fail(f, -ENOMEM, "out of memory");
	f->span[f->span_count] = (struct fsck_span){r->a, r->b, f->span_count, r->type == VF_ALLOC};
	f->span_count++;
	return 0;
}

/* What is wrong with a record, or NULL. */
static const char *record_wrong(const struct fsck *f, const struct vf_record *r)
{
	switch (r->type) {
	case VF_PUT:
		return r->size > VF_VALUE_MAX ? "an item that is too long" : NULL;
	case VF_DEL:
		return NULL;
	case VF_ALLOC:
	case VF_FREE:
		return vol_in_groups(&f->super, r->a, r->b) ? NULL : "blocks that are not the volume's";
	case VF_DATA:
		return r->size < 1 || r->b % VF_BLOCK + r->size > VF_BLOCK || r->b >= VF_FILE_MAX
			   ? "bytes that are not of one block"
			   : NULL;
	case VF_ZERO:
		return r->arg < 1 || r->arg > VF_BLOCK || r->b % VF_BLOCK + r->arg > VF_BLOCK ||
			       r->b >= VF_FILE_MAX
			   ? "zeros that are not of one block"
			   : NULL;
	case VF_FORGET:
		return NULL;
	default:
		return "a record of no known kind";
	}
}

static int record_apply(struct fsck *f, const struct vf_record *r)
{
	struct vf_key key = {r->a, r->b};
	int e = 0;

	if (r->type == VF_PUT || r->type == VF_DEL)
		e = fsck_over_add(&f->over, key, r + 1, r->type == VF_PUT ? r->size : FSCK_GONE);
	if (r->type == VF_PUT && (r->a & 255) == VF_INODE && r->a >> 8 >= f->next_ino)
		f->next_ino = (r->a >> 8) + 1;
	if (r->type == VF_ALLOC || r->type == VF_FREE)
		return span_add(f, r);
	if (r->type == VF_DATA || r->type == VF_ZERO)
		f->journal_data = true;
	f->counts->records++;
	return e < 0 ? fsck_fail(f, e, "out of memory") : 0;
}

static int frame_apply(struct fsck *f, const uint8_t *frame)
{
	const struct vf_frame *h = (const void *)frame;
	uint32_t at = sizeof(*h), n = 0;
	const char *wrong = NULL;
	int r = 0;

	for (; r == 0 && !wrong && at + sizeof(struct vf_record) <= h->size; n++) {
		const struct vf_record *record = (const void *)(frame + at);
		at += sizeof(*record) + (record->size + 7u) / 8 * 8;
		wrong = at > h->size ? "a record that is longer than the frame" : record_wrong(f, record);
		if (!wrong)
			r = record_apply(f, record);
	}
	if (!wrong && (at != h->size || n != h->records))
		wrong = "another number of records than it says";
	if (wrong)
		fsck_say(f, FSCK_DAMAGE, 0, 0, "the journal's transaction %" PRIu64 " has %s", h->seq,
			 wrong);
	return r;
}

/* Reads n blocks of the ring. */
static int ring_read(struct fsck *f, uint64_t at, uint64_t n, uint8_t *buf)
{
	const struct vf_super *s = &f->super;
	uint64_t first = s->journal_blocks - at < n ? s->journal_blocks - at : n;
	int r = area_read(f->area, buf, first * VF_BLOCK, (s->journal_start + at) * VF_BLOCK);

	if (r == 0 && n > first)
		r = area_read(f->area, buf + first * VF_BLOCK, (n - first) * VF_BLOCK,
			      s->journal_start * VF_BLOCK);
	return r;
}

static bool frame_head_valid(const struct fsck *f, const struct vf_frame *h)
{
	return h->magic == VF_FRAME_MAGIC && !memcmp(h->uuid, f->super.uuid, 16) && h->seq == f->next_seq &&
	       h->size >= sizeof(*h) && h->size <= f->super.journal_blocks * VF_BLOCK / 2;
}

static bool frame_valid(uint8_t *frame)
{
	struct vf_frame *h = (void *)frame;
	uint32_t crc = h->crc;
	bool valid;

	h->crc = 0;
	valid = crc == crc32c(0, frame, h->size);
	h->crc = crc;
	return valid;
}

/* 1: a frame; 0: the journal's end. */
static int frame_read(struct fsck *f, uint8_t *buf, uint64_t *ret_blocks)
{
	const struct vf_frame *h = (const void *)buf;
	uint64_t blocks;

	if (ring_read(f, f->next_tail, 1, buf) < 0)
		return fsck_fail(f, -EIO, "the journal cannot be read");
	if (!frame_head_valid(f, h))
		return 0;
	blocks = (h->size + VF_BLOCK - 1) / VF_BLOCK;
	if (ring_read(f, f->next_tail, blocks, buf) < 0)
		return fsck_fail(f, -EIO, "the journal cannot be read");
	*ret_blocks = blocks;
	return frame_valid(buf);
}

int fsck_read_journal(struct fsck *f)
{
	uint64_t ring = f->super.journal_blocks, blocks = 0, all = 0;
	uint8_t *buf;
	int r = 1;

	f->next_ino = f->super.next_ino;
	f->next_tail = f->super.journal_tail;
	f->next_seq = f->super.journal_seq;
	if (f->super.clean)
		return 0;
	buf = blocks_new(ring / 2 + 1);
	if (!buf)
		return fsck_fail(f, -ENOMEM, "out of memory");
	while (r == 1 && all < ring) {
		r = frame_read(f, buf, &blocks);
		if (r != 1)
			break;
		if (f->frame)
			f->frame(f, (const void *)buf, f->next_tail);
		r = frame_apply(f, buf);
		f->counts->frames++;
		f->next_tail = (f->next_tail + blocks) % ring;
		f->next_seq++;
		all += blocks;
		r = r < 0 ? r : 1;
	}
	free(buf);
	fsck_over_sort(&f->over);
	return r < 0 ? r : 0;
}
