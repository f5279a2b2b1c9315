/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where cached bytes live: in pages of memory, which are best for a little, until the file is shared or much of it
 * comes at once; then in a data file on the pool's private tmpfs, at their own offsets, for clients to map. It stays
 * so until its last page has gone.
 *
 * data.c has what is done with the data file itself.
 *
 * Bytes of the last page that are behind the file's end are undefined. Whoever moves the end zeroes them
 * first.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

enum { DATA_AT_ONCE = 128 * 1024 };

static const char zeros[CACHE_PAGE];

static struct page_pool *pool_of(const struct cinode *c)
{
	return &c->cache->budget->pool;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool is_present(const struct chunk *chunk, uint64_t page)
{
	return chunk && (chunk->present & page_bit(page));
}

uint64_t body_absent(const struct cinode *c, uint64_t first, uint64_t last)
{
	while (first <= last) {
		const struct chunk *chunk = chunk_of_page(c, first);
		uint64_t end = min64(last, first | (CHUNK_PAGES - 1));
		for (; first <= end; first++)
			if (!is_present(chunk, first))
				return first;
	}
	return first;
}

bool body_present(const struct cinode *c, uint64_t first, uint64_t last)
{
	return body_absent(c, first, last) > last;
}

void chunk_touch(struct chunk *chunk, unsigned mask, unsigned again)
{
	unsigned touched = __atomic_load_n(&chunk->touched, __ATOMIC_RELAXED);
	unsigned uses = __atomic_load_n(&chunk->freq, __ATOMIC_RELAXED);

	if ((touched & mask & again) && uses < 3)
		__atomic_store_n(&chunk->freq, uses + 1, __ATOMIC_RELAXED);
	if ((touched & mask) != mask)
		__atomic_store_n(&chunk->touched, touched | mask, __ATOMIC_RELAXED);
}

/* ---- pages of memory --------------------------------------------------------------------------------- */

static size_t page_room(const struct chunk *chunk, unsigned i)
{
	return chunk->shorts & 1u << i ? malloc_usable_size(chunk->page[i]) : CACHE_PAGE;
}

/* What a page takes: malloc keeps two words beside it. */
static int64_t page_cost(const struct chunk *chunk, unsigned i)
{
	return chunk->shorts & 1u << i ? malloc_usable_size(chunk->page[i]) + 2 * sizeof(void *)
				       : CACHE_PAGE;
}

static void page_release(struct chunk *chunk, unsigned i)
{
	if (chunk->shorts & 1u << i)
		free(chunk->page[i]);
	else
		cpage_put(pool_of(chunk->inode), chunk->page[i]);
	chunk->shorts &= ~(1u << i);
	chunk->page[i] = NULL;
}

/* Gives the page room for so many bytes, keeping `keep` that it has; a whole page if it is not `last`. */
static int page_reserve(struct chunk *chunk, unsigned i, size_t room, size_t keep, bool last)
{
	bool whole = !last || room > CACHE_SHORT;
	void *fresh = whole ? cpage_get(pool_of(chunk->inode)) : malloc(room);
	int64_t before = chunk->page[i] ? page_cost(chunk, i) : 0;

	if (!fresh)
		return -ENOMEM;
	if (keep)
		memcpy(fresh, chunk->page[i], keep);
	if (chunk->page[i])
		page_release(chunk, i);
	chunk->page[i] = fresh;
	if (!whole)
		chunk->shorts |= 1u << i;
	budget_charge(chunk->inode->cache->budget, chunk, page_cost(chunk, i) - before);
	return 0;
}

static void page_came(struct chunk *chunk, unsigned i)
{
	struct cinode *c = chunk->inode;

	if (chunk->present & 1u << i)
		return;
	chunk->present |= 1u << i;
	if (c->data >= 0)
		budget_charge(c->cache->budget, chunk, CACHE_PAGE);
	if (c->share)
		cshare_came(c, chunk->index * CHUNK_PAGES + i);
}

/* One that was made in vain is evicted some day. */
static bool chunks_make(struct cinode *c, uint64_t first, uint64_t last)
{
	uint64_t index = first / CHUNK_PAGES;

	while (index <= last / CHUNK_PAGES && chunk_make(c, index))
		index++;
	return index > last / CHUNK_PAGES;
}

static void pages_came(struct cinode *c, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page <= last; page++)
		page_came(chunk_of_page(c, page), page % CHUNK_PAGES);
}

/* Doubles a short page's room, so that appending a little at a time does not copy it each time. */
static size_t room_for(size_t now, size_t wanted)
{
	return wanted < 2 * now && 2 * now <= CACHE_SHORT ? 2 * now : wanted;
}

/* n bytes at `in` of the page; the file is going to be `size` long. */
static int page_write(struct cinode *c, uint64_t page, const char *buf, size_t in, size_t n, uint64_t size)
{
	struct chunk *chunk = chunk_make(c, page / CHUNK_PAGES);
	unsigned i = page % CHUNK_PAGES;
	bool last = (page + 1) * CACHE_PAGE >= size, fresh;
	size_t room;
	int r = 0;

	if (!chunk)
		return -ENOMEM;
	fresh = !(chunk->present & 1u << i);
	room = fresh ? 0 : page_room(chunk, i);
	if (in + n > room)
		r = page_reserve(chunk, i, room_for(room, in + n), room, last);
	if (r == 0 && fresh)
		memset(chunk->page[i], 0, in);
	if (r == 0) {
		memcpy((char *)chunk->page[i] + in, buf, n);
		page_came(chunk, i);
	} else if (!chunk->present) {
		chunk_free(chunk);
	}
	return r;
}

/* ---- the body ---------------------------------------------------------------------------------------- */

int body_read(const struct cinode *c, char *buf, uint64_t offset, uint64_t length)
{
	if (c->data >= 0)
		return cdata_read(c->data, buf, length, offset);
	while (length > 0) {
		uint64_t page = page_index(offset), in = offset % CACHE_PAGE,
			 n = min64(length, CACHE_PAGE - in);
		const struct chunk *chunk = chunk_of_page(c, page);
		memcpy(buf, (const char *)chunk->page[page % CHUNK_PAGES] + in, n);
		buf += n;
		offset += n;
		length -= n;
	}
	return 0;
}

/*
 * Absent pages at the ends of what is written get their other bytes first: a page that is there is whole. What the
 * kernel has is whole as it is, and must not become longer than the file.
 */
static int data_write_pages(struct cinode *c, const char *buf, uint64_t offset, uint64_t length)
{
	uint64_t first = page_index(offset), last = page_index(offset + length - 1), end = offset + length;
	struct iovec iov[3] = {{(void *)zeros, offset % CACHE_PAGE},
			       {(void *)buf, length},
			       {(void *)zeros, -end % CACHE_PAGE}};
	int r;

	if (is_present(chunk_of_page(c, first), first) || cshare_kernel_has(c))
		iov[0].iov_len = 0;
	if (is_present(chunk_of_page(c, last), last) || cshare_kernel_has(c))
		iov[2].iov_len = 0;
	if (!chunks_make(c, first, last))
		return -ENOMEM;
	r = cdata_fill(c, iov, 3, offset - iov[0].iov_len);
	cshare_kernel_mine(c);
	if (r == 0)
		pages_came(c, first, last);
	return r;
}

/* Where nothing is yet and much comes at once, it goes there at once: single pages of memory cost more. */
static void data_begin(struct cinode *c, uint64_t length)
{
	bool large = true;
	int fd;

	if (c->data >= 0 || c->chunks || length < DATA_AT_ONCE || c->cache->large_dir < 0 || cdata_are_many(c->cache))
		return;
	fd = cdata_new(c->cache, &large);
	if (fd >= 0)
		cdata_begin(c, fd, large);
}

int body_write(struct cinode *c, const char *buf, uint64_t offset, uint64_t length)
{
	uint64_t size = offset + length > c->size ? offset + length : c->size;
	int r = 0;

	data_begin(c, length);
	if (c->data >= 0 && length)
		return data_write_pages(c, buf, offset, length);
	while (length > 0 && r == 0) {
		uint64_t in = offset % CACHE_PAGE, n = min64(length, CACHE_PAGE - in);
		r = page_write(c, page_index(offset), buf, in, n, size);
		buf += n;
		offset += n;
		length -= n;
	}
	return r;
}

int body_zero(struct cinode *c, uint64_t from, uint64_t to)
{
	struct iovec iov = {(void *)zeros, to - from};
	uint64_t page = page_index(from);

	if (from >= to || !is_present(chunk_of_page(c, page), page) ||
	    (cshare_kernel_has(c) && c->share->length <= from))
		return 0;
	if (c->data >= 0) {
		int r = cdata_write(c->data, &iov, 1, from);
		cshare_kernel_mine(c);
		return r;
	}
	return page_write(c, page, zeros, from % CACHE_PAGE, to - from, to);
}

/* At once: the kernel has its memory in pieces then that are as long, which cost less wherever they are used. */
static int data_install(struct cinode *c, uint64_t page, void **bytes, unsigned n)
{
	uint64_t start = page * CACHE_PAGE, last = start + (n - 1) * CACHE_PAGE;
	bool exact = c->share && c->share->count[LS_SHARE_KERNEL];
	struct iovec iov[CACHE_FILL_PAGES];
	int r;

	/* It is a hole, and so are the bytes: or the kernel has stored something meanwhile. */
	if (cshare_kernel_has(c))
		return 0;
	for (unsigned i = 0; i < n; i++)
		iov[i] = (struct iovec){bytes[i], CACHE_PAGE};
	if (exact)
		iov[n - 1].iov_len = min64(c->size - last, CACHE_PAGE);
	r = cdata_fill(c, iov, (int)n, start);
	cshare_kernel_mine(c);
	return r;
}

static int data_install_pages(struct cinode *c, uint64_t page, void **bytes, unsigned n)
{
	int r = chunks_make(c, page, page + n - 1) ? data_install(c, page, bytes, n) : -ENOMEM;

	if (r < 0)
		return r;
	pages_came(c, page, page + n - 1);
	for (unsigned i = 0; i < n; i++) {
		cpage_put(pool_of(c), bytes[i]);
		bytes[i] = NULL;
	}
	return 0;
}

static int page_install(struct cinode *c, uint64_t page, void **bytes)
{
	struct chunk *chunk = chunk_make(c, page / CHUNK_PAGES);
	unsigned i = page % CHUNK_PAGES;
	uint64_t left = c->size - page * CACHE_PAGE;
	int r = chunk ? 0 : -ENOMEM;

	if (r == 0 && left <= CACHE_SHORT)
		r = page_reserve(chunk, i, left, 0, true);
	if (r < 0) {
		if (chunk && !chunk->present)
			chunk_free(chunk);
		return r;
	}
	if (left > CACHE_SHORT) {
		chunk->page[i] = *bytes;
		budget_charge(c->cache->budget, chunk, CACHE_PAGE);
	} else {
		memcpy(chunk->page[i], *bytes, left);
		cpage_put(pool_of(c), *bytes);
	}
	*bytes = NULL;
	page_came(chunk, i);
	return 0;
}

int body_install(struct cinode *c, uint64_t page, void **bytes, unsigned n)
{
	int r = 0;

	data_begin(c, n * (uint64_t)CACHE_PAGE);
	if (c->data >= 0)
		return data_install_pages(c, page, bytes, n);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = page_install(c, page + i, &bytes[i]);
	return r;
}

void body_adopt(struct cinode *c, uint64_t page)
{
	struct chunk *chunk = chunk_make(c, page / CHUNK_PAGES);

	if (!chunk)
		return;
	page_came(chunk, page % CHUNK_PAGES);
	body_dirty(c, page, page);
}

void chunk_forget_dirt(struct chunk *chunk, unsigned mask)
{
	struct cinode *c = chunk->inode;
	unsigned n = __builtin_popcount(chunk->dirty & mask);

	if (!n)
		return;
	chunk->dirty &= ~mask;
	c->dirty_pages -= n;
	__atomic_sub_fetch(&c->cache->budget->dirty, (uint64_t)n * CACHE_PAGE, __ATOMIC_RELAXED);
	if (!chunk->dirty)
		chunk_tag(c, chunk);
}

uint64_t chunk_drop(struct chunk *chunk, unsigned mask)
{
	struct cinode *c = chunk->inode;
	uint64_t before = chunk->charged;
	int64_t bytes = 0;

	mask &= chunk->present;
	chunk_forget_dirt(chunk, mask);
	for (unsigned i = 0; chunk->hash && i < CHUNK_PAGES; i++)
		if (mask & 1u << i)
			chunk->hash[i] = 0;
	if (c->data >= 0) {
		cdata_punch(c, chunk, mask);
		cshare_kernel_mine(c);
		bytes = (int64_t)__builtin_popcount(mask) * CACHE_PAGE;
	}
	for (unsigned i = 0; i < CHUNK_PAGES && c->data < 0; i++)
		if (mask & 1u << i) {
			bytes += page_cost(chunk, i);
			page_release(chunk, i);
		}
	budget_charge(c->cache->budget, chunk, -bytes);
	chunk->present &= ~mask;
	chunk->touched &= ~mask;
	if (chunk->present)
		return bytes;
	chunk_free(chunk);
	if (!c->chunks && c->data >= 0 && !c->share)
		cdata_end(c);
	return before;
}

/* Those bits of a chunk that are of pages first..last. */
static unsigned mask_of(const struct chunk *chunk, uint64_t first, uint64_t last)
{
	uint64_t start = chunk->index * CHUNK_PAGES;
	unsigned from = first > start ? first - start : 0, to = min64(last - start, CHUNK_PAGES - 1);

	return (CHUNK_ALL << from & CHUNK_ALL) & CHUNK_ALL >> (CHUNK_PAGES - 1 - to);
}

void body_drop(struct cinode *c, uint64_t first, uint64_t last)
{
	struct chunk *chunk = chunk_from(c, first / CHUNK_PAGES, false);

	if (c->share)
		cshare_went(c, first, last);
	while (chunk && chunk->index <= last / CHUNK_PAGES) {
		uint64_t index = chunk->index;
		chunk_drop(chunk, mask_of(chunk, first, last));
		chunk = chunk_from(c, index + 1, false);
	}
}

void body_dirty(struct cinode *c, uint64_t first, uint64_t last)
{
	struct chunk *chunk = chunk_from(c, first / CHUNK_PAGES, false);
	unsigned n = 0;

	for (; chunk && chunk->index <= last / CHUNK_PAGES;
	     chunk = chunk_from(c, chunk->index + 1, false)) {
		unsigned fresh = mask_of(chunk, first, last) & chunk->present & ~chunk->dirty;
		if (!fresh)
			continue;
		n += __builtin_popcount(fresh);
		chunk->dirty |= fresh;
		chunk_tag(c, chunk);
	}
	c->dirty_pages += n;
	__atomic_add_fetch(&c->cache->budget->dirty, (uint64_t)n * CACHE_PAGE, __ATOMIC_RELAXED);
	if (n)
		cflusher_note(c);
}

/* ---- from memory to a file ----------------------------------------------------------------------------
 */

/* Pages that are neighbours, to be written at once (see data_install). */
struct saving {
	int fd;
	uint64_t from, next; /* first page, and the one behind the last */
	struct iovec iov[CACHE_FILL_PAGES + 1];
};

static int saving_end(struct saving *s)
{
	int n = (int)(s->next - s->from);

	s->from = s->next;
	return n ? cdata_write(s->fd, s->iov, n + 1, (s->next - n) * CACHE_PAGE) : 0;
}

/* Each whole: what is behind the file's end is nobody's to see. */
static int page_save(struct saving *s, const struct chunk *chunk, unsigned i)
{
	uint64_t page = chunk->index * CHUNK_PAGES + i, at = page * CACHE_PAGE, size = chunk->inode->size,
		 have = size > at ? min64(size - at, CACHE_PAGE) : 0, n = s->next - s->from;
	int r = 0;

	if (page != s->next || n == CACHE_FILL_PAGES || (n && s->iov[n].iov_len)) {
		r = saving_end(s);
		s->from = page;
		n = 0;
	}
	s->iov[n] = (struct iovec){chunk->page[i], have};
	s->iov[n + 1] = (struct iovec){(void *)zeros, CACHE_PAGE - have};
	s->next = page + 1;
	return r;
}

static int chunks_save(const struct cinode *c, int fd)
{
	struct saving s = {.fd = fd};
	int r = 0;

	for (struct chunk *chunk = chunk_from(c, 0, false); chunk && r == 0; chunk = chunk_from(c, chunk->index + 1, false))
		for (unsigned i = 0; i < CHUNK_PAGES && r == 0; i++)
			if (chunk->present & 1u << i)
				r = page_save(&s, chunk, i);
	return r < 0 ? r : saving_end(&s);
}

static void chunk_saved(struct chunk *chunk)
{
	int64_t bytes = 0;

	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		if (chunk->present & 1u << i) {
			bytes += CACHE_PAGE - page_cost(chunk, i);
			page_release(chunk, i);
		}
	budget_charge(chunk->inode->cache->budget, chunk, bytes);
}

int body_to_file(struct cinode *c, bool large)
{
	int fd, r;

	if (c->data >= 0)
		return 0;
	large = large && (!c->size || body_present(c, 0, page_index(c->size - 1))); /* else with memory for the holes (data.c) */
	fd = cdata_new(c->cache, &large);
	if (fd < 0)
		return fd;
	r = chunks_save(c, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	for (struct chunk *chunk = chunk_from(c, 0, false); chunk; chunk = chunk_from(c, chunk->index + 1, false))
		chunk_saved(chunk);
	cdata_begin(c, fd, large);
	return 0;
}
