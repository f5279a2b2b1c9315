/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An area that remembers everything that was asked of it, in the order in which a device would have seen
 * it.
 *
 * Transfers are completed by a thread of its own, so that between the beginning and the end of one there is
 * a moment in which it may be lost, and whoever does not wait is found out.
 */
#pragma once

#include "tests/crash/pages.h"

enum event_kind {
	EVENT_SUBMIT,  /* a write begins... */
	EVENT_DONE,    /* ...and is done: durable if it was FUA */
	EVENT_FLUSH,   /* a flush begins... */
	EVENT_FLUSHED, /* ...and is done: every write that was done when it began is durable */
	EVENT_BEGIN,   /* an operation of the workload begins... */
	EVENT_END,     /* ...and has been acknowledged */
};

struct event {
	enum event_kind kind;
	uint32_t number; /* of the write, flush or operation */
};

struct record_write {
	uint64_t offset;
	size_t length;
	uint8_t *data;
	bool fua;
};

struct record {
	struct area *area;
	struct pages pages; /* as it is now */
	struct event *event;
	size_t event_count, event_max;
	struct record_write *write;
	size_t write_count, write_max;
	uint32_t flushes;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct area_io *first, **last; /* to be completed */
	bool stop;
};

/* Starts with what `from` is, which must outlive it. */
struct record *record_new(const struct pages *from);
struct record *record_free(struct record *r);
void record_mark(struct record *r, enum event_kind kind, uint32_t operation);
