/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX access ACLs. They are the file's mode: setting one sets that, and a mode set by chmod goes into the ACL that is
 * there. Where one says more than the mode, it says who may do what. Default ACLs: acl-default.h.
 */
#pragma once

#include "libservices/rules.h"
#include "service/vfs.h"

/* The kernel reads no larger one through FUSE. */
enum { ACL_SIZE_MAX = 4096 };

enum acl_kind {
	ACL_NONE = 0, /* no entries: whoever sets that, removes what was there */
	ACL_MINIMAL = 1, /* it says no more than the permission bits */
	ACL_MORE = 2,
};

/*
 * What an ACL in the kernel's xattr form (linux/posix_acl_xattr.h) is, or a negative errno. *ret_mode: the permission
 * bits that it stands for, unless it is ACL_NONE.
 */
int acl_mode(const void *value, size_t size, mode_t *ret_mode);

/* The inode has none, and the mode decides. */
enum { ACL_SILENT = 1 };
/*
 * What an inode's access ACL says of a caller who is not its owner, and asks for `may` (MAY_*, perm.h): 0, -EACCES,
 * another error, or ACL_SILENT.
 */
int acl_access(struct caller *c, const struct inode *inode, const struct ls_attr *attr, unsigned may);

/* Puts permission bits into an ACL: mask (or group), owner and others. */
void acl_chmod(void *value, size_t size, mode_t mode);
