/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance cases: each runs in an empty root directory, on every backing (test-conformance.c). */
#pragma once

#include "tests/unit/layers/harness.h"

struct layer_case {
	const char *name;
	void (*run)(struct fs *fs);
};

/* Each ends with a case without a name. */
extern const struct layer_case file_cases[], name_cases[], attr_cases[], dir_cases[];
