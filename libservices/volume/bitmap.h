/* SPDX-License-Identifier: Apache-2.0 */
/* The bits of a bitmap block, or of a block of busy bits, which looks the same. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libservices/volume/format.h"

static inline uint64_t *bitmap_words(const uint8_t *buf)
{
	return (uint64_t *)(buf + VF_HEAD);
}

static inline bool bitmap_test(const uint8_t *buf, uint64_t i)
{
	return bitmap_words(buf)[i / 64] >> (i % 64) & 1;
}

static inline void bitmap_put(uint8_t *buf, uint64_t i, bool set)
{
	uint64_t bit = UINT64_C(1) << (i % 64);

	if (set)
		bitmap_words(buf)[i / 64] |= bit;
	else
		bitmap_words(buf)[i / 64] &= ~bit;
}

/* The first place in from..end where the two together are 1 (or, if !one, 0); or end. busy may be NULL. */
static inline uint64_t bitmap_next(const uint8_t *bits, const uint8_t *busy, uint64_t from, uint64_t end,
				   bool one)
{
	while (from < end) {
		uint64_t word = bitmap_words(bits)[from / 64] | (busy ? bitmap_words(busy)[from / 64] : 0);
		word = (one ? word : ~word) >> (from % 64);
		if (word) {
			from += __builtin_ctzll(word);
			return from < end ? from : end;
		}
		from = (from / 64 + 1) * 64;
	}
	return end;
}

static inline unsigned bitmap_zeros(const uint8_t *bits)
{
	unsigned ones = 0;

	for (unsigned i = 0; i < VF_GROUP_BLOCKS / 64; i++)
		ones += __builtin_popcountll(bitmap_words(bits)[i]);
	return VF_GROUP_BLOCKS - ones;
}
