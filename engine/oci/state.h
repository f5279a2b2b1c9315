/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of a container: a directory of its name with
 *
 *   config.json   as it was when the container was made
 *   state.json    id, bundle, pid and when that process began, cgroup, root, pool
 *   start         a socket, until the program runs: whoever connects lets it begin
 *   lock          held by whoever changes the container
 */
#pragma once

#include <sys/types.h>

#include "engine/oci/bundle.h"
#include "engine/oci/limits.h"

enum { STATE_ID_MAX = 200 };

enum state_status { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPED };

struct state {
	char root[PATH_MAX - STATE_ID_MAX - 32]; /* of all containers */
	char dir[PATH_MAX - 32];
	char id[STATE_ID_MAX + 1];
	int lock;
	struct json_object *json;
	struct bundle bundle;
	struct limits limits;
};

/* Makes the directory, which must not be there. What is remembered is written by state_write. */
int state_new(const char *root, const char *id, const struct bundle *bundle, struct state *ret, struct error *error);
int state_write(struct state *state, struct error *error);
/* Finds it, and takes its lock. */
int state_open(const char *root, const char *id, struct state *ret, struct error *error);
void state_fini(struct state *state);
/* Forgets it. */
void state_remove(struct state *state);

pid_t state_pid(const struct state *state); /* 0: it has ended */
enum state_status state_status(const struct state *state);
const char *state_status_name(enum state_status status);
/* As `state` prints it, and hooks get it. */
struct json_object *state_public(const struct state *state, enum state_status status);
/* When a process began, in the kernel's ticks; 0: there is none, or it waits for its parent to notice its end. */
uint64_t process_began(pid_t pid);
int state_listen(const struct state *state, struct error *error);
int state_connect(const struct state *state, struct error *error);
bool state_id_is_good(const char *id);
