/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller sends to the engine: the input, in pieces, to an engine with one pool, which is up and whose service
 * does not answer. Every answer is a JSON object that ends with a NUL; no input ends the engine. Linked with
 * --wrap=pool_start, so that no pool is ever started.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "engine/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
struct pool *__wrap_pool_start(struct engine *engine, const char *name, struct json_object *spec);

enum { PIECE = 4000, ANSWERS_MAX = 1 << 20 };

static const char spec_text[] = "{\"mounts\":{\"/data\":{\"delay\":{\"read\":\"1ms\",\"below\":[{\"mem\":{}}]}}},"
				"\"cpus\":\"0\"}";

struct world {
	struct engine engine;
	struct pool *pool;
	int caller, service;
	char *answers;
	size_t answers_len;
};

struct pool *__wrap_pool_start(struct engine *engine, const char *name, struct json_object *spec)
{
	return NULL;
}

static void service_ignores(struct source *source, uint32_t events) {}

static void world_pool(struct world *w)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int pair[2];

	if (!pool || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	w->service = pair[1];
	pool->engine = &w->engine;
	strcpy(pool->name, "alice");
	pool->spec = json_tokener_parse(spec_text);
	pool->warnings = json_object_new_array();
	pool->state = POOL_UP;
	pool->was_up = true;
	pool->init = 1;
	pool->builder_socket.fd = -1;
	pool->service = (struct service){.pidfd = -1, .answered = true, .socket = {.fd = pair[0], .ready = service_ignores}};
	TAILQ_INIT(&pool->service.calls);
	TAILQ_INIT(&pool->containers);
	pool->place.fds = calloc(1, sizeof(int));
	pool->place.fd_count = 1;
	pool->place.fds[BUILD_INIT] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	TAILQ_INSERT_TAIL(&w->engine.pools, pool, link);
	w->pool = pool;
}

static void world_new(struct world *w)
{
	int pair[2];

	*w = (struct world){.engine = {.epoll = epoll_create1(EPOLL_CLOEXEC), .daemon = true, .reaper = -1, .proc = -1}};
	w->engine.listen.fd = w->engine.signals.fd = -1;
	TAILQ_INIT(&w->engine.pools);
	TAILQ_INIT(&w->engine.clients);
	world_pool(w);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
	    !client_new(&w->engine, pair[0]))
		abort();
	w->caller = pair[1];
	w->answers = malloc(ANSWERS_MAX + 1);
}

static void world_free(struct world *w)
{
	struct client *client = TAILQ_FIRST(&w->engine.clients);
	struct container *c;

	if (client)
		client_free(client);
	service_calls_fail(w->pool);
	while ((c = TAILQ_FIRST(&w->pool->containers)))
		container_free(w->pool, c);
	close(w->pool->service.socket.fd);
	parcel_fini(&w->pool->place);
	json_object_put(w->pool->spec);
	json_object_put(w->pool->warnings);
	free(w->pool);
	free(w->answers);
	close(w->service);
	close(w->caller);
	close(w->engine.epoll);
}

/* Lets the engine do what it can, and reads what it says; descriptors that come along are dropped. */
static void settle(struct world *w)
{
	char space[65536];

	for (int i = 0; i < 64 && !TAILQ_EMPTY(&w->engine.clients); i++) {
		ssize_t n;

		loop_wait(w->engine.epoll, 0);
		while ((n = recv(w->caller, w->answers + w->answers_len, ANSWERS_MAX - w->answers_len, MSG_DONTWAIT)) > 0)
			w->answers_len += (size_t)n;
		while (recv(w->service, space, sizeof(space), MSG_DONTWAIT) > 0)
			;
	}
}

static void answers_must_be_json(struct world *w)
{
	char *end;

	w->answers[w->answers_len] = '\0';
	for (char *at = w->answers; (end = memchr(at, '\0', w->answers_len - (size_t)(at - w->answers))); at = end + 1) {
		struct json_object *json = json_tokener_parse(at);

		if (!json_object_is_type(json, json_type_object))
			abort();
		json_object_put(json);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;

	world_new(&w);
	while (size) {
		size_t n = size < PIECE ? size : PIECE;

		if (send(w.caller, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		data += n;
		size -= n;
		settle(&w);
	}
	settle(&w);
	answers_must_be_json(&w);
	world_free(&w);
	return 0;
}
