/* SPDX-License-Identifier: Apache-2.0 */
/* How sessions begin and end. All of it runs in the socket thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service/ahead.h"
#include "service/container.h"
#include "service/lease.h"
#include "service/pending.h"
#include "service/roots.h"
#include "service/service.h"
#include "service/session.h"
#include "service/share.h"
#include "service/socket.h"
#include "service/token.h"
#include "service/view.h"
#include "service/watched.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static void session_free(struct back_session *back)
{
	struct session *s = (struct session *)back;

	watched_end(s);
	process_fini(&s->process);
	lease_close(s->lease);
	view_put(s->view);
	pthread_mutex_destroy(&s->lock);
	free(s->handles);
	ahead_free(s->ahead);
	free(s);
}

/* A descriptor that tells when the peer ends. */
static int peer_pidfd(int socket, pid_t pid)
{
	socklen_t size = sizeof(int);
	int fd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
		return fd;
	fd = syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

/* Everything that the process held: what other threads may find still held after its parent saw it end. */
static void session_release(struct service *s, struct session *session, bool process_ended);

/*
 * Held while a session leaves the list and lets go of what it held: a dead process is in the list, or its locks are
 * gone.
 */
static pthread_mutex_t release_mutex = PTHREAD_MUTEX_INITIALIZER;

void sessions_reap(void *arg)
{
	enum { AT_ONCE = 16 };
	struct session *dead[AT_ONCE], *session;
	struct service *s = arg;
	int n = 0;

	pthread_mutex_lock(&release_mutex);
	pthread_mutex_lock(&s->sessions_lock);
	for (session = s->sessions; session && n < AT_ONCE; session = session->next) {
		struct pollfd poll_fd = {.fd = session->pidfd, .events = POLLIN};
		if (session->reaped || poll(&poll_fd, 1, 0) <= 0 || !back_session_get(s->back, session->back.number))
			continue;
		session->reaped = true;
		dead[n++] = session;
	}
	pthread_mutex_unlock(&s->sessions_lock);
	while (n-- > 0) {
		session_release(s, dead[n], true);
		back_session_put(&dead[n]->back);
	}
	pthread_mutex_unlock(&release_mutex);
}

static int peer_of(int socket, struct ucred *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, ret, &size) < 0 ? -errno : 0;
}

/*
 * Who the peer is. Ids come from the socket, where the kernel put them at connect; what the socket does not
 * carry (real ids, umask, groups in one go) from /proc, which agrees unless the process changes at this moment.
 */
static int peer_process(struct service *s, const struct ucred *cred, struct process *ret)
{
	int r = process_read(s->proc_fd, cred->pid, ret);

	if (r < 0)
		return r;
	ret->uid = cred->uid;
	ret->gid = cred->gid;
	return 0;
}

struct session *session_of_pid(struct service *s, pid_t pid)
{
	struct session *session;

	pthread_mutex_lock(&s->sessions_lock);
	for (session = s->sessions; session && session->pid != pid; session = session->next)
		;
	if (session)
		session = (struct session *)back_session_get(s->back, session->back.number);
	pthread_mutex_unlock(&s->sessions_lock);
	return session;
}

/* The inodes of an instance that have locks, referenced. Returns how many; *ret is owned. */
static size_t locked_inodes(struct instance *fs, struct inode ***ret)
{
	size_t n = 0;

	pthread_mutex_lock(&fs->lock);
	*ret = calloc(fs->inode_count, sizeof(**ret));
	for (unsigned i = 0; i < INODE_BUCKETS && *ret; i++)
		for (struct inode *inode = fs->bucket[i]; inode; inode = inode->hash_next)
			if (inode->locks.held) {
				inode->refs++;
				(*ret)[n++] = inode;
			}
	pthread_mutex_unlock(&fs->lock);
	return n;
}

static void drop_locks_everywhere(struct service *s, struct session *session)
{
	for (unsigned m = 0; m < service_mount_top(s); m++) {
		struct instance *fs = service_mount_get(s, m);
		struct inode **inodes;
		size_t n = fs ? locked_inodes(fs, &inodes) : 0;
		if (!fs)
			continue;
		while (n-- > 0) {
			hosts_lock_drop(inodes[n], session_lock_owner(session), false);
			inode_unref(inodes[n]);
		}
		free(inodes);
		service_mount_put(fs);
	}
}

/* Closes every handle, as the kernel closes descriptors: locks on those inodes go with them. */
static void handles_end(struct session *session, bool locks)
{
	for (unsigned i = 0;; i++) {
		struct ofd *ofd;

		pthread_mutex_lock(&session->lock);
		if (i >= session->handle_room) {
			pthread_mutex_unlock(&session->lock);
			return;
		}
		ofd = session->handles[i].ofd;
		session->handles[i].ofd = NULL;
		if (ofd)
			__atomic_sub_fetch(&ofd->inode->handles, 1, __ATOMIC_SEQ_CST);
		pthread_mutex_unlock(&session->lock);
		if (!ofd)
			continue;
		/* After an exec, an open file that the kernel holds too is still open in the process. */
		if (locks || __atomic_load_n(&ofd->refs, __ATOMIC_ACQUIRE) == 1)
			hosts_lock_drop(ofd->inode, session_lock_owner(session), false);
		ofd_unref(ofd);
	}
}

static void session_release(struct service *s, struct session *session, bool process_ended)
{
	if (process_ended) {
		pthread_mutex_lock(&session->lock);
		session->ended = true;
		pthread_mutex_unlock(&session->lock);
	}
	session_waits_end(session);
	session_held_end(session);
	pending_end(session);
	handles_end(session, process_ended);
	share_session_ended(session);
	if (process_ended && session->had_locks)
		drop_locks_everywhere(s, session);
}

static void session_finish(struct service *s, struct session *session, bool process_ended)
{
	struct session **p;

	pthread_mutex_lock(&release_mutex);
	pthread_mutex_lock(&s->sessions_lock);
	for (p = &s->sessions; *p && *p != session; p = &(*p)->next)
		;
	if (*p) {
		*p = session->next;
		s->session_count--;
	}
	pthread_mutex_unlock(&s->sessions_lock);
	view_leave(s, session->view);
	socket_forget_session(s, session); /* after it left the list, whose readers use its pidfd */
	session_release(s, session, process_ended);
	container_count(session);
	pthread_mutex_unlock(&release_mutex);
	back_session_close(s->back, &session->back);
}

void session_end(struct service *s, struct session *session)
{
	session_finish(s, session, true);
}

void session_exec(struct service *s, struct session *session)
{
	/* The session stays, empty: locks on files that are still open go with the process. */
	session_release(s, session, false);
}

/* A lease table for these credentials, where there is anything to be known without asking; or NULL. What one container
 * knows of names is nothing to others. */
static struct lease *session_lease(const struct service *s, const struct session *session, const struct process *process)
{
	unsigned view = session->view ? view_number(session->view) : 0;

	if (session->view && (view_ended(session->view) || view_root(session->view) < 0))
		return NULL;
	for (unsigned m = 0; m < s->mount_count; m++)
		if (!s->mount[m]->shared || s->mount[m]->delegates)
			return lease_open(process, view, s->table->generation);
	if (s->roots && !(roots_store(s)->traits & LS_SHARED))
		return lease_open(process, view, s->table->generation);
	return NULL;
}

/* An answer with at most one descriptor. */
static int answer_send(int socket, int result, int fd)
{
	struct wire_welcome welcome = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .result = result};
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {&welcome, sizeof(welcome)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int welcome_send(struct service *s, int socket, struct session *session, int result, uint32_t adopted)
{
	struct wire_welcome welcome = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .result = result, .adopted = adopted};
	char control[CMSG_SPACE(3 * sizeof(int))] = "";
	struct iovec iov = {&welcome, sizeof(welcome)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[3];

	if (session) {
		unsigned count = session->lease ? 3 : 2;
		struct cmsghdr *cmsg;
		back_describe(s->back, &welcome, &fds[1]);
		welcome.session = session->back.number;
		welcome.generation = s->table->generation;
		welcome.session_size = WIRE_SESSION_SIZE;
		fds[0] = session->back.memfd;
		fds[2] = session->lease ? lease_fd(session->lease) : -1;
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int session_make(struct service *s, int socket, const struct ucred *cred, const struct wire_hello *hello,
			struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	struct wire_session head = {0};
	int r;

	if (!session)
		return -ENOMEM;
	*session = (struct session){.service = s, .pid = cred->pid, .pidfd = -1, .back.free = session_free};
	pthread_mutex_init(&session->lock, NULL);
	r = peer_process(s, cred, &session->process);
	if (r == 0)
		container_join(s, session);
	if (r == 0)
		r = session->pidfd = peer_pidfd(socket, cred->pid);
	if (r >= 0)
		r = session_view(s, session);
	if (r >= 0) {
		session->lease = session_lease(s, session, &session->process);
		head.umask = session->process.umask;
		head.uid = session->process.uid;
		head.gid = session->process.gid;
		head.pid = hello->pid;
		head.smo_min = s->copy.smo_min;
		head.cma_min = s->copy.cma_min;
		r = back_session_open(s->back, &session->back, &head);
	}
	if (r < 0) {
		if (session->pidfd >= 0)
			close(session->pidfd);
		view_leave(s, session->view);
		session_free(&session->back);
		return r;
	}
	*ret = session;
	return 0;
}

int session_attach(struct service *s, int socket, const struct wire_hello *hello)
{
	struct session *session = NULL, *old;
	uint32_t adopted = 0;
	struct ucred cred;
	int r = peer_of(socket, &cred);

	if (r == 0 && cred.pid <= 0)
		r = -ESRCH;
	if (r == 0)
		r = session_make(s, socket, &cred, hello, &session);
	if (r < 0) {
		welcome_send(s, socket, NULL, r, 0);
		return r;
	}
	/* The same process attaches again: it has a new image, or lost its session. */
	old = session_of_pid(s, cred.pid);
	if (old) {
		session->had_locks = old->had_locks;
		session_finish(s, old, false);
		back_session_put(&old->back);
	}
	pthread_mutex_lock(&s->sessions_lock);
	session->next = s->sessions;
	s->sessions = session;
	s->session_count++;
	pthread_mutex_unlock(&s->sessions_lock);
	r = socket_watch_session(s, session);
	if (r == 0 && hello->handle)
		adopted = session_adopt_cwd(session, hello->handle, hello->offset);
	if (r == 0)
		r = welcome_send(s, socket, session, 0, adopted);
	close(session->back.memfd);
	session->back.memfd = -1;
	if (r < 0)
		session_finish(s, session, true);
	return r;
}

/* The session that the peer speaks of: it must be its process's current one. Referenced. */
static int peer_session(struct service *s, int socket, uint32_t number, struct session **ret)
{
	struct session *session;
	struct ucred cred;
	int r = peer_of(socket, &cred);

	if (r < 0)
		return r;
	session = session_of_pid(s, cred.pid);
	if (session && session->back.number == number) {
		*ret = session;
		return 0;
	}
	if (session)
		back_session_put(&session->back);
	return -ESTALE;
}

static int session_refresh(struct service *s, int socket, struct session *session)
{
	struct process process, swap;
	struct lease *lease, *old;
	struct ucred cred;
	int r = peer_of(socket, &cred);

	if (r == 0)
		r = peer_process(s, &cred, &process);
	if (r < 0)
		return r;
	lease = session_lease(s, session, &process);
	pthread_mutex_lock(&session->lock);
	swap = session->process;
	old = session->lease;
	session->process = process;
	session->lease = lease;
	pthread_mutex_unlock(&session->lock);
	if (swap.uid != process.uid)
		share_user_changed(session);
	process_fini(&swap);
	lease_close(old);
	return 0;
}

static int session_token(struct ofd *ofd, uint64_t offset)
{
	if (offset != UINT64_MAX) {
		pthread_mutex_lock(&ofd->position_lock);
		ofd->position = offset;
		pthread_mutex_unlock(&ofd->position_lock);
	}
	return token_make(ofd);
}

/*
 * Opens the FUSE file for a client that may not: one that made a file which it may not open again, say. The OPEN
 * message comes to a thread of the FUSE door, and joins the open file. Without FUSE, a token.
 */
static int session_fetch(struct session *session, const struct wire_hello *hello)
{
	struct ofd *ofd = session_handle_get(session, hello->handle);
	char name[64];
	int r, fd = -1;

	if (!ofd)
		return -EBADF;
	snprintf(name, sizeof(name), WIRE_OPEN_NAME "%llx", (unsigned long long)ofd->id);
	r = ofd->inode->fs->root_fd < 0 ? session_token(ofd, hello->offset) : pending_add_self(ofd);
	if (ofd->inode->fs->root_fd >= 0 && r == 0) {
		fd = openat(ofd->inode->fs->root_fd, name, (ofd->flags & ~O_NOFOLLOW) | O_CLOEXEC);
		r = fd < 0 ? -errno : fd;
		faccessat(ofd->inode->fs->root_fd, name, F_OK, 0); /* so that the kernel drops it, as fd-materialise.c */
	}
	ofd_unref(ofd);
	return r;
}

int session_hello(struct service *s, int socket, const struct wire_hello *hello)
{
	struct session *session;
	int fd = -1, lent = -1, r = peer_session(s, socket, hello->session, &session);

	if (r < 0)
		return answer_send(socket, r, -1);
	if (hello->kind == WIRE_HELLO_SHARE) {
		r = share_answer(session, socket, hello);
		back_session_put(&session->back);
		return r;
	}
	switch (hello->kind) {
	case WIRE_HELLO_CREDENTIALS:
		r = session_refresh(s, socket, session);
		lent = r == 0 && session->lease ? lease_fd(session->lease) : -1;
		break;
	case WIRE_HELLO_KICK:
		back_session_kick(s->back, &session->back);
		break;
	case WIRE_HELLO_MOUNTS: /* who watches mounts is this thread, and was told before */
		break;
	case WIRE_HELLO_FETCH:
		r = fd = session_fetch(session, hello);
		break;
	default:
		r = -EINVAL;
	}
	r = answer_send(socket, r < 0 ? r : 0, fd >= 0 ? fd : lent);
	back_session_put(&session->back);
	if (fd >= 0)
		close(fd);
	return r;
}
