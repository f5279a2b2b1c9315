/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "ipc/sys.h"
#include "tests/unit/ipc/server.h"

enum { WORKERS_MAX = 8 };

struct waiting {
	struct back_request request;
	struct waiting *next;
};

struct session {
	struct back_session back;
	struct server *server;
	struct session *next;
	pid_t pid;
};

struct worker {
	struct server *server;
	unsigned queue;
	pthread_t thread;
};

struct server {
	struct server_config config;
	struct wire_table *table;
	struct back *back;
	int listen, ending[2];
	pthread_t acceptor;
	struct worker worker[WIRE_QUEUES_MAX * WORKERS_MAX];
	unsigned workers;
	pthread_mutex_t lock; /* of sessions and waiting */
	struct session *sessions;
	struct waiting *waiting;
};

struct back *server_back(struct server *server)
{
	return server->back;
}

struct wire_table *server_table(struct server *server)
{
	return server->table;
}

unsigned server_cpus(int *cpus, unsigned max)
{
	cpu_set_t set;
	unsigned n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && n < max; i++)
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	return n;
}

/* ---- serving ----------------------------------------------------------------------------------- */

static void flock_add(struct server *server, struct back_request *request)
{
	struct waiting *w = malloc(sizeof(*w));

	w->request = *request;
	pthread_mutex_lock(&server->lock);
	w->next = server->waiting;
	server->waiting = w;
	pthread_mutex_unlock(&server->lock);
}

/* Ends the lock waits of one slot of a session with -EINTR, or all waits with success. */
static void flock_end(struct server *server, struct back_session *session, unsigned slot)
{
	struct waiting **at, *w, *done = NULL;

	pthread_mutex_lock(&server->lock);
	for (at = &server->waiting; (w = *at) != NULL;) {
		if (session && (w->request.session != session || w->request.slot != slot)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = done;
		done = w;
	}
	pthread_mutex_unlock(&server->lock);
	while ((w = done) != NULL) {
		struct wire_reply reply = {.result = session ? -EINTR : 0};

		done = w->next;
		back_complete(server->back, &w->request, &reply);
		free(w);
	}
}

unsigned server_waits(struct server *server)
{
	unsigned n = 0;

	pthread_mutex_lock(&server->lock);
	for (struct waiting *w = server->waiting; w; w = w->next)
		n++;
	pthread_mutex_unlock(&server->lock);
	return n;
}

void server_end_waits(struct server *server)
{
	flock_end(server, NULL, 0);
}

static void take_time(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	if (t.tv_sec < 2)
		nanosleep(&t, NULL);
}

void server_serve_default(struct server *server, unsigned queue, struct back_request *request,
			  struct wire_reply *reply)
{
	const struct wire_request *q = &request->request;
	size_t size;
	void *payload = back_payload(request, q->where == WIRE_IN_BULK ? WIRE_IN_BULK : WIRE_IN_INLINE, &size);

	reply->result = (int64_t)(2 * q->arg);
	if (q->op == WIRE_READ)
		memset(payload, (int)q->arg, q->length < size ? q->length : size);
	if (q->op == WIRE_FSYNC)
		back_yield(server->back, queue);
	if (q->op == WIRE_FSYNC || q->op == WIRE_SYNCFS)
		take_time(q->length);
	if (q->op == WIRE_FLUSH)
		flock_end(server, NULL, 0);
	if (q->op == WIRE_CANCEL)
		flock_end(server, request->session, (unsigned)q->arg);
}

static void worker_serve(struct worker *w, struct back_request *request)
{
	struct wire_reply reply = {0};
	server_serve *serve = w->server->config.serve;

	if (request->request.op == WIRE_FLOCK) {
		flock_add(w->server, request);
		return;
	}
	(serve ? serve : server_serve_default)(w->server, w->queue, request, &reply);
	back_complete(w->server->back, request, &reply);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct back_request request;

	if (w->server->config.pin) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(w->server->config.cpus[w->queue], &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	while (back_next(w->server->back, w->queue, &request) == 1)
		worker_serve(w, &request);
	return NULL;
}

/* ---- sessions ---------------------------------------------------------------------------------- */

static void session_free(struct back_session *back)
{
	free(back);
}

static int session_attach(struct server *server, const struct wire_hello *hello, struct wire_welcome *welcome,
			  int fds[2])
{
	struct wire_session head = {.smo_min = UINT32_MAX, .cma_min = UINT32_MAX, .pid = hello->pid};
	struct session *session = calloc(1, sizeof(*session));
	int r;

	session->server = server;
	session->back.free = session_free;
	r = back_session_open(server->back, &session->back, &head);
	if (r < 0) {
		free(session);
		return r;
	}
	pthread_mutex_lock(&server->lock);
	session->next = server->sessions;
	server->sessions = session;
	pthread_mutex_unlock(&server->lock);
	welcome->session = session->back.number;
	fds[0] = session->back.memfd;
	back_describe(server->back, welcome, &fds[1]);
	return 0;
}

static int session_kick(struct server *server, uint32_t number)
{
	struct back_session *session = back_session_get(server->back, number);

	if (!session)
		return -ESTALE;
	back_session_kick(server->back, session);
	back_session_put(session);
	return 0;
}

static void welcome_send(int fd, const struct wire_welcome *welcome, const int fds[2])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {(void *)welcome, sizeof(*welcome)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fds[0] >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	}
	sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void connection_serve(struct server *server, int fd)
{
	struct wire_welcome welcome = {
		.magic = WIRE_MAGIC, .version = WIRE_VERSION, .generation = server->table->generation};
	struct wire_hello hello;
	int fds[2] = {-1, -1};

	if (recv(fd, &hello, sizeof(hello), 0) != sizeof(hello))
		return;
	if (hello.kind == WIRE_HELLO_ATTACH)
		welcome.result = session_attach(server, &hello, &welcome, fds);
	else if (hello.kind == WIRE_HELLO_KICK)
		welcome.result = session_kick(server, hello.session);
	welcome_send(fd, &welcome, fds);
}

static void *acceptor_run(void *arg)
{
	struct server *server = arg;
	struct pollfd polls[2] = {{.fd = server->listen, .events = POLLIN},
		{.fd = server->ending[0], .events = POLLIN}};

	while (poll(polls, 2, -1) < 0 || !polls[1].revents) {
		int fd = accept4(server->listen, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		connection_serve(server, fd);
		close(fd);
	}
	return NULL;
}

/* ---- beginning and end ------------------------------------------------------------------------- */

static struct wire_table *table_map(const char *dir)
{
	struct wire_table *table;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/table", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(*table)) < 0)
		return NULL;
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return table == MAP_FAILED ? NULL : table;
}

static int socket_listen(const char *dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void generation_next(struct wire_table *table, enum wire_service_state state)
{
	__atomic_store_n(&table->service_state, state, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&table->generation, 1, __ATOMIC_SEQ_CST);
	sys_futex_wake(&table->generation, INT32_MAX);
}

/* Signals are for the test's own threads. */
static void threads_start(struct server *server)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned q = 0; q < server->config.queues; q++) {
		for (unsigned i = 0; i < server->config.workers; i++) {
			struct worker *w = &server->worker[server->workers++];

			*w = (struct worker){.server = server, .queue = q};
			pthread_create(&w->thread, NULL, worker_run, w);
		}
	}
	pthread_create(&server->acceptor, NULL, acceptor_run, server);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int server_start(const struct server_config *config, struct server **ret)
{
	struct server *server = calloc(1, sizeof(*server));
	struct back_config back = {
		.cpus = config->cpus, .queues = config->queues, .queue_slots = config->queue_slots};
	int r;

	server->config = *config;
	pthread_mutex_init(&server->lock, NULL);
	server->table = back.table = table_map(config->dir);
	if (!server->table)
		return -EIO;
	server->table->magic = WIRE_MAGIC;
	server->table->version = WIRE_VERSION;
	server->table->one_core = (uint32_t)config->one_core;
	r = back_new(&back, &server->back);
	if (r < 0)
		return r;
	server->listen = socket_listen(config->dir);
	if (server->listen < 0 || pipe2(server->ending, O_CLOEXEC) < 0)
		return -EIO;
	generation_next(server->table, WIRE_SERVICE_UP);
	threads_start(server);
	*ret = server;
	return 0;
}

struct server *server_stop(struct server *server)
{
	struct session *session;

	close(server->ending[1]);
	pthread_join(server->acceptor, NULL);
	flock_end(server, NULL, 0);
	back_stop(server->back);
	for (unsigned i = 0; i < server->workers; i++)
		pthread_join(server->worker[i].thread, NULL);
	flock_end(server, NULL, 0);
	while ((session = server->sessions) != NULL) {
		server->sessions = session->next;
		back_session_close(server->back, &session->back);
	}
	generation_next(server->table, WIRE_SERVICE_DOWN);
	back_free(server->back);
	munmap(server->table, sizeof(*server->table));
	close(server->listen);
	close(server->ending[0]);
	pthread_mutex_destroy(&server->lock);
	free(server);
	return NULL;
}

pid_t server_fork(const struct server_config *config)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct server *server;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (server_start(config, &server) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

void server_bury(const char *dir)
{
	struct wire_table *table = table_map(dir);

	generation_next(table, WIRE_SERVICE_DOWN);
	munmap(table, sizeof(*table));
}

char *server_dir_new(void)
{
	char *dir = strdup("/tmp/polytropon-ipc-XXXXXX");

	return mkdtemp(dir);
}

void server_dir_remove(char *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/table", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/socket", dir);
	unlink(path);
	rmdir(dir);
	free(dir);
}
