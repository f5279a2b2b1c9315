/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one process, one thread, one loop. It forks pools and services, and holds what survives them.
 *
 * As a daemon it listens at the control socket and ends when no pool is left. As the private engine of a
 * throw-away pool it serves the one connection that it was born with, and ends with it.
 */
#pragma once

#include "engine/loop.h"
#include "engine/pool.h"

struct client;

struct engine {
	int epoll;
	struct source listen;  /* -1: a private engine */
	struct source signals; /* SIGCHLD, and the signals that end it */
	int reaper;            /* to the reaper (engine/reaper.h) */
	int proc;              /* the host's /proc */
	bool daemon;
	bool ending; /* no more pools: the directory is gone */
	bool told_to_end;
	bool had_client;
	TAILQ_HEAD(, pool) pools;
	TAILQ_HEAD(, client) clients;
};

/*
 * Runs until it is over: a daemon listens and holds the lock of its directory, a private engine has its one
 * client; the others are -1. All are taken over. Returns an exit status.
 */
int engine_run(int listen_fd, int client_fd, int lock);
struct pool *engine_pool(struct engine *engine, const char *name);
/* A pool's state has changed: tells whoever waits for it. The pool may be on its way out of the list. */
void engine_pool_changed(struct engine *engine, struct pool *pool);
void engine_pool_gone(struct engine *engine, struct pool *pool);
/* The name of a pool's groups: unlike those of every other engine on the host. */
void engine_group_name(const struct engine *engine, const char *pool, char *buf, size_t size);
