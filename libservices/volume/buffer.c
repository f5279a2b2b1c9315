/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of one block, for nodes, bitmaps and pages, aligned to their size. They come from slabs and go to
 * a stack of spare ones; the memory of those deep in the stack is given back to the kernel.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "libservices/volume/vol.h"

enum { SLAB_BUFFERS = 64, WARM = 256, COLD_STEP = 64 };

static int slab_new(struct vol_buffers *b)
{
	size_t count = (b->slab_count + 1) * SLAB_BUFFERS;
	void **spare, **slabs;
	uint8_t *slab;

	spare = realloc(b->spare, count * sizeof(*spare));
	if (!spare)
		return -1;
	b->spare = spare;
	slabs = realloc(b->slabs, (b->slab_count + 1) * sizeof(*slabs));
	if (!slabs)
		return -1;
	b->slabs = slabs;
	slab =
	    mmap(NULL, SLAB_BUFFERS * VF_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		return -1;
	b->slabs[b->slab_count++] = slab;
	for (size_t i = SLAB_BUFFERS; i-- > 0;)
		b->spare[b->spare_count++] = slab + i * VF_BLOCK;
	return 0;
}

void *vol_buffer_get(struct vol *v)
{
	struct vol_buffers *b = &v->buffers;
	void *buffer = NULL;

	pthread_mutex_lock(&b->lock);
	if (b->spare_count || slab_new(b) == 0)
		buffer = b->spare[--b->spare_count];
	if (b->spare_cold > b->spare_count)
		b->spare_cold = b->spare_count;
	pthread_mutex_unlock(&b->lock);
	return buffer;
}

static void cool(struct vol_buffers *b)
{
	while (b->spare_cold + WARM < b->spare_count)
		madvise(b->spare[b->spare_cold++], VF_BLOCK, MADV_DONTNEED);
}

void vol_buffer_put(struct vol *v, void *buffer)
{
	struct vol_buffers *b = &v->buffers;

	if (!buffer)
		return;
	pthread_mutex_lock(&b->lock);
	b->spare[b->spare_count++] = buffer;
	if (b->spare_count >= b->spare_cold + WARM + COLD_STEP)
		cool(b);
	pthread_mutex_unlock(&b->lock);
}

void vol_buffers_fini(struct vol *v)
{
	struct vol_buffers *b = &v->buffers;

	for (size_t i = 0; i < b->slab_count; i++)
		munmap(b->slabs[i], SLAB_BUFFERS * VF_BLOCK);
	free(b->slabs);
	free(b->spare);
	pthread_mutex_destroy(&b->lock);
}
