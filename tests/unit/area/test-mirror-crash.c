/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of a mirror: at every write, torn, with and without a cache that loses what was not flushed;
 * of both children at once, and of one for good. Afterwards every block holds what was acknowledged as
 * durable or something newer, what was read once is read again, and the children become the same.
 */
#include "libservices/crc32c.h"
#include "tests/unit/area/mirrors.h"

enum { SIZE = 7 * MIB, BLOCKS = 12, BLOCK = 4096, STEPS = 26 };
#define FAR (5 * MIB) /* some blocks are in another region */

/* What a block may hold: the writes to it since the last that was surely durable, that one included. */
struct block {
	unsigned first, last; /* seeds; 0: as it was made */
	unsigned candidate;   /* becomes first when a flush succeeds */
};

static uint64_t place(unsigned b)
{
	return b % 3 ? (uint64_t)b * BLOCK : FAR + (uint64_t)b * BLOCK;
}

static int try_write(struct area *area, unsigned b, unsigned seed, unsigned flags)
{
	uint8_t *buf = memory(BLOCK);
	int r;

	pattern(buf, BLOCK, 0, seed * 100 + b);
	r = area_write(area, buf, BLOCK, place(b), flags);
	free(buf);
	return r;
}

/* Writes, with a flush now and then; ends at the first error. */
static void work(struct pair *p, struct block *blocks, unsigned seed)
{
	for (unsigned step = 1; step <= STEPS; step++) {
		unsigned b = dice(&seed, BLOCKS), fua = dice(&seed, 3) == 0;

		blocks[b].last = step;
		if (try_write(p->area, b, step, fua ? AREA_FUA : 0) < 0)
			return;
		blocks[b].candidate = step;
		if (fua)
			blocks[b].first = step;
		if (dice(&seed, 4) == 0) {
			if (area_flush(p->area) < 0)
				return;
			for (b = 0; b < BLOCKS; b++)
				blocks[b].first = blocks[b].candidate;
		}
		if (dice(&seed, 8) == 0)
			usleep(2500); /* let the keeper clear marks */
	}
}

/* Of a write that was torn, and not acknowledged, each sector is old or new. */
static int sector_may_be(const uint8_t *sector, unsigned at, unsigned b, const struct block *block)
{
	for (unsigned seed = block->first; seed <= block->last; seed++)
		if (is_pattern(sector, 512, at, seed * 100 + b))
			return 1;
	print_message("block %u at %u: not one of %u to %u\n", b, at, block->first, block->last);
	return 0;
}

/* What was found once is found again; `there` are the sums of the blocks. */
static int check(struct pair *p, const struct block *blocks, int first, uint32_t *there)
{
	uint8_t *buf = memory(BLOCK);

	for (unsigned b = 0; b < BLOCKS; b++) {
		uint32_t sum;

		if (area_read(p->area, buf, BLOCK, place(b)) < 0) {
			free(buf);
			return 0;
		}
		for (unsigned at = 0; at < BLOCK; at += 512)
			assert_true(sector_may_be(buf + at, at, b, &blocks[b]));
		sum = crc32c(0, buf, BLOCK);
		assert_true(first || there[b] == sum);
		there[b] = sum;
	}
	free(buf);
	return 1;
}

/* The power fails again, somewhere between opening and being in sync. Returns whether it got to reading. */
static int cut_again(struct pair *p, const struct block *blocks, unsigned seed, uint32_t *there)
{
	struct area *children[2] = {faulty_area(&p->f[0]), faulty_area(&p->f[1])};
	int power = dice(&seed, 12), opened;

	p->f[0].power = p->f[1].power = &power;
	p->area = area_try("mirror", children, 2, "{'retry': '0'}");
	opened = p->area != NULL;
	if (opened)
		opened = check(p, blocks, 1, there);
	usleep(dice(&seed, 2) * 1000);
	__atomic_store_n(&power, -1, __ATOMIC_RELAXED);
	pair_close(p);
	for (int i = 0; i < 2; i++)
		faulty_cut(&p->f[i], seed + i);
	return opened;
}

/* `who`: whose power fails at write `n`, as a mask. Returns whether it did. */
static int cut_at(int n, uint32_t who, unsigned seed, uint32_t missing_first)
{
	struct block blocks[BLOCKS] = {0};
	uint32_t there[BLOCKS];
	struct pair p;
	int power = n, cut, seen;

	pair_init(&p, 2, SIZE);
	pair_open(&p, 0, "{'create': true, 'retry': '0', 'settle': '1ms'}");
	for (unsigned b = 0; b < BLOCKS; b++)
		assert_ok(try_write(p.area, b, 0, AREA_FUA));
	assert_ok(area_flush(p.area));
	for (int i = 0; i < 2; i++) {
		faulty_volatile(&p.f[i]);
		p.f[i].power = who & bit(i) ? &power : NULL;
	}
	work(&p, blocks, seed);
	cut = __atomic_load_n(&power, __ATOMIC_RELAXED) < 0;
	if (who == 3)
		__atomic_store_n(&power, cut ? -1 : 0, __ATOMIC_RELAXED); /* closing is not what we test */
	pair_close(&p);
	for (int i = 0; i < 2; i++)
		faulty_cut(&p.f[i], seed + i);
	if (missing_first) {
		pair_open(&p, missing_first, "{'retry': '0'}");
		assert_true(check(&p, blocks, 1, there));
		pair_close(&p);
	}
	seen = missing_first || cut_again(&p, blocks, seed * 1000 + n, there);
	pair_open(&p, 0, "{'retry': '0'}");
	assert_true(check(&p, blocks, !seen, there));
	pair_wait(&p, "in sync, in sync");
	assert_true(check(&p, blocks, 0, there));
	assert_true(pair_same(&p));
	pair_close(&p);
	for (unsigned alone = 1; alone <= 2; alone++) {
		uint8_t *head = memory(MIRROR_META);

		memcpy(head, p.f[2 - alone].bytes, MIRROR_META);
		pair_open(&p, alone, "{'retry': '0'}");
		assert_true(check(&p, blocks, 0, there));
		pair_close(&p);
		memcpy(p.f[2 - alone].bytes, head, MIRROR_META); /* as if it had not been alone */
		free(head);
	}
	pair_fini(&p);
	return cut;
}

static unsigned cuts(uint32_t who, uint32_t missing_first)
{
	unsigned count = 0;

	for (unsigned seed = 1; seed <= 2; seed++)
		for (int n = 0; cut_at(n, who, seed, missing_first); n++)
			count++;
	print_message("%u cuts\n", count);
	return count;
}

static void power_fails_for_both(void **state)
{
	assert_true(cuts(3, 0) > 80);
}

static void one_dies_for_good(void **state)
{
	assert_true(cuts(2, 2) > 40); /* B; at first it is missing */
	assert_true(cuts(1, 1) > 40);
}

static void one_dies_and_is_there_again(void **state)
{
	assert_true(cuts(2, 0) > 40);
	assert_true(cuts(1, 0) > 40);
}

/* What a power cut now would leave of p, while p goes on. */
static void snapshot(const struct pair *p, struct pair *ret, unsigned seed)
{
	pair_init(ret, p->count, p->size);
	for (unsigned i = 0; i < p->count; i++) {
		memcpy(ret->f[i].bytes, p->f[i].bytes, p->size);
		if (!p->f[i].stable)
			continue;
		faulty_volatile(&ret->f[i]);
		memcpy(ret->f[i].stable, p->f[i].stable, p->size);
		ret->f[i].unstable_from = p->f[i].unstable_from;
		ret->f[i].unstable_to = p->f[i].unstable_to;
		faulty_cut(&ret->f[i], seed);
	}
}

/* After a cut one is followed. The other must not be, later, unless it has become the same. */
static void the_choice_is_for_good(void **state)
{
	struct pair p, q;

	pair_init(&p, 2, SIZE);
	pair_open(&p, 0, "{'create': true}");
	put(p.area, 0, 4096, 1, 0);
	snapshot(&p, &q, 0);
	memset(q.f[1].bytes + MIRROR_DATA, 7, 4096); /* it had not arrived */
	q.f[1].write_error = -EIO;
	q.f[1].error_from = MIRROR_DATA;
	q.f[1].error_to = SIZE;
	pair_open(&q, 0, "{'retry': '0'}");
	assert_true(holds(q.area, 0, 4096, 1));
	pair_wait(&q, "in sync, away");
	pair_close(&q);
	assert_non_null(strstr(pair_refusal(&q, 1, "{}"), "in sync last are not there"));
	pair_fini(&q);
	pair_fini(&p);
}

/* To be in sync is to have it on the medium. */
static void what_was_copied_is_durable(void **state)
{
	struct pair p, q;

	pair_init(&p, 2, SIZE);
	pair_open(&p, 0, "{'create': true}");
	pair_close(&p);
	pair_open(&p, 2, "{}");
	put(p.area, 0, 2 * MIB, 1, AREA_FUA);
	pair_close(&p);
	faulty_volatile(&p.f[1]);
	pair_open(&p, 0, "{}");
	pair_wait(&p, "in sync, in sync");
	for (int i = 0; i < 1000 && pair_head(&p, 1).in_sync != 3; i++)
		usleep(1000);
	snapshot(&p, &q, 1);
	pair_open(&q, 1, "{}");
	assert_true(holds(q.area, 0, 2 * MIB, 1));
	pair_fini(&q);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_choice_is_for_good),      cmocka_unit_test(what_was_copied_is_durable),
		cmocka_unit_test(power_fails_for_both),        cmocka_unit_test(one_dies_for_good),
		cmocka_unit_test(one_dies_and_is_there_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
