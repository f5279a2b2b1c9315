/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock and the threads of limits. Each front has threads of its own: one of the preload door may have to wait until
 * the kernel has let go of pages or names for which it waits itself, at the FUSE door. Those of the FUSE door never wait for
 * the kernel. So whoever is at work in the one front, the other goes on.
 *
 * The threads begin with the first request that waits. Of those of a front that have nothing to do one watches the time.
 */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/libservice.h"
#include "libservices/wait.h"
#include "service/cred.h"
#include "service/limit.h"
#include "service/stats.h"

enum { LIMIT_THREADS = 4, INTERRUPTS = 64 };

#define SECOND 1000000000ll
#define LOOK_NS (SECOND / 10) /* at those that a signal has interrupted */

struct limiter limit_all;

static struct crew {
	pthread_t thread[LIMIT_THREADS];
	unsigned threads, idle;
	int64_t watched; /* one of them looks at the time, and wakes then */
	pthread_cond_t wake;
} crews[LIMIT_FRONTS]; /* under limit_all.lock, with what follows */
static bool ending;
static unsigned interrupted; /* waits that were, at least */

void limit_init(void)
{
	limiter_init(&limit_all);
	for (unsigned f = 0; f < LIMIT_FRONTS; f++) {
		pthread_cond_init(&crews[f].wake, NULL);
		crews[f].watched = INT64_MAX;
	}
}

static void crews_wake(void)
{
	for (unsigned f = 0; f < LIMIT_FRONTS; f++)
		pthread_cond_signal(&crews[f].wake);
}

/* ---- those that a signal has interrupted ----------------------------------------------------------- */

struct suspect {
	const void *owner;
	uint64_t id;
	pid_t tid;
};

static unsigned suspects_find(struct suspect list[static INTERRUPTS])
{
	struct limit_wait *w;
	unsigned n = 0;

	for (unsigned p = 0; p < LIMIT_PAYERS; p++)
		for (unsigned f = 0; limit_all.payer[p].waits && f < LIMIT_FLOWS; f++)
			TAILQ_FOREACH(w, &limit_all.payer[p].queue[f][DOOR_FUSE], link)
				if (w->interrupted && n < INTERRUPTS)
					list[n++] = (struct suspect){w->owner, w->id, w->tid};
	return n;
}

/* With the lock held, which is let go of meanwhile. */
static void suspects_look(void)
{
	struct suspect list[INTERRUPTS];

	interrupted = suspects_find(list);
	pthread_mutex_unlock(&limit_all.lock);
	for (unsigned i = 0; i < interrupted && i < INTERRUPTS; i++)
		if (thread_dies(cred_proc_fd, list[i].tid))
			limit_drop(list[i].owner, list[i].id, -EINTR);
	pthread_mutex_lock(&limit_all.lock);
}

bool limit_interrupt(const void *owner, uint64_t id)
{
	struct limit_wait *w;

	pthread_mutex_lock(&limit_all.lock);
	w = limiter_find(&limit_all, owner, id);
	if (w) {
		w->interrupted = true;
		interrupted++;
		suspects_look();
		crews_wake();
	}
	pthread_mutex_unlock(&limit_all.lock);
	return w != NULL;
}

/* ---- serving ------------------------------------------------------------------------------------- */

/* With the lock held: until there may be something to do. */
static void crew_sleep(struct crew *crew, int64_t when)
{
	int64_t look = interrupted ? stat_now() + LOOK_NS : INT64_MAX;

	when = when < look ? when : look;
	crew->idle++;
	if (when < crew->watched) {
		crew->watched = when;
		ls_wait_until(&crew->wake, &limit_all.lock, when);
		if (crew->watched == when)
			crew->watched = INT64_MAX;
	} else {
		pthread_cond_wait(&crew->wake, &limit_all.lock);
	}
	crew->idle--;
	if (interrupted && when == look)
		suspects_look();
}

static void wait_serve(struct limit_wait *w)
{
	int64_t now = stat_now();

	limiter_take(&limit_all, w, now);
	crews_wake(); /* somebody else watches, and looks for what may go on beside it */
	pthread_mutex_unlock(&limit_all.lock);
	stat_throttled(w->payer, now > w->since ? now - w->since : 0);
	w->serve(w);
	pthread_mutex_lock(&limit_all.lock);
}

/*
 * The other front's requests are compared with ours as long as somebody is there to serve them. Then they are called, and
 * call us when they have taken theirs.
 */
static void *crew_run(void *arg)
{
	unsigned front = (struct crew *)arg - crews;
	struct crew *crew = arg, *other = &crews[!front];

	stat_thread(UINT32_MAX);
	pthread_mutex_lock(&limit_all.lock);
	while (!ending) {
		unsigned fronts = 1u << front | (other->idle ? 1u << !front : 0);
		int64_t when;
		struct limit_wait *w = limiter_next(&limit_all, fronts, stat_now(), &when);
		if (w && w->front == front) {
			wait_serve(w);
			continue;
		}
		if (w)
			pthread_cond_signal(&other->wake);
		crew_sleep(crew, when);
	}
	pthread_mutex_unlock(&limit_all.lock);
	return NULL;
}

/* With the lock held. Both fronts': each waits for the other's turns. */
static bool crews_start(void)
{
	for (unsigned f = 0; f < LIMIT_FRONTS; f++)
		while (!ending && crews[f].threads < LIMIT_THREADS &&
		       pthread_create(&crews[f].thread[crews[f].threads], NULL, crew_run, &crews[f]) == 0)
			crews[f].threads++;
	return crews[0].threads && crews[1].threads && !ending;
}

void limit_stop(void)
{
	pthread_mutex_lock(&limit_all.lock);
	ending = true;
	for (unsigned f = 0; f < LIMIT_FRONTS; f++)
		pthread_cond_broadcast(&crews[f].wake);
	pthread_mutex_unlock(&limit_all.lock);
	for (unsigned f = 0; f < LIMIT_FRONTS; f++)
		while (crews[f].threads > 0)
			pthread_join(crews[f].thread[--crews[f].threads], NULL);
}

/* ---- requests ------------------------------------------------------------------------------------ */

bool limit_pass(unsigned payer, enum limit_flow flow, uint64_t bytes)
{
	return flow == LIMIT_FREE || limiter_admit(&limit_all, payer, flow, bytes, stat_now());
}

bool limit_hold(struct limit_wait *w)
{
	bool there;

	pthread_mutex_lock(&limit_all.lock);
	there = crews_start();
	pthread_mutex_unlock(&limit_all.lock);
	if (!there)
		return false;
	w->since = stat_now();
	limiter_wait(&limit_all, w);
	pthread_mutex_lock(&limit_all.lock);
	pthread_cond_signal(&crews[w->front].wake);
	pthread_mutex_unlock(&limit_all.lock);
	return true;
}

unsigned limit_drop(const void *owner, uint64_t id, int error)
{
	struct limit_wait *w;
	unsigned n = 0;

	for (; (w = limiter_remove(&limit_all, owner, id)) != NULL; n++)
		w->drop(w, error);
	return n;
}

bool limit_writes(unsigned payer)
{
	bool writes;

	if (!limit_is_on())
		return false;
	pthread_mutex_lock(&limit_all.lock);
	writes = limit_all.pool[LIMIT_WRITE_BPS].rate || limit_all.payer[payer].bucket[LIMIT_WRITE_BPS].rate;
	pthread_mutex_unlock(&limit_all.lock);
	return writes;
}

void limit_moved(unsigned payer, enum limit limit, uint64_t bytes)
{
	if (limit_is_on() && bytes)
		limiter_charge(&limit_all, payer, limit, bytes, stat_now());
}

/* ---- caches -------------------------------------------------------------------------------------- */

static int64_t cache_moved(const struct ls_call *call, bool written, uint64_t bytes)
{
	enum limit limit = written ? LIMIT_WRITE_BPS : LIMIT_READ_BPS;

	if (!limit_is_on())
		return 0;
	limiter_charge(&limit_all, call->payer < LIMIT_PAYERS ? call->payer : 0, limit, bytes, stat_now());
	return limiter_owed(&limit_all, limit, stat_now());
}

void limit_watch(struct ls *ls)
{
	ls->moved = cache_moved;
	for (unsigned i = 0; i < ls->below_count; i++)
		limit_watch(ls->below[i]);
}

bool limit_is_watched(const struct ls *ls)
{
	if (!strcmp(ls->type->name, "cache"))
		return true;
	for (unsigned i = 0; i < ls->below_count; i++)
		if (limit_is_watched(ls->below[i]))
			return true;
	return false;
}

/* ---- settings ------------------------------------------------------------------------------------ */

static const char *const names[LIMIT_MAX] = {
#define X(NAME, name) [LIMIT_##NAME] = "io." #name,
	LIMITS(X)
#undef X
};

#define BURST_KEY "io.burst"
#define BURST_DEFAULT SECOND
#define BURST_MAX (3600 * SECOND)

const char *const limit_keys[] = {
#define X(NAME, name) "io." #name,
	LIMITS(X)
#undef X
	BURST_KEY, NULL,
};

static int64_t burst_of[LIMIT_PAYERS + 1]; /* 0: as it is from the beginning */

static int64_t burst(int payer)
{
	return burst_of[payer + 1] ? burst_of[payer + 1] : BURST_DEFAULT;
}

static int burst_set(int payer, const char *value, char *error, size_t size)
{
	uint64_t ns;

	if (ls_parse_time(value, &ns) < 0 || ns > BURST_MAX) {
		snprintf(error, size, BURST_KEY ": '%s' is not a time such as 250ms or 5s, up to 1h", value);
		return -EINVAL;
	}
	burst_of[payer + 1] = ns ? (int64_t)ns : 1;
	limiter_burst(&limit_all, payer, burst(payer), stat_now());
	return 0;
}

static int rate_parse(enum limit limit, const char *value, uint64_t *ret)
{
	char *end;

	if (limit == LIMIT_READ_BPS || limit == LIMIT_WRITE_BPS)
		return ls_parse_size(value, ret);
	errno = 0;
	*ret = strtoull(value, &end, 10);
	return *value < '0' || *value > '9' || *end || errno ? -EINVAL : 0;
}

int limit_set(int payer, const char *key, const char *value, char *error, size_t size)
{
	uint64_t rate;

	if (!strcmp(key, BURST_KEY))
		return burst_set(payer, value, error, size);
	for (unsigned i = 0; i < LIMIT_MAX; i++) {
		if (strcmp(key, names[i]))
			continue;
		if (rate_parse(i, value, &rate) < 0) {
			snprintf(error, size, "%s: '%s' is not %s; 0: no limit", key, value,
				 i < LIMIT_IOPS ? "a size such as 100M" : "a number");
			return -EINVAL;
		}
		limiter_set(&limit_all, payer, i, rate, burst(payer), stat_now());
		pthread_mutex_lock(&limit_all.lock);
		crews_wake();
		pthread_mutex_unlock(&limit_all.lock);
		return 0;
	}
	return -ENOENT;
}

void limit_forget(unsigned payer)
{
	burst_of[payer + 1] = 0;
	limiter_forget(&limit_all, payer);
}

/* ---- figures ------------------------------------------------------------------------------------- */

static void limits_put(struct json_object *to, const struct bucket bucket[LIMIT_MAX])
{
	for (unsigned i = 0; i < LIMIT_MAX; i++)
		if (bucket[i].rate)
			json_object_object_add(to, names[i] + strlen("io."), json_object_new_uint64(bucket[i].rate));
}

struct json_object *limit_json(int payer)
{
	struct json_object *o = json_object_new_object();

	pthread_mutex_lock(&limit_all.lock);
	limits_put(o, payer == LIMIT_POOL ? limit_all.pool : limit_all.payer[payer].bucket);
	json_object_object_add(o, "waiting", json_object_new_int64(payer == LIMIT_POOL ? limit_all.waits_all :
										 limit_all.payer[payer].waits));
	pthread_mutex_unlock(&limit_all.lock);
	return o;
}
