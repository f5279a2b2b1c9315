/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: what clients may know of names and attributes without asking. ipc/wire-lease.h has the tables' layout and
 * what a client does with them; here is who enters and who takes out.
 *
 * A request of the preload door enters what it found, in the table of its session's credentials. Every change, by
 * whatever door, is made between lease_change_*() and lease_change_end(): while it is under way nothing that it may
 * make untrue is in any table, and nothing that was read before it ended is entered after. So a lookup that finds an
 * entry is as good as one that asked: nobody can first see a change take effect and then, in a table, what was before.
 */
#pragma once

#include "service/cred.h"
#include "service/instance.h"

struct lease; /* the table of one set of credentials */

/* ---- tables ---------------------------------------------------------------------------------- */

/*
 * The table for a process with these credentials that sees the same filesystems (of the same `view`), until lease_close; NULL if it gets none: real and effective ids
 * differ, or as many tables as there may be are in use.
 */
struct lease *lease_open(const struct process *who, unsigned view, uint32_t generation);
void lease_close(struct lease *lease); /* takes NULL */
/* To be mapped: nobody can write through it. */
int lease_fd(const struct lease *lease);
uint32_t lease_id(const struct lease *lease);
/* Nothing in the tables is about that mount any more. Nobody enters anything about it meanwhile. */
void leases_forget(unsigned mount);
/* What is in the tables will soon be untrue. */
void leases_end(void);
/* What is in those of a view is untrue. */
void leases_end_view(unsigned view);

/* ---- entering: for callers with a lease; others do nothing ------------------------------------ */

#define LEASE_NEVER UINT64_MAX /* a token with which nothing is entered */

/* Before the layer is asked for a name. */
uint64_t lease_name_token(const struct caller *c, const struct inode *dir, const char *name);
/* What it answered; NULL: there is no such name. Needs the directory to be learned. */
void lease_enter_name(struct caller *c, const struct inode *dir, const char *name, const struct inode *inode,
		      uint64_t token);
/* A directory that was just made, with these attributes: if it still is as it was, that it is empty is known. */
void lease_learn_empty(struct caller *c, const struct inode *dir, const struct ls_attr *made);
/*
 * Sees that the inode's attributes are in the table. Returns their change count, which stays as long as nothing of
 * the inode changes; 0: they could not be entered now.
 */
uint64_t lease_learn(struct caller *c, struct inode *inode);
/* If they are in the table: that it has no extended attributes, if so. */
void lease_learn_bare(struct caller *c, const struct inode *inode);
/* The change count if they are in the table, else 0. */
uint64_t lease_known(const struct caller *c, const struct inode *inode);

/* ---- changes --------------------------------------------------------------------------------- */

enum { LEASE_PLACES = 8 };

/* What one operation changes. */
struct lease_change {
	unsigned count;
	uint64_t *word[LEASE_PLACES];
};

static inline void lease_change_begin(struct lease_change *change)
{
	change->count = 0;
}
/* After lease_change_attr of the directory. */
void lease_change_name(struct lease_change *change, const struct inode *dir, const char *name);
/* There is no such name, and will be none before the caller has let go of dir->names: no entry is needed to say so. */
void lease_name_gone(const struct inode *dir, const char *name);
/* Size, times, links, data; of a directory, its names. */
void lease_change_attr(struct lease_change *change, const struct inode *inode);
/* Who may do what with it, or that it exists. */
void lease_change_all(struct lease_change *change, const struct inode *inode);
/* lease_change_begin and one inode. rights: as _all, else as _attr. */
static inline void lease_change_one(struct lease_change *change, const struct inode *inode, bool rights)
{
	lease_change_begin(change);
	if (rights)
		lease_change_all(change, inode);
	else
		lease_change_attr(change, inode);
}
/* The change has taken effect, or failed. */
void lease_change_end(struct lease_change *change);

/* It was read: its access time may have changed. */
void lease_accessed(struct caller *c, const struct inode *inode);

/* What a layer kept of the instance's inode with that number is untrue: ls.revoke. */
void lease_revoke(void *instance, uint64_t ino);

/*
 * From hold to release, which count, others may change the inode's data and times without asking (they share its
 * memory, or have it mapped through FUSE): its attributes are nobody's to know.
 */
void lease_hold(struct inode *inode);
void lease_release(struct inode *inode);
