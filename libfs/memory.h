/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether memory that a program names in a call is there: memory.c has the idea.
 *
 * All may be called by any thread and from signal handlers. Until fs_memory_watch() everything is good: a program
 * that calls the public interface with a bad address crashes, as in any library.
 */
#pragma once

#include <stdint.h>

enum {
	FS_MEMORY_PAGES = 512, /* remembered */
	FS_MEMORY_SHIFT = 12,
};

/* Page number << 2 | FS_MEMORY_READ, or | FS_MEMORY_WRITE; 0: nothing. */
enum {
	FS_MEMORY_READ = 2,
	FS_MEMORY_WRITE = 3,
};

extern uint64_t fs_memory_seen[FS_MEMORY_PAGES];

static inline int fs_memory_known(uint64_t page, int write)
{
	uint64_t seen = __atomic_load_n(&fs_memory_seen[page % FS_MEMORY_PAGES], __ATOMIC_RELAXED);

	return (seen | !write) == (page << 2 | FS_MEMORY_WRITE);
}

/* From now on addresses are looked at, and the caller tells what is unmapped. */
void fs_memory_watch(void);
/* The program has unmapped this, or changed what may be done with it. Call it after the fact. */
void fs_memory_changed(uint64_t at, uint64_t length);

/* How many bytes from the first on are good. */
uint64_t fs_memory_look(uint64_t at, uint64_t length, int write);
static inline uint64_t fs_memory_good(uint64_t at, uint64_t length, int write)
{
	uint64_t page = at >> FS_MEMORY_SHIFT, last = (at + length - 1) >> FS_MEMORY_SHIFT;

	if (__builtin_expect(last - page <= 1 && fs_memory_known(page, write) && fs_memory_known(last, write), 1))
		return length;
	return fs_memory_look(at, length, write);
}

static inline int fs_memory_readable(uint64_t at, uint64_t length)
{
	return fs_memory_good(at, length, 0) == length;
}

static inline int fs_memory_writable(uint64_t at, uint64_t length)
{
	return fs_memory_good(at, length, 1) == length;
}

/* The length of a string: FS_PATH_MAX if there is no NUL before that; -EFAULT if it is not all there. */
int64_t fs_memory_text(uint64_t at);
