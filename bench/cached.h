/* SPDX-License-Identifier: Apache-2.0 */
/* bench-cached: the cases, which are measured in a process below a directory of each kind of storage. */
#pragma once

#include <stdint.h>

struct cached_case {
	const char *name;
	unsigned count, quick; /* operations in one measurement */
	void (*run)(unsigned count);
};

extern const struct cached_case cached_cases[];
extern const unsigned cached_case_count;

/* Makes what the cases need in the working directory. 0, or -errno after a sentence. */
int cached_prepare(void);
int64_t cached_now(void);
