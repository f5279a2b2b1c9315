/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's filesystems answer, for layers that decide it themselves: which names, flags and modes there are,
 * and what an operation does to attributes. Each rule stands here once, so that all layers answer alike. Nothing here
 * blocks or keeps state. `type` is that of an inode, S_IFREG and so on.
 */
#pragma once

#include "libservices/libservice.h"

/* Of a name in a directory: 0, -ENOENT, -EINVAL or -ENAMETOOLONG. */
int ls_name_check(const char *name);
/* Of the flags of renameat2: 0 or -EINVAL. */
int ls_rename_check(unsigned flags);
/* Of opening an inode that is there: 0, -ELOOP, -ENXIO or -EISDIR. */
int ls_open_check(mode_t type, int flags);
/* 0, -EINVAL, -EISDIR, -ENODEV or -EOPNOTSUPP. How long a file may become is the layer's to say. */
int ls_fallocate_check(mode_t type, int mode, off_t offset, off_t length);
/* The extended attributes that ACLs are kept in. */
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
/* Which extended attributes there are at all, and for which inodes: 0, -ERANGE, -EPERM, -EACCES, -EINVAL or -EOPNOTSUPP. */
int ls_xattr_check(mode_t type, const char *name);
/* Does the name begin with that prefix, and go on? */
bool ls_xattr_in(const char *name, const char *prefix);

enum ls_touch { LS_ATIME = 1, LS_MTIME = 2, LS_CTIME = 4 };

static inline bool ls_time_equal(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Does the next read set atime, as it is older than another time? */
bool ls_atime_due(const struct ls_attr *a);
/* The same, as the kernel's relatime has it: one of yesterday is set again, too. */
bool ls_atime_due_kernel(const struct ls_attr *a);
/* Sets the times that `what` (enum ls_touch) names to now. */
void ls_attr_touch(struct ls_attr *a, unsigned what);
/* What `set` (enum ls_set) names, from `in`, but the size, of which it sets the times only. */
void ls_attr_apply(struct ls_attr *a, const struct ls_attr *in, unsigned set);
