/* SPDX-License-Identifier: Apache-2.0 */
/* Which container a process belongs to, and what its processes counted of themselves. */
#pragma once

#include "service/service.h"
#include "service/session.h"

/* Finds the session's container, by its process's ancestors. In the socket's thread. */
void container_join(struct service *s, struct session *session);
/* What no limit is for: the engine, and the service itself. */
#define CONTAINER_NONE UINT32_MAX
/* The container of a thread of whatever process, by its number on the host; 0: of none. Any thread. */
unsigned container_of_thread(struct service *s, pid_t tid);
/* The container of the process; makes it one, if it is in none. */
unsigned container_of_process(struct service *s, pid_t pid);
/* Sets its container's limits, {"io.iops": "500"}. name: what figures are to call it; "": as before. 0, or -errno and a sentence. */
int container_limit(struct service *s, pid_t pid, const char *name, struct json_object *settings, char *error, size_t size);
/* The session ends: adds what its process counted. */
void container_count(const struct session *session);
/* {"123 sh": {"requests": .., "direct_reads": ..}}; the name ends with " +" if its first process has ended. */
struct json_object *containers_json(struct service *s);
/* What all processes counted, those that live and those that have ended. */
struct json_object *counts_json(struct service *s);
/* Processes with a pid above `after`, as many as fit into a message. */
struct json_object *processes_json(struct service *s, pid_t after);
