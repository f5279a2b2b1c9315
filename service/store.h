/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and small files of a stack, for the service's own use: the names of the containers' store (roots.h).
 * What they hold was written by the tenant: no name of a path is followed anywhere but into a directory.
 */
#pragma once

#include "libservices/libservice.h"

enum { STORE_TEXT_MAX = 64 * 1024 };

struct store {
	struct ls *ls;
	struct ls_call call;
};

/* As root, within so many seconds. */
void store_init(struct store *st, struct ls *ls, unsigned seconds);
/* The directory at a path from the root; ended by store_put. -ENOENT, -ENOTDIR. ret_attr may be NULL. */
int store_dir(struct store *st, const char *path, struct ls_inode **ret, struct ls_attr *ret_attr);
/* The same from a directory that is open. The path has one name at least. */
int store_dir_below(struct store *st, struct ls_inode *from, const char *path, struct ls_inode **ret,
		    struct ls_attr *ret_attr);
/* Ends a reference; takes NULL. */
void store_put(struct store *st, struct ls_inode *inode);
/* Is there that name? 1, 0, -errno. */
int store_has(struct store *st, struct ls_inode *dir, const char *name);
/* Makes a directory, or finds it. */
int store_make(struct store *st, struct ls_inode *dir, const char *name, mode_t mode, struct ls_inode **ret);
/* A small file's text; the caller's to free. */
int store_read(struct store *st, struct ls_inode *dir, const char *name, char **ret);
/* Puts a text there, whole or not at all, and on disk. */
int store_write(struct store *st, struct ls_inode *dir, const char *name, const char *text);
/* The names of a directory but "." and "..", each ended by a NUL, and an empty one; the caller's to free. */
int store_list(struct store *st, struct ls_inode *dir, char **ret);
/* Removes a name and everything below it, until *stop becomes true (-ECANCELED). */
int store_remove(struct store *st, struct ls_inode *dir, const char *name, const bool *stop);
