/* SPDX-License-Identifier: Apache-2.0 */
/* What keep.c and keep-copy.c have of each other. */
#pragma once

#include "libservices/cache/cache.h"

/* With the lock held for writing: size and times are those below from now on, and the bytes below are others. */
void keep_adopt(struct cinode *c, const struct ls_attr *attr);
/* With the lock held: the kernel has the file. */
bool keep_is_copy(const struct cinode *c);
/* It has, and there is no delegation: then it is a copy. Without a lock. */
bool keep_has_copy(struct cinode *c);
/* With the lock held for writing: the copy is to be made anew, whatever the kernel has changed in it. */
void keep_copy_void(struct cinode *c);
/* With io held and nothing dirty: bytes from..to of the copy, and its size, are as below; all of it, if that has changed. */
int keep_copy_refresh(struct cinode *c, const struct ls_call *call, uint64_t from, uint64_t to);
/* Somebody has changed these bytes below; 0, 0: perhaps. */
int keep_copy_look(struct cinode *c, const struct ls_call *call, uint64_t from, uint64_t to);
/* With io held: the times of what we have written ourselves, so that they are not taken for a change by others. */
void keep_copy_times(struct cinode *c, const struct ls_call *call);
