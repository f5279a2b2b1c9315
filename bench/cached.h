/* SPDX-License-Identifier: Apache-2.0 */
/* Cached operations, measured in a process below a directory of each kind of storage, by turns: bench-cached, bench-ceph. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/compare.h"

struct cached_case {
	const char *name;
	unsigned count, quick; /* operations in one measurement */
	void (*run)(unsigned count);
	bool reads; /* 4 KiB of a file, each time */
};

extern const struct cached_case cached_cases[];
extern const unsigned cached_case_count;

enum { CACHED_MEMCPY = 1 }; /* the case that is the one before it without a file */

/* Makes what the cases need in the working directory. 0, or -errno after a sentence. */
int cached_prepare(void);

enum { CACHED_PLACES_MAX = 10 };

struct cached_place {
	const char *name;
	const char *command; /* of a shell: makes the place, and runs "$BENCH" --worker there (bench/door.h) */
	bool ours;
};

/* The process below a directory: takes orders until there are no more. */
int cached_worker(const char *dir);
/* Compares each of ours with each of the others, in all cases or those wanted. Between place_begin and place_end. */
typedef bool cached_filter(const struct cached_case *c);
void cached_compare(const struct bench *b, const struct cached_place *places, unsigned n, cached_filter *wanted);
