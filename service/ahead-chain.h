/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file is opened after which. Compilers read the same headers, in the same order, as the one before: what one
 * process opened tells what the next will, whatever directories it is in.
 *
 * A file is known by a hash of where its path starts and of the path (lease_path_hash), and its successor by the path,
 * from the same start. What follows twice is believed, until something else does. This holds names that clients of the
 * pool gave, and nothing of what is in files; who is helped by it opens by his own rights.
 *
 * Thread-safe; a thread that would have to wait learns nothing, and is told nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CHAIN_PATH = 112 }; /* longer ones are not kept */

void chain_learn(uint64_t after, const char *path);
/* The path that follows, if that is believed. */
bool chain_next(uint64_t after, char path[CHAIN_PATH]);
