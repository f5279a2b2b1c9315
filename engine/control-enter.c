/* SPDX-License-Identifier: Apache-2.0 */
/* Enter and Join: the two steps of a program into a pool. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/control.h"
#include "ipc/wire.h"

static bool can_enter(struct client *client, const struct pool *pool)
{
	if (pool->was_up && pool->init && (pool->state == POOL_UP || pool->state == POOL_RESTARTING))
		return true;
	client_fail(client, "Failed", "pool '%s' is %s; nothing can run in it%s%s", pool->name,
		    pool_state_name(pool->state), pool->error.text[0] ? ": " : "", pool->error.text);
	return false;
}

void control_enter(struct client *client, struct json_object *parameters)
{
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	struct json_object *reply;
	const char *cpus;

	if (!pool || !can_enter(client, pool))
		return;
	reply = json_object_new_object();
	cpus = json_string(pool->spec, "cpus");
	json_object_object_add(reply, "user", json_object_new_boolean(json_true(pool->spec, "user")));
	json_object_object_add(reply, "network", json_object_new_boolean(json_true(pool->spec, "network")));
	json_object_object_add(
		reply, "preload",
		json_object_new_boolean(faccessat(pool_fd(pool, BUILD_DIR), "preload.so", R_OK, 0) == 0));
	json_set(reply, "group", "%s", pool->group.name);
	if (cpus && !(pool->group.have & 1u << GROUP_CPUSET))
		json_set(reply, "cpus", "%s", cpus);
	client_reply(client, reply, pool_fd(pool, BUILD_INIT));
}

void control_join(struct client *client, struct json_object *parameters)
{
	struct pool *pool = control_pool(client, json_string(parameters, "pool"));
	pid_t pid = json_number(parameters, "pid", 0);
	struct container *c;
	struct error error;

	if (!pool || !can_enter(client, pool))
		return;
	if (pid <= 0) {
		client_fail(client, "Refused", "'pid' must be a process");
		return;
	}
	if (group_join(&pool->group, pid, &error) < 0) {
		client_fail(client, "Failed", "%s", error.text);
		return;
	}
	c = container_new(pool, client);
	if (c) {
		c->pid = pid;
		c->listed = json_true(parameters, "listed");
		snprintf(c->command, sizeof(c->command), "%s", json_string(parameters, "command"));
		text_tame(c->command);
	}
	client_reply(client, NULL, -1);
}
