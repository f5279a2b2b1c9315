/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which container the children of a process belong to, as far as it was found out lately: a shell has one child after the
 * other, and to look for all its ancestors in /proc takes as long as all the rest of a session's making.
 *
 * A process is known by the inode of its pidfd, which is no other process's, ever. Before Linux 6.9 all pidfds have the
 * same, and nothing is known.
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* 0: it cannot be told, or there is no such process. */
uint64_t parent_id(pid_t pid);
/* `depth`: of the PID namespace that the child is in. *ret: a row of the meter, which is still the same container's. */
bool parent_known(uint64_t id, unsigned depth, unsigned *ret);
void parent_remember(uint64_t id, unsigned depth, unsigned row);
