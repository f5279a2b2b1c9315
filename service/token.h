/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens: descriptors that stand for open files where there is no FUSE mount.
 *
 * With a FUSE mount a process leaves to its children, over an exec, or to whom it sends it, a descriptor of the
 * kernel's that joins the open file. Without one it leaves a token: an O_PATH descriptor, which the kernel copies,
 * inherits, passes and closes as any other, but refuses to read or write. It is of a file of our own, without a name,
 * in a file system that is nobody's but ours and has the mount's st_dev. Whoever holds it shows us so, by a number
 * that we look up in /proc, and gets a handle of the very open file. A directory's token is a directory, so that it
 * can be a working directory; there is nothing in it.
 *
 * A token holds a reference to its open file until nobody holds the token: then its file ends, and inotify says so.
 */
#pragma once

#include <sys/types.h>
#include "service/ofd.h"

/* A file system for the tokens of an instance, mounted nowhere: a descriptor or -errno. Needs privileges. */
int tokens_mount(void);
/* Takes it over, and sets the instance's `dev`. With -errno instead the instance has no tokens. 0 or -errno. */
int tokens_open(struct instance *fs, int mount);
void tokens_close(struct instance *fs);

/* A descriptor, or -errno: -ENOTSUP if the instance has none. By the socket thread alone. */
int token_make(struct ofd *ofd);
/* The open file of the token with this inode number, referenced; NULL if there is none. Any thread. */
struct ofd *token_find(struct instance *fs, ino_t ino);

/* Readable when tokens have ended; -1 if there are none. */
int tokens_fd(void);
/* Lets go of the open files of all tokens that nobody holds any more. Any thread. */
void tokens_reap(void);
