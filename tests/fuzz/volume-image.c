/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/volume-image.h"

#include <stdlib.h>
#include <string.h>

#include "libservices/crc32c.h"
#include "libservices/volume/vol.h"

enum { PIECE_HEAD = 8, GAP = 16 };

static const uint8_t zeros[PAGE];

void volume_image_init(struct volume_image *v)
{
	pages_init(&v->pages, VOLUME_BLOCKS, zeros);
	v->count = 0;
}

void volume_image_fini(struct volume_image *v)
{
	pages_fini(&v->pages);
}

static void touch(struct volume_image *v, uint32_t block)
{
	unsigned i = 0;

	while (i < v->count && v->touched[i] < block)
		i++;
	if ((i < v->count && v->touched[i] == block) || v->count == VOLUME_TOUCHED)
		return;
	memmove(v->touched + i + 1, v->touched + i, (v->count - i) * sizeof(v->touched[0]));
	v->touched[i] = block;
	v->count++;
}

void volume_image_decode(struct volume_image *v, const uint8_t *data, size_t size)
{
	uint32_t block;
	uint16_t at, length;

	for (; size >= PIECE_HEAD; data += length, size -= length) {
		memcpy(&block, data, 4);
		memcpy(&at, data + 4, 2);
		memcpy(&length, data + 6, 2);
		data += PIECE_HEAD;
		size -= PIECE_HEAD;
		if (length > size)
			length = size;
		block %= VOLUME_BLOCKS;
		if (at >= PAGE || length > PAGE - at)
			continue;
		pages_write(&v->pages, (uint64_t)block * PAGE + at, data, length);
		touch(v, block);
	}
}

/* The next run of bytes that are not zero, with small gaps in it. */
static unsigned run_end(const uint8_t *page, unsigned from)
{
	unsigned last = from;

	for (unsigned i = from; i < PAGE && i - last <= GAP; i++)
		if (page[i])
			last = i;
	return last + 1;
}

static size_t block_encode(const uint8_t *page, uint32_t block, uint8_t *data, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0, end; i < PAGE; i = end) {
		uint16_t at = i, length;
		end = i + 1;
		if (!page[i])
			continue;
		end = run_end(page, i);
		length = end - i;
		if (n + PIECE_HEAD + length > max)
			break;
		memcpy(data + n, &block, 4);
		memcpy(data + n + 4, &at, 2);
		memcpy(data + n + 6, &length, 2);
		memcpy(data + n + PIECE_HEAD, page + i, length);
		n += PIECE_HEAD + length;
	}
	return n;
}

size_t volume_image_encode(struct volume_image *v, uint8_t *data, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < v->count; i++)
		n += block_encode(v->pages.page[v->touched[i]], v->touched[i], data + n, max - n);
	return n;
}

/* ---- checksums -------------------------------------------------------------------------------------- */

static uint8_t *page_of(struct volume_image *v, uint32_t block)
{
	uint8_t copy[PAGE];

	/* Writing it makes it this image's own. */
	memcpy(copy, v->pages.page[block], PAGE);
	pages_write(&v->pages, (uint64_t)block * PAGE, copy, PAGE);
	return (uint8_t *)v->pages.page[block];
}

static void seal_super(uint8_t *page)
{
	struct vf_super *s = (void *)page;

	if (s->magic == VF_MAGIC)
		s->crc = vol_super_crc(s);
}

static void seal_frame(struct volume_image *v, uint32_t block)
{
	struct vf_frame *h = (void *)page_of(v, block);
	uint32_t size = h->size, crc = 0;

	if (size < sizeof(*h) || (size + PAGE - 1) / PAGE + block > VOLUME_BLOCKS)
		return;
	h->crc = 0;
	for (uint32_t done = 0, n; done < size; done += n) {
		n = size - done < PAGE ? size - done : PAGE;
		crc = crc32c(crc, v->pages.page[block + done / PAGE], n);
	}
	((struct vf_frame *)page_of(v, block))->crc = crc;
}

/* The list names the images' checksums, the head the list's. */
static void seal_shadow(struct volume_image *v, uint32_t block)
{
	uint8_t *page = page_of(v, block);
	struct vf_shadow *h = (void *)(page + 512);
	uint32_t count = h->count, lists = (count * 16 + PAGE - 1) / PAGE, crc = 0;

	if (count > 1024 || block + 1 + lists + count > VOLUME_BLOCKS)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct vf_shadow_entry *list = (void *)page_of(v, block + 1 + i / 256);
		list[i % 256].crc = ((const struct vf_head *)v->pages.page[block + 1 + lists + i])->crc;
	}
	for (uint32_t i = 0; i < lists; i++)
		crc =
		    crc32c(crc, v->pages.page[block + 1 + i], i + 1 < lists ? PAGE : count * 16 - i * PAGE);
	h->list_crc = crc;
	h->crc = 0;
	h->crc = crc32c(0, page, PAGE);
}

void volume_image_seal(struct volume_image *v)
{
	for (unsigned i = 0; i < v->count; i++) {
		uint8_t *page = page_of(v, v->touched[i]);
		if (vol_head(page)->magic == VF_BLOCK_MAGIC)
			vol_head(page)->crc = vol_block_crc(page);
		else if (((struct vf_frame *)page)->magic == VF_FRAME_MAGIC)
			seal_frame(v, v->touched[i]);
		else
			seal_super(page);
	}
	for (unsigned i = 0; i < v->count; i++)
		if (((const struct vf_shadow *)(v->pages.page[v->touched[i]] + 512))->magic ==
		    VF_SHADOW_MAGIC)
			seal_shadow(v, v->touched[i]);
}
