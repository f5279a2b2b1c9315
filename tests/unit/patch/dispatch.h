/* SPDX-License-Identifier: Apache-2.0 */
/* Between the test dispatcher, which runs inside the subjects, and the tests, which read what it counted. */
#pragma once

#include "preload/dispatch.h"

enum { PATCH_COUNTERS = 512, FAKE_FD = 1000000, FAKE_FD_SLOW = 1000001 };

struct patch_counters {
	struct preload_status status;
	uint64_t strange;
	uint64_t slow_begun, slow_done;
	uint64_t calls[PATCH_COUNTERS];
};
