/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back driver: the service's side of all sessions of a pool. Hosted code, thread-safe.
 *
 * Workers call back_next() in a loop. One worker of each queue polls it (the leader); others of that queue
 * sleep, and are woken when requests wait while the leader is busy. A request is copied to private memory
 * before anybody looks at it. What a client may write meanwhile changes nothing but its own reply.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ipc/wire.h"

struct back;

/* One client process. The service embeds it in its own session object, and sets `free` before it opens it. */
struct back_session {
	uint32_t number; /* set by back_session_open */
	int memfd;       /* to hand to the client; the service may close it then and set -1, else back does */
	char *memory;    /* WIRE_SESSION_SIZE bytes, shared with the client; back unmaps it before `free` */
	struct back_place *place; /* in the table of sessions; it counts references and requests under way */
	struct back_session *kick_next; /* in the list of sessions to look at */
	unsigned kick_slot;             /* where to go on looking */
	bool kicked;                    /* it is in the list */
	void (*free)(struct back_session *); /* called when the last reference ends */
};

/* A request taken from a client. */
struct back_request {
	struct back_session *session; /* stays until back_complete, or back_finish */
	unsigned slot;
	bool sleeps;                 /* the client, since back_answer: back_finish wakes it */
	struct wire_request request; /* the private copy */
	int64_t taken_at;            /* CLOCK_MONOTONIC ns, from the time stamp counter */
};

struct back_config {
	struct wire_table *table; /* mapped read-write; back writes worker[], queue_count */
	const int *cpus;          /* one queue each; a worker of queue i is pinned to cpus[i] by its owner */
	unsigned queues;
	unsigned queue_slots; /* 0: default */
};

/* 0 or -errno. */
int back_new(const struct back_config *config, struct back **ret);
struct back *back_free(struct back *back); /* after all workers have ended; takes NULL */

/* The queues' memfd and geometry, for WELCOME. The descriptor stays back's. */
void back_describe(struct back *back, struct wire_welcome *welcome, int *ret_queues_fd);

/* Makes the shared memory of a session and gives it a number. `head` has the fields of wire_session that
 * the caller knows (umask, pid, uid, gid). 0 or -errno. */
int back_session_open(struct back *back, struct back_session *session, const struct wire_session *head);
/* Makes the next one's memory, which takes as long as to open it: for a moment in which nobody waits. */
void back_session_prepare(struct back *back);
/* No new request is taken from it; session->free runs when those under way are complete. */
void back_session_close(struct back *back, struct back_session *session);
/* Looks at all its slots, whatever the queues say (WIRE_HELLO_KICK), by waking a worker to do it. */
void back_session_kick(struct back *back, struct back_session *session);
/* The open session of that number, referenced; NULL if none. back_session_put ends the reference. */
struct back_session *back_session_get(struct back *back, uint32_t number);
void back_session_put(struct back_session *session);

/*
 * The next request for a worker of queue `queue`. Blocks: spins while requests come quickly, else sleeps.
 * 1: *ret is a request. 0: back_stop was called.
 * Several threads may call it for one queue.
 */
int back_next(struct back *back, unsigned queue, struct back_request *ret);
/* Lets all workers return 0. */
void back_stop(struct back *back);
/* The calling worker is about to block for long (device, lock): lets another worker lead meanwhile. Needed for
 * the sake of latency only: a client that waits for long calls another worker itself. */
void back_yield(struct back *back, unsigned queue);

/* The worker that calls it, which has just answered a request, is waited for: it should not do more than it must. */
bool back_is_wanted(struct back *back);
/*
 * The same worker, while it waits for something else than a request: spins for a moment, as workers do. False: it should
 * not, for somebody waits, or others want the core, or the client of its request is on the same one. *yielded: when the
 * core was let go last, 0 to begin with.
 */
bool back_linger(struct back *back, const struct wire_request *request, int64_t *yielded);
/*
 * The same worker: after this request another will come, though perhaps not as soon as it would have to, to be waited for
 * awake.
 */
void back_expect(const struct wire_request *request);

/*
 * Answers: writes the reply, marks the slot done, wakes its thread if it sleeps. Any thread, any order,
 * exactly once for each request.
 */
void back_complete(struct back *back, struct back_request *request, const struct wire_reply *reply);
/*
 * The same in two steps, for what a client that is awake need not wait for: after the first one it may go on, and the
 * session still stays. Not much time may pass between them.
 */
void back_answer(struct back_request *request, const struct wire_reply *reply);
void back_finish(struct back *back, struct back_request *request);

/* The slot's payload area: its address and size. Never trust its bytes twice. */
void *back_payload(const struct back_request *request, enum wire_where where, size_t *ret_size);

struct back_counters {
	uint64_t requests, sleeps, wakes, poisoned, kicks, invalid;
};
void back_counters(struct back *back, struct back_counters *ret);
