/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments are the events of the log. At each one that changed what could be lost, these images: all of it
 * lost; all of it there; then, drawn at random: some writes and not others, some sectors and not others,
 * one write alone, all but one, all up to some point within one write, which is a plain prefix.
 *
 * Of overlapping writes the later one wins; a sector that has become durable since hides earlier writes to
 * it.
 */
#include "tests/crash/states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/random.h"

enum way { WAY_NONE, WAY_ALL, WAY_WRITES, WAY_SECTORS, WAY_ONE, WAY_ALL_BUT_ONE, WAY_PREFIX, WAYS };

struct states {
	const struct record *record;
	struct pages base;    /* all that is durable */
	uint32_t *sector;     /* the number + 1 of the write that made it durable */
	bool *done, *durable; /* by write */
	bool **covered;       /* by flush: the writes that were done when it began */
	uint32_t *open;       /* writes that may be lost, in order */
	size_t open_count;
	size_t next; /* event */
	unsigned per_moment, variant, variants;
	uint32_t begun, acknowledged;
	struct random random;
	enum way way;
};

struct states *states_new(const struct record *record, const struct pages *from, uint64_t seed,
			  unsigned per_moment)
{
	struct states *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->record = record;
	s->per_moment = per_moment < 2 ? 2 : per_moment;
	s->random = (struct random){seed};
	pages_init(&s->base, from->count, from->page[0]);
	pages_copy(&s->base, from);
	s->sector = calloc(from->count * PAGE_SECTORS, sizeof(*s->sector));
	s->done = calloc(record->write_count + 1, sizeof(*s->done));
	s->durable = calloc(record->write_count + 1, sizeof(*s->durable));
	s->covered = calloc(record->flushes + 1, sizeof(*s->covered));
	s->open = calloc(record->write_count + 1, sizeof(*s->open));
	if (!s->sector || !s->done || !s->durable || !s->covered || !s->open)
		abort();
	s->variants = 1; /* the moment before everything */
	return s;
}

struct states *states_free(struct states *s)
{
	pages_fini(&s->base);
	for (uint32_t i = 0; i < s->record->flushes; i++)
		free(s->covered[i]);
	free(s->sector);
	free(s->done);
	free(s->durable);
	free(s->covered);
	free(s->open);
	free(s);
	return NULL;
}

/* ---- what is durable -------------------------------------------------------------------------------- */

/* Those sectors of a write that no later one has made durable. */
static void write_apply(struct states *s, struct pages *to, uint32_t number, uint64_t from, uint64_t end,
			bool durable)
{
	const struct record_write *w = &s->record->write[number];

	for (uint64_t i = from; i < end; i++) {
		uint64_t sector = w->offset / SECTOR + i;
		if (s->sector[sector] > number + 1)
			continue;
		pages_write(to, sector * SECTOR, w->data + i * SECTOR, SECTOR);
		if (durable)
			s->sector[sector] = number + 1;
	}
}

static uint64_t write_sectors(const struct states *s, uint32_t number)
{
	return s->record->write[number].length / SECTOR;
}

static void open_remove(struct states *s, uint32_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->open_count; i++)
		if (s->open[i] != number)
			s->open[kept++] = s->open[i];
	s->open_count = kept;
}

static void make_durable(struct states *s, uint32_t number)
{
	if (s->durable[number])
		return;
	s->durable[number] = true;
	write_apply(s, &s->base, number, 0, write_sectors(s, number), true);
	open_remove(s, number);
}

static void flush_begin(struct states *s, uint32_t number)
{
	s->covered[number] = malloc(s->record->write_count + 1);
	if (!s->covered[number])
		abort();
	memcpy(s->covered[number], s->done, s->record->write_count * sizeof(bool));
}

static void flush_end(struct states *s, uint32_t number)
{
	for (uint32_t i = 0; i < s->record->write_count; i++)
		if (s->covered[number][i])
			make_durable(s, i);
}

/* Takes one event. Does the set of images change with it? */
static bool event_take(struct states *s, const struct event *e)
{
	switch (e->kind) {
	case EVENT_SUBMIT:
		s->open[s->open_count++] = e->number;
		return true;
	case EVENT_DONE:
		s->done[e->number] = true;
		if (s->record->write[e->number].fua)
			make_durable(s, e->number);
		return s->record->write[e->number].fua;
	case EVENT_FLUSH:
		flush_begin(s, e->number);
		return false;
	case EVENT_FLUSHED:
		flush_end(s, e->number);
		return true;
	case EVENT_BEGIN:
		s->begun = e->number + 1;
		return false;
	case EVENT_END:
		s->acknowledged = e->number + 1;
		return true;
	}
	return false;
}

/* ---- one image -------------------------------------------------------------------------------------- */

static void image_prefix(struct states *s, struct pages *ret)
{
	size_t whole = random_below(&s->random, s->open_count);
	uint32_t torn = s->open[whole];

	for (size_t i = 0; i < whole; i++)
		write_apply(s, ret, s->open[i], 0, write_sectors(s, s->open[i]), false);
	write_apply(s, ret, torn, 0, random_below(&s->random, write_sectors(s, torn) + 1), false);
}

static void image_sectors(struct states *s, struct pages *ret, uint32_t number)
{
	uint64_t chance = 1 + random_below(&s->random, 15);

	for (uint64_t i = 0; i < write_sectors(s, number); i++)
		if (random_below(&s->random, 16) < chance)
			write_apply(s, ret, number, i, i + 1, false);
}

static void image_make(struct states *s, struct pages *ret)
{
	size_t one = s->open_count ? random_below(&s->random, s->open_count) : 0;

	pages_copy(ret, &s->base);
	if (s->open_count && s->way == WAY_PREFIX) {
		image_prefix(s, ret);
		return;
	}
	for (size_t i = 0; i < s->open_count && s->way != WAY_NONE; i++) {
		bool whole = s->way == WAY_ALL || (s->way == WAY_WRITES && random_below(&s->random, 2)) ||
			     (s->way == WAY_ONE && i == one) || (s->way == WAY_ALL_BUT_ONE && i != one);
		if (s->way == WAY_SECTORS)
			image_sectors(s, ret, s->open[i]);
		else if (whole)
			write_apply(s, ret, s->open[i], 0, write_sectors(s, s->open[i]), false);
	}
}

bool states_next(struct states *s, struct pages *ret, uint32_t *ret_begun, uint32_t *ret_acknowledged)
{
	while (s->variant == s->variants) {
		if (s->next == s->record->event_count)
			return false;
		s->variant = 0;
		s->variants = 0;
		if (event_take(s, &s->record->event[s->next++]))
			s->variants = s->open_count ? s->per_moment : 1;
	}
	s->way = s->variant < 2 ? (enum way)s->variant : (enum way)(2 + random_below(&s->random, WAYS - 2));
	s->variant++;
	image_make(s, ret);
	*ret_begun = s->begun;
	*ret_acknowledged = s->acknowledged;
	return true;
}

void states_describe(const struct states *s, char *buf, size_t size)
{
	static const char *const names[] = {"all of them lost",      "all of them there",
					    "some of them there",    "some of their sectors there",
					    "one of them there",     "all but one there",
					    "a prefix of them there"};

	snprintf(buf, size, "after event %zu of %zu, %zu writes under way, %s", s->next,
		 s->record->event_count, s->open_count, names[s->way]);
}
