/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's directory: POLYTROPON_RUN, or /run/polytropon-engine. Root's alone.
 *
 *   engine.sock   the control socket
 *   engine.log    what the engine logged
 *   engine.lock   held (flock) by whoever starts an engine, then by the engine and its reaper: until both
 * are gone, no other engine starts here
 *
 * It is not WIRE_POOL_DIR: what a pool's own directory shows never shows here.
 */
#pragma once

#include "engine/util.h"

#define RUNTIME_DIR "/run/polytropon-engine"

const char *runtime_dir(void);
bool runtime_dir_is_default(void);
/* Connects to the engine: a descriptor, -ENOENT or -ECONNREFUSED if none listens, or -errno. */
int runtime_connect(struct error *error);
/* Either connects to the engine, or makes the directory and takes the lock for starting one. 0 or -errno.
 */
int runtime_join(int *ret_connection, int *ret_lock, struct error *error);
/* With the lock held: the listening socket. */
int runtime_listen(struct error *error);
int runtime_log_open(void);
/* Removes all that is there. With the lock held. */
void runtime_remove(void);
