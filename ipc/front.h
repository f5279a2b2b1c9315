/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front driver: the client's side of a session. Freestanding (docs/architecture.md).
 *
 * Use, by any thread, also from a signal handler that interrupted another use:
 *
 *	slot = front_claim(f);
 *	fill slot->request and the payload
 *	r = front_call(f, slot);
 *	read slot->reply and the payload
 *	front_release(f, slot);
 *
 * A slot is claimed for one call, preferring the one that this thread used last; so a nested call from a
 * signal handler just takes another, and one that a siglongjmp abandoned is found again. For that, the
 * functions that claim, call and release must be within half a page of stack of each other.
 *
 * After a fork the child has no session (the mappings do not go with it, and `struct front` must live in
 * memory that the child finds zeroed: MADV_WIPEONFORK).
 */
#pragma once

#include <stddef.h>
#include "ipc/wire.h"

enum {
	FRONT_SESSIONS = 3, /* the current one, and older ones that interrupted calls still hold slots of */
	FRONT_PACES = 32,
};

/* Who has a slot. In the process's own memory: it outlives the session's. */
struct front_claim {
	uint32_t claimed;
	uint32_t orphan; /* its thread is gone from the call; the slot is free once the service is done */
	uint32_t owner;  /* tid, once known: threads that sleep in a call find it out */
	uint32_t patient; /* the call may wait for long, for a lock */
	uintptr_t thread; /* thread pointer; 0: the claim is not complete */
	uintptr_t frame;  /* of front_call_with; until it is called, of front_claim */
	uint32_t called;  /* which of the two */
	uint8_t pad[28];
};

struct front_session {
	uint32_t number, generation;
	uint32_t queue_count, queue_shift, queue_stride;
	uint32_t retired; /* 1: unmapped by whoever releases the last slot */
	uint64_t queues_size;
	char *segment, *queues;
	uint32_t waiters;  /* threads that wait for a slot */
	uint32_t released; /* futex: counts releases while there are waiters */
	uint32_t lost;     /* the service does not know it any more */
	uint32_t pins;     /* threads that look at its memory without a slot */
	struct front_claim claim[WIRE_SLOTS];
};

/* How calls follow each other, and how waiting for them went; shared by the threads of one hash. */
struct front_pace {
	uint64_t end;     /* when the last call ended, or one of the last few, in cycles */
	uint32_t streak;  /* calls that followed close on another */
	uint32_t spin;    /* cycles to spin for a reply */
	uint32_t queue;   /* whose worker spins for us */
	uint32_t cpu;     /* our core, the last time that we looked */
	uint32_t quick;   /* calls to go before we look again */
	uint32_t refused; /* calls to go before we ask another core's worker to spin again */
	uint32_t backoff;
	uint32_t missed;  /* requests in a row that spinning workers did not take in time */
	uint32_t delay;   /* turns of an empty loop before the first look for the reply */
	uint8_t pad[16];
};

/* In memory of zeros, aligned to 64, that a fork's child finds zeroed (but for `table`, which it inherits). */
struct front {
	const struct wire_table *table; /* mapped once, read-only; NULL until front_table() */
	const char *dir;                /* the pool's directory; NULL: WIRE_POOL_DIR */
	uint32_t attached;              /* 0: no session; else 1 + the place of the current one in sessions[] */
	uint32_t session;               /* number of the current session */
	uint32_t generation;            /* of the service that it belongs to */
	uint32_t pid;                   /* that attached */
	uint32_t smo_min, cma_min;      /* copied from the segment at attach: it is not read again */
	uint32_t lock;                  /* tid of the thread that attaches */
	uint32_t cycles_us;             /* cycles in a microsecond */
	struct front_lease *lease;      /* where the lease table goes; its owner's. NULL: it is not wanted */
	uint8_t pad[8];
	struct front_pace pace[FRONT_PACES];
	struct front_session sessions[FRONT_SESSIONS];
};

/* Maps the pool's table. 0, -ENOENT outside of a pool, -EPROTO if it is of another version. Idempotent. */
int front_table(struct front *f);

/*
 * Makes a session with the service, or makes a new one if the service has another generation than the
 * session. Waits while the service is restarting, at most `timeout_ns`. 0 or -errno (-ENOTCONN: the pool
 * is gone). Thread-safe; returns at once if the session is good. No descriptor stays open.
 */
int front_attach(struct front *f, uint64_t timeout_ns);

/* The process's working directory, to be adopted with a session as WIRE_ADOPT does later. */
struct front_adopt {
	uint32_t base; /* WIRE_MOUNT of its filesystem */
	uint64_t ino;
	/* The answer: a handle of that session, which is the caller's; 0: none, for there was a session, or it is not it. */
	uint32_t handle;
};
int front_attach_in(struct front *f, uint64_t timeout_ns, struct front_adopt *adopt);

/* Unmaps everything; for a child that wants to forget its parent's session, and for libfs' users. */
void front_detach(struct front *f);

/* The process has other credentials now (WIRE_HELLO_CREDENTIALS). */
int front_credentials(struct front *f);

/* Sends WIRE_HELLO_KICK. For EXEC returns the open close-on-exec descriptor. */
int front_hello(struct front *f, uint32_t kind);

/* A FUSE descriptor of the open file that a handle of this session names, or without FUSE a token of it, which then
 * has this offset (UINT64_MAX: as it was). Close-on-exec; or -errno. */
int front_fetch(struct front *f, uint32_t handle, uint64_t offset);

/* A share of a file's data (WIRE_HELLO_SHARE). */
struct front_share {
	uint32_t handle, how;
	uint64_t offset, length;
	uint32_t parent, parent_share;
	/* The answer; descriptors that did not come are -1. */
	uint32_t number;
	int data, state, marks;
};
/* 0, and front_share_close() later; or -errno. Waits for long if the data is not in the cache yet. */
int front_share(struct front *f, struct front_share *share);
void front_share_close(const struct front_share *share);
/*
 * Around copying from shared data that may be cut (wire-share.h, `exact`): counts the thread in the memory of the
 * session of that number, which stays mapped between the two. NULL: that is not the session now.
 */
struct wire_slot *front_copying_begin(struct front *f, uint32_t session);
void front_copying_end(struct front *f, struct wire_slot *slot);
/* A child will have the process's mappings (wire_session.forking). */
void front_forking(struct front *f);

/* A request buffer of the calling thread. NULL only if there is no session. Waits if all are claimed. */
struct wire_slot *front_claim(struct front *f);

/* Its payload: `where` is WIRE_IN_INLINE (WIRE_INLINE bytes) or WIRE_IN_BULK (WIRE_BULK bytes). */
static inline void *front_payload(struct wire_slot *slot, int where)
{
	return where == WIRE_IN_INLINE ? (void *)slot->inline_ : (void *)((char *)slot + WIRE_PAGE);
}

/* Something that the caller of an operation has to do as well, and that can be done while the service works. */
struct front_meanwhile {
	void (*run)(void *arg);
	void *arg;
};
/* front_call; runs it, if a worker of another core is at the request. NULL: there is nothing to run. */
int front_call_with(struct front *f, struct wire_slot *slot, int interruptible, const struct front_meanwhile *meanwhile);

/*
 * Submits the slot and waits for the reply. 0: slot->reply is there. -EIO: the service died meanwhile.
 *
 * `interruptible` is for calls that may wait for long, for a lock. Then also, -EINTR: a signal handler ran that
 * does not restart system calls, and the request was cancelled (WIRE_CANCEL); handlers with SA_RESTART go on
 * waiting. -EAGAIN: nothing was sent, for so many slots wait like this already that there must be left some for
 * the calls that would let them go on. Release the slot, front_pause(), and try again.
 */
static inline int front_call(struct front *f, struct wire_slot *slot, int interruptible)
{
	return front_call_with(f, slot, interruptible, NULL);
}

/* A call has just been spared, for somebody had foreseen it: those that follow are to be waited for as if it had been made. */
void front_spared(struct front *f);

void front_release(struct front *f, struct wire_slot *slot);

/*
 * The current session, whose memory stays mapped until it is unpinned; NULL: there is none. For moments, in which
 * nothing is waited for.
 */
struct front_session *front_pin(struct front *f);
void front_unpin(struct front *f, struct front_session *s);

static inline struct wire_session *front_head(const struct front_session *s)
{
	return (struct wire_session *)s->segment;
}

/* Sleeps for a few ms. 0, or -EINTR if a signal handler ran that does not restart system calls. */
int front_pause(struct front *f);
