/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that does nothing but talk to its engine as service/boot.h says. FAKE_SERVICE in its
 * environment: "fail" answers the boot message with an error, "exit" ends without an answer, "die" ends
 * after it.
 */
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/wire.h"
#include "service/boot.h"

static int fds[64];
static size_t fd_count;

static struct json_object *receive(void)
{
	static char text[BOOT_MESSAGE_MAX];
	char space[CMSG_SPACE(sizeof(fds))];
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	ssize_t n = recvmsg(BOOT_FD, &msg, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		exit(0); /* the engine died */
	text[n] = '\0';
	if (CMSG_FIRSTHDR(&msg)) {
		fd_count = (CMSG_FIRSTHDR(&msg)->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), fd_count * sizeof(int));
	}
	return json_tokener_parse(text);
}

static void answer(int ok, const char *key, struct json_object *value)
{
	struct json_object *json = json_object_new_object();
	const char *text;

	json_object_object_add(json, "ok", json_object_new_boolean(ok));
	if (key)
		json_object_object_add(json, key, value);
	text = json_object_to_json_string(json);
	send(BOOT_FD, text, strlen(text), MSG_NOSIGNAL);
	json_object_put(json);
}

static void wrong(const char *what)
{
	answer(0, "error", json_object_new_string(what));
	exit(1);
}

static int fd_at(struct json_object *json, const char *key)
{
	struct json_object *value;
	size_t place = json_object_object_get_ex(json, key, &value) ? json_object_get_int(value) : 9999;

	return place < fd_count ? fds[place] : -1;
}

/* What the engine must have prepared. */
static void check_boot(struct json_object *boot)
{
	struct wire_table *table =
		mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd_at(boot, "table"), 0);
	struct json_object *mounts, *fds_said, *generation;
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (!json_object_object_get_ex(boot, "fds", &fds_said) ||
	    (size_t)json_object_get_int(fds_said) != fd_count)
		wrong("not as many descriptors as 'fds' says");
	if (getsockopt(fd_at(boot, "listen"), SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
	    !listening)
		wrong("the socket does not listen");
	if (table == MAP_FAILED || table->magic != WIRE_MAGIC || !table->placeholder_ino_lo)
		wrong("the table is not filled");
	if (!json_object_object_get_ex(boot, "mounts", &mounts) ||
	    table->mount_count != json_object_array_length(mounts))
		wrong("the table has not the mounts of the message");
	if (table->mount[0].flags & WIRE_MOUNT_FUSE && !table->mount[0].dev)
		wrong("a FUSE mount without its st_dev");
	if (faccessat(fd_at(boot, "proc"), "self/status", R_OK, 0) < 0)
		wrong("no /proc");
	if (!json_object_object_get_ex(boot, "generation", &generation))
		wrong("no generation");
	table->generation = json_object_get_int(generation);
	table->service_state = WIRE_SERVICE_UP;
}

static int serve(struct json_object *message)
{
	struct json_object *value, *stats;
	const char *method = "";

	if (json_object_object_get_ex(message, "method", &value))
		method = json_object_get_string(value);
	if (!strcmp(method, "stats")) {
		stats = json_object_new_object();
		json_object_object_add(stats, "requests", json_object_new_int(42));
		answer(1, "stats", stats);
	} else if (!strcmp(method, "set")) {
		json_object_object_get_ex(message, "value", &value);
		if (strcmp(json_object_get_string(value), "13s"))
			answer(1, NULL, NULL);
		else
			answer(0, "error", json_object_new_string("thirteen is unlucky"));
	} else if (!strcmp(method, "stop")) {
		answer(1, NULL, NULL);
		return 0;
	} else {
		answer(0, "error", json_object_new_string("unknown method"));
	}
	return 1;
}

int main(int argc, char **argv)
{
	const char *mood = getenv("FAKE_SERVICE") ? getenv("FAKE_SERVICE") : "";
	struct json_object *message = receive();

	if (!strcmp(mood, "exit")) {
		json_object_put(message);
		return 7;
	}
	if (!strcmp(mood, "fail"))
		wrong("the fake fails as it was told");
	check_boot(message);
	answer(1, NULL, NULL);
	if (!strcmp(mood, "die"))
		return 0;
	do {
		json_object_put(message);
		message = receive();
	} while (serve(message));
	json_object_put(message);
	return 0;
}
