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
void control_set(struct client *client, struct json_object *parameters);
void control_enter(struct client *client, struct json_object *parameters);
void control_join(struct client *client, struct json_object *parameters);
