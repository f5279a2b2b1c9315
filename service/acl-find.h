/* SPDX-License-Identifier: Apache-2.0 */
/* ACLs as the layers keep them, and which inodes have none. */
#pragma once

#include "service/cred.h"
#include "service/instance.h"

/*
 * The inode's ACL of that kind, to be freed. Its size; 0 and NULL: there is none, or there can be none; or a negative
 * errno.
 */
ssize_t acl_find(struct caller *c, const struct inode *inode, enum acl_of of, char **ret);
/* The inode with that number may have got one just now. Before that is acknowledged. */
void acl_changed(struct instance *fs, enum acl_of of, uint64_t ino);
