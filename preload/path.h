/* SPDX-License-Identifier: Apache-2.0 */
/* From the path arguments of a system call to an object of the service. */
#pragma once

#include <stdint.h>
#include "libfs/fs.h"
#include "libfs/memory.h"
#include "preload/dispatch.h"

/* An object, and the directory that it starts from, held until path_end. */
struct target {
	struct fs_object o;
	struct fs_file *held;
};

/*
 * The object of (dirfd, path). 1: it is ours; end it with path_end. 0: it is the kernel's, as is every path that
 * is wrong in itself (NULL, empty, too long), so that the kernel says so.
 */
int path_resolve(uint64_t dirfd, uint64_t path, struct target *ret);
/* The object of an absolute path: of a mount of the pool's that is where the path says, or of a container's root. */
int path_route(const char *path, struct fs_object *ret);
/* An open file as an object: of a placeholder or real descriptor. */
int path_descriptor(uint64_t fd, struct target *ret);
void path_end(struct target *t);
/* Of "/proc/self/fd/7" and its like, of this process: 7. Else -1. */
int path_shows_own(const char *path);
/* Is the last part of it a name that only the service and we know? */
int path_is_made_up(const char *path, uint64_t length);

/* Ends it and answers the call with r: 1 (handled), or 0 if r says that the kernel has to do it. */
int path_done(struct preload_regs *regs, struct target *t, int64_t r);

/* path-above.c: the call, done by the kernel for a path that it could not follow itself; or FS_KERNEL. */
int64_t path_above(struct preload_regs *regs, const struct target *t);

static inline int path_is_empty(uint64_t path)
{
	return fs_memory_readable(path, 1) && !*(const char *)path;
}

/* A range that no system call refuses at sight, whether something is there or not (libfs/memory.h). */
static inline int address_good(uint64_t address, uint64_t length)
{
	return address <= 1ull << 47 && length <= (1ull << 47) - address;
}
