/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "service/histogram.h"

enum { WORD = 64 };

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The number of one that was free, + 1; 0: there is none. */
static unsigned histogram_take(struct meter *meter)
{
	for (unsigned i = 0; i < METER_HISTOGRAMS / WORD; i++) {
		uint64_t taken = __atomic_load_n(&meter->histogram_taken[i], __ATOMIC_RELAXED);
		while (~taken) {
			unsigned bit = (unsigned)__builtin_ctzll(~taken);
			if (__atomic_compare_exchange_n(&meter->histogram_taken[i], &taken, taken | 1ull << bit, 0,
							__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				return i * WORD + bit + 1;
		}
	}
	return 0;
}

static struct meter_histogram *histogram_of(struct meter *meter, struct meter_shard *shard, unsigned row, unsigned door,
					    unsigned series)
{
	uint16_t *place = &shard->histogram[row][door][series];
	unsigned number = __atomic_load_n(place, __ATOMIC_RELAXED);

	if (__builtin_expect(!number, 0)) {
		number = histogram_take(meter);
		if (!number) {
			__atomic_fetch_add(&meter->histograms_missed, 1, __ATOMIC_RELAXED);
			return NULL;
		}
		__atomic_store_n(place, (uint16_t)number, __ATOMIC_RELEASE);
	}
	return &meter->histogram[number - 1];
}

static void histogram_add(struct meter_histogram *h, uint64_t ns)
{
	add(&h->cell.count, 1);
	add(&h->cell.time_ns, ns);
	if (ns > h->cell.max_ns)
		__atomic_store_n(&h->cell.max_ns, ns, __ATOMIC_RELAXED);
	add(&h->bucket[meter_bucket(ns) / 2], 1);
}

/* How long the operation was in each stage that it was in: a histogram for each stage, of all of the door's operations. */
static void stages_record(struct meter *meter, struct meter_shard *shard, unsigned row, unsigned door,
			  struct meter_cell *op, const uint64_t stage_ns[STAGE_MAX])
{
	add(&op->sampled, 1);
	add(&op->queued, 1);
	for (unsigned i = 0; i < STAGE_MAX; i++) {
		struct meter_histogram *h;
		if (!stage_ns[i])
			continue;
		add(&op->stage_ns[i], stage_ns[i]);
		h = histogram_of(meter, shard, row, door, METER_OPS + i);
		if (h)
			histogram_add(h, stage_ns[i]);
	}
}

void histogram_record(struct meter *meter, struct meter_shard *shard, unsigned row, unsigned door, unsigned op, uint64_t ns,
		      int64_t result, uint64_t bytes, const uint64_t stage_ns[STAGE_MAX])
{
	struct meter_histogram *h = histogram_of(meter, shard, row, door, op);

	if (!h)
		return;
	histogram_add(h, ns);
	if (result < 0)
		add(&h->cell.errors, 1);
	if (bytes)
		add(&h->cell.bytes, bytes);
	if (stage_ns)
		stages_record(meter, shard, row, door, &h->cell, stage_ns);
}

static void place_give(struct meter *meter, uint16_t *place)
{
	unsigned number = __atomic_exchange_n(place, 0, __ATOMIC_RELAXED);

	if (!number)
		return;
	memset(&meter->histogram[number - 1], 0, sizeof(meter->histogram[0]));
	__atomic_fetch_and(&meter->histogram_taken[(number - 1) / WORD], ~(1ull << (number - 1) % WORD), __ATOMIC_RELEASE);
}

void histogram_give(struct meter *meter, unsigned row)
{
	for (struct meter_shard *s = meter->shard; s < meter->shard + METER_SHARDS; s++)
		for (unsigned door = 0; s->owner && door < METER_DOORS; door++)
			for (unsigned i = 0; i < METER_SERIES; i++)
				place_give(meter, &s->histogram[row][door][i]);
}
