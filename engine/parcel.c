/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "engine/parcel.h"
#include "service/boot.h"

enum { PARCEL_FDS_MAX = 4096 };

union control {
	char space[CMSG_SPACE(sizeof(int) * BOOT_FDS_MAX)];
	struct cmsghdr align;
};

static int send_one(int socket, const char *text, const int *fds, size_t count)
{
	union control control = {};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int) * count),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, sizeof(int) * count);
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int parcel_send(int socket, struct json_object *json, const int *fds, size_t count)
{
	const char *text;
	int r = 0;

	if (count)
		json_object_object_add(json, "fds", json_object_new_int64(count));
	text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);
	for (size_t sent = 0; r == 0 && (sent == 0 || sent < count); sent += BOOT_FDS_MAX)
		r = send_one(socket, sent ? "{\"more\":true}" : text, count ? fds + sent : NULL,
			     MIN(count - sent, (size_t)BOOT_FDS_MAX));
	return r;
}

static void parcel_keep(struct parcel *parcel, const int *fds, size_t count)
{
	int *grown = realloc(parcel->fds, (parcel->fd_count + count) * sizeof(int));

	if (!grown) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		return;
	}
	parcel->fds = grown;
	memcpy(grown + parcel->fd_count, fds, count * sizeof(int));
	parcel->fd_count += count;
}

static int parcel_parse(struct parcel *parcel, const char *text)
{
	struct json_object *json = json_tokener_parse(text);

	if (!json_object_is_type(json, json_type_object)) {
		json_object_put(json);
		return -EBADMSG;
	}
	if (parcel->json) {
		json_object_put(json);
		return 0;
	}
	parcel->json = json;
	parcel->fd_total = MIN((uint64_t)json_number(json, "fds", 0), (uint64_t)PARCEL_FDS_MAX);
	return 0;
}

int parcel_recv(int socket, struct parcel *parcel)
{
	union control control;
	_cleanup_(free_p) char *text = malloc(BOOT_MESSAGE_MAX + 1);
	struct iovec iov = {text, BOOT_MESSAGE_MAX};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;
	int r;

	if (!text)
		return -ENOMEM;
	n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	/* The end of a peer that had not read all comes first, once, and then what it had said. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			parcel_keep(parcel, (int *)CMSG_DATA(c), (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (n == 0)
		return -ECONNRESET;
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EMSGSIZE;
	text[n] = '\0';
	r = parcel_parse(parcel, text);
	return r < 0 ? r : parcel->fd_count >= parcel->fd_total;
}

void parcel_fini(struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->fd_count; i++)
		close_p(&parcel->fds[i]);
	free(parcel->fds);
	json_object_put(parcel->json);
	*parcel = (struct parcel){};
}
