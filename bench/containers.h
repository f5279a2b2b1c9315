/* SPDX-License-Identifier: Apache-2.0 */
/* bench-containers: its other parts. */
#pragma once

#include "bench/compare.h"

void containers_start(const struct bench *b);
void containers_rest(const struct bench *b);
