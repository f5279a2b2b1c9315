/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount namespace other than the pool's shows of the pool's filesystems, to the sessions of its processes: which
 * of them are mounted there, which one is its "/", and which inodes of theirs lie under other mounts. A walk that comes
 * to one of those is the kernel's: it alone knows what is on top.
 *
 * A view is what the kernel said at one time. When the namespace's mounts change the view has ended: its sessions leave
 * all names to the kernel, and what they have leased is void. Those who attach later get another one.
 *
 * view_get, view_leave and view_changed run in the socket thread; the others in any.
 */
#pragma once

#include "service/instance.h"
#include "service/service.h"

struct session;
struct view;

/* The session's process' view, entered and referenced: *ret, or NULL if it is in the pool's own namespace. 0 or -errno. */
int view_get(struct service *s, const struct session *session, struct view **ret);
/* The session has ended. Who still serves a request of it has the view in hand until view_put. */
void view_leave(struct service *s, struct view *view); /* takes NULL */
void view_put(struct view *view);                      /* takes NULL */
void view_changed(struct service *s, struct view *view);

/* Never used twice; from 1 on. */
unsigned view_number(const struct view *view);
bool view_ended(const struct view *view);
/* Whether filesystem n is mounted there. */
bool view_shows(const struct view *view, unsigned n);
/* The filesystem that is its "/"; -1: none. */
int view_root(const struct view *view);
/* Whether its "/" is all of that filesystem. */
bool view_is_root(const struct view *view, const struct instance *fs);
/* Whether the only way up from a directory of that filesystem is its own parent. */
bool view_is_whole(const struct view *view, const struct instance *fs);
/* For sessions of the pool's own namespace, which have no view: bits of inode->covered_here. */
enum cover_here {
	COVER_ON = 1 << 0,    /* a mount lies on it */
	COVER_BELOW = 1 << 1, /* or on something below it */
};
/* From now on what programs mount there on the pool's filesystems is known, a moment later. 0 or -errno. */
int view_own_watch(struct service *s);
bool view_covers(const struct view *view, const struct inode *inode);
/* Covered, or a directory on the way to such: whose name, if it changed behind the kernel's back, would cost the mount. */
bool view_needs_name(const struct view *view, const struct inode *inode);
