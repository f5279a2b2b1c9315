/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client.h"
#include "engine/passing.h"
#include "engine/roots.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CLIENT_IN_MAX = 4 << 20,
	CLIENT_OUT_MAX = 16 << 20,
	CLIENT_READ = 64 * 1024,
};

static void client_calls(struct client *client);

struct client *client_free(struct client *client)
{
	struct engine *engine = client->engine;
	struct pool *pool;

	loop_close(engine->epoll, &client->source);
	TAILQ_REMOVE(&engine->clients, client, link);
	TAILQ_FOREACH(pool, &engine->pools, link) {
		struct service_call *call;
		struct container *c, *next;
		TAILQ_FOREACH(call, &pool->service.calls, link)
			if (call->client == client)
				call->client = NULL;
		for (c = TAILQ_FIRST(&pool->containers); c; c = next) {
			next = TAILQ_NEXT(c, link);
			if (c->client == client)
				container_free(pool, c);
		}
		roots_release(pool, client);
	}
	control_forget(client);
	free(client->in);
	free(client->out);
	free(client);
	return NULL;
}

/* ---- out --------------------------------------------------------------------------------------- */

static bool client_flush(struct client *client)
{
	ssize_t n;

	if (!client->out_len)
		return true;
	n = send(client->source.fd, client->out, client->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0) {
		client->out_len -= n;
		memmove(client->out, client->out + n, client->out_len);
	}
	loop_change(client->engine->epoll, &client->source, EPOLLIN | (client->out_len ? EPOLLOUT : 0));
	return true;
}

/* A descriptor goes with the first byte of its message, so nothing may wait before it. */
static bool client_send_fd(struct client *client, const char *text, size_t len, int fd)
{
	return !client->out_len && passing_send(client->source.fd, text, len, fd, MSG_DONTWAIT) == (ssize_t)len;
}

static bool client_send(struct client *client, const char *text, size_t len)
{
	char *grown;

	if (client->out_len + len > CLIENT_OUT_MAX)
		return false;
	grown = realloc(client->out, client->out_len + len);
	if (!grown)
		return false;
	client->out = grown;
	memcpy(grown + client->out_len, text, len);
	client->out_len += len;
	return client_flush(client);
}

/* A connection that is broken is closed from the loop, where nobody holds the client. */
static void client_break(struct client *client)
{
	shutdown(client->source.fd, SHUT_RDWR);
	client->out_len = 0;
}

static void client_answer(struct client *client, struct json_object *message, int fd)
{
	const char *text = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text) + 1;
	bool ok = client->oneway ||
		  (fd < 0 ? client_send(client, text, len) : client_send_fd(client, text, len, fd));

	json_object_put(message);
	control_forget(client);
	client->busy = false;
	if (!ok)
		client_break(client);
	else if (client->in_len)
		/* The next call may be there already: handle it from the loop. */
		loop_change(client->engine->epoll, &client->source, EPOLLIN | EPOLLOUT);
}

void client_reply(struct client *client, struct json_object *parameters, int fd)
{
	struct json_object *message = json_object_new_object();

	json_object_object_add(message, "parameters", parameters ? parameters : json_object_new_object());
	client_answer(client, message, fd);
}

void client_error(struct client *client, const char *error, struct json_object *parameters)
{
	struct json_object *message = json_object_new_object();

	json_set(message, "error", strchr(error, '.') ? "%s" : "io.polytropon.%s", error);
	json_object_object_add(message, "parameters", parameters ? parameters : json_object_new_object());
	client_answer(client, message, -1);
}

void client_fail(struct client *client, const char *error, const char *format, ...)
{
	struct json_object *parameters = json_object_new_object();
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_object_object_add(parameters, "message", json_object_new_string(text));
	client_error(client, error, parameters);
}

/* ---- in ---------------------------------------------------------------------------------------- */

/* False: the connection is over. */
static bool client_read(struct client *client)
{
	char *grown = client->in;
	ssize_t n;

	if (client->in_len + CLIENT_READ > CLIENT_IN_MAX)
		return false;
	grown = realloc(client->in, client->in_len + CLIENT_READ);
	if (!grown)
		return false;
	client->in = grown;
	n = recv(client->source.fd, client->in + client->in_len, CLIENT_READ, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->in_len += n;
	return n > 0;
}

/* Takes the next whole message, NULL if there is none. *ret_bad: it is there and no JSON object. */
static struct json_object *client_message(struct client *client, bool *ret_bad)
{
	char *end = client->in_len ? memchr(client->in, '\0', client->in_len) : NULL;
	struct json_object *json;

	*ret_bad = false;
	if (!end)
		return NULL;
	json = json_tokener_parse(client->in);
	client->in_len -= end + 1 - client->in;
	memmove(client->in, end + 1, client->in_len);
	if (json_object_is_type(json, json_type_object))
		return json;
	json_object_put(json);
	*ret_bad = true;
	return NULL;
}

static void client_calls(struct client *client)
{
	while (!client->busy) {
		bool bad;
		struct json_object *message = client_message(client, &bad);
		if (bad) {
			client_break(client);
			return;
		}
		if (!message)
			return;
		client->busy = true;
		client->oneway = json_true(message, "oneway");
		control_call(client, message);
		json_object_put(message);
	}
}

static void client_ready(struct source *source, uint32_t events)
{
	struct client *client = container_of(source, struct client, source);

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !client_read(client)) || !client_flush(client)) {
		client_free(client);
		return;
	}
	loop_change(client->engine->epoll, &client->source, EPOLLIN | (client->out_len ? EPOLLOUT : 0));
	client_calls(client);
}

struct client *client_new(struct engine *engine, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || fd < 0) {
		close_p(&fd);
		free(client);
		return NULL;
	}
	client->engine = engine;
	client->source = (struct source){.fd = fd, .ready = client_ready};
	TAILQ_INSERT_TAIL(&engine->clients, client, link);
	engine->had_client = true;
	if (loop_add(engine->epoll, &client->source, EPOLLIN) < 0)
		return client_free(client);
	return client;
}
