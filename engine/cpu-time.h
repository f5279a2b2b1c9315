/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/* What a process has computed, and how long it is there, in seconds. 0 or -errno. */
int cpu_time(pid_t pid, double *ret_used, double *ret_age);
