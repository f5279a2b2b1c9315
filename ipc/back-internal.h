/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the back driver share: back.c, back-session.c, back-queue.c. */
#pragma once

#include <pthread.h>
#include "ipc/back.h"
#include "ipc/rcqb.h"

enum {
	BACK_QUEUE_SHIFT = 10,
	BACK_PLACES = 1 << 16, /* a session's number: place, and 8 bits that change when it is used anew */
	BACK_PLACE_MASK = BACK_PLACES - 1,
	BACK_NUMBER_MASK = (1 << 24) - 1,
};

/*
 * A place in the table of sessions. It never moves, so it can be looked at without any lock. Its session stays
 * as long as it is open, or referenced, or a request is under way (`taken`).
 */
struct back_place {
	uint32_t refs;   /* references, and BACK_OPEN while new ones and requests may be taken */
	uint32_t number; /* of its session */
	struct back_session *session; /* NULL: the place is free */
	char *memory;                 /* the session's */
	struct back *back;
	uint8_t taken[WIRE_SLOTS]; /* enum back_taken: slots being served */
} __attribute__((aligned(64)));
#define BACK_OPEN 0x80000000u

enum back_taken {
	BACK_TAKEN = 1,
	BACK_WANTED = 2, /* it was found submitted again meanwhile: look when it is done */
};

/* CLOCK_MONOTONIC by the time stamp counter: a third of clock_gettime's time. The leader's. */
struct back_clock {
	uint64_t cycles; /* at `ns` */
	int64_t ns;
	uint64_t rate;   /* ns in 2^32 cycles */
	uint64_t valid;  /* for so many cycles from then on */
};

struct back_queue {
	struct rcqb_consumer ring; /* of the leader */
	struct wire_worker *worker; /* in the table; `leading` is the leaders' lock */
	struct back_counters counters;
	struct back_clock clock;
	int64_t last_remote; /* when the last request from another core came */
	int64_t gap;         /* mean time between them, recent ones weighing more */
	int64_t rest_until;  /* others want this core: no spinning until then */
	bool expects;        /* back_expect */
	int cpu;
} __attribute__((aligned(64)));

/* A session's. */
struct back_memory {
	char *memory; /* NULL: none */
	int fd;
};

struct back {
	struct wire_table *table;
	char *memory; /* of the queues */
	size_t size;
	int fd;
	unsigned queues, shift;
	uint32_t stride;

	/* Workers sleep on their queue's bell, which clients can write to, and on this word, which they cannot. */
	uint32_t alarm;
	uint32_t stopping;
	uint32_t kicked; /* there may be sessions in `kicks` */

	pthread_mutex_t lock; /* of free places, of kicks, and of `ready` */
	struct back_memory ready; /* for the next session */
	struct back_session *kicks;
	struct back_place *places;
	unsigned place_hint;
	struct back_queue queue[WIRE_QUEUES_MAX];
};

/* Reports to all workers that `stopping` or `kicked` has changed. */
void back_alarm(struct back *back);

void back_memory_end(struct back_memory *m);
/* A reference to an open session's place: its memory stays. False: it is closed. */
bool back_place_get(struct back_place *place);
void back_place_put(struct back_place *place);
/* The request of a slot is about to be taken. */
void back_place_prefetch(const struct back_place *place, unsigned slot);
/*
 * Takes the request of a slot, if one is submitted there. `tell` the client, so that it knows that a long wait is not
 * for a worker; a client that spins for the reply is better served by not taking its cache line twice.
 */
bool back_place_take(struct back_place *place, uint32_t number, unsigned slot, bool tell, struct back_request *ret);
/* The next request of the sessions that were kicked. */
bool back_kick_take(struct back *back, struct back_request *ret);

int64_t back_now(void);

static inline struct wire_slot *back_slot(char *memory, unsigned slot)
{
	return (struct wire_slot *)(memory + WIRE_PAGE + (size_t)slot * WIRE_SLOT_STRIDE);
}

static inline void back_count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}
