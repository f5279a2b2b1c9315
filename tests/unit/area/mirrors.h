/* SPDX-License-Identifier: Apache-2.0 */
/* A mirror of areas in memory, for its tests. */
#pragma once

#include "libservices/area/mirror.h"
#include "tests/unit/area/harness.h"

enum { MIRROR_TEST_SIZE = 24 * MIB };

struct pair {
	uint64_t size; /* of each */
	struct faulty f[3];
	unsigned count;
	struct area *area;
};

void pair_init(struct pair *p, unsigned count, uint64_t size);
void pair_fini(struct pair *p);
/* Opens; children whose bit is in `missing` are not there. Options as in opened(). */
void pair_open(struct pair *p, uint32_t missing, const char *config);
const char *pair_refusal(struct pair *p, uint32_t missing, const char *config);
void pair_close(struct pair *p);

/* "in sync, away" */
const char *pair_state(struct pair *p);
void pair_wait(struct pair *p, const char *state);
int pair_same(struct pair *p);
uint64_t pair_report(struct pair *p, const char *key);
/* The right head on child n's medium, and whether any region is marked there. */
struct mirror_head pair_head(const struct pair *p, unsigned n);
int pair_marked(const struct pair *p, unsigned n);
