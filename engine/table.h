/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's side of a pool's table (struct wire_table). The engine and the service write it. */
#pragma once

#include "engine/util.h"
#include "ipc/wire.h"

/* Maps the file; NULL if it cannot. */
struct wire_table *table_map(int fd);
struct wire_table *table_unmap(struct wire_table *table);
/* A new generation: requests in flight are lost. Wakes whoever waits for the change. Takes NULL. */
void table_state(struct wire_table *table, enum wire_service_state state, pid_t service);
