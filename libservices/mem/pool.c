/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the contents of files.
 *
 * Chunks of 64 KiB are cut from large anonymous mappings, aligned to their size, so that the low 16 bits of
 * an address are free for a bit per page. The kernel gives a page of memory only where one is touched; a
 * chunk of which a file uses one page costs one page.
 *
 * Returned chunks are given out again first. A few stay as they are, warm; beyond that the memory goes back
 * to the kernel at once, since the tenant is charged for it, and the chunk is known to be zero.
 *
 * The array of spare chunks has room for every chunk there is before the chunk is given out the first time:
 * returning one cannot fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libservices/mem/mem.h"

enum { REGION_SIZE = 64 << 20, WARM_MAX = 256, TOUCH_MIN = 3, ZERO = 1 };

struct mem_region {
	struct mem_region *next;
	void *start;
	size_t size;
};

int mem_pool_init(struct mem_pool *pool)
{
	*pool = (struct mem_pool){0};
	return -pthread_mutex_init(&pool->lock, NULL);
}

void mem_pool_fini(struct mem_pool *pool)
{
	struct mem_region *region;

	while ((region = pool->regions)) {
		pool->regions = region->next;
		munmap(region->start, region->size);
		free(region);
	}
	free(pool->spare);
	pthread_mutex_destroy(&pool->lock);
}

static int pool_grow(struct mem_pool *pool)
{
	size_t size = REGION_SIZE + MEM_CHUNK;
	struct mem_region *region = malloc(sizeof(*region));
	void *start;

	if (!region)
		return -ENOMEM;
	start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);
	if (start == MAP_FAILED) {
		free(region);
		return -ENOMEM;
	}
	/* A huge page would take 2 MiB where a file of one page is charged for 4 KiB. */
	madvise(start, size, MADV_NOHUGEPAGE);
	*region = (struct mem_region){pool->regions, start, size};
	pool->regions = region;
	pool->fresh = ((uintptr_t)start + MEM_CHUNK - 1) & ~(uintptr_t)(MEM_CHUNK - 1);
	pool->fresh_end = pool->fresh + REGION_SIZE;
	return 0;
}

static uintptr_t pool_carve(struct mem_pool *pool)
{
	uintptr_t *spare, chunk;

	if (pool->carved == pool->spare_max) {
		size_t max = pool->spare_max ? pool->spare_max * 2 : 256;
		spare = realloc(pool->spare, max * sizeof(*spare));
		if (!spare)
			return 0;
		pool->spare = spare;
		pool->spare_max = max;
	}
	if (pool->fresh == pool->fresh_end && pool_grow(pool) < 0)
		return 0;
	chunk = pool->fresh;
	pool->fresh += MEM_CHUNK;
	pool->carved++;
	return chunk | ZERO;
}

uintptr_t mem_pool_get(struct mem_pool *pool, bool *ret_zero)
{
	uintptr_t chunk;

	pthread_mutex_lock(&pool->lock);
	chunk = pool->spare_count ? pool->spare[--pool->spare_count] : pool_carve(pool);
	if (chunk && !(chunk & ZERO))
		pool->warm--;
	pthread_mutex_unlock(&pool->lock);
	*ret_zero = chunk & ZERO;
	return chunk & ~(uintptr_t)ZERO;
}

/* A fault for each page costs half as much again. If it fails, they fault. */
void mem_pool_touch(uintptr_t chunk, unsigned first, unsigned last)
{
	if (last - first >= TOUCH_MIN)
		madvise((char *)chunk + first * MEM_PAGE, (size_t)(last - first + 1) * MEM_PAGE,
			MADV_POPULATE_WRITE);
}

void mem_pool_put(struct mem_pool *pool, uintptr_t chunk)
{
	bool warm;

	pthread_mutex_lock(&pool->lock);
	warm = pool->warm < WARM_MAX;
	if (warm) {
		pool->warm++;
		pool->spare[pool->spare_count++] = chunk;
	}
	pthread_mutex_unlock(&pool->lock);
	if (warm)
		return;
	if (madvise((void *)chunk, MEM_CHUNK, MADV_DONTNEED) == 0)
		chunk |= ZERO;
	pthread_mutex_lock(&pool->lock);
	if (!(chunk & ZERO))
		pool->warm++;
	pool->spare[pool->spare_count++] = chunk;
	pthread_mutex_unlock(&pool->lock);
}
