/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts that are made detached, with the descriptor as the only name they have. */
#pragma once

#include <stdint.h>

#include "engine/util.h"

/* A tmpfs, nosuid and nodev; options as "mode=0755,size=1m". A descriptor or -errno. */
int mount_tmpfs(const char *options, struct error *error);

struct fuse_mount {
	int device;   /* /dev/fuse, connected */
	int mount;    /* the mount, detached */
	uint64_t dev; /* st_dev of what is in it */
};

/*
 * A FUSE mount whose requests speak of the caller's PID and user namespaces, so call it in the host's.
 * 0, or -errno with a sentence.
 */
int mount_fuse(const char *source, struct fuse_mount *ret, struct error *error);
/* Attaches a detached mount. */
int mount_attach(int mount, const char *path, struct error *error);
/*
 * The same, and *mount becomes a younger one. The kernel lists mounts by age (since Linux 6.8), and df(1), findmnt(8) and
 * others believe the last that is listed at a place.
 */
int mount_attach_last(int *mount, const char *path, struct error *error);
