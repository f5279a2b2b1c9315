/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/passing.h"
#include "engine/runtime-dir.h"
#include "engine/title.h"

enum {
	REAPER_GRACE_MS = 10 * 1000, /* for services to write back */
	REAPER_REMOVE_MS = 5 * 1000, /* for groups to become empty */
};

struct message {
	char pool[64];
	struct group group;
	bool forget;
};

struct charge {
	TAILQ_ENTRY(charge) link;
	char pool[64];
	struct group group;
	int service;
};

TAILQ_HEAD(charges, charge);

void reaper_pool(int reaper, const char *pool, const struct group *group, int service)
{
	struct message message = {.group = *group};

	snprintf(message.pool, sizeof(message.pool), "%s", pool);
	passing_send(reaper, &message, sizeof(message), service, 0);
}

void reaper_forget(int reaper, const char *pool)
{
	struct message message = {.forget = true};

	snprintf(message.pool, sizeof(message.pool), "%s", pool);
	passing_send(reaper, &message, sizeof(message), -1, 0);
}

static void charge_drop(struct charges *charges, const char *pool)
{
	struct charge *c;

	TAILQ_FOREACH(c, charges, link)
		if (!strcmp(c->pool, pool))
			break;
	if (!c)
		return;
	TAILQ_REMOVE(charges, c, link);
	close_p(&c->service);
	free(c);
}

static void charge_take(struct charges *charges, const struct message *message, int service)
{
	struct charge *c;

	charge_drop(charges, message->pool);
	c = message->forget ? NULL : calloc(1, sizeof(*c));
	if (!c) {
		close_p(&service);
		return;
	}
	memcpy(c->pool, message->pool, sizeof(c->pool));
	c->group = message->group;
	c->service = service;
	TAILQ_INSERT_TAIL(charges, c, link);
}

static void wait_or_kill(struct charge *c, int64_t until)
{
	struct pollfd p = {.fd = c->service, .events = POLLIN};
	int64_t left = until - now_ms();

	if (c->service < 0)
		return;
	if (poll(&p, 1, left > 0 ? left : 0) != 1)
		pidfd_send_signal(c->service, SIGKILL, NULL, 0);
	close_p(&c->service);
}

static void remove_group(struct charge *c, int64_t until)
{
	const struct timespec pause = {0, 20 * 1000 * 1000};

	while (group_remove(&c->group, false) < 0 && now_ms() < until) {
		group_kill(&c->group);
		nanosleep(&pause, NULL);
	}
	group_remove(&c->group, true);
}

static void reaper_run(int socket, int lock)
{
	struct charges charges = TAILQ_HEAD_INITIALIZER(charges);
	struct message message;
	struct charge *c;
	int64_t grace;
	int fd;

	while (passing_receive(socket, &message, sizeof(message), &fd) == sizeof(message))
		charge_take(&charges, &message, fd);
	grace = now_ms() + REAPER_GRACE_MS;
	TAILQ_FOREACH(c, &charges, link)
		wait_or_kill(c, grace);
	grace = now_ms() + REAPER_REMOVE_MS;
	TAILQ_FOREACH(c, &charges, link)
		remove_group(c, grace);
	/* An engine that ended in good order removed its directory, and another may live there now. */
	if (lock >= 0 && !TAILQ_EMPTY(&charges))
		runtime_remove();
	_exit(0);
}

/* The socket becomes 3 and the lock, if there is one, 4. */
static void keep_only(int socket, int lock)
{
	int s = fcntl(socket, F_DUPFD, 10), l = lock < 0 ? -1 : fcntl(lock, F_DUPFD, 10);

	dup2(s, 3);
	if (l >= 0)
		dup2(l, 4);
	close_range(l >= 0 ? 5 : 4, ~0u, 0);
}

/* Waits for every child that is left, which is the reaper alone. */
void reaper_dismiss(int *reaper)
{
	close_p(reaper);
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

int reaper_start(int lock, struct error *error)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(error, errno, "make the reaper's socket");
	pid = fork();
	if (pid == 0) {
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		title_set("polytropon reaper");
		setsid();
		keep_only(pair[1], lock);
		if (chdir("/") == 0)
			reaper_run(3, lock);
		_exit(1);
	}
	close(pair[1]);
	if (pid > 0)
		return pair[0];
	close(pair[0]);
	return error_errno(error, errno, "start the reaper");
}
