/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way down of a pool, in steps. A step is over when what it waits for is gone, or when its time is up;
 * then the next begins. Programs end before the service, so that what they wrote is written back; the
 * service before the FUSE devices; the groups last, since they empty last.
 */
#include <signal.h>
#include <sys/pidfd.h>

#include "engine/engine.h"
#include "engine/reaper.h"
#include "engine/roots.h"
#include "engine/table.h"

enum stop_step {
	STOP_BEGIN,
	STOP_PROGRAMS,      /* asked to end */
	STOP_PROGRAMS_KILL, /* killed; they may hang in a request that only the service's end will end */
	STOP_SERVICE,       /* asked to write back and end */
	STOP_SERVICE_KILL,
	STOP_GROUPS,
	STOP_GROUPS_FORCE,
	STOP_DONE,
};

static const int step_ms[] = {
	[STOP_BEGIN] = 0,
	[STOP_PROGRAMS] = 2000,
	[STOP_PROGRAMS_KILL] = 2000,
	[STOP_SERVICE] = 30 * 1000,
	[STOP_SERVICE_KILL] = 10 * 1000,
	[STOP_GROUPS] = 20,
	[STOP_GROUPS_FORCE] = 0,
	[STOP_DONE] = 0,
};

static void init_signal(struct pool *pool, int signal)
{
	if (pool->init > 0)
		pidfd_send_signal(pool_fd(pool, BUILD_INIT), signal, NULL, 0);
}

static void stop_building(struct pool *pool)
{
	if (pool->builder > 0)
		kill(pool->builder, SIGKILL);
	if (pool->locker > 0)
		kill(pool->locker, SIGKILL);
	loop_close(pool->engine->epoll, &pool->builder_socket);
}

static void stop_service(struct pool *pool)
{
	if (pool->service.answered)
		service_tell(pool, "stop");
	else
		service_kill(pool);
}

static void release_place(struct pool *pool)
{
	roots_fini(pool);
	table_state(pool->table, WIRE_SERVICE_GONE, 0);
	pool->table = table_unmap(pool->table);
	for (size_t i = 0; i < pool->place.fd_count; i++)
		if (i != BUILD_INIT)
			close_p(&pool->place.fds[i]);
}

static void step_begin(struct pool *pool, enum stop_step step)
{
	pool->stop_step = step;
	pool_deadline(pool, step_ms[step]);
	switch (step) {
	case STOP_PROGRAMS:
		stop_building(pool);
		init_signal(pool, pool->was_up ? SIGTERM : SIGKILL);
		break;
	case STOP_PROGRAMS_KILL:
		init_signal(pool, SIGKILL);
		break;
	case STOP_SERVICE:
		stop_service(pool);
		break;
	case STOP_SERVICE_KILL:
		service_kill(pool);
		release_place(pool);
		break;
	default:
		break;
	}
}

/* Is what this step waits for gone? */
static bool step_is_over(struct pool *pool)
{
	switch ((enum stop_step)pool->stop_step) {
	case STOP_BEGIN:
		return true;
	case STOP_PROGRAMS:
	case STOP_PROGRAMS_KILL:
		return !pool->builder && !pool->init;
	case STOP_SERVICE:
		return !pool->service.pid;
	case STOP_SERVICE_KILL:
		return !pool->service.pid && !pool->init && !pool->locker && !pool->builder;
	case STOP_GROUPS:
	case STOP_GROUPS_FORCE:
		return group_remove(&pool->group, pool->stop_step == STOP_GROUPS_FORCE) == 0;
	case STOP_DONE:
		break;
	}
	return true;
}

static void pool_free(struct pool *pool)
{
	struct engine *engine = pool->engine;
	struct container *c;

	while ((c = TAILQ_FIRST(&pool->containers)))
		container_free(pool, c);
	service_fini(pool);
	roots_fini(pool);
	parcel_fini(&pool->place);
	close_p(&pool->cache);
	close_p(&pool->cache_large);
	close_p(&pool->meter);
	reaper_forget(engine->reaper, pool->name);
	TAILQ_REMOVE(&engine->pools, pool, link);
	log_note("pool '%s' is gone", pool->name);
	engine_pool_gone(engine, pool);
	json_object_put(pool->spec);
	json_object_put(pool->warnings);
	free(pool);
}

void pool_stop_step(struct pool *pool)
{
	/* Leaving a step early goes to the next stage, not to the same thing with more force. */
	static const enum stop_step next[] = {
		[STOP_BEGIN] = STOP_PROGRAMS,        [STOP_PROGRAMS] = STOP_SERVICE,
		[STOP_PROGRAMS_KILL] = STOP_SERVICE, [STOP_SERVICE] = STOP_SERVICE_KILL,
		[STOP_SERVICE_KILL] = STOP_GROUPS,   [STOP_GROUPS] = STOP_DONE,
		[STOP_GROUPS_FORCE] = STOP_DONE,
	};

	while (pool->stop_step != STOP_DONE && step_is_over(pool))
		step_begin(pool, next[pool->stop_step]);
	if (pool->stop_step == STOP_DONE)
		pool_free(pool);
}

void pool_stop_due(struct pool *pool)
{
	static const struct {
		enum stop_step next;
		const char *say;
	} late[] = {
		[STOP_PROGRAMS] = {STOP_PROGRAMS_KILL, "programs do not end; they are killed"},
		[STOP_PROGRAMS_KILL] = {STOP_SERVICE,
					"programs wait for the service; it is stopped under them"},
		[STOP_SERVICE] = {STOP_SERVICE_KILL, "the service does not end; it is killed"},
		[STOP_SERVICE_KILL] = {STOP_GROUPS,
				       "its processes cannot be killed; they are left to the kernel"},
		[STOP_GROUPS] = {STOP_GROUPS_FORCE, "its control groups do not empty"},
	};

	if (pool->stop_step == STOP_GROUPS && !step_is_over(pool) && pool->group_tries++ < 50) {
		pool_deadline(pool, 20);
		return;
	}
	if (pool->stop_step > STOP_BEGIN && pool->stop_step < STOP_GROUPS_FORCE && !step_is_over(pool)) {
		log_line("pool '%s': %s", pool->name, late[pool->stop_step].say);
		step_begin(pool, late[pool->stop_step].next);
	}
	pool_stop_step(pool);
}

void pool_stop(struct pool *pool)
{
	if (pool->state == POOL_STOPPING)
		return;
	pool->state = POOL_STOPPING;
	pool->stop_step = STOP_BEGIN;
	pool_deadline(pool, 0); /* from the loop: the caller may still use the pool */
}
