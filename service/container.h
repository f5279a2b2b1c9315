/* SPDX-License-Identifier: Apache-2.0 */
/* Which container a process belongs to, and what its processes counted of themselves. */
#pragma once

#include "service/service.h"
#include "service/session.h"

/* Finds the session's container, by its process's ancestors. In the socket's thread. */
void container_join(struct service *s, struct session *session);
/* The session ends: adds what its process counted. */
void container_count(const struct session *session);
/* {"123 sh": {"requests": .., "direct_reads": ..}}; the name ends with " +" if its first process has ended. */
struct json_object *containers_json(struct service *s);
/* What all processes counted, those that live and those that have ended. */
struct json_object *counts_json(struct service *s);
/* Processes with a pid above `after`, as many as fit into a message. */
struct json_object *processes_json(struct service *s, pid_t after);
