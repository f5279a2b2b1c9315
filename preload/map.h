/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's mappings of our files' cached data: map.c has the idea. All may be called by any thread.
 */
#pragma once

#include <stdint.h>
#include "libfs/fs.h"
#include "preload/dispatch.h"

enum { MAPS_MAX = 512 };

/* There are any. Cheap. */
extern uint32_t map_count;
static inline int map_any(void)
{
	return __builtin_expect(__atomic_load_n(&map_count, __ATOMIC_ACQUIRE) != 0, 0);
}

/* mmap of f: its result, or FS_KERNEL: it is to be mapped through FUSE. */
int64_t map_file(struct preload_regs *r, struct fs_file *f);
/* The call does away with what is mapped at a[0], a[1] bytes: makes it, and lets go of that. Its result. */
int64_t map_over(struct preload_regs *r);
/* mremap, mprotect: their results. */
int64_t map_move(struct preload_regs *r);
int64_t map_protect(struct preload_regs *r);
/* msync(MS_SYNC) of what of ours is there. 0, or -errno. */
int64_t map_sync(uint64_t at, uint64_t length);

/* A fork, made here so that the child can be told from its parent: its result. In the child it has told the service. */
int64_t map_fork(struct preload_regs *r);
/* In the child of one that was not made here. */
void map_inherited(void);
