/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: a thread that writes the mirror's own blocks. Transfers that need one written wait for it in
 * lists, so that no callback of an area ever waits.
 *
 * A head is a promise about every child that it calls in sync. So when a child could not be sent one, it is
 * dropped and the others get the next, until all in sync have the same. Only then is it `saved`.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "libservices/area/mirror.h"
#include "libservices/area/ring.h"
#include "libservices/wait.h"

void mirror_log(const struct mirror *m, unsigned child, const char *what)
{
	struct json_object *report = area_report(m->child[child]);
	const char *name = json_object_get_string(json_object_object_get(report, "name"));
	unsigned i = 0;

	while (m->area->below[i] != m->child[child])
		i++;
	fprintf(stderr, "<4>mirror: area %u%s%s%s %s\n", i, name ? " ('" : "", name ? name : "",
		name ? "')" : "", what);
	json_object_put(report);
}

static void in_sync_set(struct mirror *m, uint32_t mask)
{
	__atomic_store_n(&m->in_sync, mask, __ATOMIC_RELEASE); /* read_choose() */
}

void mirror_drop(struct mirror *m, uint32_t children, int error)
{
	uint32_t dropped = children & m->in_sync, gone = children & (m->in_sync | m->copying);
	char what[128];

	if (!gone)
		return;
	in_sync_set(m, m->in_sync & ~dropped);
	m->copying &= ~gone;
	m->to_tell |= dropped;
	m->head_changed |= dropped != 0;
	snprintf(what, sizeof(what), "failed (%s): the mirror goes on without it", strerror(-error));
	for (; gone; gone &= gone - 1)
		mirror_log(m, __builtin_ctz(gone), what);
	pthread_cond_signal(&m->keep);
	pthread_cond_signal(&m->copy);
}

/* To all of those at once; `step` is from one's data to the next's. Returns who failed. */
static uint32_t children_do(struct mirror *m, enum area_op op, uint32_t children, void *buf, size_t step,
			    uint64_t offset)
{
	struct area_range range = {offset, MIRROR_PAGE};
	struct area_ring *ring = area_ring_take(&m->area->rings);
	struct iovec iov[MIRROR_BELOW_MAX];
	struct area_io io[MIRROR_BELOW_MAX];
	uint32_t failed = 0;

	for (unsigned n = 0; n < m->count; n++) {
		iov[n] = (struct iovec){(char *)buf + n * step, MIRROR_PAGE};
		io[n] = (struct area_io){.op = op, .flags = op == AREA_WRITE ? AREA_FUA : 0, .here = ring};
		if (op == AREA_WRITE) {
			io[n].iov = &iov[n];
			io[n].ranges = &range;
			io[n].iov_count = io[n].range_count = 1;
		}
		if (children & bit(n))
			area_submit(m->child[n], &io[n]);
	}
	for (unsigned n = 0; n < m->count; n++)
		if (children & bit(n) && area_wait(m->area, &io[n], ring) < 0)
			failed |= bit(n);
	area_ring_give(&m->area->rings, ring);
	return failed;
}

static void broken_set(struct mirror *m)
{
	if (!m->broken)
		mirror_log(m, __builtin_ctz(m->in_sync),
			   "was the last, and cannot be written: the mirror is lost");
	m->broken = 1;
}

/* Whoever failed is dropped; but not the last. */
static void failed_drop(struct mirror *m, uint32_t failed)
{
	if (m->in_sync & ~failed)
		mirror_drop(m, failed, -EIO);
	else
		broken_set(m);
}

static void page_save(struct mirror *m, unsigned number)
{
	uint64_t *dirty = m->map->dirty + number * MIRROR_PAGE_WORDS;
	uint64_t *safe = m->map->safe + number * MIRROR_PAGE_WORDS;
	uint32_t children = m->in_sync, failed;

	m->pages_changed &= ~bit(number);
	mirror_page_fill(m, number, m->page);
	pthread_mutex_unlock(&m->lock);
	failed = children_do(m, AREA_WRITE, children, m->page, 0, MIRROR_MAP + number * MIRROR_PAGE);
	pthread_mutex_lock(&m->lock);
	if (failed)
		failed_drop(m, failed);
	for (unsigned i = 0; i < MIRROR_PAGE_WORDS && !m->broken; i++)
		safe[i] = m->page->bits[i] & dirty[i]; /* cleared since: no longer safe to rely on */
}

static uint32_t heads_write(struct mirror *m, uint32_t children)
{
	uint32_t failed = children_do(m, AREA_WRITE, children, m->heads, sizeof(*m->heads), 0);

	return failed |
	       children_do(m, AREA_WRITE, children & ~failed, m->heads, sizeof(*m->heads), MIRROR_PAGE);
}

static void heads_fill(struct mirror *m, uint32_t children)
{
	for (unsigned n = 0; n < m->count; n++)
		if (children & bit(n))
			mirror_head_fill(m, n, &m->heads[n]);
}

static void head_save(struct mirror *m)
{
	uint32_t in_sync = m->in_sync, children = m->in_sync | m->copying, failed;

	m->head_changed = 0;
	m->sequence++;
	heads_fill(m, children);
	pthread_mutex_unlock(&m->lock);
	failed = heads_write(m, children);
	pthread_mutex_lock(&m->lock);
	for (unsigned n = 0; n < m->count; n++)
		if (children & ~failed & bit(n))
			m->reached[n] = m->heads[n].sequence;
	if (failed)
		failed_drop(m, failed);
	if (!(failed & in_sync))
		m->saved = in_sync;
}

/* Those left behind are told if they can be, lest they be taken for in sync when they come back alone. */
static void dropped_tell(struct mirror *m)
{
	uint32_t children = m->to_tell;

	heads_fill(m, children);
	pthread_mutex_unlock(&m->lock);
	heads_write(m, children);
	pthread_mutex_lock(&m->lock);
	m->to_tell &= ~children;
}

void mirror_save(struct mirror *m)
{
	while (m->pages_changed && !m->broken)
		page_save(m, __builtin_ctz(m->pages_changed));
	if (m->head_changed && !m->broken)
		head_save(m);
}

/* Of regions that nobody has written for a while all children hold the same, once they are flushed. */
static void map_settle(struct mirror *m)
{
	struct mirror_map *map = m->map;
	const struct mirror_io *c;
	uint32_t failed;

	for (unsigned i = 0; i < MIRROR_WORDS; i++)
		map->todo[i] = map->dirty[i] & ~map->touched[i];
	memset(map->touched, 0, sizeof(map->touched));
	TAILQ_FOREACH (c, &m->active, entry)
		if (c->io->op == AREA_WRITE)
			mirror_map_enter(m, c->io);
	if (!mirror_map_any(map->todo))
		return;
	pthread_mutex_unlock(&m->lock);
	failed = children_do(m, AREA_FLUSH, m->all, NULL, 0, 0);
	pthread_mutex_lock(&m->lock);
	if (failed)
		failed_drop(m, failed);
	for (unsigned i = 0; i < MIRROR_WORDS && m->in_sync == m->all; i++) {
		uint64_t clear = map->todo[i] & ~map->touched[i];

		map->dirty[i] &= ~clear;
		map->safe[i] &= ~clear;
		if (clear)
			m->pages_changed |= bit(i / MIRROR_PAGE_WORDS);
		map->todo[i] = 0;
	}
}

static int is_quiet(const struct mirror *m)
{
	return m->in_sync == m->all && !m->broken && mirror_map_any(m->map->dirty);
}

/* Sleeps until there is something to do; without end while nothing is to be cleared. */
static void keeper_wait(struct mirror *m)
{
	if (!is_quiet(m)) {
		m->settle_at = 0;
		pthread_cond_wait(&m->keep, &m->lock);
		return;
	}
	if (m->settle_at == 0)
		m->settle_at = ls_now() + m->settle_ns;
	if (ls_now() >= m->settle_at || ls_wait_until(&m->keep, &m->lock, m->settle_at)) {
		m->settle_at = 0;
		map_settle(m);
	}
}

void *mirror_keeper(void *mirror)
{
	struct mirror *m = mirror;

	pthread_mutex_lock(&m->lock);
	while (!m->ending) {
		mirror_save(m);
		mirror_release(m);
		/* The lock was let go: is there more? */
		if (m->ending || ((m->head_changed || m->pages_changed) && !m->broken))
			continue;
		if (m->to_tell)
			dropped_tell(m);
		else
			keeper_wait(m);
	}
	/* Nothing is under way: whoever is in sync holds the same. */
	memset(m->map->touched, 0, sizeof(m->map->touched));
	if (is_quiet(m))
		map_settle(m);
	mirror_save(m);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}
