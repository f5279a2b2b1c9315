/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of an inode, whether they stand between this service's clients only or between hosts (LS_LOCKS). Everybody
 * locks by these; lock.h has the words.
 */
#pragma once

#include "service/lock.h"

struct inode;
struct ofd;

/* At once, or -EAGAIN. */
int hosts_lock(struct ofd *ofd, const struct lock_range *range);
/* As lock_set_wait. */
int hosts_lock_wait(struct ofd *ofd, struct lock_wait *wait);
/* As lock_cancel. May wait for an answer of the layer, as long as its calls may take. */
bool hosts_lock_cancel(struct lock_wait *wait);
/* 0, or -errno of the layer. */
int hosts_lock_get(struct ofd *ofd, const struct lock_range *probe, struct lock_range *ret);
void hosts_lock_drop(struct inode *inode, struct lock_owner owner, bool flock);
/* No wait is left, and none will be granted any more. */
void hosts_locks_end(void);
