/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may go on, and who waits, when a pool's I/O is limited: the rules alone, without threads and clocks (limit.h has
 * those).
 *
 * The pool has a bucket for each limit, and so has each of its containers (payers: rows of the meter). A request goes on
 * when none of its buckets is overdrawn, and takes what it needs of them, which may overdraw them; what turns out later, is
 * charged later. Requests of one payer and one flow wait in a row. Among payers, the one goes next that has had the least
 * of the pool's limited time; who was idle has saved nothing up.
 *
 * One lock for all: it is held for moments.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "service/bucket.h"
#include "service/meter.h"

/* X(NAME, the key's last word) */
#define LIMITS(X)                     \
	X(READ_BPS, read_bps)         \
	X(WRITE_BPS, write_bps)       \
	X(IOPS, iops)                 \
	X(META_OPS, meta_ops)

enum limit {
#define X(NAME, name) LIMIT_##NAME,
	LIMITS(X)
#undef X
		LIMIT_MAX
};

/* What waits behind one another. A read does not wait for a write's bytes, nor a name for either. */
enum limit_flow { LIMIT_FREE = -1, LIMIT_READS, LIMIT_WRITES, LIMIT_NAMES, LIMIT_FLOWS };

/* Whose threads serve it. */
enum { LIMIT_FRONTS = 2 }; /* enum door: preload, FUSE */

enum { LIMIT_PAYERS = METER_CONTAINERS };

struct limit_wait {
	TAILQ_ENTRY(limit_wait) link;
	const void *owner; /* a session, a door */
	uint64_t id;       /* the owner's */
	unsigned payer, front;
	enum limit_flow flow;
	uint64_t bytes; /* to be written, known before */
	int64_t since;
	pid_t tid;        /* of the FUSE door: who waits */
	bool interrupted; /* a signal came for him */
	void (*serve)(struct limit_wait *wait);         /* its turn has come; it has been charged */
	void (*drop)(struct limit_wait *wait, int error); /* it was taken out */
};
TAILQ_HEAD(limit_queue, limit_wait);

struct limit_payer {
	struct bucket bucket[LIMIT_MAX];
	int64_t had; /* of the pool's limited time, ns */
	unsigned waits;
	struct limit_queue queue[LIMIT_FLOWS][LIMIT_FRONTS];
};

struct limiter {
	pthread_mutex_t lock;
	struct bucket pool[LIMIT_MAX];
	struct limit_payer payer[LIMIT_PAYERS];
	unsigned waits[LIMIT_FLOWS], waits_all;
	int64_t had; /* of whoever went on last */
	bool limits; /* atomic: there is a rate, or somebody waits */
};

void limiter_init(struct limiter *l);
/* The first is the pool itself. */
enum { LIMIT_POOL = -1 };
void limiter_set(struct limiter *l, int payer, enum limit limit, uint64_t rate, int64_t burst, int64_t now);
void limiter_burst(struct limiter *l, int payer, int64_t burst, int64_t now); /* of all its limits */
void limiter_forget(struct limiter *l, unsigned payer); /* the row is another's from now on */

/* True: the request goes on, and was charged. */
bool limiter_admit(struct limiter *l, unsigned payer, enum limit_flow flow, uint64_t bytes, int64_t now);
void limiter_wait(struct limiter *l, struct limit_wait *wait);
/*
 * The next wait that may go on, of these fronts (bits), not taken yet; NULL, and when there may be one (INT64_MAX: not by
 * itself). With the lock held, as limiter_take.
 */
struct limit_wait *limiter_next(struct limiter *l, unsigned fronts, int64_t now, int64_t *ret_when);
void limiter_take(struct limiter *l, struct limit_wait *wait, int64_t now);
/* With the lock held: a wait of the owner, with that id (0: any). NULL: there is none. */
struct limit_wait *limiter_find(struct limiter *l, const void *owner, uint64_t id);
/* Takes a wait out, uncharged: of the owner, with that id (0: any). NULL: there is none. */
struct limit_wait *limiter_remove(struct limiter *l, const void *owner, uint64_t id);
/* Bytes that were moved, as it turned out. */
void limiter_charge(struct limiter *l, unsigned payer, enum limit limit, uint64_t bytes, int64_t now);
/* For how long the pool's limit is overdrawn, in ns. */
int64_t limiter_owed(struct limiter *l, enum limit limit, int64_t now);
