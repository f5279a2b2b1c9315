/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool in the engine: its place, its init, its service, and everything that must survive the service.
 *
 *   BUILDING   a process builds the place (engine/build.h)
 *   BOOTING    the service got its boot message and has not answered
 *   LOCKING    it answered; a process takes away its view of the host's files
 *   ATTACHING  mounts inside mounts are attached
 *   UP         programs may enter
 *   RESTARTING the service died; the next one waits for its turn, boots or is locked in
 *   FAILED     it died too often: the pool stands until `down`, its files answer with errors
 *   STOPPING   programs end, then the service, then everything else goes
 *
 * A pool that fails before it was UP is stopped and reported. Whatever ends in STOPPING leaves nothing.
 */
#pragma once

#include <sys/queue.h>

#include "engine/build.h"
#include "engine/loop.h"
#include "engine/parcel.h"
#include "engine/spec.h"
#include "ipc/wire.h"

struct engine;

enum pool_state {
	POOL_BUILDING,
	POOL_BOOTING,
	POOL_LOCKING,
	POOL_ATTACHING,
	POOL_UP,
	POOL_RESTARTING,
	POOL_FAILED,
	POOL_STOPPING,
};

enum {
	POOL_START_MS = 60 * 1000,  /* from the start until it is up */
	POOL_DEATHS_MAX = 5,        /* so many deaths of a service... */
	POOL_DEATHS_MS = 10 * 1000, /* ...in this time are a failure */
};

/* A question to the service and who wants to know. */
struct service_call {
	TAILQ_ENTRY(service_call) link;
	/* Runs exactly once: reply is NULL if the service died. Frees the call. */
	void (*done)(struct service_call *call, struct json_object *reply);
	struct pool *pool;
	struct client *client; /* NULL: gone meanwhile */
	struct change change;
	pid_t container;            /* whose limits are to be set, and which: */
	struct json_object *limits; /* NULL: it is about something else */
};

struct service {
	pid_t pid; /* 0: none */
	int pidfd;
	struct source socket;
	bool answered; /* it came up once in this life */
	unsigned restarts;
	int64_t deaths[POOL_DEATHS_MAX]; /* the latest, in ms; a ring */
	unsigned death;
	TAILQ_HEAD(, service_call) calls;
};

struct container {
	TAILQ_ENTRY(container) link;
	struct client *client; /* the connection whose end is the container's */
	pid_t pid;             /* 0: not joined yet */
	bool listed;
	char command[256];
	struct json_object *limits; /* {"io.iops": "500"}; NULL: none */
};

struct pool {
	TAILQ_ENTRY(pool) link;
	struct engine *engine;
	char name[SPEC_NAME_MAX + 1];
	struct json_object *spec;
	struct json_object *warnings;
	struct error error; /* why it failed */
	enum pool_state state;
	bool was_up;
	int64_t deadline; /* now_ms() at which pool_due() is to run; 0: none */
	unsigned stop_step, group_tries;
	struct group group;
	pid_t builder, locker, init; /* 0: none */
	struct source builder_socket;
	struct parcel place; /* what the builder answered; its descriptors are the service's too */
	int meter; /* what its services measure (service/meter.h) */
	int cache;       /* the tmpfs of its page cache; -1: not made yet */
	int cache_large; /* another, with large folios; -1: this kernel has none */
	struct wire_table *table;
	bool fuse_live; /* a service answered on the FUSE devices */
	struct service service;
	TAILQ_HEAD(, container) containers;
	TAILQ_HEAD(, root) roots; /* engine/roots.h */
};

/* Takes a reference to a checked spec. NULL only without memory. Starts at once; see pool->state. */
struct pool *pool_start(struct engine *engine, const char *name, struct json_object *spec);
/* Begins to end it; it is freed when everything has gone. May be called again. */
void pool_stop(struct pool *pool);
/* Fails a pool that is not up, or one that cannot be saved. */
void pool_fail(struct pool *pool);
/* A child ended; false if it is none of this pool's. */
bool pool_child_ended(struct pool *pool, pid_t pid, int status);
/* The deadline has passed. */
void pool_due(struct pool *pool);
void pool_deadline(struct pool *pool, int64_t ms);
const char *pool_state_name(enum pool_state state);
bool pool_is_settled(const struct pool *pool); /* up or failed: `up` need not wait longer */
struct container *container_new(struct pool *pool, struct client *client);
struct container *container_free(struct pool *pool, struct container *container);

/* ---- engine/stop.c: the way down ----------------------------------------------------------------- */

void pool_stop_step(struct pool *pool); /* looks at what is left, and goes on */
void pool_stop_due(struct pool *pool);

/* ---- engine/service.c: the service's process ---------------------------------------------------- */

/* Starts it and sends the boot message; -errno with a sentence in pool->error. */
int service_start(struct pool *pool);
void service_ended(struct pool *pool, int status);
/* Asks; `call` belongs to the service afterwards. On failure done has run. */
void service_ask(struct pool *pool, struct service_call *call, struct json_object *question);
/* With descriptors, which stay the caller's. */
void service_ask_with(struct pool *pool, struct service_call *call, struct json_object *question, const int *fds,
		      size_t count);
/* Sends without wanting to know the answer: "stop". */
void service_tell(struct pool *pool, const char *method);
void service_kill(struct pool *pool);
/* Fails what was asked. */
void service_calls_fail(struct pool *pool);
/* The service has answered: shuts it into an empty root. Starts pool->locker. */
void service_lock_in(struct pool *pool);
void service_fini(struct pool *pool);

static inline int pool_fd(const struct pool *pool, enum build_fd which)
{
	return pool->place.fd_count > (size_t)which ? pool->place.fds[which] : -1;
}
