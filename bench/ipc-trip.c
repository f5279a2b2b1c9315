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

/* A measurement takes a millisecond or so: the less comes between it and the one that it is compared with. */
enum {
	TRIPS = 2000,
	TRIPS_SLOW = 200, /* of those that sleep */
	TRIPS_WARM = 500,
	TIMES = 20,
};

struct words {
	_Alignas(64) uint32_t ping;
	_Alignas(64) uint32_t pong;
	_Alignas(64) uint32_t rounds; /* that were asked for; a futex: in between the other core is free */
	pid_t pid;
};

static struct front *front;

bool trip_null(struct front *f)
{
	struct wire_slot *slot = front_claim(f);
	bool good;

	slot->request = (struct wire_request){.op = WIRE_NULL, .arg = 21};
	good = front_call(f, slot, 0) == 0 && slot->reply.result == 42;
	front_release(f, slot);
	return good;
}

static double measure_trips(void *arg)
{
	unsigned n = *(const unsigned *)arg;
	int64_t start = 0;

	for (unsigned i = 0; i < TRIPS_WARM + n; i++) {
		if (i == TRIPS_WARM)
			start = bench_now();
		if (!trip_null(front))
			return -1;
	}
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

	for (uint32_t i = 0, rounds = 0;; rounds++) {
		while (__atomic_load_n(&w->rounds, __ATOMIC_ACQUIRE) == rounds)
			sys_futex_wait(&w->rounds, rounds, NULL);
		for (uint32_t end = i + TRIPS_WARM + TRIPS; i < end;) {
			bench_await(&w->ping, ++i);
			__atomic_store_n(&w->pong, i, __ATOMIC_RELEASE);
		}
	}
}

static struct words *words_new(int cpu)
{
	struct words *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	w->pid = helper(pong, w, cpu);
	return w;
}

static void words_free(struct words *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	munmap(w, sizeof(*w));
}

static double measure_words(void *arg)
{
	struct words *w = arg;
	int64_t start = 0;

	__atomic_fetch_add(&w->rounds, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&w->rounds, 1);
	for (unsigned i = 0; i < TRIPS_WARM + TRIPS; i++) {
		uint32_t ping = w->ping + 1;

		if (i == TRIPS_WARM)
			start = bench_now();
		__atomic_store_n(&w->ping, ping, __ATOMIC_RELEASE);
		bench_await(&w->pong, ping);
	}
	return (double)(bench_now() - start) / TRIPS;
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
	struct words *words = words_new(b->cpus[1]);
	const struct bench_case two_cores[] = {
		{"null-request", measure_trips, &many, "two words", measure_words, words, TIMES},
		{"null-request", measure_trips, &many, "two pipes", measure_pipes, &far},
	};
	const struct bench_case one_core[] = {
		{"null-request-one-core", measure_trips, &few, "two pipes", measure_pipes, &near, TIMES},
	};

	bench_pin(b->cpus[0]);
	if (b->cpus[0] != b->cpus[1])
		with_service(b, 0, two_cores, 2);
	with_service(b, 1, one_core, 1);
	words_free(words);
}
