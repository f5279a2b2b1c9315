/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/record.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *array, size_t count, size_t *max, size_t size)
{
	if (count < *max)
		return array;
	*max = *max ? *max * 2 : 256;
	array = realloc(array, *max * size);
	if (!array)
		abort();
	return array;
}

/* With the lock held. */
static void event_add(struct record *r, enum event_kind kind, uint32_t number)
{
	r->event = grow(r->event, r->event_count, &r->event_max, sizeof(*r->event));
	r->event[r->event_count++] = (struct event){kind, number};
}

void record_mark(struct record *r, enum event_kind kind, uint32_t operation)
{
	pthread_mutex_lock(&r->lock);
	event_add(r, kind, operation);
	pthread_mutex_unlock(&r->lock);
}

/* A transfer of several ranges is several writes: a device may tear it between them. */
static void writes_add(struct record *r, const struct area_io *io)
{
	uint64_t bytes = area_io_bytes(io), at = 0;
	uint8_t *all = malloc(bytes), *next = all;

	if (!all)
		abort();
	for (unsigned i = 0; i < io->iov_count; i++) {
		memcpy(next, io->iov[i].iov_base, io->iov[i].iov_len);
		next += io->iov[i].iov_len;
	}
	for (unsigned i = 0; i < io->range_count; i++) {
		struct record_write w = {io->ranges[i].offset, io->ranges[i].length,
					 malloc(io->ranges[i].length), io->flags & AREA_FUA};
		if (!w.data)
			abort();
		memcpy(w.data, all + at, w.length);
		at += w.length;
		r->write = grow(r->write, r->write_count, &r->write_max, sizeof(*r->write));
		r->write[r->write_count] = w;
		event_add(r, EVENT_SUBMIT, r->write_count++);
	}
	free(all);
}

/* What the transfer's completion is called in the log: it begins at `scratch[0]`. */
static void complete(struct record *r, struct area_io *io)
{
	pthread_mutex_lock(&r->lock);
	if (io->op == AREA_READ || io->op == AREA_WRITE)
		pages_transfer(&r->pages, io);
	for (unsigned i = 0; i < io->range_count && io->op == AREA_WRITE; i++)
		event_add(r, EVENT_DONE, io->scratch[0] + i);
	if (io->op == AREA_FLUSH)
		event_add(r, EVENT_FLUSHED, io->scratch[0]);
	pthread_mutex_unlock(&r->lock);
	area_io_done(io, 0);
}

static void *completer(void *arg)
{
	struct record *r = arg;
	struct area_io *io;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (!r->first && !r->stop)
			pthread_cond_wait(&r->wake, &r->lock);
		if (!r->first)
			break;
		io = r->first;
		r->first = io->next;
		if (!r->first)
			r->last = &r->first;
		pthread_mutex_unlock(&r->lock);
		complete(r, io);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void record_submit(struct area *area, struct area_io *io)
{
	struct record *r = area->state;

	pthread_mutex_lock(&r->lock);
	if (io->op == AREA_WRITE) {
		io->scratch[0] = r->write_count;
		writes_add(r, io);
	} else if (io->op == AREA_FLUSH) {
		io->scratch[0] = r->flushes;
		event_add(r, EVENT_FLUSH, r->flushes++);
	}
	io->next = NULL;
	*r->last = io;
	r->last = &io->next;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

static const struct area_type type = {.name = "record", .submit = record_submit};

struct record *record_new(const struct pages *from)
{
	struct record *r = calloc(1, sizeof(*r));
	char error[256];

	if (!r || area_new(&type, NULL, NULL, 0, &r->area, error, sizeof(error)) < 0)
		abort();
	pages_init(&r->pages, from->count, from->page[0]);
	pages_copy(&r->pages, from);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	r->last = &r->first;
	r->area->state = r;
	r->area->block = SECTOR;
	r->area->traits |= AREA_THIN; /* the journal's writes go ahead of it */
	r->area->bytes = from->count * PAGE;
	if (pthread_create(&r->thread, NULL, completer, r) != 0)
		abort();
	return r;
}

struct record *record_free(struct record *r)
{
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	area_close(r->area);
	for (size_t i = 0; i < r->write_count; i++)
		free(r->write[i].data);
	free(r->write);
	free(r->event);
	pages_fini(&r->pages);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	free(r);
	return NULL;
}
