/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked handles: of files that were closed, and may be opened again without a message. wire_session.parked and
 * service/session-park.c have the other side.
 */
#pragma once

#include "libfs/lease.h"

int park_wipe_on_fork(void);
/* Handles are parked at all. */
int park_is_on(void);
/* An open(2) with these flags makes a file whose handle may be parked. */
int park_flags(uint32_t flags);
/* 1: the handle is parked, and need not be closed. f is a copy. */
int park_put(const struct fs_file *f);
/* 1: a handle on the inode, opened by that path with these flags, is the caller's. */
int park_take(const struct fs_object *o, const struct lease_object *at, uint32_t flags, struct fs_opened *ret);
/* 1: the service had opened it ahead, and now it is the caller's. What came along is kept (keep.h). */
int ahead_take(const struct fs_object *o, const struct lease_object *at, uint32_t flags, struct fs_opened *ret);
/* The process has locks, and each close(2) drops some: from now on all are sent. */
void park_end(void);
