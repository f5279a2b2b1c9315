/* SPDX-License-Identifier: Apache-2.0 */
/* What share.c (the rules), share-answer.c (who asks) and share-session.c (the lists) have in common. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "libservices/libservice.h"
#include "service/share.h"

struct caller;
struct instance;

struct share {
	struct share *next; /* of the inode */
	struct share *session_next;
	struct inode *inode;     /* referenced */
	struct session *session; /* that has it; NULL: its process has ended, and a child may ask for it (share-session.c) */
	uint32_t session_number;
	uint32_t number; /* as the client calls it */
	unsigned how;    /* enum ls_share_how */
	off_t offset, length;
	uid_t uid;
	bool may_write; /* what it was asked by is open to read and write */
	int64_t orphan_until;
};

struct shares {
	pthread_mutex_t lock;
	struct share *first;
	unsigned writers; /* that write: WRITE, MAP_WRITE. Atomic */
	unsigned maps;    /* that map */
	uint32_t granted; /* 1 + the number of the session that appends by itself; 0: none. Atomic */
	bool tainted;     /* somebody who is another user now may write the memory: it is shared no more */
	struct {          /* the kernel's share, by FUSE passthrough: share-kernel.c */
		bool passes;  /* the layer shares: since the first file, and until nothing is mapped either */
		bool watched; /* share-linger.c knows of it */
		bool fits;    /* its reads and writes may, not just what is mapped */
		bool linger;  /* the last writer may have mapped it, and counts as one still */
		unsigned files, writers;
		unsigned direct; /* writers whose writes pass by us. Atomic */
		int id, data; /* of the backing file; and its descriptor, the layer's */
		int64_t since; /* when the first file came */
		uint64_t size; /* then */
		struct shares *next; /* share-linger.c */
		struct inode *inode; /* while it is watched: referenced */
	} kernel;
};

#define SHARES_WRITE (1u << LS_SHARE_WRITE)
#define SHARES_COPY (1u << LS_SHARE_READ | SHARES_WRITE)
#define SHARES_ALL UINT32_MAX

static inline bool share_copies(unsigned how)
{
	return how == LS_SHARE_READ || how == LS_SHARE_WRITE;
}

static inline bool share_writes(unsigned how)
{
	return how == LS_SHARE_WRITE || how == LS_SHARE_MAP_WRITE;
}

/* Those whose kind is in the set of bits; of one session, or of all. With the lock held. */
void shares_drop(struct shares *sh, unsigned kinds, const struct session *of);
/* Takes the grant to append back, if there is one. With the lock held. */
void grant_end(struct inode *inode, struct shares *sh);

/* Can FUSE files of the instance pass through at all, or are there none? */
bool share_kernel_may_pass(const struct instance *fs);
/* No FUSE file passes any more. Ends the kernel's share, if nothing is mapped. `force`: whatever is. With the lock held. */
void kernel_settle(struct inode *inode, struct shares *sh, bool force);

/* ---- share-linger.c ---------------------------------------------------------------------------- */

/* The kernel still maps what passed: asks for kernel_settle now and then. With the lock held. */
void linger_watch(struct inode *inode, struct shares *sh);

/* Made when first needed; NULL without memory. */
struct shares *shares_make(struct inode *inode);

/* With the lock held: */
struct share *shares_number(struct shares *sh, uint32_t number);
/* Asks the layer, and enters the share, which it takes over if it succeeds. `force`: it is there whatever we say. */
int share_add(struct caller *c, struct shares *sh, struct share *share, bool force, struct ls_share *ret);
/* Ends it. The caller has another reference to the inode. */
void share_drop(struct shares *sh, struct share *share);

/* ---- share-session.c, with the lock held ------------------------------------------------------- */

/* Puts it into its session's list; false: the session has ended. */
bool share_enlist(struct share *share);
/* Out of its session's list, or that of orphans. */
void share_delist(struct share *share);
/* Its process has ended; it is kept for a child of that for a while. */
void share_orphan(struct share *share);

/* ---- without the lock -------------------------------------------------------------------------- */

/* Of the session's shares of these kinds that with the lowest number from *number on: its inode, referenced. */
struct inode *session_share(struct session *session, uint32_t *number, unsigned kinds);
struct inode *orphan_share(uint32_t session, uint32_t number);
