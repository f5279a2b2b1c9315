/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX access ACLs, as far as they are the file's mode: setting one sets the mode, and a mode set by chmod goes
 * into the ACL that is there. They are stored, but do not take part in permission checks.
 */
#pragma once

#include "service/vfs.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/*
 * The permission bits that an ACL in the kernel's xattr form (linux/posix_acl_xattr.h) stands for. 0 or -EINVAL.
 * *ret_minimal: it says no more than they do.
 */
int acl_mode(const void *value, size_t size, mode_t *ret_mode, bool *ret_minimal);

/* Puts permission bits into an ACL: mask (or group), owner and others. */
void acl_chmod(void *value, size_t size, mode_t mode);
