/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients of one thread that polls (Comanche's arrangement: service queues in shared memory): the time from one
 * null request to the next, of all clients together. The peer: a thread for each client, by way of the kernel.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/ipc.h"
#include "tests/unit/ipc/server.h"

enum { CLIENTS_MAX = 32, REQUESTS = 4000, REQUESTS_QUICK = 800 };

struct system;

struct client {
	struct system *system;
	pthread_t thread, servant;
	int fd[2];
	bool failed;
};

struct system {
	struct front *front; /* NULL: the kernel's way */
	const struct bench *bench;
	unsigned clients;
	struct client client[CLIENTS_MAX];
};

static bool socket_null(int fd)
{
	char byte = 0;

	return write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 1;
}

static void *servant_run(void *arg)
{
	struct client *c = arg;
	char byte;

	bench_pin(c->system->bench->cpus[1]);
	while (read(c->fd[1], &byte, 1) == 1)
		if (write(c->fd[1], &byte, 1) != 1)
			break;
	return NULL;
}

static void *client_run(void *arg)
{
	struct client *c = arg;
	struct system *s = c->system;
	unsigned n = (s->bench->quick ? REQUESTS_QUICK : REQUESTS) / s->clients;

	for (unsigned i = 0; i < n && !c->failed; i++)
		c->failed = s->front ? !trip_null(s->front) : !socket_null(c->fd[0]);
	return NULL;
}

static double clients_measure(void *arg)
{
	struct system *s = arg;
	unsigned n = (s->bench->quick ? REQUESTS_QUICK : REQUESTS) / s->clients * s->clients;
	bool failed = false;
	int64_t start = bench_now();

	for (unsigned i = 0; i < s->clients; i++)
		if (pthread_create(&s->client[i].thread, NULL, client_run, &s->client[i]) != 0)
			abort();
	for (unsigned i = 0; i < s->clients; i++) {
		pthread_join(s->client[i].thread, NULL);
		failed |= s->client[i].failed;
	}
	return failed ? -1 : (double)(bench_now() - start) / n;
}

static void system_begin(struct system *s, const struct bench *b, struct front *front, unsigned clients)
{
	*s = (struct system){.front = front, .bench = b, .clients = clients};
	for (unsigned i = 0; i < clients; i++) {
		struct client *c = &s->client[i];

		c->system = s;
		if (!front && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->fd) < 0 ||
			       pthread_create(&c->servant, NULL, servant_run, c) != 0))
			abort();
	}
}

static void system_end(struct system *s)
{
	for (unsigned i = 0; i < s->clients && !s->front; i++) {
		close(s->client[i].fd[0]);
		pthread_join(s->client[i].servant, NULL);
		close(s->client[i].fd[1]);
	}
}

static void clients_compare(const struct bench *b, struct front *front)
{
	static struct system ours, peer;
	char name[48];

	for (unsigned clients = 1; clients <= CLIENTS_MAX; clients *= b->quick ? 4 : 2) {
		system_begin(&ours, b, front, clients);
		system_begin(&peer, b, NULL, clients);
		snprintf(name, sizeof(name), "one thread, %u clients", clients);
		bench_compare(b, &(struct bench_case){name, clients_measure, &ours, "a thread each", clients_measure,
						      &peer, 0});
		system_end(&ours);
		system_end(&peer);
	}
}

void bench_clients(const struct bench *b)
{
	char *dir = server_dir_new();
	struct server_config config = {.dir = dir, .cpus = &b->cpus[1], .queues = 1, .workers = 1, .pin = 1,
		.one_core = b->cpus[0] == b->cpus[1]};
	pid_t pid = server_fork(&config);
	struct front *front = calloc(1, sizeof(*front));

	if (!front)
		abort();
	front->dir = dir;
	bench_pin(b->cpus[0]);
	if (pid > 0 && front_attach(front, 1000000000) == 0)
		clients_compare(b, front);
	else
		bench_missing(b, "service");
	front_detach(front);
	free(front);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	server_dir_remove(dir);
}
