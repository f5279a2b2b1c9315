/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/oci/sync.h"
#include "engine/passing.h"

int sync_pair(int pair[2], struct error *error)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, errno, "make a socket");
	return 0;
}

int sync_send(int socket, int kind, int pid, const char *text, int fd)
{
	struct sync_message m = {.kind = kind, .pid = pid};
	ssize_t n;

	snprintf(m.text, sizeof(m.text), "%s", text ? text : "");
	n = passing_send(socket, &m, sizeof(m), fd, 0);
	return n < 0 ? n : n == sizeof(m) ? 0 : -EIO;
}

void sync_give_up(int socket, int r, const struct error *error)
{
	sync_send(socket, SYNC_FAILED, r, error->text, -1);
	_exit(1);
}

int sync_wait(int socket, int kind, struct sync_message *ret, int *ret_fd, struct error *error)
{
	struct sync_message m = {};
	_cleanup_(close_p) int fd = -1;
	ssize_t n = passing_receive(socket, &m, sizeof(m), &fd);

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
