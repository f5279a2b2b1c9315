/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files about to be opened a second time through the kernel ("materialised").
 *
 * A thread of a preloaded program announces an open file; the OPEN message that the kernel then sends for that
 * thread joins it instead of making a new one. The kernel names the thread by its number in the host's PID
 * namespace, the announcement by the program's own; /proc/<tid>/status ties the two together.
 */
#pragma once

#include <sys/types.h>
#include "service/ofd.h"

struct session;

/* The same for the calling thread of this service itself. */
int pending_add_self(struct ofd *ofd);
/* Announces; takes a reference of its own. Replaces what the same thread announced before. */
int pending_add(struct session *session, uint32_t ns_tid, struct ofd *ofd);
/*
 * The kernel opens `inode` for host thread `tid`. 0: nothing announced. 1: *ret is the open file, referenced.
 * -ESTALE: the thread announced another inode.
 */
int pending_take(pid_t tid, struct inode *inode, struct ofd **ret);
/* Forgets what a session announced. */
void pending_end(struct session *session);

/* The inode behind the name WIRE_OPEN_NAME "<id>" in a mount's root for host thread `tid`, referenced; NULL if it is not this thread's. */
struct inode *pending_lookup(pid_t tid, const char *name);
