/* SPDX-License-Identifier: Apache-2.0 */
/* linux.namespaces: those to be made, and those to be entered by their paths. */
#pragma once

#include <sys/types.h>

#include "engine/util.h"

enum { NAMESPACES_MAX = 8 };

struct namespaces {
	int fresh;        /* CLONE_NEW* */
	bool fresh_group; /* made later, when the process is in its group */
	struct {
		int fd, type;
	} joined[NAMESPACES_MAX];
	unsigned joined_count;
};

int namespaces_read(struct json_object *config, struct namespaces *ret, struct error *error);
int namespaces_enter(struct namespaces *n, struct error *error);
/* All of a process's that are not the caller's. */
int namespaces_enter_all(pid_t pid, struct error *error);
void namespaces_fini(struct namespaces *n);
