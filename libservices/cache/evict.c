/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which chunks leave the cache first.
 *
 * Two queues, small and main, and a count of uses in each chunk, which a hit raises without any lock. A
 * policy says where a new chunk enters, from which queue the next candidate comes, and whether it leaves. A
 * chunk counts as used again when a page of it is used that was used before (chunk_touch): reading a file
 * through uses no page twice, so no scan, however long, drives out what is used.
 *
 *   s3fifo  new ones enter small, a tenth of the cache, and go on to main if they are used again there, or
 * have left it lately; main is a queue with second chances lru2    new ones enter small; a second use moves
 * them to main; main keeps two thirds clock   one queue with second chances
 *
 * What is dirty, being written back, or kept by a mapping is passed over. If that is all of a queue, the candidates come
 * from the other one, whatever the policy says.
 */
#include <stdlib.h>
#include <string.h>

#include "libservices/cache/cache.h"
#include "libservices/mix.h"

enum verdict { VERDICT_LEAVES, VERDICT_TO_MAIN, VERDICT_TO_SMALL };

struct policy {
	const char *name;
	enum chunk_queue (*enter)(const struct budget *b, bool was_here);
	enum chunk_queue (*next)(const struct budget *b);
	enum verdict (*judge)(struct chunk *chunk);
};

static unsigned uses(const struct chunk *chunk)
{
	return __atomic_load_n(&chunk->freq, __ATOMIC_RELAXED);
}

static void uses_set(struct chunk *chunk, unsigned n)
{
	__atomic_store_n(&chunk->freq, n, __ATOMIC_RELAXED);
}

/* ---- policies ------------------------------------------------------------------------------------- */

static enum chunk_queue s3fifo_enter(const struct budget *b, bool was_here)
{
	return was_here ? QUEUE_MAIN : QUEUE_SMALL;
}

static enum chunk_queue s3fifo_next(const struct budget *b)
{
	return b->bytes[QUEUE_SMALL] > (b->bytes[QUEUE_SMALL] + b->bytes[QUEUE_MAIN]) / 10 ? QUEUE_SMALL
											   : QUEUE_MAIN;
}

static enum verdict s3fifo_judge(struct chunk *chunk)
{
	unsigned n = uses(chunk);

	if (n == 0)
		return VERDICT_LEAVES;
	uses_set(chunk, chunk->queue == QUEUE_SMALL ? 0 : n - 1);
	return VERDICT_TO_MAIN;
}

static enum chunk_queue lru2_enter(const struct budget *b, bool was_here)
{
	return QUEUE_SMALL;
}

static enum chunk_queue lru2_next(const struct budget *b)
{
	return b->bytes[QUEUE_MAIN] > (b->bytes[QUEUE_SMALL] + b->bytes[QUEUE_MAIN]) / 3 * 2 ? QUEUE_MAIN
											     : QUEUE_SMALL;
}

static enum verdict lru2_judge(struct chunk *chunk)
{
	bool used = uses(chunk) > 0;

	uses_set(chunk, 0);
	if (chunk->queue == QUEUE_MAIN)
		return used ? VERDICT_TO_MAIN : VERDICT_TO_SMALL;
	return used ? VERDICT_TO_MAIN : VERDICT_LEAVES;
}

static enum chunk_queue clock_enter(const struct budget *b, bool was_here)
{
	return QUEUE_MAIN;
}

static enum chunk_queue clock_next(const struct budget *b)
{
	return QUEUE_MAIN;
}

static enum verdict clock_judge(struct chunk *chunk)
{
	if (uses(chunk) == 0)
		return VERDICT_LEAVES;
	uses_set(chunk, 0);
	return VERDICT_TO_MAIN;
}

static const struct policy policies[] = {
    {"s3fifo", s3fifo_enter, s3fifo_next, s3fifo_judge},
    {"lru2", lru2_enter, lru2_next, lru2_judge},
    {"clock", clock_enter, clock_next, clock_judge},
};

const struct policy *policy_find(const char *name)
{
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)
		if (strcmp(policies[i].name, name) == 0)
			return &policies[i];
	return NULL;
}

/* ---- what left lately ------------------------------------------------------------------------------ */

static uint32_t ghost_of(const struct chunk *chunk, uint32_t *ret_slot)
{
	uint64_t h = mix(mix_two(chunk->inode->ino, (uintptr_t)chunk->inode->cache) + chunk->index);

	*ret_slot = h % CACHE_GHOSTS;
	return h >> 32 | 1;
}

static bool ghost_take(struct budget *b, const struct chunk *chunk)
{
	uint32_t slot, ghost = ghost_of(chunk, &slot);

	if (b->ghost[slot] != ghost)
		return false;
	b->ghost[slot] = 0;
	return true;
}

static void ghost_leave(struct budget *b, const struct chunk *chunk)
{
	uint32_t slot, ghost = ghost_of(chunk, &slot);

	b->ghost[slot] = ghost;
}

/* ---- queues ----------------------------------------------------------------------------------------- */

static void queue_put(struct budget *b, struct chunk *chunk, enum chunk_queue queue)
{
	chunk->queue = queue;
	b->bytes[queue] += chunk->charged;
	TAILQ_INSERT_HEAD(&b->list[queue], chunk, link);
}

static void queue_take(struct budget *b, struct chunk *chunk)
{
	b->bytes[chunk->queue] -= chunk->charged;
	TAILQ_REMOVE(&b->list[chunk->queue], chunk, link);
	b->bytes[QUEUE_NONE] += chunk->charged;
	chunk->queue = QUEUE_NONE;
}

static void queue_move(struct budget *b, struct chunk *chunk, enum chunk_queue queue)
{
	queue_take(b, chunk);
	b->bytes[QUEUE_NONE] -= chunk->charged;
	queue_put(b, chunk, queue);
}

void queue_enter(struct budget *b, struct chunk *chunk)
{
	pthread_mutex_lock(&b->lock);
	b->chunks++;
	queue_put(b, chunk, b->policy->enter(b, ghost_take(b, chunk)));
	pthread_mutex_unlock(&b->lock);
}

void queue_leave(struct budget *b, struct chunk *chunk)
{
	pthread_mutex_lock(&b->lock);
	if (chunk->queue != QUEUE_NONE)
		queue_take(b, chunk);
	b->chunks--;
	pthread_mutex_unlock(&b->lock);
}

/* ---- eviction ---------------------------------------------------------------------------------------- */

static bool is_movable(const struct chunk *chunk)
{
	return !chunk->dirty && !chunk->writing && !cshare_keeps(chunk);
}

/* One look for what may leave. */
struct search {
	uint64_t scans;         /* left */
	uint64_t stays[QUEUES]; /* bytes of each queue that were passed over */
};

static bool has_candidates(const struct budget *b, const struct search *s, enum chunk_queue queue)
{
	return s->stays[queue] < b->bytes[queue] || (!b->bytes[queue] && !TAILQ_EMPTY(&b->list[queue]));
}

static struct chunk *next(struct budget *b, const struct search *s)
{
	enum chunk_queue queue = b->policy->next(b), other = queue == QUEUE_MAIN ? QUEUE_SMALL : QUEUE_MAIN;

	if (!has_candidates(b, s, queue))
		queue = other;
	return has_candidates(b, s, queue) ? TAILQ_LAST(&b->list[queue], chunk_list) : NULL;
}

/* The next one that the policy lets go; NULL if it has seen them all. With the budget's lock held. */
static struct chunk *candidate(struct budget *b, struct search *s)
{
	while (s->scans > 0) {
		struct chunk *chunk = next(b, s);

		s->scans--;
		if (!chunk)
			return NULL;
		switch (b->policy->judge(chunk)) {
		case VERDICT_TO_MAIN:
			queue_move(b, chunk, QUEUE_MAIN);
			break;
		case VERDICT_TO_SMALL:
			queue_move(b, chunk, QUEUE_SMALL);
			break;
		default:
			return chunk;
		}
	}
	return NULL;
}

static void pass_over(struct budget *b, struct chunk *chunk, struct search *s)
{
	s->stays[chunk->queue] += chunk->charged;
	queue_move(b, chunk, chunk->queue);
}

/* Frees one chunk; 0 if it has to stay. Holds the budget's lock, which it lets go of meanwhile. */
static uint64_t chunk_evict(struct budget *b, struct chunk *chunk, struct search *s)
{
	struct cinode *c = chunk->inode;
	uint64_t bytes = 0;

	if (pthread_rwlock_trywrlock(&c->lock) != 0) {
		pass_over(b, chunk, s); /* somebody uses the file now */
		return 0;
	}
	if (!is_movable(chunk)) {
		pass_over(b, chunk, s);
		pthread_rwlock_unlock(&c->lock);
		return 0;
	}
	cinode_hold(c);
	if (chunk->queue == QUEUE_SMALL)
		ghost_leave(b, chunk);
	pthread_mutex_unlock(&b->lock);
	if (!c->share || !cshare_goes(chunk, chunk->present)) {
		figure_add(&c->cache->figures.evicted, __builtin_popcount(chunk->present));
		bytes = chunk_drop(chunk, chunk->present);
	}
	pthread_rwlock_unlock(&c->lock);
	cinode_put(c, &cflusher_call);
	pthread_mutex_lock(&b->lock);
	return bytes;
}

uint64_t evict_some(struct budget *b, uint64_t want)
{
	struct search search = {};
	uint64_t bytes = 0;
	struct chunk *chunk;

	pthread_mutex_lock(&b->lock);
	search.scans = b->chunks * 5 + 16; /* a use count of 3 is worn off, and every chunk seen once more */
	while (bytes < want && (chunk = candidate(b, &search)))
		bytes += chunk_evict(b, chunk, &search);
	pthread_mutex_unlock(&b->lock);
	return bytes;
}
