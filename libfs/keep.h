/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was read lately and is small: whole files that came with their OPEN, and whole listings of directories. Good as
 * long as the inode's change count in the lease table is what it was then.
 */
#pragma once

#include "libfs/fs.h"

struct cursor;

enum {
	KEEP_SMALL_MAX = 4096, /* bytes; what comes in a slot's first page fits */
	KEEP_LARGE_MAX = 32 * 1024,
};

int keep_wipe_on_fork(void);
/*
 * How much of a file an OPEN should bring along, if it is that small: 0 if that has not been of use lately. `size`: of
 * the file, where it is known; else UINT64_MAX.
 */
uint32_t keep_wanted(uint64_t size);
/* It is there. */
int keep_has(uint32_t mount, uint64_t ino, uint64_t change);
/* All of a file, or of a directory, as of that change count. */
void keep_put(uint32_t mount, uint64_t ino, uint64_t change, const void *data, uint64_t length);
/*
 * A read from a file's start by a request: it may as well bring all of the file. keep_reading before it is sent, with the
 * file's size, or 0 if that is of no interest; keep_was_read after it, with the bytes.
 */
uint64_t keep_reading(const struct fs_file *f, uint64_t offset, uint64_t *ret_size);
void keep_was_read(const struct fs_file *f, uint64_t change, const void *data, uint64_t length);
/* 1: *ret is what a read there gives. */
int keep_read(const struct fs_file *f, struct cursor *c, uint64_t offset, int64_t *ret);
/* 1: *ret is what a getdents64 there gives; *ret_next the cookie after it. */
int keep_list(const struct fs_file *f, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next, int64_t *ret);
