/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories that programs watch with inotify.
 *
 * The kernel tells watchers of what it does itself. So what changes a watched inode, a name in a watched directory or a
 * file that such a name leads to is not done here for the preload door: WIRE_ESCAPE, and the client lets the kernel do
 * it, by the FUSE door. What is only read goes on as it is, and is not seen; nor is what a program writes to a file in a
 * watched directory that it had opened before.
 *
 * A program says so after the kernel has begun to watch. From then on the kernel holds the inode, so the mark goes when
 * the kernel forgets it, or when no process that watches anything is left: all marks are void then. An `inode->watched`
 * is the turn that it was marked in.
 */
#pragma once

#include "service/instance.h"
#include "service/service.h"

struct session;

static inline bool watched(const struct service *s, const struct inode *inode)
{
	unsigned turn = __atomic_load_n(&inode->watched, __ATOMIC_ACQUIRE);

	return __builtin_expect(turn != 0, 0) && turn == __atomic_load_n(&s->watch_turn, __ATOMIC_ACQUIRE);
}

/* Nobody has the session in hand any more. */
void watched_end(struct session *session);
