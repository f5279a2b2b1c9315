/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "preload/image.h"

/* In the constructor, before any other: takes us behind AddressSanitizer's runtime, if the program has it. */
void behind_asan(const struct start_info *info);
