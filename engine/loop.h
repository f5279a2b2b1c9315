/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for many things: the engine's one thread sleeps in loop_wait and nowhere else.
 *
 * One event is handled at a time, so a handler may free any source, its own too. A source must leave the
 * loop before its descriptor is closed.
 */
#pragma once

#include <sys/epoll.h>

#include "engine/util.h"

struct source {
	int fd; /* -1: none; owned */
	void (*ready)(struct source *source, uint32_t events);
};

#define container_of(ptr, type, member)                                                                    \
	({                                                                                                 \
		const typeof(((type *)0)->member) *member_ = (ptr);                                        \
		(type *)((char *)member_ - offsetof(type, member));                                        \
	})

int loop_add(int epoll, struct source *source, uint32_t events);
int loop_change(int epoll, struct source *source, uint32_t events);
/* Leaves the loop and closes the descriptor. May be called again. */
void loop_close(int epoll, struct source *source);
/* Handles one event, or none if `timeout` ms pass (-1: for ever). */
void loop_wait(int epoll, int timeout);
