/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four functions that a compiler may call by itself, for freestanding objects: hidden, so that each object
 * that they are linked into has its own and never calls those of a libc. Not for hosted programs.
 */
#include "ipc/sys.h"

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);

void *memcpy(void *to, const void *from, size_t length)
{
	mem_copy(to, from, length);
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	mem_move(to, from, length);
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	mem_fill(to, byte, length);
	return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
	return mem_compare(a, b, length);
}
