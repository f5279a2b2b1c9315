/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service open file: what open(2) makes, shared by everybody who has it open - handles of sessions and
 * FUSE files alike. Its offset is not here: it belongs to the process while only one has the file, and to
 * the kernel's file once that has been materialised (preload/).
 */
#pragma once

#include "service/instance.h"

struct ofd {
	unsigned refs; /* atomic */
	int flags;     /* open(2) flags; status flags may change by SETFL, atomic */
	struct inode *inode;
	struct ls_file *file; /* NULL for a directory held only as a starting point */
	uint64_t id;          /* never reused; names the lock owner */
	bool flocked;         /* has or had a flock */
	bool ofd_locked;      /* has or had an OFD lock */
	pthread_mutex_t lock; /* of path and of reading a directory */
	char *path; /* where it was opened, relative to the instance's root; a hint; NULL if unknown */
};

/* Takes over the references to inode and file, also on failure. path is copied, may be NULL. */
int ofd_new(struct inode *inode, struct ls_file *file, int flags, const char *path, struct ofd **ret);
struct ofd *ofd_ref(struct ofd *ofd);
void ofd_unref(struct ofd *ofd); /* takes NULL; the last one releases the file and the locks */
