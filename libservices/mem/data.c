/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file contains: a sparse array of 4 KiB pages.
 *
 * Pages lie in chunks of 16. A slot of the tree is a chunk's address with one bit per page that the file
 * has in its low 16 bits, so finding a page's memory and whether it is there is one load. A tree of height
 * 0 is one slot, for files up to 64 KiB; each level above multiplies by 256.
 *
 * Invariants: a slot that is not 0 has at least one page; a node has at least one slot that is not 0; the
 * bytes of a page beyond the file's end are 0; memory of a chunk outside of its pages means nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/mem/mem.h"

enum { NODE_BITS = 8, NODE_SLOTS = 1 << NODE_BITS, HEIGHT_MAX = 6, ALL_PAGES = (1 << MEM_CHUNK_PAGES) - 1 };

struct node {
	uintptr_t slot[NODE_SLOTS];
};

_Static_assert(MEM_CHUNK_PAGES == 16 && MEM_CHUNK == 1 << 16,
	       "page bits fill the low bits of a chunk's address");

static char *slot_memory(uintptr_t slot)
{
	return (char *)(slot & ~(uintptr_t)ALL_PAGES);
}

static unsigned slot_pages(uintptr_t slot)
{
	return slot & ALL_PAGES;
}

/* Bits first..last. */
static unsigned page_mask(unsigned first, unsigned last)
{
	return (2u << last) - (1u << first);
}

static unsigned index_at(uint64_t chunk, unsigned height)
{
	return (chunk >> (NODE_BITS * (height - 1))) & (NODE_SLOTS - 1);
}

/* The slot of a chunk; 0 if there is none. *ret_height: of the empty subtree where the search ended. */
static uintptr_t tree_find(const struct mem_data *data, uint64_t chunk, unsigned *ret_height)
{
	unsigned height = data->height;
	uintptr_t slot = data->root;

	if (chunk >> (NODE_BITS * height)) {
		*ret_height = HEIGHT_MAX + 1;
		return 0;
	}
	for (; height > 0 && slot; height--)
		slot = ((struct node *)slot)->slot[index_at(chunk, height)];
	*ret_height = height;
	return slot;
}

static struct node *node_new(struct mem *mem)
{
	struct node *node;

	if (mem_charge(mem, sizeof(*node)) < 0)
		return NULL;
	node = calloc(1, sizeof(*node));
	if (!node)
		mem_uncharge(mem, sizeof(*node));
	return node;
}

static void node_free(struct mem *mem, uintptr_t node)
{
	free((void *)node);
	mem_uncharge(mem, sizeof(struct node));
}

static int tree_grow(struct mem *mem, struct mem_data *data, uint64_t chunk)
{
	struct node *node;

	while (chunk >> (NODE_BITS * data->height)) {
		if (data->root) {
			node = node_new(mem);
			if (!node)
				return -ENOSPC;
			node->slot[0] = data->root;
			data->root = (uintptr_t)node;
		}
		data->height++;
	}
	return 0;
}

static void tree_prune(struct mem *mem, struct mem_data *data, uint64_t chunk);

/* The place of a chunk's slot, which may be 0: the caller fills it or prunes. NULL: no space. */
static uintptr_t *tree_make(struct mem *mem, struct mem_data *data, uint64_t chunk)
{
	uintptr_t *slot = &data->root;

	if (tree_grow(mem, data, chunk) < 0)
		return NULL;
	for (unsigned height = data->height; height > 0; height--) {
		if (!*slot) {
			*slot = (uintptr_t)node_new(mem);
			if (!*slot) {
				tree_prune(mem, data, chunk);
				return NULL;
			}
		}
		slot = &((struct node *)*slot)->slot[index_at(chunk, height)];
	}
	return slot;
}

static bool node_empty(const struct node *node)
{
	for (unsigned i = 0; i < NODE_SLOTS; i++)
		if (node->slot[i])
			return false;
	return true;
}

/* Drops pages first..last of a chunk. */
static void slot_trim(struct mem *mem, struct mem_data *data, uintptr_t *slot, unsigned first,
		      unsigned last)
{
	unsigned gone = slot_pages(*slot) & page_mask(first, last), count = __builtin_popcount(gone);

	data->pages -= count;
	mem_uncharge(mem, (uint64_t)count * MEM_PAGE);
	*slot &= ~(uintptr_t)gone;
	if (*slot && !slot_pages(*slot)) {
		mem_pool_put(&mem->pool, *slot);
		*slot = 0;
	}
}

/* Drops the pages first..last, counted from the subtree's own first one. */
static void tree_trim(struct mem *mem, struct mem_data *data, uintptr_t *slot, unsigned height,
		      uint64_t first, uint64_t last)
{
	uint64_t span =
		(uint64_t)MEM_CHUNK_PAGES << (NODE_BITS * height) >> NODE_BITS; /* pages of a child */
	struct node *node;

	if (!*slot)
		return;
	if (height == 0) {
		slot_trim(mem, data, slot, first, last);
		return;
	}
	node = (struct node *)*slot;
	for (uint64_t i = first / span; i <= last / span; i++)
		tree_trim(mem, data, &node->slot[i], height - 1, i == first / span ? first % span : 0,
			  i == last / span ? last % span : span - 1);
	if (node_empty(node)) {
		node_free(mem, *slot);
		*slot = 0;
	}
}

static uint64_t tree_last_page(const struct mem_data *data)
{
	return ((uint64_t)MEM_CHUNK_PAGES << (NODE_BITS * data->height)) - 1;
}

static void data_trim(struct mem *mem, struct mem_data *data, uint64_t first, uint64_t last)
{
	uint64_t end = tree_last_page(data);

	if (last > end)
		last = end;
	if (first <= last)
		tree_trim(mem, data, &data->root, data->height, first, last);
	if (!data->root)
		data->height = 0;
}

/* Takes away nodes that tree_make made in vain. */
static void tree_prune(struct mem *mem, struct mem_data *data, uint64_t chunk)
{
	uint64_t page = chunk * MEM_CHUNK_PAGES;
	unsigned height;

	if (tree_find(data, chunk, &height) == 0)
		data_trim(mem, data, page, page + MEM_CHUNK_PAGES - 1);
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* The bytes from..to of a chunk. */
static void slot_read(uintptr_t slot, char *buf, unsigned from, unsigned to)
{
	unsigned pages = slot_pages(slot), mask = page_mask(from / MEM_PAGE, (to - 1) / MEM_PAGE);

	if ((pages & mask) == mask) {
		memcpy(buf, slot_memory(slot) + from, to - from);
		return;
	}
	while (from < to) {
		unsigned end = (from / MEM_PAGE + 1) * MEM_PAGE, n = (end < to ? end : to) - from;
		if (pages >> (from / MEM_PAGE) & 1)
			memcpy(buf, slot_memory(slot) + from, n);
		else
			memset(buf, 0, n);
		buf += n;
		from += n;
	}
}

void mem_data_read(const struct mem_data *data, char *buf, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		unsigned from = offset % MEM_CHUNK, height;
		uint64_t n = length < MEM_CHUNK - from ? length : MEM_CHUNK - from;
		slot_read(tree_find(data, offset / MEM_CHUNK, &height), buf, from, from + n);
		buf += n;
		offset += n;
		length -= n;
	}
}

uint64_t mem_data_find(const struct mem_data *data, uint64_t offset, uint64_t end, bool present)
{
	while (offset < end) {
		unsigned height;
		uintptr_t slot = tree_find(data, offset / MEM_CHUNK, &height);
		if (slot) {
			if ((slot >> (offset % MEM_CHUNK / MEM_PAGE) & 1) == present)
				return offset;
			offset = (offset / MEM_PAGE + 1) * MEM_PAGE;
		} else if (!present) {
			return offset;
		} else if (height > data->height || !data->root) {
			return end;
		} else {
			uint64_t span = (uint64_t)MEM_CHUNK << (NODE_BITS * height);
			offset = (offset / span + 1) * span;
		}
	}
	return end;
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* Zeroes what bytes from..to leave of a new page. */
static void page_clear(char *chunk, unsigned page, unsigned from, unsigned to)
{
	unsigned start = page * MEM_PAGE, end = start + MEM_PAGE;

	if (from > start)
		memset(chunk + start, 0, from - start);
	if (to < end)
		memset(chunk + to, 0, end - to);
}

/*
 * Makes the pages of bytes from..to of a chunk present; bytes of new pages outside of that range are zero,
 * those inside too if `zeroed`. Returns where the leading pages that are present end, at most `to`: less if
 * space ran out.
 */
static unsigned slot_fill(struct mem *mem, struct mem_data *data, uintptr_t *slot, unsigned from,
			  unsigned to, bool zeroed)
{
	unsigned page = from / MEM_PAGE;
	bool clean = false;

	if (!*slot)
		*slot = mem_pool_get(&mem->pool, &clean);
	if (*slot && clean && !zeroed)
		mem_pool_touch(*slot, page, (to - 1) / MEM_PAGE);
	for (; *slot && page * MEM_PAGE < to; page++) {
		if (*slot >> page & 1)
			continue;
		if (mem_charge(mem, MEM_PAGE) < 0)
			break;
		if (!clean && zeroed)
			memset(slot_memory(*slot) + page * MEM_PAGE, 0, MEM_PAGE);
		else if (!clean)
			page_clear(slot_memory(*slot), page, from, to);
		data->pages++;
		*slot |= (uintptr_t)1 << page;
	}
	if (*slot && !slot_pages(*slot)) {
		mem_pool_put(&mem->pool, *slot);
		*slot = 0;
	}
	return page * MEM_PAGE < to ? page * MEM_PAGE : to;
}

int64_t mem_data_write(struct mem *mem, struct mem_data *data, const char *buf, uint64_t offset,
		       uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		uint64_t chunk = (offset + done) / MEM_CHUNK;
		unsigned from = (offset + done) % MEM_CHUNK, end;
		unsigned to = length - done < MEM_CHUNK - from ? from + (length - done) : MEM_CHUNK;
		uintptr_t *slot = tree_make(mem, data, chunk);
		if (!slot)
			break;
		end = slot_fill(mem, data, slot, from, to, false);
		if (end > from) {
			memcpy(slot_memory(*slot) + from, buf + done, end - from);
			done += end - from;
		}
		if (end < to) {
			tree_prune(mem, data, chunk);
			break;
		}
	}
	return done || !length ? (int64_t)done : -ENOSPC;
}

int mem_data_reserve(struct mem *mem, struct mem_data *data, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, pages = (end + MEM_PAGE - 1) / MEM_PAGE - offset / MEM_PAGE;

	/* What cannot fit at all must not fill the filesystem first, or take forever to find out. */
	if (pages > data->pages && pages - data->pages > mem_free_bytes(mem) / MEM_PAGE)
		return -ENOSPC;
	while (offset < end) {
		unsigned from = offset % MEM_CHUNK;
		unsigned to = end - offset < MEM_CHUNK - from ? from + (end - offset) : MEM_CHUNK;
		uintptr_t *slot = tree_make(mem, data, offset / MEM_CHUNK);
		if (!slot)
			return -ENOSPC;
		if (slot_fill(mem, data, slot, from, to, true) < to) {
			tree_prune(mem, data, offset / MEM_CHUNK);
			return -ENOSPC;
		}
		offset += to - from;
	}
	return 0;
}

/* Zeroes bytes of one page, if it is there. */
static void data_clear(struct mem_data *data, uint64_t offset, uint64_t length)
{
	unsigned height;
	uintptr_t slot = tree_find(data, offset / MEM_CHUNK, &height);

	if (slot >> (offset % MEM_CHUNK / MEM_PAGE) & 1)
		memset(slot_memory(slot) + offset % MEM_CHUNK, 0, length);
}

void mem_data_punch(struct mem *mem, struct mem_data *data, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length, first = (offset + MEM_PAGE - 1) / MEM_PAGE, last = end / MEM_PAGE;

	if (first > last) { /* inside of one page */
		data_clear(data, offset, length);
		return;
	}
	if (offset % MEM_PAGE)
		data_clear(data, offset, first * MEM_PAGE - offset);
	if (end % MEM_PAGE)
		data_clear(data, last * MEM_PAGE, end % MEM_PAGE);
	if (first < last)
		data_trim(mem, data, first, last - 1);
}

void mem_data_fini(struct mem *mem, struct mem_data *data)
{
	if (data->root)
		data_trim(mem, data, 0, UINT64_MAX);
}
