/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of memory for cached bytes, carved from large mappings. What is given back is kept warm up to a
 * limit, for the next to use; beyond it the kernel gets the memory, and the addresses are used again later.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libservices/cache/cache.h"

enum { ARENA = 4 << 20, WARM_PAGES = 512, COOL_PAGES = 64 };

struct page_arena {
	struct page_arena *next;
	void *memory;
};

int cpage_pool_init(struct page_pool *pool)
{
	*pool = (struct page_pool){.warm_max = WARM_PAGES};
	return -pthread_mutex_init(&pool->lock, NULL);
}

void cpage_pool_fini(struct page_pool *pool)
{
	struct page_arena *arena;

	while ((arena = pool->arenas)) {
		pool->arenas = arena->next;
		munmap(arena->memory, ARENA);
		free(arena);
	}
	free(pool->warm);
	free(pool->cold);
	pthread_mutex_destroy(&pool->lock);
}

/* Both stacks have room for every page there is, so that giving back cannot fail. */
static int stacks_grow(struct page_pool *pool, size_t pages)
{
	void **warm = reallocarray(pool->warm, pool->room + pages, sizeof(*warm)), **cold;

	if (!warm)
		return -ENOMEM;
	pool->warm = warm;
	cold = reallocarray(pool->cold, pool->room + pages, sizeof(*cold));
	if (!cold)
		return -ENOMEM;
	pool->cold = cold;
	pool->room += pages;
	return 0;
}

static int arena_add(struct page_pool *pool)
{
	struct page_arena *arena = malloc(sizeof(*arena));
	int r = arena ? stacks_grow(pool, ARENA / CACHE_PAGE) : -ENOMEM;

	if (r == 0) {
		arena->memory =
		    mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		r = arena->memory == MAP_FAILED ? -errno : 0;
	}
	if (r < 0) {
		free(arena);
		return r;
	}
	arena->next = pool->arenas;
	pool->arenas = arena;
	pool->fresh = arena->memory;
	pool->fresh_end = pool->fresh + ARENA;
	return 0;
}

void *cpage_get(struct page_pool *pool)
{
	void *page = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->warm_count) {
		page = pool->warm[--pool->warm_count];
	} else if (pool->cold_count) {
		page = pool->cold[--pool->cold_count];
	} else if (pool->fresh < pool->fresh_end || arena_add(pool) == 0) {
		page = pool->fresh;
		pool->fresh += CACHE_PAGE;
	}
	pthread_mutex_unlock(&pool->lock);
	return page;
}

void cpage_put(struct page_pool *pool, void *page)
{
	if (!page)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->warm[pool->warm_count++] = page;
	if (pool->warm_count > pool->warm_max)
		for (int i = 0; i < COOL_PAGES; i++) {
			void *cool = pool->warm[--pool->warm_count];
			madvise(cool, CACHE_PAGE, MADV_DONTNEED);
			pool->cold[pool->cold_count++] = cool;
		}
	pthread_mutex_unlock(&pool->lock);
}
