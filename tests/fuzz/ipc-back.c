/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back driver with a hostile session: the input is written over its slots and its queue, and items are
 * enqueued. Every request that comes out must be what a worker may rely on, and an honest session's
 * request must come out in the end.
 */
#include <stdlib.h>
#include <string.h>
#include "ipc/back-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HOSTILE, HONEST, SESSIONS };

struct world {
	struct wire_table table;
	struct back *back;
	struct back_session session[SESSIONS];
	unsigned freed;
};

static struct world world;

static void session_free(struct back_session *session)
{
	world.freed++;
}

static void world_new(void)
{
	static const int cpu = 0;
	const struct back_config config = {.table = &world.table, .cpus = &cpu, .queues = 1, .queue_slots = 8};
	const struct wire_session head = {0};

	memset(&world, 0, sizeof(world));
	world.table.one_core = 1;
	if (back_new(&config, &world.back) < 0)
		abort();
	for (int i = 0; i < SESSIONS; i++) {
		world.session[i].free = session_free;
		if (back_session_open(world.back, &world.session[i], &head) < 0)
			abort();
	}
}

static void submit(int which, unsigned slot)
{
	__atomic_store_n(&back_slot(world.session[which].memory, slot)->state, WIRE_SLOT_SUBMITTED,
			 __ATOMIC_RELEASE);
	rcqb_enqueue(world.back->queue[0].ring.ring, world.back->shift,
		     WIRE_ITEM(world.session[which].number, slot));
}

static void hostile_step(uint8_t what, uint64_t word)
{
	struct wire_slot *slot = back_slot(world.session[HOSTILE].memory, word % WIRE_SLOTS);
	struct rcqb *ring = world.back->queue[0].ring.ring;

	switch (what % 6) {
	case 0:
		submit(HOSTILE, word % WIRE_SLOTS);
		break;
	case 1:
		rcqb_enqueue(ring, world.back->shift, word);
		break;
	case 2:
		rcqb_enqueue(ring, world.back->shift, WIRE_ITEM(world.session[HOSTILE].number, word & 0xffff));
		break;
	case 3:
		memcpy((char *)slot + (word >> 8) % (WIRE_PAGE - 8), &word, 8);
		break;
	case 4:
		slot->state = (uint32_t)(word >> 8);
		break;
	default:
		memcpy((char *)ring + (word >> 8) % (rcqb_size(world.back->shift) - 8), &word, 8);
	}
}

/* Takes requests until the honest one comes, which is there for certain: by a kick, if not by the queue. */
static void take_until_honest(void)
{
	const struct wire_reply reply = {.result = 1};
	struct back_request request;
	size_t size;
	int honest;

	back_session_kick(world.back, &world.session[HONEST]);
	do {
		if (back_next(world.back, 0, &request) != 1)
			abort();
		honest = request.session == &world.session[HONEST];
		if (!honest && request.session != &world.session[HOSTILE])
			abort();
		if (request.slot >= WIRE_SLOTS || (honest && request.request.arg != 4711))
			abort();
		memset(back_payload(&request, WIRE_IN_BULK, &size), 1, WIRE_BULK);
		back_complete(world.back, &request, &reply);
	} while (!honest);
	if (back_slot(world.session[HONEST].memory, 3)->reply.result != 1)
		abort();
}

static void world_free(void)
{
	for (int i = 0; i < SESSIONS; i++)
		back_session_close(world.back, &world.session[i]);
	if (world.freed != SESSIONS)
		abort();
	back_free(world.back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	world_new();
	for (unsigned steps = 0; size >= 9 && steps < 64; data += 9, size -= 9, steps++) {
		uint64_t word;

		memcpy(&word, data + 1, sizeof(word));
		hostile_step(data[0], word);
	}
	back_slot(world.session[HONEST].memory, 3)->request = (struct wire_request){.arg = 4711};
	submit(HONEST, 3);
	take_until_honest();
	world_free();
	return 0;
}
