/* SPDX-License-Identifier: Apache-2.0 */
/* What people write: sizes, times, and words that are nearly right. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/libservice.h"

enum { WORD_MAX = 64 };

struct unit {
	const char *suffix;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"", 1},           {"k", 1ull << 10}, {"K", 1ull << 10}, {"M", 1ull << 20},
	{"G", 1ull << 30}, {"T", 1ull << 40}, {NULL, 0},
};
static const struct unit time_units[] = {
	{"ns", 1},          {"us", 1000},         {"ms", 1000000}, {"s", 1000000000},
	{"m", 60000000000}, {"h", 3600000000000}, {NULL, 0},
};

static int number_parse(const char *text, const struct unit *unit, uint64_t *ret)
{
	uint64_t n;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	while (unit->suffix && strcmp(end, unit->suffix) != 0)
		unit++;
	if (!unit->suffix || __builtin_mul_overflow(n, unit->factor, &n))
		return -EINVAL;
	*ret = n;
	return 0;
}

int ls_parse_size(const char *text, uint64_t *ret)
{
	return number_parse(text, size_units, ret);
}

int ls_parse_time(const char *text, uint64_t *ret)
{
	if (strcmp(text, "0") == 0) {
		*ret = 0; /* the one time that needs no unit */
		return 0;
	}
	return number_parse(text, time_units, ret);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance: insertions, deletions, substitutions, and swaps of neighbours. */
static unsigned word_distance(const char *a, const char *b)
{
	unsigned row[3][WORD_MAX + 1], *before = row[0], *last = row[1], *now = row[2], *swap;
	size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		last[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		now[0] = i;
		for (size_t j = 1; j <= n; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		swap = before, before = last, last = now, now = swap;
	}
	return last[n];
}

const char *ls_nearest(const char *word, const char *const *candidates)
{
	unsigned best = (strlen(word) + 2) / 3 + 1; /* further away than that is another word */
	const char *nearest = NULL;

	if (strlen(word) > WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		unsigned d = strlen(*candidates) > WORD_MAX ? best : word_distance(word, *candidates);
		if (d < best) {
			best = d;
			nearest = *candidates;
		}
	}
	return nearest;
}
