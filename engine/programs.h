/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the product's other files are: beside the command in a build tree, in libexecdir and libdir when it
 * is installed, or where POLYTROPON_SERVICE and POLYTROPON_PRELOAD say (for debugging).
 */
#pragma once

#include <limits.h>

#include "engine/util.h"

/* 0, or -ENOENT with a sentence that says where it looked. */
int program_service(char ret[static PATH_MAX], struct error *error);
int program_preload(char ret[static PATH_MAX], struct error *error);
int program_store(char ret[static PATH_MAX], struct error *error);
/* The directory of the benchmarks, bench-<name> and bench-report. */
int program_benches(char ret[static PATH_MAX], struct error *error);
