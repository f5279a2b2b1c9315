/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image of a volume in memory, in pages that images share until one of them writes. So an image costs a
 * table of pointers, and a thousand images of one moment cost little more than one.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libservices/area.h"

enum { PAGE = 4096, SECTOR = 512, PAGE_SECTORS = PAGE / SECTOR };

struct pages {
	size_t count;
	const uint8_t **page; /* never NULL */
	bool *own;            /* this image's, and no other's */
	uint8_t **chunk;      /* where its own pages are */
	size_t chunks, used;
	pthread_mutex_t lock; /* of those who read and write by the area */
};

/* All pages are `fill`, which must outlive the image and what is copied from it. */
void pages_init(struct pages *p, size_t count, const uint8_t *fill);
/* Becomes what `from` is, which must not change or go while this one lives. */
void pages_copy(struct pages *p, const struct pages *from);
void pages_fini(struct pages *p);
void pages_write(struct pages *p, uint64_t offset, const void *data, size_t length);
void pages_read(const struct pages *p, uint64_t offset, void *data, size_t length);

/* An area on the image. Everything is done at once, in the thread that asks. */
struct area *pages_area(struct pages *p);
/* A transfer of an area on the image. */
void pages_transfer(struct pages *p, const struct area_io *io);
