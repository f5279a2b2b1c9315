/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permission rules, the same for every door. Each answers 0 or the errno of the system call it stands for,
 * negative. They follow Linux' fs/namei.c, fs/attr.c and fs/xattr.c in what they decide.
 */
#pragma once

#include "service/cred.h"
#include "service/instance.h"

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };

/*
 * By the attributes, and by the inode's access ACL, where it has one and the answer depends on it. inode NULL: by the mode
 * alone.
 */
int perm_access(struct caller *c, const struct inode *inode, const struct ls_attr *attr, unsigned may);
/* Removing `victim` from `dir`, the inode (unlink, rmdir, rename); both attributes known. */
int perm_delete(struct caller *c, const struct inode *inode, const struct ls_attr *dir, const struct ls_attr *victim);
/* `set` (enum ls_set) from `in` on an inode with `old`. May add what the change implies (set-id bits) to
 * *set and in->mode. by_fd: the size is changed through a descriptor open for writing. */
int perm_setattr(struct caller *c, const struct inode *inode, const struct ls_attr *old, struct ls_attr *in, unsigned *set,
		 bool by_fd);
/* The kernel's mark on an open for execution; never passed to a layer. */
enum { OPEN_EXEC = 040 };
/* Opening an existing inode. */
int perm_open(struct caller *c, const struct inode *inode, const struct ls_attr *attr, int flags);
/* The mode and group of a new inode in `dir`. */
void perm_new(struct caller *c, const struct ls_attr *dir, mode_t *mode, gid_t *ret_gid);
/* The mode that a write by the caller leaves behind: set-id bits go. Returns true if it differs. */
bool perm_write_strips(struct caller *c, const struct ls_attr *attr, mode_t *ret_mode);
int perm_xattr(struct caller *c, const struct inode *inode, const struct ls_attr *attr, const char *name, unsigned may);
/* The fs.protected_* settings of the host. */
int perm_hardlink(struct caller *c, const struct inode *inode, const struct ls_attr *source);
int perm_follow(struct caller *c, const struct ls_attr *dir, const struct ls_attr *link);
int perm_create_existing(struct caller *c, const struct ls_attr *dir, const struct ls_attr *file, int flags);
