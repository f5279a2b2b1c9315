/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a path to an inode, with the caller's search permission checked at every directory.
 *
 * A walk that leaves the instance - ".." above the root, a symbolic link to an absolute path that is not
 * below this mount - ends with WIRE_ESCAPE: the client then lets the kernel do the call.
 */
#pragma once

#include <limits.h>
#include "service/vfs.h"

enum last_kind { LAST_NORMAL, LAST_DOT, LAST_DOTDOT, LAST_ROOT };

struct walk {
	struct inode *dir;  /* referenced: the directory of the last component */
	struct ls_attr dir_attr;
	char last[NAME_MAX + 1]; /* its name there, LAST_NORMAL only */
	enum last_kind kind;
	bool slash;           /* it had a slash behind it */
	struct inode *inode;  /* referenced: what it leads to; NULL if it is not there */
	struct ls_attr attr;
	int links;            /* symbolic links followed */
	char path[PATH_MAX];  /* where that is, relative to the root, where known; else empty */
	bool path_known;
};

enum walk_flags {
	WALK_FOLLOW = 1, /* a symbolic link at the end too */
	WALK_CREATE = 2, /* the last component need not be there: inode NULL then */
	WALK_PARENT = 4, /* the name itself counts: no link at the end is followed, slash or not */
};

/*
 * From `base` (whose path, if known, is base_path). 0 or -errno or WIRE_ESCAPE; walk_end after success only.
 * Without WALK_CREATE success means that the inode is there.
 */
int walk(struct caller *c, struct inode *base, const char *base_path, const char *path, unsigned flags,
	 struct walk *w);
void walk_end(struct walk *w);
