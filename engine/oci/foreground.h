/* SPDX-License-Identifier: Apache-2.0 */
/* A process of a container in the foreground of a command. */
#pragma once

#include <sys/types.h>

/*
 * Until that child of ours has ended: is its terminal while there is one (its master, or -1), and passes signals on. Its
 * exit status as a shell has it.
 */
int foreground_wait(pid_t pid, int master);
