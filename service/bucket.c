/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bucket.h"

#define SECOND 1000000000ll
#define OWED_MAX (3600 * SECOND) /* of one taking, and of all together */

/* n of the rate, as time. */
static int64_t bucket_time(uint64_t rate, uint64_t n)
{
	unsigned __int128 ns = (unsigned __int128)n * SECOND / rate;

	return ns < OWED_MAX ? (int64_t)ns : OWED_MAX;
}

void bucket_set(struct bucket *b, uint64_t rate, int64_t burst, int64_t now)
{
	int64_t owed = b->rate && b->used_to > now ? b->used_to - now : 0;

	if (owed && rate) {
		__int128 ns = (__int128)owed * b->rate / rate;
		owed = ns < OWED_MAX ? (int64_t)ns : OWED_MAX;
	}
	/* A bucket that was without a rate begins full. */
	if (!b->rate || !rate)
		b->used_to = 0;
	else if (owed)
		b->used_to = now + owed;
	b->rate = rate;
	b->burst = burst;
}

int64_t bucket_ready(const struct bucket *b)
{
	return b->rate ? b->used_to : 0;
}

int64_t bucket_take(struct bucket *b, uint64_t n, int64_t now)
{
	int64_t time, from = b->used_to > now - b->burst ? b->used_to : now - b->burst;

	if (!b->rate)
		return 0;
	time = bucket_time(b->rate, n);
	b->used_to = from + time < now + OWED_MAX ? from + time : now + OWED_MAX;
	return time;
}
