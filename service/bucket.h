/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket, kept as a time: until when what was taken uses up the rate. Nothing is to be filled, and a bucket may be
 * overdrawn: who takes more than there is has it, and those who come later wait for so much longer.
 *
 * Times are of CLOCK_MONOTONIC in ns, and given by the caller.
 */
#pragma once

#include <stdint.h>

struct bucket {
	uint64_t rate;   /* a second; 0: no limit */
	int64_t burst;   /* ns of the rate that idleness saves up */
	int64_t used_to; /* all before is used up */
};

/* Changes rate and burst. What is overdrawn stays owed, at the new rate. */
void bucket_set(struct bucket *b, uint64_t rate, int64_t burst, int64_t now);
/* When something may be taken; a time that has passed: at once. */
int64_t bucket_ready(const struct bucket *b);
/* Takes n, whether they are there or not. How much of the rate's time that is, in ns; 0 without a limit. */
int64_t bucket_take(struct bucket *b, uint64_t n, int64_t now);
