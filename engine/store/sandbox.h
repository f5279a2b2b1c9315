/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The importer reads what strangers made. It does so in the pool, with the store as its root directory, with the
 * capabilities that writing a tree of files needs, and with the system calls that it uses.
 */
#pragma once

#include <stdbool.h>

/* The directory becomes root and working directory. -errno. */
int sandbox_root(int dir);
/* Drops capabilities (that of chroot, too, unless `chroot`) and refuses system calls. -errno. */
int sandbox_close(bool chroot);
