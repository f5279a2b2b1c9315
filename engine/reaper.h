/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reaper outlives the engine. When the engine is killed, programs die with their inits and mounts with
 * their namespaces, but control groups and the engine's directory have nobody: the reaper waits for the
 * services, which end by themselves after writing back, kills what does not end, and removes the rest.
 */
#pragma once

#include "engine/cgroup.h"

/* Starts it before anything else is open; it holds `lock` too (-1: a private engine). Its socket, or
 * -errno. */
int reaper_start(int lock, struct error *error);
/* At the engine's own end: there is nothing left to do, and the reaper is gone when this returns. */
void reaper_dismiss(int *reaper);
/* What to do for a pool: its groups as they are now, and its service (pidfd; -1: none). */
void reaper_pool(int reaper, const char *pool, const struct group *group, int service);
void reaper_forget(int reaper, const char *pool);
