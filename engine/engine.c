/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "engine/client.h"
#include "engine/reaper.h"
#include "engine/runtime-dir.h"
#include "engine/title.h"

enum { ENGINE_IDLE_MS = 10 * 1000 }; /* a daemon that nobody ever calls ends */

struct pool *engine_pool(struct engine *engine, const char *name)
{
	struct pool *pool;

	TAILQ_FOREACH(pool, &engine->pools, link)
		if (!strcmp(pool->name, name))
			return pool;
	return NULL;
}

static bool engine_is_private(const struct engine *engine)
{
	return !engine->daemon;
}

void engine_group_name(const struct engine *engine, const char *pool, char *buf, size_t size)
{
	if (engine_is_private(engine) || !runtime_dir_is_default())
		snprintf(buf, size, "%s.%d", pool, getpid());
	else
		snprintf(buf, size, "%s", pool);
}

void engine_pool_changed(struct engine *engine, struct pool *pool)
{
	control_pool_changed(engine, pool);
}

/* Without pools a daemon is at its end. Its directory goes before the last answer, so that nothing is left
 * then. */
static void engine_retire(struct engine *engine)
{
	if (engine->ending || engine_is_private(engine))
		return;
	engine->ending = true;
	loop_close(engine->epoll, &engine->listen);
	runtime_remove();
}

void engine_pool_gone(struct engine *engine, struct pool *pool)
{
	if (TAILQ_EMPTY(&engine->pools))
		engine_retire(engine);
	control_pool_gone(engine, pool);
}

static void engine_stop_all(struct engine *engine)
{
	struct pool *pool;

	TAILQ_FOREACH(pool, &engine->pools, link)
		pool_stop(pool);
}

static void child_ended(struct engine *engine, pid_t pid, int status)
{
	struct pool *pool;

	TAILQ_FOREACH(pool, &engine->pools, link)
		if (pool_child_ended(pool, pid, status))
			return; /* the pool may be gone */
}

static void signal_ready(struct source *source, uint32_t events)
{
	struct engine *engine = container_of(source, struct engine, signals);
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGCHLD) {
		log_line("signal %u: all pools end", info.ssi_signo);
		engine_stop_all(engine);
		engine->told_to_end = true;
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_ended(engine, pid, status);
}

static void listen_ready(struct source *source, uint32_t events)
{
	struct engine *engine = container_of(source, struct engine, listen);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid()))
		close(fd);
	else
		client_new(engine, fd);
}

static int signals_open(struct engine *engine)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_SETMASK, &set, NULL);
	engine->signals = (struct source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
					  .ready = signal_ready};
	return engine->signals.fd < 0 ? -errno : loop_add(engine->epoll, &engine->signals, EPOLLIN);
}

static int engine_open(struct engine *engine, int listen_fd, int client_fd)
{
	int r;

	engine->epoll = epoll_create1(EPOLL_CLOEXEC);
	engine->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (engine->epoll < 0 || engine->proc < 0)
		return -errno;
	r = signals_open(engine);
	engine->listen = (struct source){.fd = listen_fd, .ready = listen_ready};
	if (r == 0 && listen_fd >= 0)
		r = loop_add(engine->epoll, &engine->listen, EPOLLIN);
	if (r == 0 && client_fd >= 0)
		r = client_new(engine, client_fd) ? 0 : -ENOMEM;
	return r;
}

/* How long nothing can happen by itself, in ms. */
static int engine_patience(const struct engine *engine)
{
	int64_t now = now_ms(), due = now + 60 * 1000;
	struct pool *pool;

	TAILQ_FOREACH(pool, &engine->pools, link)
		if (pool->deadline && pool->deadline < due)
			due = pool->deadline;
	if (!engine->had_client && now + ENGINE_IDLE_MS < due)
		due = now + ENGINE_IDLE_MS;
	return due > now ? due - now : 0;
}

static void engine_run_due(struct engine *engine)
{
	struct pool *pool, *next;
	int64_t now = now_ms();

	for (pool = TAILQ_FIRST(&engine->pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		if (pool->deadline && pool->deadline <= now)
			pool_due(pool);
	}
}

/* Every call has its answer, and the answer is out. */
static bool clients_are_served(const struct engine *engine)
{
	struct client *client;

	TAILQ_FOREACH(client, &engine->clients, link)
		if (client->busy || client->out_len)
			return false;
	return true;
}

static bool engine_is_over(struct engine *engine, int64_t started)
{
	if (!TAILQ_EMPTY(&engine->pools))
		return false;
	if (engine->ending && clients_are_served(engine))
		return true;
	if (engine->told_to_end || (!engine->had_client && now_ms() > started + ENGINE_IDLE_MS))
		return true;
	return engine->had_client && TAILQ_EMPTY(&engine->clients);
}

static void engine_loop(struct engine *engine)
{
	int64_t started = now_ms();

	while (!engine_is_over(engine, started)) {
		loop_wait(engine->epoll, engine_patience(engine));
		/* A private engine has one client, and nothing to do without it. */
		if (engine_is_private(engine) && TAILQ_EMPTY(&engine->clients))
			engine_stop_all(engine);
		engine_run_due(engine);
	}
}

static void engine_close(struct engine *engine)
{
	struct client *client;

	engine_retire(engine);
	/* The reaper first: who waits for the end of a connection waits for all of it. */
	reaper_dismiss(&engine->reaper);
	while ((client = TAILQ_FIRST(&engine->clients)))
		client_free(client);
	loop_close(engine->epoll, &engine->listen);
	loop_close(engine->epoll, &engine->signals);
	close_p(&engine->proc);
	close_p(&engine->epoll);
}

int engine_run(int listen_fd, int client_fd, int lock)
{
	struct engine engine = {.epoll = -1, .proc = -1, .signals.fd = -1, .daemon = listen_fd >= 0};
	struct rlimit files;
	struct error error;
	int r;

	TAILQ_INIT(&engine.pools);
	TAILQ_INIT(&engine.clients);
	title_set("polytropon engine");
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	groups_init();
	engine.reaper = reaper_start(lock, &error);
	if (engine.reaper < 0) {
		log_line("%s", error.text);
		return 1;
	}
	if (engine.daemon && runtime_dir_is_default())
		groups_clean();
	r = engine_open(&engine, listen_fd, client_fd);
	if (r < 0)
		log_line("the engine cannot start: %s", strerror(-r));
	else
		engine_loop(&engine);
	engine_close(&engine);
	return r < 0;
}
