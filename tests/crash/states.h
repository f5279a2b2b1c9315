/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that a power cut could have left, from what a recording area saw.
 *
 * At any moment, what a device acknowledged as durable is there, and of everything else that it was given
 * since, any part: each sector (512 bytes) of each such write may have reached the medium or not, in any
 * order.
 */
#pragma once

#include "tests/crash/record.h"

struct states;

/* `from` is what the recording began with. */
struct states *states_new(const struct record *record, const struct pages *from, uint64_t seed,
			  unsigned per_moment);
struct states *states_free(struct states *s);
/*
 * The next image, which is good until the call after. *ret_begun, *ret_acknowledged: how many operations
 * had begun and ended. False: there are no more.
 */
bool states_next(struct states *s, struct pages *ret, uint32_t *ret_begun, uint32_t *ret_acknowledged);
/* What the present one is, for a report. */
void states_describe(const struct states *s, char *buf, size_t size);
