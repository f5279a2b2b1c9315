/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A null request, there and back, between two processes. The peers: the least that two cores can do, a word each
 * that the other one spins on; and what a request costs that goes through the kernel, a pair of pipes.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/ipc.h"
#include "ipc/sys.h"
#include "tests/unit/ipc/server.h"

enum {
	TRIPS = 200000,
	TRIPS_SLOW = 5000, /* of those that sleep */
	TRIPS_WARM = 2000,
};

struct words {
	_Alignas(64) uint32_t ping;
	_Alignas(64) uint32_t pong;
};

static struct front *front;
static const int *cpus;

static bool trip(void)
{
	struct wire_slot *slot = front_claim(front);
	bool good;

	slot->request.op = WIRE_NULL;
	slot->request.arg = 21;
	good = front_call(front, slot, 0) == 0 && slot->reply.result == 42;
	front_release(front, slot);
	return good;
}

static double measure_trips(void *arg)
{
	unsigned n = *(const unsigned *)arg;
	int64_t start;

	for (unsigned i = 0; i < TRIPS_WARM; i++)
		if (!trip())
			return -1;
	start = bench_now();
	for (unsigned i = 0; i < n; i++)
		if (!trip())
			return -1;
	return (double)(bench_now() - start) / n;
}

static pid_t helper(void (*run)(void *), void *arg, int cpu)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(cpu);
	run(arg);
	_exit(0);
}

static void pong(void *arg)
{
	struct words *w = arg;

	for (uint32_t i = 1; i <= TRIPS; i++) {
		bench_await(&w->ping, i);
		__atomic_store_n(&w->pong, i, __ATOMIC_RELEASE);
	}
}

static double measure_words(void *arg)
{
	struct words *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = helper(pong, w, cpus[1]);
	int64_t start = 0;

	for (uint32_t i = 1; i <= TRIPS; i++) {
		__atomic_store_n(&w->ping, i, __ATOMIC_RELEASE);
		bench_await(&w->pong, i);
		if (i == TRIPS_WARM)
			start = bench_now();
	}
	start = bench_now() - start;
	waitpid(pid, NULL, 0);
	munmap(w, sizeof(*w));
	return (double)start / (TRIPS - TRIPS_WARM);
}

struct pipes {
	int there[2], back[2];
	int cpu;
};

static void pipe_answer(void *arg)
{
	struct pipes *p = arg;
	char byte;

	close(p->there[1]);
	while (read(p->there[0], &byte, 1) == 1)
		if (write(p->back[1], &byte, 1) != 1)
			break;
}

static double measure_pipes(void *arg)
{
	struct pipes *p = arg;
	int64_t start;
	char byte = 0;
	pid_t pid;

	if (pipe(p->there) < 0 || pipe(p->back) < 0)
		return -1;
	pid = helper(pipe_answer, p, p->cpu);
	start = bench_now();
	for (unsigned i = 0; i < TRIPS_SLOW; i++)
		if (write(p->there[1], &byte, 1) != 1 || read(p->back[0], &byte, 1) != 1)
			return -1;
	start = bench_now() - start;
	for (int i = 0; i < 2; i++) {
		close(p->there[i]);
		close(p->back[i]);
	}
	waitpid(pid, NULL, 0);
	return (double)start / TRIPS_SLOW;
}

/* A service with queues on these cores; the client on the first of b->cpus. */
static void with_service(const struct bench *b, int one_core, const struct bench_case *c, int count)
{
	char *dir = server_dir_new();
	struct server_config config = {.dir = dir, .cpus = b->cpus, .queues = one_core ? 1 : 2, .workers = 2,
		.pin = 1, .one_core = one_core};
	pid_t pid = server_fork(&config);

	front = calloc(1, sizeof(*front));
	front->dir = dir;
	if (pid > 0 && front_attach(front, 1000000000) == 0)
		for (int i = 0; i < count; i++)
			bench_compare(b, &c[i]);
	front_detach(front);
	free(front);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	server_dir_remove(dir);
}

void bench_trip(const struct bench *b)
{
	static unsigned many = TRIPS, few = TRIPS_SLOW;
	struct pipes far = {.cpu = b->cpus[1]}, near = {.cpu = b->cpus[0]};
	const struct bench_case two_cores[] = {
		{"null-request", measure_trips, &many, "two words", measure_words, NULL},
		{"null-request", measure_trips, &many, "two pipes", measure_pipes, &far},
	};
	const struct bench_case one_core[] = {
		{"null-request-one-core", measure_trips, &few, "two pipes", measure_pipes, &near},
	};

	cpus = b->cpus;
	bench_pin(b->cpus[0]);
	if (b->cpus[0] != b->cpus[1])
		with_service(b, 0, two_cores, 2);
	with_service(b, 1, one_core, 1);
}
