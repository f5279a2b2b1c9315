/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advisory locks of one inode: byte ranges (POSIX and OFD) and flock's, for all doors.
 *
 * An owner is a process (POSIX locks of preloaded programs), a kernel lock owner (the FUSE door's) or an open
 * file (OFD locks, flock). Waiting costs no thread: a wait is an object whose `done` runs, without any lock of
 * this module held, when it is granted, cancelled or found to be a deadlock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum lock_kind { LOCK_OWNER_PROCESS = 1, LOCK_OWNER_KERNEL, LOCK_OWNER_OFD };

struct lock_owner {
	enum lock_kind kind;
	uint64_t id;
};

struct lock_range {
	struct lock_owner owner;
	int type;         /* F_RDLCK, F_WRLCK, F_UNLCK */
	bool flock;       /* a flock(2): its own name space, the whole file */
	uint64_t start, end; /* inclusive; end UINT64_MAX: to infinity */
	pid_t pid;        /* to report in F_GETLK; -1 for OFD locks */
};

struct lock_held {
	struct lock_range range;
	struct lock_held *next;
};

struct lock_wait {
	struct lock_range range;
	struct lock_table *table;
	void (*done)(struct lock_wait *wait, int result);
	struct lock_wait *next;
	struct lock_wait *all_next; /* every wait of the service, for deadlock detection */
};

struct lock_table {
	struct lock_held *held;
	struct lock_wait *waits;
};

/*
 * Asked, without any lock held, when an owner stands in the way: lets go of what dead processes hold, whose end has
 * not been noticed yet. The conflict is looked at again then. Set once at start; may be NULL.
 */
extern void (*lock_reap)(void *arg);
extern void *lock_reap_arg;

void lock_table_init(struct lock_table *table);
void lock_table_fini(struct lock_table *table);

/* Sets or removes a range at once. 0, -EAGAIN if another owner's lock conflicts, -ENOMEM. */
int lock_set(struct lock_table *table, const struct lock_range *range);
/*
 * The same, waiting: 0 granted, -EDEADLK, -ENOMEM: `done` never runs. 1: it waits; `done` runs exactly once.
 * wait->range and wait->done are set; the object is the table's until then.
 */
int lock_set_wait(struct lock_table *table, struct lock_wait *wait);
/* Ends a wait with -EINTR; false if it is over already. */
bool lock_cancel(struct lock_wait *wait);
/* The first lock that conflicts; its type is F_UNLCK if none does. */
void lock_get(struct lock_table *table, const struct lock_range *probe, struct lock_range *ret);
/* Drops everything of the owner: ranges, or flocks. True if there was something. */
bool lock_drop(struct lock_table *table, struct lock_owner owner, bool flock);
/* Cancels this owner's waits on any table. */
void lock_cancel_owner(struct lock_owner owner);
