/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Gives up what a service has no use for: capabilities, and system calls that lead out of it. Called once, before
 * there are threads. `network`: the storage is in a cluster, and is reached by TCP. 0 or -errno.
 */
int sandbox_enter(bool network);
