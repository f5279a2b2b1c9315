/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service open file: what open(2) makes, shared by everybody who has it open - handles of sessions and
 * FUSE files alike. Its offset belongs to the process while only one has the file, then to the kernel's file that
 * was opened through FUSE; without FUSE, once there is a token (token.h), it is kept here.
 */
#pragma once

#include "service/instance.h"
#include "service/lock-hosts.h"

struct ofd {
	unsigned refs; /* atomic */
	int flags;     /* open(2) flags; status flags may change by SETFL, atomic */
	struct inode *inode;
	struct ls_file *file; /* NULL for a directory held only as a starting point */
	uint64_t id;          /* never reused; names the lock owner */
	bool executes;        /* a program runs from it: counted in inode->executed */
	bool in_kernel;       /* is or was a FUSE file: the kernel knows who writes. Atomic */
	bool flocked;         /* has or had a flock */
	bool ofd_locked;      /* has or had an OFD lock */
	pthread_mutex_t lock; /* of path and of reading a directory */
	pthread_mutex_t position_lock; /* of position, and held while data moves at it */
	off_t position;                /* WIRE_OWN_OFFSET; of a directory, the cookie */
	char *path; /* where it was opened, relative to the instance's root; a hint; NULL if unknown */
};

/* Takes over the references to inode and file, also on failure. path is copied, may be NULL. */
int ofd_new(struct inode *inode, struct ls_file *file, int flags, const char *path, struct ofd **ret);
struct ofd *ofd_ref(struct ofd *ofd);
void ofd_unref(struct ofd *ofd); /* takes NULL; the last one releases the file and the locks */
