/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's messages to a running service; service/boot.h says what they are. */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/boot.h"
#include "service/container.h"
#include "service/control.h"
#include "service/roots.h"
#include "service/service.h"
#include "service/stats.h"

void control_answer(int fd, struct json_object *answer)
{
	const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);

	send(fd, text, strlen(text), MSG_NOSIGNAL);
	json_object_put(answer);
}

struct json_object *control_ok(void)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(1));
	return o;
}

struct json_object *control_error(const char *sentence)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "ok", json_object_new_boolean(0));
	json_object_object_add(o, "error", json_object_new_string(sentence));
	return o;
}

static struct json_object *queue_json(struct service *s)
{
	struct json_object *o = json_object_new_object();
	struct back_counters c;

	back_counters(s->back, &c);
	json_object_object_add(o, "requests", json_object_new_int64(c.requests));
	json_object_object_add(o, "sleeps", json_object_new_int64(c.sleeps));
	json_object_object_add(o, "wakes", json_object_new_int64(c.wakes));
	json_object_object_add(o, "poisoned", json_object_new_int64(c.poisoned));
	json_object_object_add(o, "kicks", json_object_new_int64(c.kicks));
	json_object_object_add(o, "invalid", json_object_new_int64(c.invalid));
	return o;
}

static struct json_object *process_json(void)
{
	struct json_object *o = json_object_new_object();
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	json_object_object_add(o, "user_us", json_object_new_int64(u.ru_utime.tv_sec * 1000000ll + u.ru_utime.tv_usec));
	json_object_object_add(o, "system_us",
			       json_object_new_int64(u.ru_stime.tv_sec * 1000000ll + u.ru_stime.tv_usec));
	json_object_object_add(o, "peak_memory", json_object_new_int64(u.ru_maxrss * 1024ll));
	return o;
}

/* How full it is; nothing, if its layers do not know. */
static void room_add(struct service *s, unsigned m, struct json_object *mount)
{
	struct ls_statfs st = {0};
	struct caller self;
	int r;

	caller_init(&self, DOOR_SELF, s->pool, 0, 0, 0);
	r = ls_statfs(s->mount[m]->stack, &self.call, &st);
	caller_fini(&self);
	if (r < 0)
		return;
	json_object_object_add(mount, "size", json_object_new_uint64(st.blocks * st.frsize));
	json_object_object_add(mount, "used", json_object_new_uint64((st.blocks - st.bfree) * st.frsize));
	json_object_object_add(mount, "available", json_object_new_uint64(st.bavail * st.frsize));
	json_object_object_add(mount, "inodes", json_object_new_uint64(st.files - st.ffree));
	json_object_object_add(mount, "inodes_free", json_object_new_uint64(st.ffree));
}

/* The caches' figures, by mount. */
static struct json_object *cache_json(struct service *s)
{
	struct json_object *o = json_object_new_object();

	for (unsigned m = 0; m < s->mount_count; m++) {
		struct json_object *cache = stat_layers_json(service_stack(s, m), "cache");
		if (cache)
			json_object_object_add(o, s->mount[m]->path, cache);
	}
	return o;
}

static struct json_object *stats_json(struct service *s)
{
	struct json_object *o = json_object_new_object(), *mounts = json_object_new_object();
	unsigned sessions = 0;

	pthread_mutex_lock(&s->sessions_lock);
	sessions = s->session_count;
	pthread_mutex_unlock(&s->sessions_lock);
	for (unsigned m = 0; m < s->mount_count; m++) {
		struct json_object *mount = json_object_new_object();
		json_object_object_add(mount, "layer", json_object_new_string(service_stack(s, m)->type->name));
		json_object_object_add(mount, "inodes_in_hand", json_object_new_int64(s->mount[m]->inode_count));
		room_add(s, m, mount);
		json_object_object_add(mounts, s->mount[m]->path, mount);
	}
	json_object_object_add(o, "pool", json_object_new_string(s->pool));
	json_object_object_add(o, "sessions", json_object_new_int(sessions));
	json_object_object_add(o, "doors", meter_doors_json(stat_meter()));
	json_object_object_add(o, "spared", counts_json(s));
	json_object_object_add(o, "containers", containers_json(s));
	json_object_object_add(o, "queues", queue_json(s));
	json_object_object_add(o, "mounts", mounts);
	json_object_object_add(o, "cache", cache_json(s));
	json_object_object_add(o, "settings", setting_json(s));
	json_object_object_add(o, "process", process_json());
	return o;
}

static const char *member(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

static struct json_object *set(struct service *s, struct json_object *message)
{
	char error[512] = "";

	if (setting_set(s, member(message, "key"), member(message, "value"), error, sizeof(error)) < 0)
		return control_error(error);
	flusher_wake();
	return control_ok();
}

/* Limits of a container, of which `pid` is a process. */
static struct json_object *limit(struct service *s, struct json_object *message)
{
	struct json_object *settings;
	char error[256] = "the message lacks settings";

	if (!json_object_object_get_ex(message, "settings", &settings) ||
	    container_limit(s, atoi(member(message, "pid")), member(message, "name"), settings, error, sizeof(error)) < 0)
		return control_error(error);
	return control_ok();
}

/* A message, with at most two descriptors. */
static ssize_t receive(int socket, char *text, size_t size, int fds[static 2])
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {text, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	fds[0] = fds[1] = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return n;
}

static struct json_object *open_root(struct service *s, struct json_object *message, int fds[static 2])
{
	struct root_wish wish = {.name = member(message, "name"), .path = member(message, "path"), .slot = -1,
				 .fuse = fds[0], .root = fds[1]};
	struct json_object *dev, *answer;
	char error[512] = "";
	unsigned slot;

	if (json_object_object_get_ex(message, "dev", &dev))
		wish.dev = json_object_get_int64(dev);
	fds[0] = fds[1] = -1;
	if (root_open(s, &wish, &slot, error, sizeof(error)) < 0)
		return control_error(error);
	answer = control_ok();
	json_object_object_add(answer, "slot", json_object_new_int(slot));
	return answer;
}

static struct json_object *close_root(struct service *s, struct json_object *message)
{
	struct json_object *slot;

	if (json_object_object_get_ex(message, "slot", &slot) && root_close(s, json_object_get_int(slot)) == 0)
		return control_ok();
	return control_error("there is no such root");
}

bool control_message(struct service *s)
{
	static char text[BOOT_MESSAGE_MAX];
	struct json_object *message, *answer;
	const char *method;
	bool stop = false;
	int fds[2];
	ssize_t n = receive(s->engine_fd, text, sizeof(text) - 1, fds);

	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	if (n == 0)
		return true; /* the engine died */
	text[n] = 0;
	message = json_tokener_parse(text);
	method = message ? member(message, "method") : "";
	if (!strcmp(method, "stats")) {
		answer = control_ok();
		json_object_object_add(answer, "stats", stats_json(s));
	} else if (!strcmp(method, "processes")) {
		answer = control_ok();
		json_object_object_add(answer, "stats", processes_json(s, atoi(member(message, "after"))));
	} else if (!strcmp(method, "set")) {
		answer = set(s, message);
	} else if (!strcmp(method, "limit")) {
		answer = limit(s, message);
	} else if (!strcmp(method, "stop")) {
		stop = s->stop_asked = true; /* answered when everything is written back */
		answer = NULL;
	} else if (!strcmp(method, "root-open")) {
		answer = open_root(s, message, fds);
	} else if (!strcmp(method, "root-close")) {
		answer = close_root(s, message);
	} else {
		answer = roots_control(s, method, message);
		if (!answer)
			answer = control_error("unknown method");
	}
	for (unsigned i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	json_object_put(message);
	if (answer)
		control_answer(s->engine_fd, answer);
	return stop;
}
