/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a crash: what the journal has is done again.
 *
 * Twice through it. First all blocks that hold data by then are kept off, so that no tree node is put on
 * them. Then the records are applied in order, in memory. Pieces of file data collect in pages until the
 * end, when it is known where they belong.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/vol.h"

enum { BUCKETS = 1024 };

struct piece {
	struct piece *next;
	uint64_t ino, index;
	uint8_t *data;
};

struct replay {
	struct vol *v;
	struct vol_ranges busy;
	struct piece *bucket[BUCKETS];
	uint64_t place, seq, frames; /* the next frame */
};

/* ---- frames ---------------------------------------------------------------------------------- */

static int ring_read(struct vol *v, uint64_t place, uint8_t *buf, uint64_t blocks)
{
	uint64_t ring = v->super.journal_blocks, at = place % ring, first = ring - at;
	int r;

	first = first < blocks ? first : blocks;
	r = vol_read_blocks(v, buf, v->super.journal_start + at, first);
	if (r == 0 && first < blocks)
		r = vol_read_blocks(v, buf + first * VF_BLOCK, v->super.journal_start, blocks - first);
	return r;
}

static bool frame_head_good(const struct replay *p, const struct vf_frame *f)
{
	return f->magic == VF_FRAME_MAGIC && f->seq == p->seq &&
	       memcmp(f->uuid, p->v->super.uuid, sizeof(f->uuid)) == 0 && f->size >= sizeof(*f) &&
	       f->size <= p->v->super.journal_blocks * VF_BLOCK / 2;
}

static bool frame_crc_good(uint8_t *buf)
{
	struct vf_frame *f = (struct vf_frame *)buf;
	uint32_t crc = f->crc;

	f->crc = 0;
	f->crc = crc32c(0, buf, f->size);
	return f->crc == crc;
}

/* The next frame, in memory that is the caller's to free. 1; 0: that was the last one; -errno. */
static int frame_next(struct replay *p, uint8_t **ret)
{
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK), *whole;
	uint64_t blocks = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	r = ring_read(p->v, p->place, buf, 1);
	if (r == 0 && frame_head_good(p, (struct vf_frame *)buf))
		blocks = (((struct vf_frame *)buf)->size + VF_BLOCK - 1) / VF_BLOCK;
	if (r == 0 && blocks > 1) {
		whole = aligned_alloc(VF_BLOCK, blocks * VF_BLOCK);
		r = whole ? ring_read(p->v, p->place, whole, blocks) : -ENOMEM;
		free(buf);
		buf = whole;
		if (r == 0 && !frame_head_good(p, (struct vf_frame *)buf))
			blocks = 0;
	}
	if (r < 0 || !blocks || !frame_crc_good(buf)) {
		free(buf);
		return r;
	}
	p->place += blocks;
	p->seq++;
	p->frames++;
	*ret = buf;
	return 1;
}

typedef int apply(struct replay *p, const struct vf_record *record, const uint8_t *payload);

static int frame_apply(struct replay *p, const uint8_t *buf, apply *fn)
{
	const struct vf_frame *f = (const struct vf_frame *)buf;
	size_t at = sizeof(*f);
	int r = 0;

	for (uint32_t i = 0; i < f->records && r == 0; i++) {
		const struct vf_record *record = (const struct vf_record *)(buf + at);
		if (f->size - at < sizeof(*record) || f->size - at - sizeof(*record) < record->size)
			return -EBADMSG;
		at += sizeof(*record);
		r = fn(p, record, buf + at);
		at += (record->size + 7) & ~7u;
		if (at > f->size)
			return -EBADMSG;
	}
	return r;
}

static int journal_apply(struct replay *p, apply *fn)
{
	uint8_t *buf = NULL;
	int r;

	p->place = p->v->super.journal_tail;
	p->seq = p->v->super.journal_seq;
	p->frames = 0;
	while ((r = frame_next(p, &buf)) == 1) {
		r = frame_apply(p, buf, fn);
		free(buf);
		if (r < 0)
			return r;
		if (p->place - p->v->super.journal_tail > p->v->super.journal_blocks)
			return -EBADMSG;
	}
	return r;
}

/* ---- pieces of data -------------------------------------------------------------------------- */

static struct piece **bucket_of(struct replay *p, uint64_t ino, uint64_t index)
{
	return &p->bucket[((ino * 0x9e3779b97f4a7c15u) ^ (index * 0xff51afd7ed558ccdu)) >> 32 &
			  (BUCKETS - 1)];
}

static struct piece *piece_find(struct replay *p, uint64_t ino, uint64_t index)
{
	struct piece *x = *bucket_of(p, ino, index);

	while (x && (x->ino != ino || x->index != index))
		x = x->next;
	return x;
}

/* The block as the file has it now. *ret_any: false if that is a hole. */
static int block_read(struct replay *p, uint64_t ino, uint64_t index, uint8_t *buf, bool *ret_any)
{
	struct vf_key from = vol_key(ino, VF_EXTENT, 0), to = vol_key(ino, VF_EXTENT, index), key;
	struct vol *v = p->v;
	struct vf_extent e;
	int r;

	memset(buf, 0, VF_BLOCK);
	*ret_any = true;
	r = index == 0 ? vol_tree_get(v, vol_key(ino, VF_INLINE, 0), buf, VF_INLINE_MAX) : -ENOENT;
	if (r >= 0)
		return 0;
	if (r == -ENOENT)
		r = vol_tree_last(v, from, to, &key, &e, sizeof(e));
	*ret_any = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (r != sizeof(e) || index - key.lo >= e.length || (e.flags & VF_EXTENT_UNWRITTEN))
		return 0;
	if (!vol_in_groups(&v->super, e.start, e.length))
		return -EBADMSG;
	*ret_any = true;
	return vol_read_blocks(v, buf, e.start + (index - key.lo), 1);
}

/* *ret NULL: there is none, and none is wanted. */
static int piece_get(struct replay *p, uint64_t ino, uint64_t index, bool wanted, struct piece **ret)
{
	struct piece *x = piece_find(p, ino, index);
	bool any = false;
	int r;

	*ret = x;
	if (x)
		return 0;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->data = vol_buffer_get(p->v);
	r = x->data ? block_read(p, ino, index, x->data, &any) : -ENOMEM;
	if (r < 0 || (!any && !wanted)) {
		vol_buffer_put(p->v, x->data);
		free(x);
		return r;
	}
	x->ino = ino;
	x->index = index;
	x->next = *bucket_of(p, ino, index);
	*bucket_of(p, ino, index) = x;
	*ret = x;
	return 0;
}

static int piece_write(struct replay *p, const struct vf_record *record, const uint8_t *payload)
{
	uint64_t offset = record->b % VF_BLOCK,
		 length = record->type == VF_DATA ? record->size : record->arg;
	struct piece *x;
	int r;

	if (length > VF_BLOCK - offset || record->b >= VF_FILE_MAX)
		return -EBADMSG;
	r = piece_get(p, record->a, record->b / VF_BLOCK, record->type == VF_DATA, &x);
	if (r < 0 || !x)
		return r;
	if (record->type == VF_DATA)
		memcpy(x->data + offset, payload, length);
	else
		memset(x->data + offset, 0, length);
	return 0;
}

static void pieces_forget(struct replay *p, uint64_t ino, uint64_t first, uint64_t count)
{
	struct piece **at, *x;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (at = &p->bucket[i]; (x = *at);) {
			if (x->ino != ino || x->index < first || (count && x->index - first >= count)) {
				at = &x->next;
				continue;
			}
			*at = x->next;
			vol_buffer_put(p->v, x->data);
			free(x);
		}
}

/* ---- records --------------------------------------------------------------------------------- */

static int keep_off(struct replay *p, const struct vf_record *record, const uint8_t *payload)
{
	int r;

	if (record->type != VF_ALLOC && record->type != VF_FREE)
		return 0;
	if (!vol_in_groups(&p->v->super, record->a, record->b))
		return -EBADMSG;
	if (record->type == VF_FREE)
		return 0;
	r = vol_space_busy(p->v, record->a, record->b);
	return r < 0 ? r : vol_ranges_add(&p->busy, record->a, record->b);
}

static int apply_put(struct replay *p, const struct vf_record *record, const uint8_t *payload)
{
	struct vf_key key = {record->a, record->b};
	uint64_t ino = key.hi >> 8;
	int r;

	if (record->size > VF_VALUE_MAX)
		return -EBADMSG;
	r = vol_tree_put(p->v, key, payload, record->size);
	if (r < 0)
		return r;
	if ((uint8_t)key.hi == VF_INODE) {
		p->v->stored_inodes += r;
		if (ino >= p->v->next_ino)
			p->v->next_ino = ino + 1;
	}
	return 0;
}

static int apply_del(struct replay *p, const struct vf_record *record)
{
	struct vf_key key = {record->a, record->b};
	int r = vol_tree_del(p->v, key);

	if (r > 0 && (uint8_t)key.hi == VF_INODE) {
		p->v->stored_inodes--;
		pieces_forget(p, key.hi >> 8, 0, 0);
	}
	return r < 0 ? r : 0;
}

static int apply_record(struct replay *p, const struct vf_record *record, const uint8_t *payload)
{
	switch (record->type) {
	case VF_PUT:
		return apply_put(p, record, payload);
	case VF_DEL:
		return apply_del(p, record);
	case VF_ALLOC:
	case VF_FREE:
		return vol_space_mark(p->v, record->a, record->b, record->type == VF_ALLOC);
	case VF_DATA:
	case VF_ZERO:
		return piece_write(p, record, payload);
	case VF_FORGET:
		pieces_forget(p, record->a, record->b, record->arg);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The piece becomes a dirty page of its file, if that still has the block. */
static int piece_settle(struct replay *p, struct piece *x)
{
	struct vol *v = p->v;
	struct vol_inode *inode;
	struct vol_page *page;
	int r = vol_inode_get(v, x->ino, &inode);

	if (r < 0)
		return r == -ESTALE ? 0 : r;
	if (inode->type == S_IFREG && x->index * VF_BLOCK < inode->attr.size) {
		r = vol_page_get(v, inode, x->index, true, &page);
		if (r == 0) {
			memcpy(page->data, x->data, VF_BLOCK);
			r = vol_page_reserve(v, inode, page);
			if (r == -ENOSPC) {
				vol_page_promise(v, inode, page);
				r = 0;
			}
			vol_page_dirty(v, inode, page, 0, VF_BLOCK);
		}
	}
	vol_inode_put(v, inode, 1);
	return r;
}

static int pieces_settle(struct replay *p)
{
	struct piece *x;
	int r = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		while ((x = p->bucket[i])) {
			p->bucket[i] = x->next;
			if (r == 0)
				r = piece_settle(p, x);
			vol_buffer_put(p->v, x->data);
			free(x);
		}
	return r;
}

static int replay_run(struct replay *p)
{
	struct vol *v = p->v;
	int r = journal_apply(p, keep_off);

	if (r == 0)
		r = journal_apply(p, apply_record);
	vol_space_settle(v, &p->busy, &v->space.data_hint);
	v->log.tail = v->super.journal_tail;
	v->log.head = v->log.thin_from = p->place;
	v->log.thin_end = p->place + (v->area->traits & AREA_THIN ? v->super.journal_blocks : 0);
	v->log.seq = p->seq;
	v->log.durable = p->seq - 1;
	v->inode_count = v->stored_inodes;
	int r2 = pieces_settle(p);
	return r < 0 ? r : r2;
}

int vol_replay(struct vol *v, bool *ret_any, char *error, size_t error_size)
{
	struct replay *p = calloc(1, sizeof(*p));
	int r = p ? 0 : -ENOMEM;

	if (r == 0) {
		p->v = v;
		r = replay_run(p);
		*ret_any = p->frames > 0;
		vol_ranges_fini(&p->busy);
	}
	if (r < 0)
		snprintf(error, error_size, "%s: the journal cannot be applied: %s", v->name,
			 r == -EBADMSG ? "a record makes no sense" : strerror(-r));
	free(p);
	return r == -EBADMSG ? -EIO : r;
}
