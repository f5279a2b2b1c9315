/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP, as much of it as it takes: one request at a time, which has two seconds to be sent and to be taken; nobody can hold up
 * the others for longer. On a UNIX socket, which is root's alone, or on the loopback.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "engine/metrics.h"

enum { REQUEST_MAX = 4096, PATIENCE_S = 2 };

/* The request's first line; false: it is not to be answered. */
static bool request_take(int fd, char line[static REQUEST_MAX])
{
	size_t n = 0;

	for (;;) {
		ssize_t r = recv(fd, line + n, REQUEST_MAX - 1 - n, 0);
		if (r <= 0)
			return false;
		n += r;
		line[n] = 0;
		if (strstr(line, "\r\n\r\n") || strstr(line, "\n\n"))
			break;
		if (n == REQUEST_MAX - 1)
			return false;
	}
	line[strcspn(line, "\r\n")] = 0;
	return true;
}

static void send_whole(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		length -= n;
	}
}

static void answer(int fd)
{
	static const char wrong[] = "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n";
	struct timeval patience = {.tv_sec = PATIENCE_S};
	char line[REQUEST_MAX], head[160], *text = NULL;
	size_t length = 0;
	FILE *out;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!request_take(fd, line))
		return;
	if (strncmp(line, "GET /metrics ", 13) && strncmp(line, "GET / ", 6)) {
		send_whole(fd, wrong, sizeof(wrong) - 1);
		return;
	}
	out = open_memstream(&text, &length);
	if (!out)
		return;
	metrics_write(out);
	fclose(out);
	snprintf(head, sizeof(head),
		 "HTTP/1.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
		 "Content-Length: %zu\r\n\r\n", length);
	send_whole(fd, head, strlen(head));
	send_whole(fd, text, length);
	free(text);
}

static char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

static void end(int signal)
{
	if (*unix_path)
		unlink(unix_path);
	_exit(0);
}

static int serve(int listen_fd)
{
	struct sigaction action = {.sa_handler = end};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (listen(listen_fd, 8) < 0)
		return complain("listen: %s", strerror(errno));
	for (;;) {
		_cleanup_(close_p) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			answer(fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return complain("accept a connection: %s", strerror(errno));
	}
}

int metrics_serve_unix(const char *path)
{
	_cleanup_(close_p) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain("the socket's path '%s' is too long", path);
	strcpy(address.sun_path, path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) { /* left by one that was killed, perhaps */
		if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return complain("somebody serves on '%s' already", path);
		unlink(path);
	}
	umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return complain("serve on '%s': %s", path, strerror(errno));
	snprintf(unix_path, sizeof(unix_path), "%s", path);
	return serve(fd);
}

/* Of the loopback only: figures tell much of what tenants do. */
static bool address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char host[64] = "", *end_of;
	const char *colon = strrchr(text, ':');
	unsigned long port = colon ? strtoul(colon + 1, &end_of, 10) : 0;
	size_t length = colon ? (size_t)(colon - text) : 0;

	if (!port || port > 65535 || *end_of || length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	*ret = (struct sockaddr_storage){0};
	if (!strcmp(host, "[::1]")) {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port),
					    .sin6_addr = in6addr_loopback};
		*ret_size = sizeof(*v6);
		return true;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	*ret_size = sizeof(*v4);
	return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) == 1 &&
	       ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

int metrics_serve_loopback(const struct command *command, const char *text)
{
	struct sockaddr_storage address;
	_cleanup_(close_p) int fd = -1;
	socklen_t size;
	int on = 1;

	if (!address_parse(text, &address, &size))
		return misuse(command, "--listen takes an address of the loopback and a port, as in 127.0.0.1:9464, not '%s'",
			      text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0)
		return complain("serve on '%s': %s", text, strerror(errno));
	return serve(fd);
}
