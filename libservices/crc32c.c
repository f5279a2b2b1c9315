/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By the processor's instruction where it has one. The instruction takes 3 cycles but one can be started in
 * each, so that long data is done as three lanes at once; two lanes' sums are then moved past the bytes
 * that follow them, which is a multiplication by a power of x. A byte at a time elsewhere.
 */
#include <string.h>
#include <x86intrin.h>

#include "libservices/crc32c.h"

/* What four bits shifted out of the sum do to it. */
static const uint32_t nibble[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t crc_by_table(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n > 0; p++, n--) {
		crc ^= *p;
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return crc;
}

static inline uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* Moves a sum past a lane of zeros; `power` is x^(8 * lane - 33), bits reversed. */
__attribute__((target("sse4.2,pclmul"))) static inline uint32_t lane_skip(uint32_t crc, uint32_t power)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(crc), _mm_cvtsi32_si128(power), 0);

	return _mm_crc32_u64(0, _mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static inline uint32_t lanes(uint32_t crc, const uint8_t *p,
								      size_t lane, uint32_t power)
{
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < lane; i += 8) {
		a = _mm_crc32_u64(a, word_at(p + i));
		b = _mm_crc32_u64(b, word_at(p + lane + i));
		c = _mm_crc32_u64(c, word_at(p + 2 * lane + i));
	}
	return lane_skip(lane_skip(a, power) ^ b, power) ^ c;
}

enum { LONG = 1024, SHORT = 128 };
#define LONG_POWER 0x170076fau
#define SHORT_POWER 0x0d3b6092u

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *p,
									    size_t n)
{
	for (; n >= 3 * LONG; p += 3 * LONG, n -= 3 * LONG)
		crc = lanes(crc, p, LONG, LONG_POWER);
	for (; n >= 3 * SHORT; p += 3 * SHORT, n -= 3 * SHORT)
		crc = lanes(crc, p, SHORT, SHORT_POWER);
	for (; n >= 8; p += 8, n -= 8)
		crc = _mm_crc32_u64(crc, word_at(p));
	for (; n > 0; p++, n--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return ~crc_by_instruction(~crc, data, length);
	return ~crc_by_table(~crc, data, length);
}

uint32_t crc32c_slow(uint32_t crc, const void *data, size_t length)
{
	return ~crc_by_table(~crc, data, length);
}
