/* SPDX-License-Identifier: Apache-2.0 */
/* What the workloads share: how an image is judged, and the count. */
#pragma once

#include "tests/crash/mounted.h"
#include "tests/crash/record.h"
#include "tests/crash/states.h"

enum {
	IMAGE_BLOCKS = 8192,
	GROWN_BLOCKS = 9000, /* of some images; their volumes grow with the first mount */
	POISON = 0xdb,
};

struct crash {
	uint64_t wanted; /* images in all */
	uint64_t seed;
	unsigned per_moment;
	enum vol_skip skip; /* the barrier that is left out */
	bool keeper;        /* the volume's own thread works, too */
	bool verbose;
	/* Counted. */
	uint64_t images, sequences, violations;
	uint64_t told;
};

extern const uint8_t crash_poison[PAGE];

/* Makes a volume with a small journal on an image that was full of poison. */
void crash_mkfs(struct pages *image, uint64_t seed);
/* Says what is wrong, with the sequence or whatever `what` is. */
__attribute__((format(printf, 3, 4))) void crash_violation(struct crash *c, const char *what,
							   const char *format, ...);
/* fsck -n of the image: false, and said, if it finds anything. */
bool crash_fsck(struct crash *c, struct pages *image, const char *what, const char *when);

/* tests/crash/sequences.c: exhaustive of that length, then random ones until the count is reached. */
void crash_sequences(struct crash *c, unsigned length);
void crash_random(struct crash *c, unsigned length, uint64_t until);
/* tests/crash/sqlite.c; wal: journal_mode */
void crash_sqlite(struct crash *c, bool wal, uint64_t until);
