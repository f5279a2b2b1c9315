/* SPDX-License-Identifier: Apache-2.0 */
/* A container's terminal: made inside, in its own devpts; its master goes out. */
#pragma once

#include "engine/util.h"

/* Inside: makes a terminal of the devpts below root ("/" after the root was entered); its master. */
int console_make(int root, struct json_object *process, int *ret_slave, struct error *error);
/* Inside: the slave becomes the terminal of this session, and stdin, stdout and stderr. */
int console_take(int slave, struct error *error);
/* Outside: gives the master to whoever listens at the path. */
int console_send(const char *path, int master, struct error *error);
/* Outside: passes bytes between the terminal and this process's own until the terminal ends. */
void console_relay(int master);
