/* SPDX-License-Identifier: Apache-2.0 */
#include "libservices/crc32c.h"
#include "tests/unit/area/harness.h"

static void known_sums(void **state)
{
	uint8_t zeros[32] = {0}, ones[32], up[32];

	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++)
		up[i] = i;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	/* RFC 3720, B.4 */
	assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(crc32c(0, up, 32), 0x46dd794e);
}

static void both_ways_agree_at_any_length_and_place(void **state)
{
	uint8_t *p = memory(16384);

	pattern(p, 16384, 0, 1);
	for (size_t n = 0; n < 9000; n += n < 1200 ? 1 : 97)
		for (size_t at = 0; at < 9; at += 3)
			assert_int_equal(crc32c(n, p + at, n), crc32c_slow(n, p + at, n));
	free(p);
}

static void parts_make_the_whole(void **state)
{
	uint8_t *p = memory(8192);

	pattern(p, 8192, 0, 2);
	for (size_t cut = 0; cut <= 8192; cut += 61)
		assert_int_equal(crc32c(crc32c(0, p, cut), p + cut, 8192 - cut), crc32c(0, p, 8192));
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_sums),
		cmocka_unit_test(both_ways_agree_at_any_length_and_place),
		cmocka_unit_test(parts_make_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
