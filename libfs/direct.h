/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files' cached data in this process's memory (ipc/wire-share.h): direct.c gets it and lets go of it, direct-copy.c
 * reads and writes there.
 *
 * What is in here never fails: it does a part of the work, or none, and the rest is a request.
 */
#pragma once

#include <stdint.h>
#include "ipc/wire-share.h"
#include "libfs/fs.h"

struct cursor;
struct wire_slot;

enum {
	DIRECT_MAX = 256, /* shares of a process */
	DIRECT_DEAD = 1u << 31, /* in copiers: nobody may begin to copy */
	DIRECT_GONE = 1u << 30, /* it is unmapped */
};

/*
 * A share. It belongs to the files that refer to it by fs_file.share, which `users` counts; its memory is there
 * until the last of `copiers` has left after it was declared dead. The entry itself is used for another file only
 * when nobody refers to it; who has come too late for that sees it by the inode's number.
 */
struct direct {
	uint32_t copiers;
	uint32_t users;
	uint64_t ino;
	uint32_t mount;
	uint32_t epoch;
	char *data;
	uint64_t length; /* mapped of data: more than there is, for the file may grow */
	const struct share_state *state;
	struct share_marks *marks; /* NULL: only to read */
	uint64_t session;          /* as fs_session() */
	uint32_t used; /* there is memory, or will be */
	uint32_t exact;
	uint32_t extended;  /* writes in a row that made the file longer by requests */
	uint32_t grant_off; /* such writes to go before a grant is asked for again */
	uint32_t pad[8];
} __attribute__((aligned(128)));

/* ---- direct.c -------------------------------------------------------------------------------- */

/* A share of the file in which the calling thread may copy until direct_leave; NULL: there is none. `slot` is between
 * the two. */
struct direct *direct_enter(struct fs_file *f, struct wire_slot **slot);
void direct_leave(struct direct *d, struct wire_slot *slot);
/* A new epoch has begun, or whatever else: the file lets go of it. Not between enter and leave. */
void direct_drop(struct fs_file *f);
/* A request has moved so many bytes, which could have been copied: perhaps it is worth a share. */
void direct_warm(struct fs_file *f, uint64_t bytes, int writes);
/* The file's last reference has gone; `share` was its. */
void direct_release(uint32_t share);
/* The same, but its handle is parked: it may be opened again. */
void direct_linger(uint32_t share);

/* ---- direct-copy.c --------------------------------------------------------------------------- */

/*
 * Reads at an offset, and moves the cursor on. Returns the count; *ret_end says that the file ends there, so that there
 * is nothing left to ask for.
 */
int64_t direct_read(struct fs_file *f, struct cursor *c, uint64_t offset, int *ret_end);
/* Writes at an offset, or at the end; *ret_end is the offset after it. */
int64_t direct_write(struct fs_file *f, struct cursor *c, uint64_t offset, uint64_t *ret_end);
/* The file's size: 1, if that is known here. */
int direct_size(struct fs_file *f, uint64_t *ret);

/* ---- clock.c --------------------------------------------------------------------------------- */

/* What the kernel would put into mtime now, in ns; 0: that cannot be told without it. */
int64_t fs_clock(void);
