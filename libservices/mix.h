/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of numbers, each bit of which depends on all of the number's: the finaliser of splitmix64. Clients know
 * inodes by numbers that are made so, and keep them when a service is replaced: the functions do not change.
 */
#pragma once

#include <stdint.h>

static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t mix_two(uint64_t a, uint64_t b)
{
	return mix(a * 0x9e3779b97f4a7c15u ^ b);
}
