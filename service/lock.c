/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mutex guards all tables of the service: locks are rare beside data operations, and deadlock detection
 * looks across inodes. Everything that became grantable under it is completed after it is released.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "service/lock.h"

static pthread_mutex_t locks_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct lock_wait *all_waits;

void (*lock_reap)(void *arg);
void *lock_reap_arg;

static bool owner_same(struct lock_owner a, struct lock_owner b)
{
	return a.kind == b.kind && a.id == b.id;
}

static bool range_conflicts(const struct lock_range *a, const struct lock_range *b)
{
	return a->flock == b->flock && !owner_same(a->owner, b->owner) && a->start <= b->end &&
	       b->start <= a->end && (a->type == F_WRLCK || b->type == F_WRLCK);
}

static struct lock_held *held_conflict(struct lock_table *table, const struct lock_range *range)
{
	struct lock_held *held = table->held;

	while (held && !range_conflicts(&held->range, range))
		held = held->next;
	return held;
}

static struct lock_held *held_push(struct lock_held **list, const struct lock_range *range, struct lock_held *spare)
{
	spare->range = *range;
	spare->next = *list;
	*list = spare;
	return spare;
}

/*
 * Replaces what the owner holds in the range by the range (or by nothing, for F_UNLCK). Splitting a range
 * needs at most two new objects, which are made first so that nothing fails half way.
 */
static int table_apply(struct lock_table *table, const struct lock_range *range)
{
	struct lock_held *spare[2] = {malloc(sizeof(struct lock_held)), malloc(sizeof(struct lock_held))};
	struct lock_range merged = *range;
	struct lock_held **p = &table->held;

	if (!spare[0] || !spare[1]) {
		free(spare[0]);
		free(spare[1]);
		return -ENOMEM;
	}
	while (*p) {
		struct lock_held *held = *p;
		struct lock_range *h = &held->range;
		bool touches = merged.start <= h->end + (h->end != UINT64_MAX) &&
			       h->start <= merged.end + (merged.end != UINT64_MAX);
		if (h->flock != merged.flock || !owner_same(h->owner, merged.owner) || !touches) {
			p = &held->next;
			continue;
		}
		if (h->type == merged.type) { /* grow over it */
			merged.start = h->start < merged.start ? h->start : merged.start;
			merged.end = h->end > merged.end ? h->end : merged.end;
			*p = held->next;
			free(held);
			continue;
		}
		if (h->end < merged.start || h->start > merged.end) { /* adjacent only */
			p = &held->next;
			continue;
		}
		if (h->start < merged.start && h->end > merged.end) { /* split */
			struct lock_range tail = *h;
			tail.start = merged.end + 1;
			h->end = merged.start - 1;
			held_push(&held->next, &tail, spare[1]);
			spare[1] = NULL;
			p = &held->next->next;
		} else if (h->start < merged.start) {
			h->end = merged.start - 1;
			p = &held->next;
		} else if (h->end > merged.end) {
			h->start = merged.end + 1;
			p = &held->next;
		} else {
			*p = held->next;
			free(held);
		}
	}
	if (merged.type != F_UNLCK) {
		held_push(&table->held, &merged, spare[0]);
		spare[0] = NULL;
	}
	free(spare[0]);
	free(spare[1]);
	return 0;
}

static void wait_unlink(struct lock_wait *wait)
{
	struct lock_wait **p;

	for (p = &wait->table->waits; *p && *p != wait; p = &(*p)->next)
		;
	if (*p)
		*p = wait->next;
	for (p = &all_waits; *p && *p != wait; p = &(*p)->all_next)
		;
	if (*p)
		*p = wait->all_next;
}

/* Moves the waits that can be granted now to a list by `next`. */
static struct lock_wait *table_grant(struct lock_table *table)
{
	struct lock_wait *granted = NULL, **tail = &granted, *wait, *next;

	for (wait = table->waits; wait; wait = next) {
		next = wait->next;
		if (held_conflict(table, &wait->range) || table_apply(table, &wait->range) < 0)
			continue;
		wait_unlink(wait);
		wait->next = NULL;
		*tail = wait;
		tail = &wait->next;
	}
	return granted;
}

static void waits_finish(struct lock_wait *list, int result)
{
	while (list) {
		struct lock_wait *next = list->next;
		list->done(list, result);
		list = next;
	}
}

void lock_table_init(struct lock_table *table)
{
	*table = (struct lock_table){0};
}

void lock_table_fini(struct lock_table *table)
{
	while (table->held) {
		struct lock_held *next = table->held->next;
		free(table->held);
		table->held = next;
	}
}

/* Takes the mutex, with the conflicts of dead owners out of the way. */
static void lock_enter(struct lock_table *table, const struct lock_range *range)
{
	bool conflict;

	pthread_mutex_lock(&locks_mutex);
	conflict = range->type != F_UNLCK && held_conflict(table, range);
	if (!conflict || !lock_reap)
		return;
	pthread_mutex_unlock(&locks_mutex);
	lock_reap(lock_reap_arg);
	pthread_mutex_lock(&locks_mutex);
}

int lock_set(struct lock_table *table, const struct lock_range *range)
{
	struct lock_wait *granted = NULL;
	int r;

	lock_enter(table, range);
	r = range->type != F_UNLCK && held_conflict(table, range) ? -EAGAIN : table_apply(table, range);
	if (r == 0)
		granted = table_grant(table);
	pthread_mutex_unlock(&locks_mutex);
	waits_finish(granted, 0);
	return r;
}

/* Would `wait` close a circle? Follows who waits for whom, for process-owned byte ranges as Linux does. */
static bool wait_deadlocks(struct lock_table *table, const struct lock_range *range, struct lock_owner self,
			   int depth)
{
	if (depth > 16)
		return false;
	for (struct lock_held *held = table->held; held; held = held->next) {
		if (!range_conflicts(&held->range, range))
			continue;
		for (struct lock_wait *w = all_waits; w; w = w->all_next) {
			if (!owner_same(w->range.owner, held->range.owner) || w->range.flock)
				continue;
			for (struct lock_held *h = w->table->held; h; h = h->next)
				if (range_conflicts(&h->range, &w->range) && owner_same(h->range.owner, self))
					return true;
			if (wait_deadlocks(w->table, &w->range, self, depth + 1))
				return true;
		}
	}
	return false;
}

int lock_set_wait(struct lock_table *table, struct lock_wait *wait)
{
	struct lock_wait *granted = NULL, **p;
	int r = 1;

	wait->table = table;
	wait->next = NULL;
	lock_enter(table, &wait->range);
	if (wait->range.type == F_UNLCK || !held_conflict(table, &wait->range)) {
		r = table_apply(table, &wait->range);
		if (r == 0)
			granted = table_grant(table);
	} else if (!wait->range.flock && wait->range.owner.kind != LOCK_OWNER_OFD &&
		   wait_deadlocks(table, &wait->range, wait->range.owner, 0)) {
		r = -EDEADLK;
	} else {
		for (p = &table->waits; *p; p = &(*p)->next)
			;
		*p = wait;
		wait->all_next = all_waits;
		all_waits = wait;
	}
	pthread_mutex_unlock(&locks_mutex);
	waits_finish(granted, 0);
	return r;
}

bool lock_cancel(struct lock_wait *wait)
{
	struct lock_wait *w;

	pthread_mutex_lock(&locks_mutex);
	for (w = all_waits; w && w != wait; w = w->all_next)
		;
	if (w) {
		wait_unlink(w);
		w->next = NULL;
	}
	pthread_mutex_unlock(&locks_mutex);
	waits_finish(w, -EINTR);
	return w;
}

void lock_cancel_owner(struct lock_owner owner)
{
	for (;;) {
		struct lock_wait *w;

		pthread_mutex_lock(&locks_mutex);
		for (w = all_waits; w && !owner_same(w->range.owner, owner); w = w->all_next)
			;
		if (w) {
			wait_unlink(w);
			w->next = NULL;
		}
		pthread_mutex_unlock(&locks_mutex);
		if (!w)
			return;
		waits_finish(w, -EINTR);
	}
}

void lock_get(struct lock_table *table, const struct lock_range *probe, struct lock_range *ret)
{
	*ret = *probe;
	ret->type = F_UNLCK;
	lock_enter(table, probe);
	for (struct lock_held *held = table->held; held; held = held->next)
		if (range_conflicts(&held->range, probe) &&
		    (ret->type == F_UNLCK || held->range.start < ret->start))
			*ret = held->range;
	pthread_mutex_unlock(&locks_mutex);
}

bool lock_drop(struct lock_table *table, struct lock_owner owner, bool flock)
{
	struct lock_wait *granted = NULL;
	bool any = false;

	if (!__atomic_load_n(&table->held, __ATOMIC_ACQUIRE))
		return false;
	pthread_mutex_lock(&locks_mutex);
	for (struct lock_held **p = &table->held; *p;) {
		struct lock_held *held = *p;
		if (held->range.flock != flock || !owner_same(held->range.owner, owner)) {
			p = &held->next;
			continue;
		}
		*p = held->next;
		free(held);
		any = true;
	}
	if (any)
		granted = table_grant(table);
	pthread_mutex_unlock(&locks_mutex);
	waits_finish(granted, 0);
	return any;
}
