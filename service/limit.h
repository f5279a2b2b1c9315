/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a pool's I/O, and of each of its containers: io.read_bps, io.write_bps, io.iops, io.meta_ops and io.burst.
 * limiter.h has the rules. Any thread.
 *
 * A request is looked at where it enters, at both doors alike. One that has to wait holds no worker: it is put aside, and
 * when its turn has come a thread of limits serves it. What clients do to shared memory is none.
 *
 * Bytes are counted once, where they pass: those of a write as it enters; those of a read as they come from what is below a
 * cache (by whose request, or read ahead of, or for a mapping), or from a stack without one; those that clients stored into
 * shared pages when the cache finds them.
 */
#pragma once

#include "service/limiter.h"

struct json_object;
struct service;
struct ls;

void limit_init(void);
/* After all doors have been closed: nothing waits. */
void limit_stop(void);

extern struct limiter limit_all;

/* There is something to be asked about a request. */
static inline bool limit_is_on(void)
{
	return __builtin_expect(__atomic_load_n(&limit_all.limits, __ATOMIC_RELAXED), 0);
}

/* True: the request goes on. */
bool limit_pass(unsigned payer, enum limit_flow flow, uint64_t bytes);
/* The request waits, from now on. False: it cannot, and goes on. */
bool limit_hold(struct limit_wait *wait);
/* Drops what waits for the owner: with that id (0: all). How many there were. */
unsigned limit_drop(const void *owner, uint64_t id, int error);
/* A signal came for a waiting request of that thread: it is dropped when the thread is about to die of one. False: nothing waits by that id. */
bool limit_interrupt(const void *owner, uint64_t id);
/* Is there a limit on the bytes that the container writes? Then its programs are to write by messages. */
bool limit_writes(unsigned payer);
/* Bytes have been read or written. */
void limit_moved(unsigned payer, enum limit limit, uint64_t bytes);

/* The caches of a stack tell what they move. */
void limit_watch(struct ls *ls);
/* Is there a cache in the stack, which counts what is read? */
bool limit_is_watched(const struct ls *ls);

/* `io.iops` and so on, of the pool (LIMIT_POOL) or a container. 0; -ENOENT: no such key; -EINVAL and a sentence. */
int limit_set(int payer, const char *key, const char *value, char *error, size_t size);
extern const char *const limit_keys[]; /* ends with NULL */
/* The row is another container's from now on. */
void limit_forget(unsigned payer);
/* What is set, of the pool (LIMIT_POOL) or a container, and how many requests are waiting. */
struct json_object *limit_json(int payer);
