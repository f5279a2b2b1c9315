/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a container. A first child of the runtime enters the namespaces that are there already (the
 * pool's, and those that config.json names by paths) and makes the container's first process in the new ones, as a
 * child of the runtime; that one prepares the root and becomes the program.
 */
#pragma once

#include <sys/types.h>

#include "engine/oci/bundle.h"
#include "engine/oci/inside.h"
#include "engine/oci/limits.h"
#include "engine/oci/place.h"

struct spawn {
	const struct bundle *bundle;
	const struct limits *limits;
	struct json_object *state; /* what hooks get; its pid is filled in */
	struct place *place;
	/* Puts the first process where it belongs; NULL: into the groups of limits. */
	int (*join)(void *arg, pid_t pid, struct error *error);
	void *join_arg;
	int listen;                /* the program begins when somebody connects to it; -1: at spawn_go */
	int lock;                  /* of the container: the runtime's alone */
	bool keep_stdio;           /* no terminal of its own even if `process` wants one */
	int preserve_fds;
	/* Results. */
	pid_t pid;
	int sync, master;
};

/* Everything up to the program. On failure nothing is left of it. */
int spawn_make(struct spawn *s, struct error *error);
/* Lets the program begin, if nobody is to connect for that; returns when it has. */
int spawn_go(struct spawn *s, struct error *error);

struct enter_container {
	pid_t init;
	struct become become;
	bool terminal;
	/* Results. */
	pid_t pid;
	int master;
};

/* A further program in the namespaces of a container. */
int spawn_beside(struct enter_container *e, const struct limits *limits, struct error *error);
