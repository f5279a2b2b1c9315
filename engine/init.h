/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's init: process 1 of its PID namespace. It reaps, and its end is the end of every process in
 * there.
 *
 * The engine is its parent, and its death ends it. SIGTERM from the engine asks the programs to end, waits
 * until none is left, and exits.
 */
#pragma once

/* Never returns. `hold` is readable when the engine says go, or at its end when the engine is no more. */
void init_run(int hold, const char *pool, int network) __attribute__((noreturn));
