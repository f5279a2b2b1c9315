/* SPDX-License-Identifier: Apache-2.0 */
/* The map of regions in which children may differ. */
#include <string.h>

#include "libservices/area/mirror.h"
#include "libservices/crc32c.h"

static int word_bit(const uint64_t *words, uint64_t n)
{
	return words[n / 64] >> n % 64 & 1;
}

static void word_set(uint64_t *words, uint64_t n)
{
	words[n / 64] |= UINT64_C(1) << n % 64;
}

static int region_enter(struct mirror *m, uint64_t n)
{
	word_set(m->map->touched, n);
	if (!word_bit(m->map->dirty, n)) {
		word_set(m->map->dirty, n);
		m->pages_changed |= bit(n / MIRROR_PAGE_BITS);
	}
	return word_bit(m->map->safe, n);
}

int mirror_map_enter(struct mirror *m, const struct area_io *io)
{
	int safe = 1;

	for (unsigned i = 0; i < io->range_count; i++) {
		const struct area_range *r = &io->ranges[i];
		uint64_t last = (r->offset + r->length - 1) >> m->region_shift;

		for (uint64_t n = r->offset >> m->region_shift; n <= last; n++)
			safe &= region_enter(m, n);
	}
	return safe;
}

void mirror_page_fill(const struct mirror *m, unsigned number, struct mirror_page *page)
{
	memset(page, 0, sizeof(*page));
	memcpy(page->set, m->set, sizeof(page->set));
	page->number = number;
	memcpy(page->bits, m->map->dirty + number * MIRROR_PAGE_WORDS, sizeof(page->bits));
	page->crc = crc32c(0, page, sizeof(*page));
}

static int page_is_good(const struct mirror *m, unsigned number, struct mirror_page *page)
{
	uint32_t crc = page->crc;

	page->crc = 0;
	return crc == crc32c(0, page, sizeof(*page)) && page->number == number &&
	       memcmp(page->set, m->set, sizeof(m->set)) == 0;
}

/* A page that a power cut has torn may have had any bit set. */
int mirror_map_load(struct mirror *m, struct area *child)
{
	int r = 0;

	for (unsigned i = 0; i < MIRROR_PAGES && r == 0; i++) {
		uint64_t *words = m->map->dirty + i * MIRROR_PAGE_WORDS;

		r = area_read(child, m->page, MIRROR_PAGE, MIRROR_MAP + i * MIRROR_PAGE);
		if (r == 0 && page_is_good(m, i, m->page))
			memcpy(words, m->page->bits, sizeof(m->page->bits));
		else
			memset(words, 0xff, sizeof(m->page->bits));
	}
	memcpy(m->map->safe, m->map->dirty, sizeof(m->map->dirty));
	return r;
}

/* Of regions that there are; others have nothing to differ in. */
void mirror_map_fill(struct mirror *m)
{
	uint64_t regions = (area_size(m->area) + (UINT64_C(1) << m->region_shift) - 1) >> m->region_shift;

	for (uint64_t n = 0; n < regions; n++)
		word_set(m->map->dirty, n);
	m->pages_changed = bit(MIRROR_PAGES) - 1;
}

int mirror_map_any(const uint64_t *words)
{
	return mirror_map_first(words) < MIRROR_BITS;
}

unsigned mirror_map_first(const uint64_t *words)
{
	for (unsigned i = 0; i < MIRROR_WORDS; i++)
		if (words[i])
			return i * 64 + __builtin_ctzll(words[i]);
	return MIRROR_BITS;
}

uint64_t mirror_map_count(const uint64_t *words)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MIRROR_WORDS; i++)
		n += __builtin_popcountll(words[i]);
	return n;
}
