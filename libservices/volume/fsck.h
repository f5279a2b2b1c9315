/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a volume, and making it whole again. For those who have the area to themselves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libservices/area.h"

enum fsck_kind {
	FSCK_DAMAGE, /* something is lost or wrong */
	FSCK_LEAK,   /* room that nobody has; it does no harm */
};

/* What is wrong, as a sentence; about an inode or a block where these are not 0. */
struct fsck_problem {
	enum fsck_kind kind;
	const char *text;
	uint64_t ino, block;
};

struct fsck_options {
	bool repair;
	void (*problem)(void *arg, const struct fsck_problem *problem); /* may be NULL */
	void (*progress)(void *arg, const char *doing, double part);    /* 0 to 1; may be NULL */
	void *arg;
};

struct fsck_counts {
	uint64_t inodes, directories, names, extents, attributes, nodes, orphans;
	uint64_t blocks_used, blocks_leaked;
	uint64_t frames, records; /* of the journal that were still to be applied */
	uint64_t damage, leaks;   /* problems */
};

struct fsck_report {
	uint8_t uuid[16];
	char label[33];
	uint64_t blocks, free_blocks, generation;
	bool clean;              /* was closed in an orderly way */
	bool recovering;         /* its last checkpoint was to be finished from the shadow */
	bool repaired;           /* something was written */
	struct fsck_counts was;  /* what the check found */
	struct fsck_counts left; /* and the one after the repair */
};

/*
 * 0: it was looked at, and the report says the rest. Else a sentence: -EUCLEAN if there is a volume, but
 * too damaged to be looked at; -EMEDIUMTYPE if there is none (of this version); other errors are the
 * area's.
 */
int volume_fsck(struct area *area, const struct fsck_options *options, struct fsck_report *ret, char *error,
		size_t error_size);
