/* SPDX-License-Identifier: Apache-2.0 */
/* Stripes: where bytes go, how transfers are split, and what happens when one below fails. */
#include "tests/unit/area/harness.h"

enum { N = 3, CHUNK = 64 * 1024, EACH = 8 * MIB + 12288, SIZE = N * (EACH / CHUNK) * CHUNK };

struct fixture {
	struct faulty f[N];
	struct area *below[N], *area;
};

static int setup_as(void **state, int threaded)
{
	struct fixture *x = calloc(1, sizeof(*x));

	for (int i = 0; i < N; i++) {
		faulty_init(&x->f[i], EACH);
		x->f[i].threaded = threaded;
		x->below[i] = faulty_area(&x->f[i]);
	}
	x->area = area_on("stripe", x->below, N, "{'chunk': '64K'}");
	*state = x;
	return 0;
}

static int setup(void **state)
{
	return setup_as(state, 0);
}

static int setup_threaded(void **state)
{
	return setup_as(state, 1);
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	area_close(x->area);
	for (int i = 0; i < N; i++)
		faulty_fini(&x->f[i]);
	free(x);
	return 0;
}

static void chunks_go_in_turns(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(area_size(x->area), SIZE);
	for (unsigned i = 0; i < 9; i++)
		put(x->area, (uint64_t)i * CHUNK, CHUNK, i, 0);
	for (unsigned i = 0; i < 9; i++)
		assert_true(is_pattern(x->f[i % N].bytes + i / N * CHUNK, CHUNK, (uint64_t)i * CHUNK, i));
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(x->f[i].writes, 3);
}

static void long_transfers_stay_long(void **state)
{
	struct fixture *x = *state;

	put(x->area, CHUNK / 2, 30 * CHUNK, 7, AREA_FUA);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(x->f[i].writes, 1);
		assert_int_equal(x->f[i].fua_writes, 1);
	}
	assert_true(holds(x->area, CHUNK / 2, 30 * CHUNK, 7));
}

static void small_ones_concern_one(void **state)
{
	struct fixture *x = *state;

	put(x->area, CHUNK + 4096, 4096, 1, 0);
	assert_true(holds(x->area, CHUNK + 4096, 4096, 1));
	assert_int_equal(x->f[0].writes + x->f[2].writes + x->f[0].reads + x->f[2].reads, 0);
	assert_int_equal(x->f[1].writes, 1);
}

/* Cuts `total` blocks into pieces, at most `max`. */
static unsigned cut(unsigned *seed, unsigned total, unsigned max, unsigned *sizes)
{
	unsigned n = 0;

	for (; total > 0 && n < max - 1; n++) {
		sizes[n] = 1 + dice(seed, total);
		total -= sizes[n];
	}
	if (total > 0)
		sizes[n++] = total;
	return n;
}

/* Any ranges, any pieces of memory, against a plain copy in memory. */
static void random_shapes(struct area *area, unsigned rounds)
{
	enum { BLOCK = 512, MAX = 12 };
	uint64_t size = area_size(area);
	uint8_t *model = memory(size), *buf = memory(4 * MIB);
	struct area_range ranges[MAX];
	struct iovec iov[MAX];
	unsigned sizes[MAX], seed = 42;

	assert_ok(area_read(area, model, size, 0));
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t slot = size / MAX / BLOCK, at = 0;
		unsigned blocks = 1 + dice(&seed, round % 3 ? 200 : slot),
			 n = cut(&seed, blocks, MAX, sizes);
		struct area_io io = {
			.op = round & 1 ? AREA_READ : AREA_WRITE, .iov = iov, .ranges = ranges};

		for (unsigned i = 0; i < n; i++) { /* ranges that do not overlap */
			ranges[i].length = (uint64_t)sizes[i] * BLOCK;
			ranges[i].offset = (i * slot + dice(&seed, slot - sizes[i] + 1)) * BLOCK;
		}
		io.range_count = n;
		io.iov_count = cut(&seed, blocks, MAX, sizes);
		for (unsigned i = 0; i < io.iov_count; at += iov[i++].iov_len)
			iov[i] = (struct iovec){buf + at, (size_t)sizes[i] * BLOCK};
		if (io.op == AREA_WRITE)
			pattern(buf, at, 0, round);
		assert_ok(area_run(area, &io));
		at = 0;
		for (unsigned i = 0; i < n; at += ranges[i++].length)
			if (io.op == AREA_WRITE)
				memcpy(model + ranges[i].offset, buf + at, ranges[i].length);
			else
				assert_memory_equal(model + ranges[i].offset, buf + at, ranges[i].length);
	}
	for (uint64_t at = 0; at < size; at += MIB) {
		uint64_t n = size - at < MIB ? size - at : MIB;
		assert_ok(area_read(area, buf, n, at));
		assert_memory_equal(model + at, buf, n);
	}
	free(model);
	free(buf);
}

static void any_shape(void **state)
{
	struct fixture *x = *state;

	random_shapes(x->area, 600);
}

static void over_files(void **state)
{
	char *dir = new_dir(), *a = new_file(dir, "a", 9 * MIB), *b = new_file(dir, "b", 9 * MIB);
	struct area *area = opened("{'stripe': [{'file': '%s'}, {'file': '%s'}]}", a, b);

	random_shapes(area, 100);
	area_close(area);
	area = opened("{'stripe': {'chunk': '4K', 'below': [{'file': {'path': '%s', 'io_uring': false}}, "
		      "{'file': {'path': '%s', 'io_uring': false}}]}}",
		      a, b);
	random_shapes(area, 100);
	area_close(area);
	free(a);
	free(b);
	remove_dir(dir);
}

static void stripes_of_stripes(void **state)
{
	struct faulty f[4];
	struct area *leaf[4], *half[2], *area;

	for (int i = 0; i < 4; i++) {
		faulty_init(&f[i], 3 * MIB);
		f[i].threaded = i & 1;
		leaf[i] = faulty_area(&f[i]);
	}
	half[0] = area_on("stripe", leaf, 2, "{'chunk': '4K'}");
	half[1] = area_on("stripe", leaf + 2, 2, "{'chunk': '128K'}");
	area = area_on("stripe", half, 2, "{}");
	random_shapes(area, 200);
	area_close(area);
	for (int i = 0; i < 4; i++)
		faulty_fini(&f[i]);
}

static void flushes_and_discards_reach_all(void **state)
{
	struct fixture *x = *state;

	assert_ok(area_flush(x->area));
	assert_ok(area_discard(x->area, 0, 5 * CHUNK));
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(x->f[i].flushes, 1);
		assert_int_equal(x->f[i].discards, 1);
	}
}

static void an_error_below_is_the_error(void **state)
{
	struct fixture *x = *state;
	uint8_t *p = memory(4 * CHUNK);

	memset(p, 1, 4 * CHUNK);
	x->f[1].write_error = -ENOSPC;
	assert_int_equal(area_write(x->area, p, 4 * CHUNK, 0, 0), -ENOSPC);
	assert_ok(area_write(x->area, p, CHUNK, 0, 0));
	x->f[1].write_error = 0;
	x->f[2].read_error = -EIO;
	assert_int_equal(area_read(x->area, p, 4 * CHUNK, 0), -EIO);
	x->f[0].flush_error = -EIO;
	assert_int_equal(area_flush(x->area), -EIO);
	free(p);
}

static void it_grows_with_all(void **state)
{
	struct fixture *x = *state;

	put(x->area, SIZE - CHUNK, CHUNK, 3, 0);
	x->f[0].size = x->f[1].size = 0; /* never smaller */
	assert_int_equal(area_resize(x->area), SIZE);
	for (int i = 0; i < N; i++)
		x->f[i].size = EACH + CHUNK;
	assert_int_equal(area_resize(x->area), SIZE + N * CHUNK);
	for (int i = 0; i < N; i++)
		x->f[i].size = EACH;
	assert_true(holds(x->area, SIZE - CHUNK, CHUNK, 3));
}

static void what_is_wrong_is_said(void **state)
{
	struct faulty f[2];
	struct area *below[2];

	for (int i = 0; i < 2; i++) {
		faulty_init(&f[i], MIB);
		below[i] = faulty_area(&f[i]);
	}
	assert_non_null(
		strstr(refusal_on(-EINVAL, "stripe", below, 2, "{'chunk': '2M'}"), "smaller than a chunk"));
	for (int i = 0; i < 2; i++)
		below[i] = faulty_area(&f[i]);
	assert_non_null(
		strstr(refusal_on(-EINVAL, "stripe", below, 2, "{'chunk': '12288'}"), "power of two"));
	for (int i = 0; i < 2; i++)
		faulty_fini(&f[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(chunks_go_in_turns),
		TEST(long_transfers_stay_long),
		TEST(small_ones_concern_one),
		TEST(any_shape),
		cmocka_unit_test_setup_teardown(any_shape, setup_threaded, teardown),
		cmocka_unit_test(over_files),
		cmocka_unit_test(stripes_of_stripes),
		TEST(flushes_and_discards_reach_all),
		TEST(an_error_below_is_the_error),
		TEST(it_grows_with_all),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
