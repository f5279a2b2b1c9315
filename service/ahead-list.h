/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a directory, in the order in which it is listed and in the order of names. One thread at a time. */
#pragma once

#include "service/vfs.h"

struct ahead_list;

/*
 * As it is now, for a caller who may read it: 0 or -errno; -EFBIG: it has more names than are worth it; -EAGAIN: to
 * read it would set its access time. ahead_list_free.
 */
int ahead_list_read(struct caller *c, struct inode *dir, const struct ls_attr *attr, struct ahead_list **ret);
/* The same of records of getdents64(2), which need not be any good. NULL: there is nothing in them. */
struct ahead_list *ahead_list_of(const char *records, size_t size);
struct ahead_list *ahead_list_free(struct ahead_list *list); /* takes NULL */

enum ahead_order { AHEAD_AS_LISTED, AHEAD_BY_NAME, AHEAD_ORDERS };

/* Where in each order the name is. False: it is not there. */
bool ahead_list_find(const struct ahead_list *list, const char *name, unsigned ret[AHEAD_ORDERS]);
/* The name there, NULL behind the last one; and its DT_*. */
const char *ahead_list_at(const struct ahead_list *list, enum ahead_order order, unsigned at, unsigned *ret_type);
