/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem service without a filesystem: the back driver with workers, and the socket that sessions are
 * made over. It runs in the calling process; tests that let it die fork first.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>
#include "ipc/back.h"
#include "ipc/front.h"

struct server;

/* Serves a request. `reply->result` is its arg, doubled, unless the function says otherwise. */
typedef void server_serve(struct server *server, unsigned queue, struct back_request *request,
			  struct wire_reply *reply);

/* What is done if it is not given: WIRE_READ fills the payload with arg; WIRE_FSYNC takes `length` ns, and so does
 * WIRE_SYNCFS, without telling the back driver; WIRE_FLUSH lets all WIRE_FLOCK requests succeed, which wait. */
server_serve server_serve_default;

struct server_config {
	const char *dir; /* made by the caller; holds table and socket */
	const int *cpus;
	unsigned queues;
	unsigned queue_slots;
	unsigned workers; /* of each queue */
	int one_core;
	int pin;
	server_serve *serve;
};

int server_start(const struct server_config *config, struct server **ret);
struct server *server_stop(struct server *server);

struct back *server_back(struct server *server);
struct wire_table *server_table(struct server *server);
/* How many WIRE_FLOCK requests wait; and lets them all succeed. */
unsigned server_waits(struct server *server);
void server_end_waits(struct server *server);

/* In a process of its own. Returns its pid once it serves. */
pid_t server_fork(const struct server_config *config);
/* As the engine does when a service has died. */
void server_bury(const char *dir);

/* A directory for a pool, in /tmp; and its end. */
char *server_dir_new(void);
void server_dir_remove(char *dir);

/* The cores that this process may use: how many, at most `max` of them in cpus[]. */
unsigned server_cpus(int *cpus, unsigned max);
