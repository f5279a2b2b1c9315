/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read is believed only after these checks: nothing that an image contains may lead outside of
 * memory, into a loop, or to blocks that are not the volume's to give. Each says what is wrong in a few
 * words.
 */
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/vol.h"

/* Of `size` bytes with a field of 4 bytes at `at` taken as 0. */
static uint32_t crc_without(const void *data, size_t size, size_t at)
{
	static const uint32_t zero;
	const uint8_t *bytes = data;
	uint32_t crc = crc32c(crc32c(0, bytes, at), &zero, sizeof(zero));

	return crc32c(crc, bytes + at + sizeof(zero), size - at - sizeof(zero));
}

uint32_t vol_block_crc(const uint8_t *buf)
{
	return crc_without(buf, VF_BLOCK, offsetof(struct vf_head, crc));
}

uint32_t vol_super_crc(const struct vf_super *s)
{
	return crc_without(s, sizeof(*s), offsetof(struct vf_super, crc));
}

bool vol_in_groups(const struct vf_super *s, uint64_t block, uint64_t count)
{
	uint64_t first;

	if (block < s->groups_start || block >= s->blocks || count > s->blocks - block || count == 0)
		return false;
	first = block - s->groups_start;
	return first / VF_GROUP_BLOCKS == (first + count - 1) / VF_GROUP_BLOCKS;
}

static bool region_good(const struct vf_super *s, uint64_t start, uint64_t count)
{
	return start >= VF_HEAD_BLOCKS && count >= 64 && start < s->groups_start &&
	       count <= s->groups_start - start;
}

const char *vol_check_super(const struct vf_super *s)
{
	if (s->magic != VF_MAGIC)
		return "not a volume";
	if (s->version != VF_VERSION)
		return "a volume of another version";
	if (s->crc != vol_super_crc(s))
		return "the superblock's checksum is wrong";
	if (s->blocks < VF_BLOCKS_MIN || s->blocks > VF_BLOCKS_MAX || s->groups_start >= s->blocks)
		return "the superblock's sizes make no sense";
	if (!region_good(s, s->journal_start, s->journal_blocks) ||
	    !region_good(s, s->shadow_start, s->shadow_blocks) ||
	    (s->journal_start < s->shadow_start + s->shadow_blocks &&
	     s->shadow_start < s->journal_start + s->journal_blocks))
		return "the superblock's places make no sense";
	if (s->journal_tail >= s->journal_blocks || s->root_level >= VF_LEVEL_MAX ||
	    s->next_ino <= VF_INO_ROOT || s->next_ino > VF_INO_MAX + 1 || !vol_in_groups(s, s->root, 1))
		return "the superblock's state makes no sense";
	return NULL;
}

const char *vol_check_head(const struct vf_super *s, const uint8_t *buf, uint64_t block, enum vf_kind kind)
{
	const struct vf_head *h = vol_head(buf);

	if (h->magic != VF_BLOCK_MAGIC)
		return "no metadata there";
	if (h->crc != vol_block_crc(buf))
		return "its checksum is wrong";
	if (memcmp(h->uuid, s->uuid, sizeof(h->uuid)) != 0)
		return "it belongs to another volume";
	if (h->block != block)
		return "it belongs to another place";
	return h->kind == kind ? NULL : "it is of another kind";
}

static const char *check_leaf(const uint8_t *buf)
{
	const struct vf_head *h = vol_head(buf);
	const struct vf_slot *s = (const struct vf_slot *)(buf + VF_HEAD);
	unsigned end = VF_HEAD + h->count * sizeof(*s), used = 0, low = VF_BLOCK;

	if (end > VF_BLOCK)
		return "it has too many items";
	for (unsigned i = 0; i < h->count; i++) {
		if (i && vol_key_compare(vol_leaf_key(buf, i - 1), vol_leaf_key(buf, i)) >= 0)
			return "its items are not in order";
		if (s[i].length > VF_VALUE_MAX || s[i].offset < end || s[i].offset + s[i].length > VF_BLOCK)
			return "an item is not within it";
		used += s[i].length;
		low = s[i].length && s[i].offset < low ? s[i].offset : low;
	}
	/* Values that overlap would be taken for more than there is. */
	if (used != h->used || h->low > low || h->low < end || h->low > VF_BLOCK || used > VF_BLOCK - low)
		return "its items do not add up";
	return NULL;
}

static const char *check_inner(const uint8_t *buf)
{
	const struct vf_head *h = vol_head(buf);

	if (h->count < 1 || h->count > VF_CHILDREN_MAX)
		return "it has too many children, or none";
	for (unsigned i = 2; i < h->count; i++)
		if (vol_key_compare(vol_inner_key(buf, i - 1), vol_inner_key(buf, i)) >= 0)
			return "its children are not in order";
	return NULL;
}

const char *vol_check_node(const uint8_t *buf, unsigned level)
{
	if (vol_head(buf)->level != level)
		return "it is of another level";
	return level ? check_inner(buf) : check_leaf(buf);
}

const char *vol_check_inode(const struct vf_inode *i, unsigned length)
{
	unsigned type = length == sizeof(*i) ? i->mode & S_IFMT : 0;

	if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFCHR && type != S_IFBLK &&
	    type != S_IFIFO && type != S_IFSOCK)
		return "it is no inode";
	if (i->atime_ns >= 1000000000 || i->mtime_ns >= 1000000000 || i->ctime_ns >= 1000000000 ||
	    i->btime_ns >= 1000000000)
		return "its times make no sense";
	if ((type == S_IFREG && i->size > VF_FILE_MAX) ||
	    (type == S_IFLNK && (i->size < 1 || i->size > 4095)))
		return "its size makes no sense";
	if (type == S_IFDIR && (i->parent < VF_INO_ROOT || i->parent > VF_INO_MAX))
		return "its parent makes no sense";
	return NULL;
}
