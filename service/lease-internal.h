/* SPDX-License-Identifier: Apache-2.0 */
/* What lease.c and lease-table.c share. */
#pragma once

#include <pthread.h>
#include <sched.h>
#include "ipc/wire-lease.h"
#include "service/lease.h"

enum {
	LEASES_MAX = 16, /* bits of lease_set.tables */
	LEASE_SPINS = 100,
};

struct lease {
	struct lease_table *table; /* NULL: never used */
	int fd;
	uint32_t id; /* 0: nobody enters anything */
	unsigned users;
	unsigned view;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	unsigned victim; /* which entry of a full set gives way next */
};

/* What the service has for each set of all tables; see lease.c. */
struct lease_set {
	uint64_t word;
	uint32_t gone;   /* changes of the anchor, which begins at 1; UINT32_MAX: there is no other */
	uint16_t tables; /* bits */
	uint16_t lock;
};

struct leases {
	pthread_mutex_t lock; /* of tables coming and going */
	uint32_t last_id;
	uint64_t change; /* the last change count given out */
	struct lease lease[LEASES_MAX];
	struct lease_set name[LEASE_NAME_SETS], attr[LEASE_ATTR_SETS];
};
extern struct leases leases;

static inline void lease_set_lock(struct lease_set *set)
{
	for (unsigned i = 0; __atomic_exchange_n(&set->lock, 1, __ATOMIC_ACQUIRE); i++) {
		if (i < LEASE_SPINS)
			__builtin_ia32_pause();
		else
			sched_yield();
	}
}

static inline void lease_set_unlock(struct lease_set *set)
{
	__atomic_store_n(&set->lock, 0, __ATOMIC_RELEASE);
}
