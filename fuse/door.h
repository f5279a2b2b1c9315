/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE door of one filesystem instance: what reaches it by way of the kernel.
 *
 * What the kernel is allowed to remember, and why that is safe:
 *  names       for ever, with a notice of each that another door changes in a directory of which the kernel knows
 *              any. (To bump the connection's epoch is cheaper, but takes down all that is mounted below.)
 *  attributes  for ever, with one notice when they change through another door.
 *  pages       of files opened for reading; ranges written through another door are dropped first. Files
 *              opened for writing bypass the page cache but for mappings. Of files that pass through (passthrough.c)
 *              it has none of its own: there it reads, writes and maps what everybody does.
 * A stack whose files others may change (LS_SHARED) gets no names remembered, and attributes for a moment.
 *
 * The mount has `default_permissions`: names that the kernel resolves by itself, FIFOs, sockets and devices are
 * never asked for here, so it checks modes too. Every request is checked here all the same.
 */
#pragma once

#include "service/service.h"

/*
 * Takes requests from `fd`, a mounted /dev/fuse, in threads of its own. live: an earlier service has answered
 * INIT on it. 0 or -errno. The descriptor is the door's, also on failure.
 */
int fuse_door_open(struct service *s, struct instance *fs, int fd, bool live, struct fuse_door **ret);
/* Ends the threads, and the files that the kernel had open; what there is to tell the kernel goes on to be told. */
void fuse_door_stop(struct fuse_door *door);
/* Ends the threads; the mount stays, and requests wait. Takes NULL, returns NULL. */
struct fuse_door *fuse_door_close(struct fuse_door *door);
