/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's control groups: one named polytropon/<pool> under each of cpuset, cpu and memory that the host
 * has, in a v1 hierarchy or in the unified one.
 *
 * A controller that is missing or refuses costs its limit, never the pool: what is not enforced is said.
 */
#pragma once

#include <sys/types.h>

#include "engine/util.h"

enum group_controller {
	GROUP_CPUSET,
	GROUP_CPU,
	GROUP_MEMORY,
	GROUP_CONTROLLERS,
};

struct group {
	char name[128]; /* polytropon/<pool> */
	unsigned have;  /* 1 << enum group_controller */
};

/* Reads what the host has mounted. Once, before anything else here. */
void groups_init(void);
/* Removes what engines that were killed left behind: empty groups whose engine is gone. */
void groups_clean(void);

/* Makes the groups with the limits of the spec; appends to warnings a sentence for each that is not
 * enforced. */
void group_make(struct group *group, const char *name, struct json_object *spec,
		struct json_object *warnings);
/* 0 or -errno; a controller that refuses is an error here: the process would escape a limit. */
int group_join(const struct group *group, pid_t pid, struct error *error);
/* Changes `cpu_weight` or `memory` of a live group. */
int group_limit(const struct group *group, const char *key, const char *value, struct error *error);
/* Kills every process in it. */
void group_kill(const struct group *group);
/* Removes the groups if they are empty; -EBUSY if not. With force, moves what is inside to the parent. */
int group_remove(struct group *group, bool force);
