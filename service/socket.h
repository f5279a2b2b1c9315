/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket thread: one epoll loop over the pool's socket, its connections, the lives of client processes,
 * and the engine. Sessions begin and end in it, so nothing else needs to order those.
 */
#pragma once

#include "service/service.h"
#include "service/session.h"

struct watch;

int socket_watch_session(struct service *s, struct session *session);
int socket_watch_view(struct service *s, int fd, struct view *view, struct watch **ret);
/* Closes its descriptor. */
void socket_forget(struct service *s, struct watch *watch);
void socket_forget_session(struct service *s, struct session *session);

/* session-life.c */
/* The process runs another program now: handles end, POSIX locks on files still open stay. */
void session_exec(struct service *s, struct session *session);
/* Lets go of what dead processes hold. Any thread. arg: struct service. */
void sessions_reap(void *arg);
/* Answers any hello but ATTACH and EXEC, on the socket it came by. 0 or -errno. */
int session_hello(struct service *s, int socket, const struct wire_hello *hello);
