/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that writes random bytes over all that it can write to, queues and its own session, does not stop the
 * service, nor keep it from answering others, nor makes it answer them wrongly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ipc/rcqb.h"
#include "tests/unit/ipc/server.h"

#define SECOND 1000000000ull

enum {
	SECONDS = 4,
	VICTIMS = 3,
	SCRIBBLERS = 2,
	STEP_MAX_S = 8, /* for one call; they take a fraction of that, however loaded the machine is */
};

static struct front front_memory;

static struct front *client_start(const char *dir)
{
	front_memory.dir = dir;
	if (front_attach(&front_memory, 5 * SECOND) < 0)
		_exit(10);
	return &front_memory;
}

static uint64_t noise(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Bytes anywhere, and words in the places that hurt: tails, bells, slots, states. */
static void scribble(const struct front_session *s, uint64_t *seed)
{
	char *ring = s->queues + noise(seed) % s->queue_count * s->queue_stride;
	struct rcqb *queue = (struct rcqb *)ring;
	struct rcqb_slot *item = &queue->slot[noise(seed) % (1u << s->queue_shift)];
	struct wire_slot *slot = (struct wire_slot *)(s->segment + WIRE_PAGE +
						      noise(seed) % WIRE_SLOTS * WIRE_SLOT_STRIDE);

	switch (noise(seed) % 8) {
	case 0:
		ring[noise(seed) % s->queue_stride] = (char)noise(seed);
		break;
	case 1:
		queue->tail += noise(seed) % 4096 - 2048;
		break;
	case 2:
		queue->tail = noise(seed);
		break;
	case 3:
		queue->bell = (uint32_t)noise(seed);
		break;
	case 4:
		item->word = noise(seed);
		break;
	case 5: /* a well-formed item of a random slot of ours, or of nobody */
		rcqb_enqueue(queue, s->queue_shift,
			     noise(seed) % 2 ? WIRE_ITEM(s->number, noise(seed) % 40) : noise(seed));
		break;
	case 6:
		slot->state = (uint32_t)noise(seed) % 16;
		break;
	default:
		for (unsigned i = 0; i < 64; i++)
			((char *)slot)[noise(seed) % 4096] = (char)noise(seed);
	}
}

static void scribbler_run(const char *dir, uint64_t seed)
{
	struct front *f = client_start(dir);
	const struct front_session *s = &f->sessions[f->attached - 1];

	for (uint64_t i = 0;; i++) {
		scribble(s, &seed);
		if (noise(&seed) % 64 == 0)
			sys_futex_wake(&((struct rcqb *)s->queues)->bell, 1);
		if (noise(&seed) % 4096 == 0)
			usleep(noise(&seed) % 3000);
	}
}

/* Its exit status is 0 if every answer came and was right. */
static void victim_run(const char *dir, uint64_t seed)
{
	struct front *f = client_start(dir);
	time_t end = time(NULL) + SECONDS;
	unsigned calls = 0;

	for (; time(NULL) < end || calls < 10; calls++) {
		struct wire_slot *slot = front_claim(f);
		uint64_t arg = noise(&seed) >> 8;

		alarm(STEP_MAX_S);
		slot->request = (struct wire_request){.op = WIRE_NULL, .arg = arg};
		if (front_call(f, slot, 0) != 0)
			_exit(1);
		if (slot->reply.result != (int64_t)(2 * arg))
			_exit(2);
		front_release(f, slot);
		if (calls % 16 == 0)
			usleep(noise(&seed) % 2000);
	}
	_exit(0);
}

static pid_t child(void (*run)(const char *, uint64_t), const char *dir, uint64_t seed)
{
	pid_t pid = fork();

	if (pid == 0)
		run(dir, seed);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void a_scribbler_harms_only_itself(void **state)
{
	int cpus[WIRE_QUEUES_MAX], status;
	char *dir = server_dir_new();
	struct server_config config = {.dir = dir, .cpus = cpus, .queues = server_cpus(cpus, 2), .queue_slots = 64,
		.workers = 2, .pin = 1};
	pid_t service = server_fork(&config), victims[VICTIMS], scribblers[SCRIBBLERS];

	assert_true(service > 0);
	for (unsigned i = 0; i < SCRIBBLERS; i++)
		scribblers[i] = child(scribbler_run, dir, 1000 + i);
	for (unsigned i = 0; i < VICTIMS; i++)
		victims[i] = child(victim_run, dir, 1 + i);
	for (unsigned i = 0; i < VICTIMS; i++) {
		assert_int_equal(waitpid(victims[i], &status, 0), victims[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(waitpid(service, &status, WNOHANG), 0); /* it lives */
	for (unsigned i = 0; i < SCRIBBLERS; i++)
		end(scribblers[i]);
	/* And all is well afterwards. */
	victims[0] = child(victim_run, dir, 99);
	waitpid(victims[0], &status, 0);
	assert_int_equal(status, 0);
	end(service);
	server_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scribbler_harms_only_itself),
	};

	return cmocka_run_group_tests_name("ipc-scribble", tests, NULL, NULL) != 0;
}
