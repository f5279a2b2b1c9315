/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs as people write them: "0-1,4". */
#pragma once

#include <sched.h>

#include "engine/util.h"

/* 0, -EINVAL (not a list), -ERANGE (a number that cannot be). */
int cpus_parse(const char *text, cpu_set_t *ret);
/* Those that the machine has; those that this process may use. */
void cpus_online(cpu_set_t *ret);
void cpus_allowed(cpu_set_t *ret);
/* The same set in the fewest words. */
void cpus_print(const cpu_set_t *set, char *buf, size_t size);
struct json_object *cpus_json(const cpu_set_t *set);
