/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's control groups: the same path below every hierarchy that the host has, of version 1, 2 or both.
 */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "engine/util.h"

enum { LIMITS_HIERARCHIES = 24 };

struct limits_hierarchy {
	char mount[128];
	char controllers[64]; /* "cpu,cpuacct"; "" of the unified one */
	bool unified;
};

struct limits {
	char path[512]; /* "/polytropon/alice/web"; "": none */
	struct limits_hierarchy hierarchy[LIMITS_HIERARCHIES];
	unsigned count;
	bool devices_enforced;
};

/* Finds the hierarchies, and puts `path` below them. */
void limits_init(struct limits *limits, const char *path);
/* Makes the groups and applies linux.resources (NULL: none). What cannot be applied is an error. */
int limits_make(struct limits *limits, struct json_object *resources, struct error *error);
int limits_apply(const struct limits *limits, struct json_object *resources, struct error *error);
int limits_join(const struct limits *limits, pid_t pid, struct error *error);
/* Signals all of its processes; how many there were. */
int limits_signal(const struct limits *limits, int signal);
/* The pids, as an array. */
struct json_object *limits_processes(const struct limits *limits);
int limits_freeze(const struct limits *limits, bool freeze, struct error *error);
bool limits_frozen(const struct limits *limits);
void limits_remove(const struct limits *limits);
/* The group's directory in hierarchy i. */
void limits_dir(const struct limits *limits, unsigned i, char *ret, size_t size);
