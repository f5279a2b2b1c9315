/* SPDX-License-Identifier: Apache-2.0 */
/* What `ps` shows of the engine's processes, which all began as one command. */
#pragma once

#include "engine/util.h"

/* Remembers where the arguments are. The caller must not need them after title_set. */
void title_init(char **argv);
void title_set(const char *format, ...) _printf_(1, 2);
