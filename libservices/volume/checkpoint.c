/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the metadata blocks are brought up to date, and the journal's tail moves on.
 *
 * At the end of one transaction, with everything else kept out, the dirty nodes and bitmaps are noted.
 * Nothing is copied: who changes a noted node from then on gives it new bytes (cache.c). Then, while
 * operations go on:
 *
 *   the images to the shadow, all together; flush
 *   each image to its place; flush
 *   the superblock
 *
 * Up to the first flush the old state and the journal count, after it the shadow does. So a node is never
 * seen half written, and what the journal has before that transaction is no longer needed in the end.
 *
 * A snapshot is taken only when no page has bytes that nothing but the journal has; see page-log.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/checkpoint.h"

enum { STAGE = 256 };

static int image_add(void *arg, uint64_t block, uint8_t *buf)
{
	struct vol_snapshot *s = arg;
	size_t max = s->max ? s->max * 2 : 256;
	struct vol_image *image;

	if (s->count == s->max) {
		image = realloc(s->image, max * sizeof(*image));
		if (!image)
			return -ENOMEM;
		s->image = image;
		s->max = max;
	}
	s->image[s->count++] = (struct vol_image){.block = block, .buf = buf};
	return 0;
}

static int nodes_note(struct vol *v, struct vol_snapshot *s)
{
	struct vol_node *n;
	int r = 0;

	fair_lock_write(&v->tree_lock);
	while (r == 0 && (n = v->cache.dirty)) {
		r = image_add(s, n->block, n->buf);
		v->cache.dirty = n->next;
		if (n->next)
			n->next->prev = &v->cache.dirty;
		n->dirty = false;
		n->shared = true;
		s->image[s->count - 1].node = true;
	}
	__atomic_store_n(&v->cache.dirty_count, 0, __ATOMIC_RELAXED);
	fair_unlock(&v->tree_lock);
	return r;
}

void vol_snapshot_take(struct vol *v, struct vol_snapshot *s, uint64_t tail, uint64_t seq)
{
	int r;

	if (__atomic_load_n(&v->logged_pages, __ATOMIC_ACQUIRE))
		return;
	r = nodes_note(v, s);
	if (r == 0)
		r = vol_space_images(v, image_add, s);
	s->taken = true;
	s->node_freed = v->space.node_freed;
	v->space.node_freed = (struct vol_ranges){0};
	s->tail = tail;
	s->super = v->super;
	s->super.generation++;
	s->super.journal_tail = tail % v->super.journal_blocks;
	s->super.journal_seq = seq;
	s->super.root = v->root;
	s->super.root_level = v->root_level;
	s->super.next_ino = __atomic_load_n(&v->next_ino, __ATOMIC_RELAXED);
	s->super.inode_count = __atomic_load_n(&v->stored_inodes, __ATOMIC_RELAXED);
	s->super.free_blocks = v->space.free;
	if (r < 0)
		vol_fail(v, r, "no memory for a checkpoint");
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The image as it will lie on the area. */
static void image_stage(const struct vol_snapshot *s, const struct vol_image *image, uint8_t *to)
{
	struct vf_head *h = vol_head(to);

	memcpy(to, image->buf, VF_BLOCK);
	h->magic = VF_BLOCK_MAGIC;
	memcpy(h->uuid, s->super.uuid, sizeof(h->uuid));
	h->block = image->block;
	h->generation = s->super.generation;
	h->crc = vol_block_crc(to);
}

static int write_run(struct vol *v, uint8_t *stage, const struct area_range *range, unsigned count,
		     size_t bytes)
{
	struct iovec iov = {stage, bytes};
	struct area_io io = {
	    .op = AREA_WRITE, .iov = &iov, .ranges = range, .iov_count = 1, .range_count = count};

	return area_run(v->area, &io);
}

static size_t list_blocks(size_t count)
{
	return (count * sizeof(struct vf_shadow_entry) + VF_BLOCK - 1) / VF_BLOCK;
}

static int shadow_images(struct vol *v, const struct vol_snapshot *s, uint8_t *stage,
			 struct vf_shadow_entry *list)
{
	uint64_t at = v->super.shadow_start + 1 + list_blocks(s->count);
	int r = 0;

	for (size_t i = 0, n; i < s->count && r == 0; i += n, at += n) {
		n = s->count - i < STAGE ? s->count - i : STAGE;
		for (size_t j = 0; j < n; j++) {
			image_stage(s, &s->image[i + j], stage + j * VF_BLOCK);
			list[i + j] = (struct vf_shadow_entry){.block = s->image[i + j].block,
							       .crc = vol_head(stage + j * VF_BLOCK)->crc};
		}
		r = write_run(v, stage, &(struct area_range){at * VF_BLOCK, n * VF_BLOCK}, 1, n * VF_BLOCK);
	}
	return r;
}

static int shadow_write(struct vol *v, struct vol_snapshot *s, uint8_t *stage)
{
	size_t blocks = 1 + list_blocks(s->count);
	struct vf_shadow_entry *list;
	struct vf_shadow *head;
	uint8_t *buf;
	int r;

	if (blocks + s->count > v->super.shadow_blocks)
		return -EFBIG;
	buf = aligned_alloc(VF_BLOCK, blocks * VF_BLOCK);
	if (!buf)
		return -ENOMEM;
	memset(buf, 0, blocks * VF_BLOCK);
	list = (struct vf_shadow_entry *)(buf + VF_BLOCK);
	r = shadow_images(v, s, stage, list);
	memcpy(buf, &s->super, sizeof(s->super));
	head = (struct vf_shadow *)(buf + sizeof(s->super));
	*head = (struct vf_shadow){.magic = VF_SHADOW_MAGIC,
				   .count = s->count,
				   .list_crc = crc32c(0, list, s->count * sizeof(*list))};
	head->crc = crc32c(0, buf, VF_BLOCK);
	if (r == 0)
		r = area_write(v->area, buf, blocks * VF_BLOCK, v->super.shadow_start * VF_BLOCK, 0);
	free(buf);
	return r < 0 || v->skip == VOL_SKIP_SHADOW_FLUSH ? r : area_flush(v->area);
}

static int compare_images(const void *a, const void *b)
{
	const struct vol_image *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static int home_write(struct vol *v, struct vol_snapshot *s, uint8_t *stage)
{
	struct area_range *range = calloc(STAGE, sizeof(*range));
	int r = range ? 0 : -ENOMEM;

	qsort(s->image, s->count, sizeof(*s->image), compare_images);
	for (size_t i = 0, n; i < s->count && r == 0; i += n) {
		unsigned ranges = 0;
		n = s->count - i < STAGE ? s->count - i : STAGE;
		for (size_t j = 0; j < n; j++) {
			uint64_t offset = s->image[i + j].block * VF_BLOCK;
			image_stage(s, &s->image[i + j], stage + j * VF_BLOCK);
			if (ranges && range[ranges - 1].offset + range[ranges - 1].length == offset)
				range[ranges - 1].length += VF_BLOCK;
			else
				range[ranges++] = (struct area_range){offset, VF_BLOCK};
		}
		r = write_run(v, stage, range, ranges, n * VF_BLOCK);
	}
	free(range);
	return r < 0 || v->skip == VOL_SKIP_HOME_FLUSH ? r : area_flush(v->area);
}

int vol_super_write(struct area *area, const struct vf_super *s)
{
	uint8_t *buf = aligned_alloc(VF_BLOCK, VF_BLOCK);
	int r;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, VF_BLOCK);
	memcpy(buf, s, sizeof(*s));
	r = area_write(area, buf, VF_BLOCK, (s->generation % 2 ? VF_SUPER_1 : VF_SUPER_0) * VF_BLOCK,
		       AREA_FUA);
	free(buf);
	return r;
}

static int snapshot_write(struct vol *v, struct vol_snapshot *s)
{
	uint8_t *stage = aligned_alloc(VF_BLOCK, STAGE * VF_BLOCK);
	int r = stage ? 0 : -ENOMEM;

	s->super.crc = vol_super_crc(&s->super);
	if (r == 0 && s->count)
		r = shadow_write(v, s, stage);
	if (r == 0 && s->count)
		r = home_write(v, s, stage);
	free(stage);
	return r < 0 ? r : vol_super_write(v->area, &s->super);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* The nodes that did not change meanwhile have their bytes for themselves again; the others' are freed. */
static void nodes_release(struct vol *v, struct vol_snapshot *s)
{
	for (size_t i = 0; i < s->count;) {
		fair_lock_write(&v->tree_lock);
		for (size_t j = 0; j < STAGE && i < s->count; j++, i++) {
			struct vol_image *image = &s->image[i];
			struct vol_node *n = image->node ? vol_cache_find(v, image->block) : NULL;
			if (n && n->shared && n->buf == image->buf)
				n->shared = false;
			else
				vol_buffer_put(v, image->buf);
		}
		fair_unlock(&v->tree_lock);
	}
}

/* Up to 64 files of which the journal had something, each with a use. */
static unsigned pick_logged(struct vol *v, uint64_t seq, struct vol_inode *list[static 64])
{
	struct vol_inode *inode;
	unsigned count = 0;

	pthread_mutex_lock(&v->table.lock);
	pthread_mutex_lock(&v->paged_lock);
	for (int i = VOL_PAGED_DIRTY; i <= VOL_PAGED_CLEAN; i++)
		for (inode = v->paged[i].oldest; inode && count < 64; inode = inode->paged_newer) {
			uint64_t logged = __atomic_load_n(&inode->logged, __ATOMIC_RELAXED);
			if (logged && logged < seq && vol_inode_ref_alive(v, inode))
				list[count++] = inode;
		}
	pthread_mutex_unlock(&v->paged_lock);
	pthread_mutex_unlock(&v->table.lock);
	return count;
}

/* That is gone from the journal. Those that are locked just now keep the mark until the next time. */
static void inodes_release(struct vol *v, uint64_t seq)
{
	struct vol_inode *list[64];
	unsigned count, done;

	do {
		count = pick_logged(v, seq, list);
		done = 0;
		for (unsigned i = 0; i < count; i++) {
			if (fair_lock_try_write(&list[i]->content)) {
				if (list[i]->logged < seq)
					__atomic_store_n(&list[i]->logged, 0, __ATOMIC_RELAXED);
				vol_pages_leave(v, list[i], false);
				fair_unlock(&list[i]->content);
				done++;
			}
			vol_inode_put(v, list[i], 1);
		}
	} while (count == 64 && done);
}

static void snapshot_done(struct vol *v, struct vol_snapshot *s)
{
	uint64_t settled = 0;

	v->super.journal_tail = s->super.journal_tail;
	v->super.journal_seq = s->super.journal_seq;
	__atomic_store_n(&v->super.generation, s->super.generation, __ATOMIC_RELAXED);
	__atomic_store_n(&v->log.tail, s->tail, __ATOMIC_RELEASE);
	nodes_release(v, s);
	vol_space_imaged(v);
	vol_space_settle(v, &s->node_freed, &v->space.node_hint);
	for (size_t i = 0; i < s->node_freed.count; i++)
		settled += s->node_freed.range[i].count;
	__atomic_sub_fetch(&v->space.node_busy, settled, __ATOMIC_RELAXED);
	inodes_release(v, s->super.journal_seq);
}

/* Takes the snapshot at a moment when the journal has nothing of pages. */
static int snapshot_make(struct vol *v, struct vol_snapshot *s)
{
	int r = 0;

	__atomic_store_n(&v->log_block, true, __ATOMIC_RELEASE);
	while (r == 0 && !s->taken) {
		r = vol_write_back_logged(v);
		if (r == 0)
			r = vol_log_commit_snapshot(v, s);
	}
	__atomic_store_n(&v->log_block, false, __ATOMIC_RELEASE);
	return r;
}

int vol_checkpoint(struct vol *v, bool clean)
{
	struct vol_snapshot s = {.count = 0};
	int r;

	pthread_mutex_lock(&v->checkpoint);
	r = vol_failed(v) ? -EROFS : snapshot_make(v, &s);
	if (r == 0 && vol_failed(v))
		r = -EROFS;
	s.super.clean = clean;
	if (r == 0) {
		r = snapshot_write(v, &s);
		if (r < 0)
			vol_fail(v, -EIO, "a checkpoint cannot be written: %s", strerror(-r));
		else
			snapshot_done(v, &s);
	}
	vol_ranges_fini(&s.node_freed);
	free(s.image);
	pthread_mutex_unlock(&v->checkpoint);
	return r;
}
