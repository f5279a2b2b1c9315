/* SPDX-License-Identifier: Apache-2.0 */
/* Running a program in a pool, from outside: enter, execute, wait. */
#pragma once

#include "engine/util.h"

/*
 * Runs argv in the pool that the engine at the other end of the connection has, and waits for its end.
 * Returns the exit status for the shell: the program's, 128 + n if signal n killed it, 126, 127, or 125
 * after a sentence to stderr. Signals that this process gets go to the program; the terminal is the
 * program's. limits: of its I/O, {"io.iops": "500"}, as the engine's Limit takes them; NULL: none.
 */
int enter_run(int connection, const char *pool, bool listed, struct json_object *limits, char **argv);
/*
 * The same of a program of ours, which gives up its rights by itself: outside of the pool's user namespace, in which
 * nobody may set trusted.* attributes.
 */
int enter_run_trusted(int connection, const char *pool, char **argv);
