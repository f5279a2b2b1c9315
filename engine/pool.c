/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "engine/engine.h"
#include "engine/reaper.h"
#include "engine/roots.h"
#include "engine/table.h"
#include "service/meter.h"

const char *pool_state_name(enum pool_state state)
{
	static const char *const names[] = {
		[POOL_BUILDING] = "starting",
		[POOL_BOOTING] = "starting",
		[POOL_LOCKING] = "starting",
		[POOL_ATTACHING] = "starting",
		[POOL_UP] = "up",
		[POOL_RESTARTING] = "restarting",
		[POOL_FAILED] = "failed",
		[POOL_STOPPING] = "stopping",
	};
	return names[state];
}

bool pool_is_settled(const struct pool *pool)
{
	return pool->state == POOL_UP || pool->state == POOL_RESTARTING || pool->state == POOL_FAILED;
}

void pool_deadline(struct pool *pool, int64_t ms)
{
	pool->deadline = now_ms() + ms;
}

/* ---- the place --------------------------------------------------------------------------------- */

/* From now on mounts are known by their real paths, which are what programs and the service see. */
static void mounts_take_real_paths(struct pool *pool)
{
	struct json_object *stacks = json_child(pool->spec, "mounts", json_type_object);
	struct json_object *places = json_child(pool->place.json, "mounts", json_type_array);
	struct json_object *real = json_object_new_object();
	size_t i = 0;

	json_object_object_foreach(stacks, path, stack) {
		const char *at = json_string(json_object_array_get_idx(places, i++), "path");
		json_object_object_add(real, at ? at : path, json_object_get(stack));
	}
	json_object_object_add(pool->spec, "mounts", real);
}

static int place_taken(struct pool *pool)
{
	struct json_object *more = json_child(pool->place.json, "warnings", json_type_array);

	if (pool->place.fd_count < BUILD_FDS)
		return error_set(&pool->error, -EPROTO, "the place was built without its descriptors");
	for (size_t i = 0; more && i < json_object_array_length(more); i++)
		json_object_array_add(pool->warnings, json_object_get(json_object_array_get_idx(more, i)));
	mounts_take_real_paths(pool);
	pool->init = json_number(pool->place.json, "init", 0);
	pool->table = table_map(pool_fd(pool, BUILD_TABLE));
	if (!pool->table)
		return error_errno(&pool->error, errno, "map the pool's table");
	if (write(pool_fd(pool, BUILD_HOLD), "", 1) != 1)
		return error_set(&pool->error, -EIO, "its init ended");
	close_p(&pool->place.fds[BUILD_HOLD]);
	return 0;
}

static void place_built(struct pool *pool)
{
	int r = place_taken(pool);

	if (r == 0) {
		pool->state = POOL_BOOTING;
		r = service_start(pool);
	}
	if (r < 0)
		pool_fail(pool);
}

static void come_up(struct pool *pool)
{
	pool->state = POOL_UP;
	pool->was_up = true;
	pool->deadline = 0;
	pool->error.text[0] = '\0';
	log_note("pool '%s' is up, its service is process %d", pool->name, pool->service.pid);
	engine_pool_changed(pool->engine, pool);
}

static void builder_answered(struct pool *pool, struct parcel *parcel)
{
	const char *error = json_string(parcel->json, "error");

	if (!json_true(parcel->json, "ok")) {
		error_set(&pool->error, -EIO, "%s", error ? error : "its place cannot be built");
		pool_fail(pool);
	} else if (pool->state == POOL_BUILDING) {
		place_built(pool);
	} else if (pool->state == POOL_ATTACHING) {
		loop_close(pool->engine->epoll, &pool->builder_socket);
		come_up(pool);
	}
}

static void builder_ready(struct source *source, uint32_t events)
{
	struct pool *pool = container_of(source, struct pool, builder_socket);
	struct parcel second = {}, *parcel = pool->state == POOL_BUILDING ? &pool->place : &second;
	int r = parcel_recv(source->fd, parcel);

	if (r < 0) {
		loop_close(pool->engine->epoll, source);
		error_set(&pool->error, r, "the process that builds its place ended");
		pool_fail(pool);
	} else if (r == 1) {
		builder_answered(pool, parcel);
	}
	parcel_fini(&second);
}

static int builder_start(struct pool *pool)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(&pool->error, errno, "make a socket");
	pool->builder = fork();
	if (pool->builder == 0)
		build_run(pair[1], pool->name, pool->spec, &pool->group);
	close(pair[1]);
	pool->builder_socket = (struct source){.fd = pair[0], .ready = builder_ready};
	if (pool->builder < 0) {
		pool->builder = 0;
		return error_errno(&pool->error, errno, "start the process that builds its place");
	}
	return loop_add(pool->engine->epoll, &pool->builder_socket, EPOLLIN);
}

struct pool *pool_start(struct engine *engine, const char *name, struct json_object *spec)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	char group[80];

	if (!pool)
		return NULL;
	pool->engine = engine;
	pool->spec = json_object_get(spec);
	roots_lower(pool->spec);
	pool->warnings = json_object_new_array();
	pool->service.pidfd = pool->service.socket.fd = pool->builder_socket.fd = pool->cache = pool->cache_large = -1;
	pool->meter = meter_make(); /* without it a service counts for itself */
	TAILQ_INIT(&pool->service.calls);
	TAILQ_INIT(&pool->containers);
	TAILQ_INIT(&pool->roots);
	snprintf(pool->name, sizeof(pool->name), "%s", name);
	TAILQ_INSERT_TAIL(&engine->pools, pool, link);
	pool_deadline(pool, POOL_START_MS);
	engine_group_name(engine, name, group, sizeof(group));
	group_make(&pool->group, group, spec, pool->warnings);
	reaper_pool(engine->reaper, name, &pool->group, -1);
	if (builder_start(pool) < 0)
		pool_fail(pool);
	return pool;
}

/* ---- the service's deaths ---------------------------------------------------------------------- */

/* Requests that wait in the kernel end with an error when nobody holds the FUSE devices any more. */
static void give_up(struct pool *pool)
{
	pool->state = POOL_FAILED;
	pool->deadline = 0;
	for (size_t i = BUILD_LISTEN; i < pool->place.fd_count; i++)
		close_p(&pool->place.fds[i]);
	roots_fini(pool);
	table_state(pool->table, WIRE_SERVICE_GONE, 0);
	error_set(&pool->error, 0, "its service died %d times within %d s, the last time so: %s",
		  POOL_DEATHS_MAX, POOL_DEATHS_MS / 1000, strdupa(pool->error.text));
	log_line("pool '%s' has failed: %s", pool->name, pool->error.text);
	engine_pool_changed(pool->engine, pool);
}

static unsigned deaths_lately(const struct service *s)
{
	unsigned n = 0;

	for (int i = 0; i < POOL_DEATHS_MAX; i++)
		n += s->deaths[i] && s->deaths[i] > now_ms() - POOL_DEATHS_MS;
	return n;
}

static void service_lost(struct pool *pool)
{
	struct service *s = &pool->service;
	unsigned n;

	table_state(pool->table, WIRE_SERVICE_DOWN, 0);
	s->deaths[s->death++ % POOL_DEATHS_MAX] = now_ms();
	n = deaths_lately(s);
	if (n >= POOL_DEATHS_MAX) {
		give_up(pool);
		return;
	}
	pool->state = POOL_RESTARTING;
	pool_deadline(pool, n == 1 ? 0 : 50 << n);
	log_line("pool '%s': %s; it is started again", pool->name, pool->error.text);
}

static void service_restart(struct pool *pool)
{
	pool->service.restarts++;
	pool->error.text[0] = '\0';
	pool_deadline(pool, POOL_START_MS);
	if (service_start(pool) < 0)
		pool_fail(pool);
}

/* ---- events ------------------------------------------------------------------------------------ */

void pool_fail(struct pool *pool)
{
	if (pool->state == POOL_STOPPING || pool->state == POOL_FAILED)
		return;
	if (!pool->was_up) {
		log_note("pool '%s' cannot start: %s", pool->name, pool->error.text);
		pool_stop(pool);
	} else if (!pool->service.pid) {
		service_lost(pool);
	} else {
		service_kill(pool);
	}
}

static void locked_in(struct pool *pool, int status)
{
	pool->locker = 0;
	if (!pool->service.answered)
		return;
	if (status != 0)
		json_say(pool->warnings, "its service keeps its view of the host's files (see the log)");
	if (pool->state == POOL_RESTARTING) {
		come_up(pool);
	} else if (pool->state == POOL_LOCKING) {
		pool->state = POOL_ATTACHING;
		if (send(pool->builder_socket.fd, "", 1, MSG_NOSIGNAL) != 1) {
			error_errno(&pool->error, errno, "attach the mounts");
			pool_fail(pool);
		}
	}
}

static void init_ended(struct pool *pool)
{
	pool->init = 0;
	if (pool->state == POOL_STOPPING)
		return;
	log_line("pool '%s': its init ended, and so does the pool", pool->name);
	error_set(&pool->error, -EIO, "its init ended");
	pool_stop(pool);
}

static void service_child_ended(struct pool *pool, int status)
{
	service_ended(pool, status);
	reaper_pool(pool->engine->reaper, pool->name, &pool->group, -1);
	if (pool->state != POOL_STOPPING)
		pool_fail(pool);
}

bool pool_child_ended(struct pool *pool, pid_t pid, int status)
{
	if (pid == pool->builder)
		pool->builder = 0;
	else if (pid == pool->locker)
		locked_in(pool, status);
	else if (pid == pool->init)
		init_ended(pool);
	else if (pid == pool->service.pid)
		service_child_ended(pool, status);
	else
		return false;
	if (pool->state == POOL_STOPPING)
		pool_stop_step(pool);
	return true;
}

void pool_due(struct pool *pool)
{
	pool->deadline = 0;
	if (pool->state == POOL_STOPPING) {
		pool_stop_due(pool);
	} else if (pool->state == POOL_RESTARTING && !pool->service.pid) {
		service_restart(pool);
	} else {
		error_set(&pool->error, -ETIMEDOUT, "it was not up after %d s", POOL_START_MS / 1000);
		pool_fail(pool);
	}
}

struct container *container_new(struct pool *pool, struct client *client)
{
	struct container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->client = client;
	TAILQ_INSERT_TAIL(&pool->containers, c, link);
	return c;
}

struct container *container_free(struct pool *pool, struct container *container)
{
	TAILQ_REMOVE(&pool->containers, container, link);
	json_object_put(container->limits);
	free(container);
	return NULL;
}
