/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "service/limiter.h"

/* Which limits a flow's request has to wait for. */
static const unsigned limits_of[LIMIT_FLOWS] = {
	[LIMIT_READS] = 1 << LIMIT_READ_BPS | 1 << LIMIT_IOPS,
	[LIMIT_WRITES] = 1 << LIMIT_WRITE_BPS | 1 << LIMIT_IOPS,
	[LIMIT_NAMES] = 1 << LIMIT_META_OPS,
};

void limiter_init(struct limiter *l)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	for (unsigned p = 0; p < LIMIT_PAYERS; p++)
		for (unsigned f = 0; f < LIMIT_FLOWS; f++)
			for (unsigned d = 0; d < LIMIT_FRONTS; d++)
				TAILQ_INIT(&l->payer[p].queue[f][d]);
}

/* ---- limits -------------------------------------------------------------------------------------- */

static bool has_rate(const struct bucket bucket[LIMIT_MAX])
{
	for (unsigned i = 0; i < LIMIT_MAX; i++)
		if (bucket[i].rate)
			return true;
	return false;
}

/* With the lock held: requests are looked at as long as there is a rate, or something waits. */
static void limits_look(struct limiter *l)
{
	bool limits = has_rate(l->pool) || l->waits_all;

	for (unsigned p = 0; p < LIMIT_PAYERS && !limits; p++)
		limits = has_rate(l->payer[p].bucket);
	__atomic_store_n(&l->limits, limits, __ATOMIC_RELAXED);
}

static struct bucket *buckets_of(struct limiter *l, int payer)
{
	return payer == LIMIT_POOL ? l->pool : l->payer[payer].bucket;
}

void limiter_set(struct limiter *l, int payer, enum limit limit, uint64_t rate, int64_t burst, int64_t now)
{
	pthread_mutex_lock(&l->lock);
	bucket_set(&buckets_of(l, payer)[limit], rate, burst, now);
	limits_look(l);
	pthread_mutex_unlock(&l->lock);
}

void limiter_burst(struct limiter *l, int payer, int64_t burst, int64_t now)
{
	struct bucket *b = buckets_of(l, payer);

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < LIMIT_MAX; i++)
		bucket_set(&b[i], b[i].rate, burst, now);
	pthread_mutex_unlock(&l->lock);
}

void limiter_forget(struct limiter *l, unsigned payer)
{
	pthread_mutex_lock(&l->lock);
	memset(l->payer[payer].bucket, 0, sizeof(l->payer[payer].bucket));
	limits_look(l);
	pthread_mutex_unlock(&l->lock);
}

/* ---- charging ------------------------------------------------------------------------------------ */

static void charge(struct limiter *l, struct limit_payer *p, enum limit limit, uint64_t n, int64_t now)
{
	bucket_take(&p->bucket[limit], n, now);
	p->had += bucket_take(&l->pool[limit], n, now);
}

static void charge_request(struct limiter *l, struct limit_payer *p, enum limit_flow flow, uint64_t bytes, int64_t now)
{
	charge(l, p, flow == LIMIT_NAMES ? LIMIT_META_OPS : LIMIT_IOPS, 1, now);
	if (flow == LIMIT_WRITES && bytes)
		charge(l, p, LIMIT_WRITE_BPS, bytes, now);
}

void limiter_charge(struct limiter *l, unsigned payer, enum limit limit, uint64_t bytes, int64_t now)
{
	pthread_mutex_lock(&l->lock);
	charge(l, &l->payer[payer], limit, bytes, now);
	pthread_mutex_unlock(&l->lock);
}

int64_t limiter_owed(struct limiter *l, enum limit limit, int64_t now)
{
	int64_t ready;

	pthread_mutex_lock(&l->lock);
	ready = bucket_ready(&l->pool[limit]);
	pthread_mutex_unlock(&l->lock);
	return ready > now ? ready - now : 0;
}

static int64_t ready_at(const struct bucket bucket[LIMIT_MAX], enum limit_flow flow)
{
	int64_t at = 0;

	for (unsigned i = 0; i < LIMIT_MAX; i++)
		if (limits_of[flow] >> i & 1 && bucket_ready(&bucket[i]) > at)
			at = bucket_ready(&bucket[i]);
	return at;
}

static bool pool_limits(const struct limiter *l, enum limit_flow flow)
{
	for (unsigned i = 0; i < LIMIT_MAX; i++)
		if (limits_of[flow] >> i & 1 && l->pool[i].rate)
			return true;
	return false;
}

/* ---- waiting ------------------------------------------------------------------------------------- */

static struct limit_wait *first_of(struct limit_payer *p, enum limit_flow flow, unsigned fronts)
{
	struct limit_wait *first = NULL;

	for (unsigned d = 0; d < LIMIT_FRONTS; d++) {
		struct limit_wait *w = fronts >> d & 1 ? TAILQ_FIRST(&p->queue[flow][d]) : NULL;
		if (w && (!first || w->since < first->since))
			first = w;
	}
	return first;
}

bool limiter_admit(struct limiter *l, unsigned payer, enum limit_flow flow, uint64_t bytes, int64_t now)
{
	struct limit_payer *p = &l->payer[payer];
	bool goes;

	pthread_mutex_lock(&l->lock);
	/* Nobody overtakes those of its own; and if what others wait for may be the pool's limit, nobody at all. */
	goes = ready_at(p->bucket, flow) <= now && ready_at(l->pool, flow) <= now && !first_of(p, flow, ~0u) &&
	       !(l->waits[flow] && pool_limits(l, flow));
	if (goes)
		charge_request(l, p, flow, bytes, now);
	pthread_mutex_unlock(&l->lock);
	return goes;
}

void limiter_wait(struct limiter *l, struct limit_wait *w)
{
	struct limit_payer *p = &l->payer[w->payer];

	pthread_mutex_lock(&l->lock);
	if (!p->waits && p->had < l->had)
		p->had = l->had;
	TAILQ_INSERT_TAIL(&p->queue[w->flow][w->front], w, link);
	p->waits++;
	l->waits[w->flow]++;
	l->waits_all++;
	limits_look(l);
	pthread_mutex_unlock(&l->lock);
}

/* What the payer's queues have to offer now. */
static struct limit_wait *next_of(struct limiter *l, struct limit_payer *p, unsigned fronts, int64_t now, int64_t *when)
{
	struct limit_wait *next = NULL;

	for (unsigned flow = 0; flow < LIMIT_FLOWS; flow++) {
		struct limit_wait *w = first_of(p, flow, fronts);
		int64_t own = ready_at(p->bucket, flow), pool = ready_at(l->pool, flow), at = own > pool ? own : pool;
		if (w && at > now)
			*when = at < *when ? at : *when;
		else if (w && (!next || w->since < next->since))
			next = w;
	}
	return next;
}

struct limit_wait *limiter_next(struct limiter *l, unsigned fronts, int64_t now, int64_t *ret_when)
{
	struct limit_wait *next = NULL;

	*ret_when = INT64_MAX;
	for (unsigned i = 0; i < LIMIT_PAYERS && l->waits_all; i++) {
		struct limit_payer *p = &l->payer[i];
		struct limit_wait *w = p->waits ? next_of(l, p, fronts, now, ret_when) : NULL;
		if (w && (!next || p->had < l->payer[next->payer].had))
			next = w;
	}
	return next;
}

/* With the lock held. */
static void take_out(struct limiter *l, struct limit_wait *w)
{
	struct limit_payer *p = &l->payer[w->payer];

	TAILQ_REMOVE(&p->queue[w->flow][w->front], w, link);
	p->waits--;
	l->waits[w->flow]--;
	if (--l->waits_all == 0)
		limits_look(l);
}

void limiter_take(struct limiter *l, struct limit_wait *w, int64_t now)
{
	struct limit_payer *p = &l->payer[w->payer];

	take_out(l, w);
	l->had = p->had;
	charge_request(l, p, w->flow, w->bytes, now);
}

struct limit_wait *limiter_find(struct limiter *l, const void *owner, uint64_t id)
{
	struct limit_wait *w;

	for (unsigned p = 0; p < LIMIT_PAYERS; p++)
		for (unsigned f = 0; l->payer[p].waits && f < LIMIT_FLOWS; f++)
			for (unsigned d = 0; d < LIMIT_FRONTS; d++)
				TAILQ_FOREACH(w, &l->payer[p].queue[f][d], link)
					if (w->owner == owner && (!id || w->id == id))
						return w;
	return NULL;
}

struct limit_wait *limiter_remove(struct limiter *l, const void *owner, uint64_t id)
{
	struct limit_wait *w;

	pthread_mutex_lock(&l->lock);
	w = limiter_find(l, owner, id);
	if (w)
		take_out(l, w);
	pthread_mutex_unlock(&l->lock);
	return w;
}
