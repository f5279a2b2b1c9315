/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer of a ring whose memory is what the input says: bounded work, and the ring works again after. */
#include <stdlib.h>
#include <string.h>
#include "ipc/rcqb.h"

enum { SHIFT = 3, SLOTS = 1 << SHIFT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t word_of(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

static void step(struct rcqb_consumer *c, uint8_t what, uint64_t word)
{
	uint64_t item, head = c->head;

	switch (what % 6) {
	case 0:
		c->ring->tail = word;
		break;
	case 1:
		c->ring->tail = c->head + (int8_t)word;
		break;
	case 2:
		c->ring->slot[word >> 8 & (SLOTS - 1)].word = word;
		break;
	case 3:
		rcqb_slot(c->ring, SHIFT, c->head + (word & 7))->word =
			rcqb_empty(SHIFT, c->head) + (word >> 8 & 3) * RCQB_FULL + (word >> 16 & 0xff);
		break;
	case 4:
		rcqb_fill(c->ring, SHIFT, c->head + (word & 15), word >> 8 & RCQB_ITEM_MASK);
		break;
	default:
		if (rcqb_dequeue(c, &item) && item > RCQB_ITEM_MASK)
			abort();
	}
	rcqb_recover(c);
	if (c->head - head > SLOTS + 1)
		abort();
}

/* Whatever was done: some enqueues later, items come out. */
static void must_work(struct rcqb_consumer *c)
{
	uint64_t item;

	for (unsigned i = 0; i < 8 * SLOTS; i++) {
		__atomic_fetch_add(&c->ring->tail, 1, __ATOMIC_RELAXED);
		rcqb_fill(c->ring, SHIFT, c->ring->tail - 1, 4711);
		rcqb_recover(c);
		if (rcqb_dequeue(c, &item) && item == 4711)
			return;
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(64) char memory[sizeof(struct rcqb) + SLOTS * RCQB_LINE];
	struct rcqb_consumer c = {.ring = (struct rcqb *)memory, .shift = SHIFT};

	memset(memory, 0, sizeof(memory));
	/* A step that makes a producer wait costs a fraction of a millisecond. */
	for (unsigned steps = 0; size >= 9 && steps < 64; data += 9, size -= 9, steps++)
		step(&c, data[0], word_of(data + 1));
	must_work(&c);
	return 0;
}
