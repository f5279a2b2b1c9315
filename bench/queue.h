/* SPDX-License-Identifier: Apache-2.0 */
/* bench-ipc: queues of small numbers between threads, to be compared (ipc-queue.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	QUEUE_SHIFT = 10, /* of the items that those of a fixed size hold */
	QUEUE_SIDE_MAX = 16,
	QUEUE_LOOKS = 30,            /* before sleeping */
	QUEUE_LAST = QUEUE_SIDE_MAX, /* the item that ends a dequeuer */
};

struct queue; /* one of them */

struct queue_type {
	const char *name;
	struct queue *(*new)(void);
	void (*free)(struct queue *);
	void (*put)(struct queue *, unsigned item);
	unsigned (*take)(struct queue *);
};

extern const struct queue_type queue_rcqb, queue_mutex, queue_pipe; /* queue-plain.c */
extern const struct queue_type queue_wfc, queue_ck;                 /* queue-libraries.c */
extern const struct queue_type queue_lcrq, queue_wfq;

/* An event count: what a queue that cannot block by itself gets to sleep on. */
struct event {
	_Alignas(64) uint32_t count;
	_Alignas(64) uint32_t sleepers;
};

void event_signal(struct event *e);
typedef bool queue_try(struct queue *, unsigned *ret);
unsigned event_take(struct event *e, struct queue *q, queue_try *try);
