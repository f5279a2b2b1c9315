/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/oci/sync.h"

union control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int sync_pair(int pair[2], struct error *error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, errno, "make a socket");
	return 0;
}

int sync_send(int socket, int kind, int pid, const char *text, int fd)
{
	struct sync_message m = {.kind = kind, .pid = pid};
	union control control = {};
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	snprintf(m.text, sizeof(m.text), "%s", text ? text : "");
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == sizeof(m) ? 0 : -errno;
}

void sync_give_up(int socket, int r, const struct error *error)
{
	sync_send(socket, SYNC_FAILED, r, error->text, -1);
	_exit(1);
}

static ssize_t receive(int socket, struct sync_message *m, int *ret_fd)
{
	union control control = {};
	struct iovec iov = {m, sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n;

	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n > 0 && CMSG_FIRSTHDR(&msg) && CMSG_FIRSTHDR(&msg)->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return n;
}

int sync_wait(int socket, int kind, struct sync_message *ret, int *ret_fd, struct error *error)
{
	struct sync_message m = {};
	_cleanup_(close_p) int fd = -1;
	ssize_t n = receive(socket, &m, &fd);

	if (n != sizeof(m))
		return error_set(error, -ECONNRESET, "the container's process ended before it began");
	m.text[sizeof(m.text) - 1] = '\0';
	if (m.kind == SYNC_FAILED) {
		text_tame(m.text);
		/* Its own reason may be in it; none is that of a connection that ends. */
		return error_set(error, m.pid < 0 && m.pid != -ECONNRESET ? m.pid : -ECANCELED, "%s", m.text);
	}
	if (kind != SYNC_ANY && m.kind != kind)
		return error_set(error, -EPROTO, "the container's process says what it should not");
	if (ret)
		*ret = m;
	if (ret_fd)
		*ret_fd = take_fd(&fd);
	return 0;
}
