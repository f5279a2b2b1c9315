/* SPDX-License-Identifier: Apache-2.0 */
/* The command's side of the control socket: a call, and the wait for its answer. */
#pragma once

#include "engine/util.h"

enum {
	CALL_OK = 0,
	CALL_NO_POOL = -1,
	CALL_REFUSED = -2,
	CALL_FAILED = -3,
	CALL_ENDING = -4, /* the engine ends, or ended without an answer: another may be started */
};

/*
 * Calls io.polytropon.<method>; takes the parameters over (NULL: none). CALL_OK with the answer's
 * parameters (and a descriptor, if one came and ret_fd is not NULL), or another enum with a sentence.
 */
int engine_call(int connection, const char *method, struct json_object *parameters,
		struct json_object **ret, int *ret_fd, struct error *error);
