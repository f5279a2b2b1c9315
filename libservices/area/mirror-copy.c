/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copier: a thread that brings back children that have missed something.
 *
 * From the moment that a child joins it gets every write. What it has missed is in the map; the copier goes
 * through it in steps, from a child in sync to those that are not, in a window where no write may be
 * meanwhile. What is the same already is not written. When it is through, and after a flush, they are in
 * sync.
 *
 * A child that was dropped is tried again from time to time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/area/mirror.h"
#include "libservices/wait.h"

enum { STEP = 256 * 1024 };

void mirror_join(struct mirror *m, unsigned child)
{
	m->copying |= bit(child);
	m->joined[child] = ++m->joins;
	m->head_changed = 1;
	for (unsigned i = 0; i < MIRROR_WORDS; i++)
		m->map->todo[i] |= m->map->dirty[i];
	pthread_cond_signal(&m->keep);
	pthread_cond_signal(&m->copy);
}

uint32_t mirror_joined_since(const struct mirror *m, uint64_t joins)
{
	uint32_t mask = 0;

	for (unsigned n = 0; n < m->count; n++)
		mask |= m->joined[n] > joins ? bit(n) : 0;
	return mask;
}

static int step_write(struct area *to, const void *want, void *have, size_t length, uint64_t offset)
{
	int r = area_read(to, have, length, offset);

	return r == 0 && memcmp(want, have, length) == 0 ? 0 : area_write(to, want, length, offset, 0);
}

/* Returns who failed to take it; or -errno: nobody could be read. */
static int step_copy(struct mirror *m, uint32_t to, uint8_t *buf, uint64_t offset, size_t length)
{
	struct area_range range = {MIRROR_DATA + offset, length};
	struct iovec iov = {buf, length};
	struct area_io io = {
		.op = AREA_READ, .iov = &iov, .iov_count = 1, .ranges = &range, .range_count = 1};
	int failed = 0, r = mirror_read(m, &io);

	for (unsigned n = 0; n < m->count && r == 0; n++)
		if (to & bit(n) && step_write(m->child[n], buf, buf + STEP, length, range.offset) < 0)
			failed |= bit(n);
	return r < 0 ? r : failed;
}

/* Under the lock; lets it go while it copies. */
static void step(struct mirror *m, uint8_t *buf, uint64_t offset, uint64_t end)
{
	uint32_t to = m->copying;
	int r;

	m->window = offset;
	m->window_end = end;
	while (mirror_window_busy(m))
		pthread_cond_wait(&m->copy, &m->lock);
	pthread_mutex_unlock(&m->lock);
	r = step_copy(m, to, buf, offset, end - offset);
	pthread_mutex_lock(&m->lock);
	m->window = m->window_end = 0;
	if (r != 0)
		mirror_drop(m, r < 0 ? m->copying : r, r < 0 ? r : -EIO);
	mirror_release(m);
}

/* A child that joins meanwhile sets its bit anew. */
static void region_copy(struct mirror *m, uint8_t *buf, unsigned region)
{
	uint64_t offset = (uint64_t)region << m->region_shift,
		 end = offset + (UINT64_C(1) << m->region_shift);
	uint64_t size = area_size(m->area);

	m->map->todo[region / 64] &= ~(UINT64_C(1) << region % 64);
	if (end > size)
		end = size;
	for (; offset < end && m->copying && !m->ending; offset += STEP)
		step(m, buf, offset, end - offset < STEP ? end : offset + STEP);
}

static uint32_t flush_failed(struct mirror *m, uint32_t children)
{
	uint32_t failed = 0;

	for (unsigned n = 0; n < m->count; n++)
		if (children & bit(n) && area_flush(m->child[n]) < 0)
			failed |= bit(n);
	return failed;
}

/* Every write since a child joined has gone to it; what came before is copied and now flushed. */
static void copy_finish(struct mirror *m)
{
	uint32_t children = m->copying, failed;

	pthread_mutex_unlock(&m->lock);
	failed = flush_failed(m, children);
	pthread_mutex_lock(&m->lock);
	mirror_drop(m, failed, -EIO);
	if (mirror_map_any(m->map->todo) || (children & ~failed) != m->copying)
		return;
	for (uint32_t c = m->copying; c; c &= c - 1)
		mirror_log(m, __builtin_ctz(c), "is in sync");
	__atomic_store_n(&m->in_sync, m->in_sync | m->copying, __ATOMIC_RELEASE);
	m->copying = 0;
	m->pages_changed = bit(MIRROR_PAGES) - 1;
	m->head_changed = 1;
	pthread_cond_signal(&m->keep);
}

static void copy(struct mirror *m)
{
	uint8_t *buf = aligned_alloc(MIRROR_PAGE, 2 * STEP);
	unsigned region;

	while (buf && m->copying && !m->ending) {
		region = mirror_map_first(m->map->todo);
		if (region < MIRROR_BITS)
			region_copy(m, buf, region);
		else
			copy_finish(m);
	}
	if (!buf)
		mirror_drop(m, m->copying, -ENOMEM);
	free(buf);
}

/* Is it the child that we know, and has it only missed something? */
static int is_back(struct mirror *m, unsigned child, uint32_t in_sync, uint64_t reached)
{
	void *buf = aligned_alloc(MIRROR_PAGE, 2 * MIRROR_PAGE);
	struct mirror_head head;
	int back = buf && mirror_head_read(m->child[child], buf, &head) == MIRROR_FOUND &&
		   memcmp(head.set, m->set, sizeof(m->set)) == 0 && head.self == child &&
		   head.sequence >= reached && !mirror_head_apart(&head, in_sync, reached) &&
		   area_resize(m->child[child]) >= MIRROR_DATA + area_size(m->area) &&
		   area_write(m->child[child], memset(buf, 0, MIRROR_PAGE), MIRROR_PAGE, MIRROR_PROBE,
			      AREA_FUA) == 0;

	free(buf);
	return back;
}

static void away_try(struct mirror *m)
{
	for (unsigned n = 0; n < m->count && !m->broken; n++) {
		uint32_t in_sync = m->in_sync;
		uint64_t reached = m->reached[n];
		int back;

		if ((m->in_sync | m->copying | m->to_tell) & bit(n))
			continue;
		pthread_mutex_unlock(&m->lock);
		back = is_back(m, n, in_sync, reached);
		pthread_mutex_lock(&m->lock);
		if (back)
			mirror_join(m, n);
	}
}

void *mirror_copier(void *mirror)
{
	struct mirror *m = mirror;

	pthread_mutex_lock(&m->lock);
	while (!m->ending) {
		if (m->copying)
			copy(m);
		else if (m->in_sync == m->all || m->retry_ns == 0)
			pthread_cond_wait(&m->copy, &m->lock);
		else if (ls_wait_until(&m->copy, &m->lock, ls_now() + m->retry_ns))
			away_try(m);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}
