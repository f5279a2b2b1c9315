/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first thing at mounting: which superblock counts, and whether the shadow has a checkpoint whose
 * images may not all have reached their places. Nothing is written before everything has been checked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/vol.h"
#include "libservices/volume/volume.h"

struct sentence {
	const char *name;
	char *text;
	size_t size;
};

__attribute__((format(printf, 3, 4))) static int say(const struct sentence *s, int r, const char *format,
						     ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(s->text, s->size, "%s: %s", s->name, what);
	return r;
}

/* Both copies. *wrong[i] NULL: that one is good. */
static int supers_read(struct area *area, uint8_t *buf, struct vf_super super[2], const char *wrong[2])
{
	static const uint64_t place[2] = {VF_SUPER_0, VF_SUPER_1};
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		r = area_read(area, buf, VF_BLOCK, place[i] * VF_BLOCK);
		memcpy(&super[i], buf, sizeof(super[i]));
		wrong[i] = vol_check_super(&super[i]);
		if (!wrong[i] && super[i].generation % 2 != (unsigned)i)
			wrong[i] = "the superblock belongs to another place";
	}
	return r;
}

static int super_choose(const struct sentence *s, const struct vf_super super[2], const char *wrong[2],
			int *ret)
{
	if (wrong[0] && wrong[1]) {
		/* Say what the one that looks more like a superblock says. */
		int i = super[0].magic != VF_MAGIC && super[1].magic == VF_MAGIC;
		return say(s, super[i].magic != VF_MAGIC ? -EMEDIUMTYPE : -EINVAL, "%s", wrong[i]);
	}
	if (!wrong[0] && !wrong[1] && memcmp(super[0].uuid, super[1].uuid, sizeof(super[0].uuid)) != 0)
		return say(s, -EINVAL, "its two superblocks are of different volumes");
	*ret = wrong[0] || (!wrong[1] && super[1].generation > super[0].generation);
	return 0;
}

int volume_super(struct area *area, const char *name, struct vf_super *ret, char *error, size_t error_size)
{
	struct sentence s = {name, error, error_size};
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	struct vf_super super[2];
	const char *wrong[2];
	int r = buf ? 0 : -ENOMEM, i = 0;

	if (r == 0 && area_size(area) < VF_HEAD_BLOCKS * VF_BLOCK)
		r = say(&s, -EMEDIUMTYPE, "not a volume: it has only %" PRIu64 " bytes", area_size(area));
	else if (r == 0) {
		r = supers_read(area, buf, super, wrong);
		if (r < 0)
			say(&s, r, "the superblock cannot be read: %s", strerror(-r));
	}
	if (r == 0)
		r = super_choose(&s, super, wrong, &i);
	free(buf);
	if (r < 0)
		return r;
	if (super[i].blocks > area_size(area) / VF_BLOCK)
		return say(&s, -EINVAL, "truncated: the volume has %" PRIu64 " bytes, the area %" PRIu64,
			   super[i].blocks * VF_BLOCK, area_size(area));
	*ret = super[i];
	return 0;
}

/* ---- the shadow ------------------------------------------------------------------------------ */

struct shadow {
	struct vf_super super;
	struct vf_shadow head;
	struct vf_shadow_entry *list;
	uint64_t images; /* block of the first one */
};

/* 1: its head is good and newer; 0: it does not matter. */
static int shadow_head(struct vol *v, uint8_t *buf, struct shadow *s)
{
	struct vf_shadow *head = (struct vf_shadow *)(buf + sizeof(struct vf_super));
	uint32_t crc;
	int r = vol_read_blocks(v, buf, v->super.shadow_start, 1);

	if (r < 0)
		return r;
	memcpy(&s->super, buf, sizeof(s->super));
	s->head = *head;
	crc = head->crc;
	head->crc = 0;
	return s->head.magic == VF_SHADOW_MAGIC && crc == crc32c(0, buf, VF_BLOCK) &&
	       !vol_check_super(&s->super) &&
	       memcmp(s->super.uuid, v->super.uuid, sizeof(s->super.uuid)) == 0 &&
	       s->super.generation > v->super.generation && s->head.count < v->super.shadow_blocks &&
	       s->super.shadow_start == v->super.shadow_start &&
	       s->super.shadow_blocks == v->super.shadow_blocks;
}

static int shadow_list(struct vol *v, struct shadow *s)
{
	size_t bytes = s->head.count * sizeof(*s->list), blocks = (bytes + VF_BLOCK - 1) / VF_BLOCK;
	int r;

	if (1 + blocks + s->head.count > v->super.shadow_blocks)
		return 0;
	s->list = aligned_alloc(VF_BLOCK, (blocks ? blocks : 1) * VF_BLOCK);
	if (!s->list)
		return -ENOMEM;
	s->images = v->super.shadow_start + 1 + blocks;
	r = blocks ? vol_read_blocks(v, s->list, v->super.shadow_start + 1, blocks) : 0;
	return r < 0 ? r : crc32c(0, s->list, bytes) == s->head.list_crc;
}

static int shadow_image(struct vol *v, const struct shadow *s, size_t i, uint8_t *buf)
{
	const struct vf_shadow_entry *e = &s->list[i];
	int r = vol_read_blocks(v, buf, s->images + i, 1);

	if (r < 0)
		return r;
	return vol_head(buf)->crc == e->crc && vol_in_groups(&s->super, e->block, 1) &&
	       !vol_check_head(&s->super, buf, e->block, vol_head(buf)->kind);
}

static int shadow_check(struct vol *v, uint8_t *buf, struct shadow *s)
{
	int r = shadow_head(v, buf, s);

	if (r == 1)
		r = shadow_list(v, s);
	for (size_t i = 0; r == 1 && i < s->head.count; i++)
		r = shadow_image(v, s, i, buf);
	return r;
}

static int shadow_to_places(struct vol *v, const struct shadow *s, uint8_t *buf)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->head.count; i++) {
		r = vol_read_blocks(v, buf, s->images + i, 1);
		if (r == 0)
			r = area_write(v->area, buf, VF_BLOCK, s->list[i].block * VF_BLOCK, 0);
	}
	if (r == 0)
		r = area_flush(v->area);
	return r < 0 ? r : vol_super_write(v->area, &s->super);
}

static int compare_overlays(const void *a, const void *b)
{
	const struct vol_overlay *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static int shadow_overlay(struct vol *v, const struct shadow *s)
{
	v->overlay = calloc(s->head.count + 1, sizeof(*v->overlay));
	if (!v->overlay)
		return -ENOMEM;
	for (size_t i = 0; i < s->head.count; i++)
		v->overlay[i] = (struct vol_overlay){s->list[i].block, s->images + i};
	v->overlay_count = s->head.count;
	qsort(v->overlay, v->overlay_count, sizeof(*v->overlay), compare_overlays);
	return 0;
}

int vol_read_meta(struct vol *v, void *buf, uint64_t block)
{
	struct vol_overlay key = {.block = block}, *found = NULL;

	if (v->overlay_count)
		found = bsearch(&key, v->overlay, v->overlay_count, sizeof(key), compare_overlays);
	return vol_read_blocks(v, buf, found ? found->image : block, 1);
}

int vol_recover(struct vol *v, char *error, size_t error_size)
{
	struct sentence sentence = {v->name, error, error_size};
	uint8_t *buf = vol_buffer_get(v);
	struct shadow s = {.list = NULL};
	int r = buf ? volume_super(v->area, v->name, &v->super, error, error_size) : -ENOMEM;

	if (r == 0) {
		r = shadow_check(v, buf, &s);
		if (r == 1 && s.super.blocks > area_size(v->area) / VF_BLOCK)
			r = 0;
		if (r == 1) {
			r = v->rdonly ? shadow_overlay(v, &s) : shadow_to_places(v, &s, buf);
			v->super = s.super;
		}
		if (r < 0)
			say(&sentence, r, "the last checkpoint cannot be completed: %s", strerror(-r));
	}
	free(s.list);
	vol_buffer_put(v, buf);
	return r;
}
