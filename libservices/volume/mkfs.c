/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making an empty volume: two superblocks' places, a root directory, one bitmap, and a descriptor block for
 * each 504 groups. Everything else is made when it is first used, so it takes as long for a large volume as
 * for a small one, nearly.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "libservices/volume/bitmap.h"
#include "libservices/volume/vol.h"
#include "libservices/volume/volume.h"

enum { RING_PART = 64, RING_MIN = 2048, RING_SMALL_PART = 8, RING_MAX = 32768, RING_LEAST = 64 };

static uint64_t ring_blocks(uint64_t blocks, uint64_t wanted)
{
	uint64_t n = blocks / RING_PART, small = blocks / RING_SMALL_PART;

	if (wanted)
		return wanted / VF_BLOCK < RING_LEAST ? RING_LEAST : wanted / VF_BLOCK;
	if (n < RING_MIN)
		n = small < RING_MIN ? small : RING_MIN;
	return n > RING_MAX ? RING_MAX : n;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int random_fill(void *to, const void *given, size_t size)
{
	if (!given)
		return getrandom(to, size, 0) == (ssize_t)size ? 0 : -EIO;
	memcpy(to, given, size);
	return 0;
}

static int super_make(struct vf_super *s, const struct volume_params *p, uint64_t blocks)
{
	uint64_t ring = ring_blocks(blocks, p->journal_size);
	int r;

	*s = (struct vf_super){.magic = VF_MAGIC,
			       .version = VF_VERSION,
			       .blocks = blocks,
			       .created = now(),
			       .journal_start = VF_HEAD_BLOCKS,
			       .journal_blocks = ring,
			       .shadow_start = VF_HEAD_BLOCKS + ring,
			       .shadow_blocks = ring,
			       .groups_start = VF_HEAD_BLOCKS + 2 * ring,
			       .generation = 2,
			       .journal_seq = 1,
			       .clean = 1,
			       .next_ino = VF_INO_ROOT + 1,
			       .inode_count = 1};
	s->root = s->groups_start + vol_group_own(0);
	if (p->label)
		memcpy(s->label, p->label, strnlen(p->label, sizeof(s->label)));
	r = random_fill(s->uuid, p->uuid, sizeof(s->uuid));
	return r < 0 ? r : random_fill(s->hash_seed, p->hash_seed, sizeof(s->hash_seed));
}

static int block_write(struct area *area, const struct vf_super *s, uint8_t *buf)
{
	struct vf_head *h = vol_head(buf);

	h->generation = s->generation;
	h->crc = vol_block_crc(buf);
	return area_write(area, buf, VF_BLOCK, h->block * VF_BLOCK, 0);
}

static int root_write(struct area *area, const struct vf_super *s, const struct volume_params *p,
		      uint8_t *buf)
{
	struct vf_inode i = {.mode = S_IFDIR | (p->mode ? p->mode & 07777 : 0755),
			     .nlink = 2,
			     .uid = p->uid,
			     .gid = p->gid,
			     .parent = VF_INO_ROOT};

	i.atime = i.mtime = i.ctime = i.btime = s->created / 1000000000;
	i.atime_ns = i.mtime_ns = i.ctime_ns = i.btime_ns = s->created % 1000000000;
	vol_leaf_init(buf, 0);
	vol_head_init(s, buf, VF_KIND_NODE, s->root, 0);
	vol_head(buf)->low = VF_BLOCK;
	vol_leaf_insert(buf, 0, vol_key(VF_INO_ROOT, VF_INODE, 0), &i, sizeof(i));
	return block_write(area, s, buf);
}

static int bitmap_write(struct area *area, const struct vf_super *s, uint8_t *buf)
{
	vol_bitmap_init(s, 0, buf);
	bitmap_put(buf, s->root - s->groups_start, true);
	return block_write(area, s, buf);
}

static int clusters_write(struct area *area, struct vf_super *s, uint8_t *buf)
{
	uint64_t groups = vol_group_count(s);
	struct vf_group *d = (struct vf_group *)(buf + VF_HEAD);
	int r = 0;

	for (uint64_t first = 0; first < groups && r == 0; first += VF_CLUSTER_GROUPS) {
		memset(buf, 0, VF_BLOCK);
		vol_head_init(s, buf, VF_KIND_GROUPS, vol_group_start(s, first), first / VF_CLUSTER_GROUPS);
		for (uint64_t g = first; g < groups && g < first + VF_CLUSTER_GROUPS; g++) {
			d[g - first].free = vol_group_blocks(s, g) - vol_group_own(g) - (g == 0);
			d[g - first].flags = g == 0 ? 0 : VF_GROUP_FRESH;
			s->free_blocks += d[g - first].free;
		}
		r = block_write(area, s, buf);
	}
	return r;
}

/* What may lie there of an older volume must not be taken for a part of this one. */
static int old_wipe(struct area *area, const struct vf_super *s, uint8_t *buf)
{
	uint64_t place[3] = {VF_SUPER_0, VF_SUPER_1, s->shadow_start};
	int r = 0;

	memset(buf, 0, VF_BLOCK);
	for (int i = 0; i < 3 && r == 0; i++)
		r = area_write(area, buf, VF_BLOCK, place[i] * VF_BLOCK, 0);
	return r < 0 ? r : area_flush(area);
}

static int volume_write(struct area *area, struct vf_super *s, const struct volume_params *p)
{
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	int r = buf ? old_wipe(area, s, buf) : -ENOMEM;

	if (r == 0)
		r = root_write(area, s, p, buf);
	if (r == 0)
		r = bitmap_write(area, s, buf);
	if (r == 0)
		r = clusters_write(area, s, buf);
	if (r == 0)
		r = area_flush(area);
	s->crc = vol_super_crc(s);
	if (r == 0)
		r = vol_super_write(area, s);
	free(buf);
	return r;
}

int volume_mkfs(struct area *area, const char *name, const struct volume_params *params, char *error,
		size_t error_size)
{
	uint64_t size = params->size ? params->size : area_size(area), blocks = size / VF_BLOCK;
	struct vf_super s;
	int r;

	if (size > area_size(area)) {
		snprintf(error, error_size, "%s: has %" PRIu64 " bytes, fewer than the volume is to have",
			 name, area_size(area));
		return -EINVAL;
	}
	if (blocks > VF_BLOCKS_MAX)
		blocks = VF_BLOCKS_MAX;
	if (blocks < VF_BLOCKS_MIN || ring_blocks(blocks, params->journal_size) > blocks / 4) {
		snprintf(error, error_size,
			 "%s: too small for a volume: at least %u MiB, and four times its journal", name,
			 VF_BLOCKS_MIN / 256);
		return -EINVAL;
	}
	r = super_make(&s, params, blocks);
	if (r == 0)
		r = volume_write(area, &s, params);
	if (r < 0)
		snprintf(error, error_size, "%s: %s", name, strerror(-r));
	return r;
}
