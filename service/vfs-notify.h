/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a change by one door, tell the other before it is acknowledged. The FUSE door's own changes need
 * nothing: the kernel adjusts its caches for the request that it made.
 */
#pragma once

#include "service/cred.h"
#include "service/instance.h"

static inline bool notify_wanted(const struct caller *c, const struct inode *inode)
{
	return c->door != DOOR_FUSE && inode->fs->hooks;
}

/* Attributes of the inode changed. */
static inline void notify_attr(struct caller *c, struct inode *inode)
{
	if (notify_wanted(c, inode) && __atomic_load_n(&inode->kernel_attr, __ATOMIC_SEQ_CST))
		inode->fs->hooks->attr(inode->fs->door, inode);
}

/* An attribute set the mode, which the kernel does not know even of its own request. */
static inline void notify_mode(struct inode *inode)
{
	if (inode->fs->hooks && __atomic_load_n(&inode->kernel_attr, __ATOMIC_SEQ_CST))
		inode->fs->hooks->attr(inode->fs->door, inode);
}

static inline void notify_entry(struct caller *c, struct inode *dir, const char *name, bool kept)
{
	if (!notify_wanted(c, dir))
		return;
	dir->fs->hooks->entry(dir->fs->door, dir, name, kept);
	notify_attr(c, dir);
}

/* A name came, went, or leads elsewhere. */
static inline void notify_name(struct caller *c, struct inode *dir, const char *name)
{
	notify_entry(c, dir, name, false);
}

/*
 * A name that led to the inode came to an end. Names that were told without a time, as those of a host's directory, the
 * kernel asks for again when they are wanted, but it keeps them until then, and with them the inode.
 */
static inline void notify_name_gone(struct caller *c, struct inode *dir, const char *name, const struct inode *inode)
{
	notify_entry(c, dir, name, dir->fs->shared && inode_is_looked_up(inode));
}

static inline bool kernel_may_hold_pages(struct inode *inode)
{
	return __atomic_load_n(&inode->kernel_opens, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&inode->kernel_pages, __ATOMIC_SEQ_CST);
}

/*
 * The file has a new size. Where the kernel has it open, programs may have it mapped, and a mapping knows no other
 * size than the kernel's.
 */
static inline bool notify_grown_wanted(const struct caller *c, const struct inode *inode, uint64_t size)
{
	return notify_wanted(c, inode) && __atomic_load_n(&inode->kernel_opens, __ATOMIC_SEQ_CST) &&
	       size > __atomic_load_n(&inode->kernel_size, __ATOMIC_SEQ_CST);
}

static inline void notify_grown(struct caller *c, struct inode *inode, uint64_t size, char last)
{
	if (notify_grown_wanted(c, inode, size))
		inode->fs->hooks->grown(inode->fs->door, inode, size, last);
}

/* Bytes changed; or, before a read, may be newer in a page that a program has mapped for writing. */
static inline void notify_data(struct caller *c, struct inode *inode, off_t offset, off_t length)
{
	if (notify_wanted(c, inode) && kernel_may_hold_pages(inode))
		inode->fs->hooks->data(inode->fs->door, inode, offset, length);
}
