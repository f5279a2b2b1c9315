/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/share.h"
#include "service/socket.h"
#include "service/token.h"
#include "service/view.h"

enum { BATCH = 32, CONNECTIONS_MAX = 1024, APART_MAX = 32, APART_STACK = 256 * 1024 };

enum watch_kind { WATCH_LISTEN, WATCH_ENGINE, WATCH_HELLO, WATCH_SESSION, WATCH_EXEC, WATCH_TOKENS, WATCH_VIEW };

struct watch {
	enum watch_kind kind;
	int fd;
	struct session *session; /* SESSION: not referenced (the watch ends with it). EXEC: referenced */
	struct view *view; /* VIEW: not referenced, either */
	struct watch *dead_next;
};

/* The thread's own state; there is one such thread. */
static struct {
	struct watch *dead; /* freed when the batch of events that may name them is done */
	unsigned connections;
	int spare; /* a descriptor for nothing, or -1 */
} loop = {.spare = -1};

static int watch_add(struct service *s, const struct watch *what, uint32_t events, struct watch **ret)
{
	struct watch *watch = malloc(sizeof(*watch));
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (!watch)
		return -ENOMEM;
	*watch = *what;
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, what->fd, &event) < 0) {
		int r = -errno;
		free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

static int watch_new(struct service *s, enum watch_kind kind, int fd, struct session *session)
{
	struct watch *watch;
	int r = watch_add(s, &(struct watch){.kind = kind, .fd = fd, .session = session}, EPOLLIN, &watch);

	if (r == 0 && kind == WATCH_SESSION)
		session->watch = watch;
	return r;
}

static void spare_keep(struct service *s)
{
	if (loop.spare < 0)
		loop.spare = fcntl(s->epoll_fd, F_DUPFD_CLOEXEC, 0);
}

static void watch_end(struct service *s, struct watch *watch)
{
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	close(watch->fd);
	spare_keep(s);
	watch->fd = -1;
	watch->dead_next = loop.dead;
	loop.dead = watch;
	if (watch->kind == WATCH_HELLO || watch->kind == WATCH_EXEC)
		loop.connections--;
}

static void watches_reap(void)
{
	while (loop.dead) {
		struct watch *next = loop.dead->dead_next;
		free(loop.dead);
		loop.dead = next;
	}
}

int socket_watch_session(struct service *s, struct session *session)
{
	return watch_new(s, WATCH_SESSION, session->pidfd, session);
}

/* A mount table is always readable; it tells of changes by exceptions. */
int socket_watch_view(struct service *s, int fd, struct view *view, struct watch **ret)
{
	return watch_add(s, &(struct watch){.kind = WATCH_VIEW, .fd = fd, .view = view}, EPOLLPRI, ret);
}

void socket_forget(struct service *s, struct watch *watch)
{
	watch_end(s, watch);
}

void socket_forget_session(struct service *s, struct session *session)
{
	if (session->watch)
		watch_end(s, session->watch); /* closes pidfd */
	else
		close(session->pidfd);
	session->watch = NULL;
	session->pidfd = -1;
}

/*
 * With no descriptor left, who connects would wait, and we would be woken for it without end: the spare one is for that.
 * It is told that there is no room, then.
 */
static int accept_one(struct service *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || loop.spare < 0)
		return fd;
	close(loop.spare);
	loop.spare = -1;
	return accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The connection stays with the process over its exec; its end is the end of the session. */
static void exec_announced(struct service *s, struct watch *watch)
{
	struct wire_welcome welcome = {.magic = WIRE_MAGIC, .version = WIRE_VERSION};
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(watch->fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
		watch->session = session_of_pid(s, cred.pid);
	if (!watch->session) {
		watch_end(s, watch);
		return;
	}
	watch->kind = WATCH_EXEC;
	send(watch->fd, &welcome, sizeof(welcome), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- hellos that may take long ---------------------------------------------------------------- */

struct apart {
	struct service *service;
	int fd;
	struct wire_hello hello;
};

static unsigned apart_count; /* atomic */

static void *apart_run(void *arg)
{
	struct apart *apart = arg;

	session_hello(apart->service, apart->fd, &apart->hello);
	close(apart->fd);
	free(apart);
	__atomic_sub_fetch(&apart_count, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int apart_start(struct apart *apart)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, APART_STACK);
	__atomic_add_fetch(&apart_count, 1, __ATOMIC_RELAXED);
	r = pthread_create(&thread, &attr, apart_run, apart);
	if (r)
		__atomic_sub_fetch(&apart_count, 1, __ATOMIC_RELAXED);
	pthread_attr_destroy(&attr);
	return -r;
}

/* A thread of its own answers it and takes over the connection. */
static bool hello_apart(struct service *s, struct watch *watch, const struct wire_hello *hello)
{
	struct apart *apart;

	if (hello->kind != WIRE_HELLO_SHARE || __atomic_load_n(&apart_count, __ATOMIC_RELAXED) >= APART_MAX)
		return false;
	apart = malloc(sizeof(*apart));
	if (!apart)
		return false;
	*apart = (struct apart){s, watch->fd, *hello};
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	if (apart_start(apart) < 0) {
		free(apart);
		return false;
	}
	watch->fd = -1;
	return true;
}

/* ---- events ----------------------------------------------------------------------------------- */

static void on_hello(struct service *s, struct watch *watch)
{
	struct wire_hello hello;
	ssize_t n = recv(watch->fd, &hello, sizeof(hello), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(hello) && hello.magic == WIRE_MAGIC && hello.version == WIRE_VERSION) {
		switch (hello.kind) {
		case WIRE_HELLO_ATTACH:
			session_attach(s, watch->fd, &hello);
			break;
		case WIRE_HELLO_EXEC:
			exec_announced(s, watch);
			return;
		default:
			if (!hello_apart(s, watch, &hello))
				session_hello(s, watch->fd, &hello);
		}
	}
	watch_end(s, watch);
}

static void on_listen(struct service *s)
{
	int fd = accept_one(s);
	struct watch *watch;

	if (fd < 0)
		return;
	if (loop.connections >= CONNECTIONS_MAX ||
	    watch_add(s, &(struct watch){.kind = WATCH_HELLO, .fd = fd}, EPOLLIN, &watch) < 0) {
		close(fd);
		return;
	}
	loop.connections++;
	on_hello(s, watch); /* it has said why, most likely */
}

static void on_exec(struct service *s, struct watch *watch)
{
	char byte;
	ssize_t n = recv(watch->fd, &byte, 1, MSG_DONTWAIT);
	struct session *session = watch->session;

	if (n < 0 && errno == EAGAIN)
		return;
	watch_end(s, watch);
	/* A byte: the exec failed, and the process goes on as it was. */
	if (n == 0)
		session_exec(s, session);
	back_session_put(&session->back);
}

static void on_event(struct service *s, struct watch *watch)
{
	if (watch->fd < 0)
		return; /* ended earlier in this batch */
	switch (watch->kind) {
	case WATCH_LISTEN:
		on_listen(s);
		break;
	case WATCH_ENGINE:
		s->stopping = control_message(s);
		break;
	case WATCH_HELLO:
		on_hello(s, watch);
		break;
	case WATCH_SESSION:
		session_end(s, watch->session);
		break;
	case WATCH_EXEC:
		on_exec(s, watch);
		break;
	case WATCH_VIEW:
		view_changed(s, watch->view);
		break;
	case WATCH_TOKENS:
		tokens_reap();
		break;
	}
}

int socket_loop(struct service *s)
{
	struct epoll_event events[BATCH];
	int r = watch_new(s, WATCH_LISTEN, s->listen_fd, NULL);

	if (r == 0)
		r = watch_new(s, WATCH_ENGINE, s->engine_fd, NULL);
	if (r == 0 && tokens_fd() >= 0)
		r = watch_new(s, WATCH_TOKENS, tokens_fd(), NULL);
	/* Who may not look goes on without. */
	if (r == 0)
		view_own_watch(s);
	if (r < 0)
		return r;
	spare_keep(s);
	while (!s->stopping) {
		int n = epoll_wait(s->epoll_fd, events, BATCH, share_orphans_expire());
		for (int i = 0; i < n && !s->stopping; i++)
			on_event(s, events[i].data.ptr);
		watches_reap();
		back_session_prepare(s->back);
	}
	while (__atomic_load_n(&apart_count, __ATOMIC_ACQUIRE))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return 0;
}
