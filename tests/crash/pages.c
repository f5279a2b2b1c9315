/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_PAGES = 64 };

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void pages_init(struct pages *p, size_t count, const uint8_t *fill)
{
	*p = (struct pages){.count = count};
	p->page = must(calloc(count, sizeof(*p->page)));
	p->own = must(calloc(count, sizeof(*p->own)));
	pthread_mutex_init(&p->lock, NULL);
	for (size_t i = 0; i < count; i++)
		p->page[i] = fill;
}

void pages_copy(struct pages *p, const struct pages *from)
{
	memcpy(p->page, from->page, from->count * sizeof(*p->page));
	memset(p->own, 0, p->count * sizeof(*p->own));
	p->used = 0;
}

void pages_fini(struct pages *p)
{
	for (size_t i = 0; i < p->chunks; i++)
		free(p->chunk[i]);
	free(p->chunk);
	free(p->page);
	free(p->own);
	pthread_mutex_destroy(&p->lock);
}

static uint8_t *page_new(struct pages *p)
{
	size_t chunk = p->used / CHUNK_PAGES;

	if (chunk == p->chunks) {
		p->chunk = must(realloc(p->chunk, (p->chunks + 1) * sizeof(*p->chunk)));
		p->chunk[p->chunks++] = must(malloc(CHUNK_PAGES * PAGE));
	}
	return p->chunk[chunk] + p->used++ % CHUNK_PAGES * PAGE;
}

static uint8_t *page_own(struct pages *p, size_t i)
{
	uint8_t *page;

	if (!p->own[i]) {
		page = page_new(p);
		memcpy(page, p->page[i], PAGE);
		p->page[i] = page;
		p->own[i] = true;
	}
	return (uint8_t *)p->page[i];
}

void pages_write(struct pages *p, uint64_t offset, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	while (length) {
		size_t at = offset % PAGE, n = PAGE - at < length ? PAGE - at : length;
		memcpy(page_own(p, offset / PAGE) + at, bytes, n);
		offset += n;
		bytes += n;
		length -= n;
	}
}

void pages_read(const struct pages *p, uint64_t offset, void *data, size_t length)
{
	uint8_t *bytes = data;

	while (length) {
		size_t at = offset % PAGE, n = PAGE - at < length ? PAGE - at : length;
		memcpy(bytes, p->page[offset / PAGE] + at, n);
		offset += n;
		bytes += n;
		length -= n;
	}
}

/* Goes through the ranges and the memory side by side. */
void pages_transfer(struct pages *p, const struct area_io *io)
{
	unsigned v = 0;
	size_t at = 0;

	for (unsigned i = 0; i < io->range_count && io->op < AREA_FLUSH; i++) {
		uint64_t offset = io->ranges[i].offset, left = io->ranges[i].length;
		while (left) {
			size_t n = io->iov[v].iov_len - at < left ? io->iov[v].iov_len - at : left;
			uint8_t *memory = (uint8_t *)io->iov[v].iov_base + at;
			if (io->op == AREA_READ)
				pages_read(p, offset, memory, n);
			else
				pages_write(p, offset, memory, n);
			offset += n;
			left -= n;
			at += n;
			if (at == io->iov[v].iov_len) {
				v++;
				at = 0;
			}
		}
	}
}

static void pages_submit(struct area *area, struct area_io *io)
{
	struct pages *p = area->state;

	pthread_mutex_lock(&p->lock);
	pages_transfer(p, io);
	pthread_mutex_unlock(&p->lock);
	area_io_done(io, 0);
}

static int pages_run(struct area *area, struct area_io *io)
{
	struct pages *p = area->state;

	pthread_mutex_lock(&p->lock);
	pages_transfer(p, io);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static const struct area_type type = {.name = "pages", .submit = pages_submit, .run = pages_run};

struct area *pages_area(struct pages *p)
{
	char error[256];
	struct area *area;

	if (area_new(&type, NULL, NULL, 0, &area, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	area->state = p;
	area->block = SECTOR;
	area->bytes = p->count * PAGE;
	return area;
}
