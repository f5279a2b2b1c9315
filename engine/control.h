/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of the control socket, and what they share. Each answers its client, now or later. */
#pragma once

#include "engine/client.h"

/* The pool of that name. NULL: there is none, and the client has its answer. */
struct pool *control_pool(struct client *client, const char *name);
/* The names that the parameter `pools` gives, or of all pools. NULL: one is unknown, and the client has its
 * answer. */
struct json_object *control_names(struct client *client, struct json_object *parameters);

void control_up(struct client *client, struct json_object *parameters);
void control_down(struct client *client, struct json_object *parameters);
void control_ps(struct client *client, struct json_object *parameters);
void control_dump(struct client *client, struct json_object *parameters);
void control_stats(struct client *client, struct json_object *parameters);
void control_processes(struct client *client, struct json_object *parameters);
void control_meter(struct client *client, struct json_object *parameters);
void control_limit(struct client *client, struct json_object *parameters);
void control_set(struct client *client, struct json_object *parameters);
void control_enter(struct client *client, struct json_object *parameters);
void control_join(struct client *client, struct json_object *parameters);
void control_root(struct client *client, struct json_object *parameters);
void control_clone(struct client *client, struct json_object *parameters);
void control_remove_container(struct client *client, struct json_object *parameters);
void control_containers(struct client *client, struct json_object *parameters);

/* control-service.c. False: the pool's service cannot be asked, and the client has its answer. */
bool control_service_is_there(struct client *client, const struct pool *pool);
/* NULL: no memory, and the client has its answer. */
struct service_call *control_call_new(struct client *client, void (*done)(struct service_call *, struct json_object *));
