/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime and the processes that it makes say to each other over a pair of sockets:
 *
 *   SYNC_PID      the container's first process has that pid
 *   SYNC_NESTED   a process between, to be waited for, has that pid
 *   SYNC_GO       go on
 *   SYNC_MOUNTED  all mounts are made, the root is still the old one
 *   SYNC_READY    everything but the program; with the master of its terminal, if it has one
 *   SYNC_FAILED   a sentence
 *
 * The end of the connection after SYNC_READY means that the program runs.
 */
#pragma once

#include "engine/util.h"

enum sync_kind { SYNC_ANY, SYNC_PID, SYNC_NESTED, SYNC_GO, SYNC_MOUNTED, SYNC_READY, SYNC_FAILED };

struct sync_message {
	int kind;
	int pid;
	char text[480];
};

int sync_pair(int pair[2], struct error *error);
int sync_send(int socket, int kind, int pid, const char *text, int fd);
/* Says what went wrong and ends; r: -errno if it is about the program that was to run, which callers tell from others. */
void sync_give_up(int socket, int r, const struct error *error) __attribute__((noreturn));
/*
 * The next message, which is to be of that kind. A failure of the other side is an error with its sentence; its end
 * is -ECONNRESET without one. fd: what came with it, or -1; NULL: none is wanted.
 */
int sync_wait(int socket, int kind, struct sync_message *ret, int *ret_fd, struct error *error);
