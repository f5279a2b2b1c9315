/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node as bytes: finding, inserting, removing within one block. Whether it fits is the caller's to know;
 * that the bytes make sense has been checked when they were read. See struct vf_head and struct vf_slot.
 */
#include <string.h>

#include "libservices/volume/vol.h"

static struct vf_slot *slots(const uint8_t *buf)
{
	return (struct vf_slot *)(buf + VF_HEAD);
}

static struct vf_child *children(const uint8_t *buf)
{
	return (struct vf_child *)(buf + VF_HEAD);
}

struct vf_key vol_key(uint64_t ino, enum vf_type type, uint64_t lo)
{
	return (struct vf_key){ino << 8 | type, lo};
}

int vol_key_compare(struct vf_key a, struct vf_key b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo < b.lo ? -1 : a.lo > b.lo;
}

void vol_leaf_init(uint8_t *buf, unsigned level)
{
	memset(buf, 0, VF_BLOCK);
	vol_head(buf)->kind = VF_KIND_NODE;
	vol_head(buf)->level = level;
	vol_head(buf)->low = level ? 0 : VF_BLOCK;
}

unsigned vol_leaf_search(const uint8_t *buf, struct vf_key key, bool *ret_found)
{
	const struct vf_slot *s = slots(buf);
	unsigned low = 0, high = vol_head(buf)->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (s[middle].hi < key.hi || (s[middle].hi == key.hi && s[middle].lo < key.lo))
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = low < vol_head(buf)->count && s[low].hi == key.hi && s[low].lo == key.lo;
	return low;
}

struct vf_key vol_leaf_key(const uint8_t *buf, unsigned i)
{
	return (struct vf_key){slots(buf)[i].hi, slots(buf)[i].lo};
}

const void *vol_leaf_value(const uint8_t *buf, unsigned i, unsigned *ret_length)
{
	*ret_length = slots(buf)[i].length;
	return buf + slots(buf)[i].offset;
}

unsigned vol_leaf_room(const uint8_t *buf)
{
	return VF_BLOCK - VF_HEAD - vol_head(buf)->count * sizeof(struct vf_slot) - vol_head(buf)->used;
}

/* Moves the values together at the end. */
static void leaf_pack(uint8_t *buf)
{
	struct vf_head *h = vol_head(buf);
	struct vf_slot *s = slots(buf);
	uint8_t copy[VF_BLOCK];
	unsigned low = VF_BLOCK;

	memcpy(copy + h->low, buf + h->low, VF_BLOCK - h->low);
	for (unsigned i = 0; i < h->count; i++) {
		low -= s[i].length;
		memcpy(buf + low, copy + s[i].offset, s[i].length);
		s[i].offset = low;
	}
	h->low = low;
}

/* Room for one more slot and a value. Returns where the value goes. */
static unsigned leaf_place(uint8_t *buf, unsigned slot_bytes, unsigned length)
{
	struct vf_head *h = vol_head(buf);

	if (h->low < VF_HEAD + h->count * sizeof(struct vf_slot) + slot_bytes + length)
		leaf_pack(buf);
	h->low -= length;
	h->used += length;
	return h->low;
}

void vol_leaf_insert(uint8_t *buf, unsigned i, struct vf_key key, const void *value, unsigned length)
{
	unsigned at = leaf_place(buf, sizeof(struct vf_slot), length);
	struct vf_slot *s = slots(buf);

	if (length)
		memcpy(buf + at, value, length);
	memmove(s + i + 1, s + i, (vol_head(buf)->count - i) * sizeof(*s));
	s[i] = (struct vf_slot){key.hi, key.lo, at, length};
	vol_head(buf)->count++;
}

void vol_leaf_replace(uint8_t *buf, unsigned i, const void *value, unsigned length)
{
	struct vf_slot *s = slots(buf);

	if (length > s[i].length) {
		vol_head(buf)->used -= s[i].length;
		s[i].length = 0;
		s[i].offset = leaf_place(buf, 0, length);
	} else {
		vol_head(buf)->used -= s[i].length - length;
	}
	s[i].length = length;
	memcpy(buf + s[i].offset, value, length);
}

void vol_leaf_remove(uint8_t *buf, unsigned i)
{
	struct vf_head *h = vol_head(buf);
	struct vf_slot *s = slots(buf);

	h->used -= s[i].length;
	if (s[i].offset == h->low)
		h->low += s[i].length;
	memmove(s + i, s + i + 1, (h->count - i - 1) * sizeof(*s));
	if (--h->count == 0)
		h->low = VF_BLOCK;
}

void vol_leaf_move(uint8_t *from, unsigned at, uint8_t *to)
{
	unsigned count = vol_head(from)->count, length;

	for (unsigned i = at; i < count; i++) {
		const void *value = vol_leaf_value(from, i, &length);
		vol_leaf_insert(to, vol_head(to)->count, vol_leaf_key(from, i), value, length);
		vol_head(from)->used -= length;
	}
	vol_head(from)->count = at;
	leaf_pack(from);
}

unsigned vol_inner_search(const uint8_t *buf, struct vf_key key)
{
	const struct vf_child *c = children(buf);
	unsigned low = 1, high = vol_head(buf)->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (c[middle].hi < key.hi || (c[middle].hi == key.hi && c[middle].lo <= key.lo))
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

struct vf_key vol_inner_key(const uint8_t *buf, unsigned i)
{
	return (struct vf_key){children(buf)[i].hi, children(buf)[i].lo};
}

uint64_t vol_inner_child(const uint8_t *buf, unsigned i)
{
	return children(buf)[i].block;
}

void vol_inner_set_key(uint8_t *buf, unsigned i, struct vf_key key)
{
	children(buf)[i].hi = key.hi;
	children(buf)[i].lo = key.lo;
}

void vol_inner_insert(uint8_t *buf, unsigned i, struct vf_key key, uint64_t block)
{
	struct vf_child *c = children(buf);

	memmove(c + i + 1, c + i, (vol_head(buf)->count - i) * sizeof(*c));
	c[i] = (struct vf_child){key.hi, key.lo, block};
	vol_head(buf)->count++;
}

void vol_inner_remove(uint8_t *buf, unsigned i)
{
	struct vf_child *c = children(buf);

	memmove(c + i, c + i + 1, (vol_head(buf)->count - i - 1) * sizeof(*c));
	vol_head(buf)->count--;
}

void vol_inner_move(uint8_t *from, unsigned at, uint8_t *to, struct vf_key key)
{
	unsigned n = vol_head(from)->count - at, end = vol_head(to)->count;
	struct vf_child *c = children(to);

	memcpy(c + end, children(from) + at, n * sizeof(*c));
	if (n) {
		c[end].hi = key.hi;
		c[end].lo = key.lo;
	}
	vol_head(to)->count += n;
	vol_head(from)->count = at;
}
