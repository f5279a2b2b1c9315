/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/cred.h"
#include "service/pending.h"
#include "service/session.h"

struct pending {
	struct session *session; /* to compare, not to use */
	pid_t pid;
	uint32_t ns_tid;
	struct ofd *ofd;
	struct pending *next;
};

static pthread_mutex_t pending_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct pending *pendings;
static unsigned pending_count; /* atomic: the common case is none */

static struct pending *unlink_at(struct pending **p)
{
	struct pending *pending = *p;

	*p = pending->next;
	__atomic_sub_fetch(&pending_count, 1, __ATOMIC_SEQ_CST);
	return pending;
}

static void pending_free(struct pending *pending)
{
	ofd_unref(pending->ofd);
	free(pending);
}

static struct pending **find(pid_t pid, uint32_t ns_tid)
{
	struct pending **p = &pendings;

	while (*p && ((*p)->pid != pid || (*p)->ns_tid != ns_tid))
		p = &(*p)->next;
	return p;
}

static int add(struct session *session, pid_t pid, uint32_t ns_tid, struct ofd *ofd)
{
	struct pending *pending = malloc(sizeof(*pending)), *old = NULL, **p;

	if (!pending)
		return -ENOMEM;
	*pending = (struct pending){.session = session, .pid = pid, .ns_tid = ns_tid, .ofd = ofd_ref(ofd)};
	pthread_mutex_lock(&pending_mutex);
	p = find(pid, ns_tid);
	if (*p)
		old = unlink_at(p);
	pending->next = pendings;
	pendings = pending;
	__atomic_add_fetch(&pending_count, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&pending_mutex);
	if (old)
		pending_free(old);
	return 0;
}

int pending_add(struct session *session, uint32_t ns_tid, struct ofd *ofd)
{
	return add(session, session->pid, ns_tid, ofd);
}

int pending_add_self(struct ofd *ofd)
{
	return add(NULL, getpid(), gettid(), ofd);
}

/* With the mutex held: the entry of a host thread, or NULL. */
static struct pending **find_thread(pid_t tid)
{
	struct pending **p;
	pid_t pid, ns_tid;

	if (thread_identify(cred_proc_fd, tid, &pid, &ns_tid) < 0)
		return NULL;
	p = find(pid, ns_tid);
	return *p ? p : NULL;
}

int pending_take(pid_t tid, struct inode *inode, struct ofd **ret)
{
	struct pending *taken = NULL, **p;

	if (!__atomic_load_n(&pending_count, __ATOMIC_SEQ_CST))
		return 0;
	pthread_mutex_lock(&pending_mutex);
	p = find_thread(tid);
	if (p)
		taken = unlink_at(p);
	pthread_mutex_unlock(&pending_mutex);
	if (!taken)
		return 0;
	if (taken->ofd->inode != inode) {
		pending_free(taken);
		return -ESTALE;
	}
	*ret = taken->ofd;
	free(taken);
	return 1;
}

struct inode *pending_lookup(pid_t tid, const char *name)
{
	struct inode *inode = NULL;
	struct pending **p;

	if (!__atomic_load_n(&pending_count, __ATOMIC_SEQ_CST))
		return NULL;
	pthread_mutex_lock(&pending_mutex);
	p = find_thread(tid);
	if (p && strtoull(name + strlen(WIRE_OPEN_NAME), NULL, 16) == (*p)->ofd->id)
		inode = inode_ref((*p)->ofd->inode);
	pthread_mutex_unlock(&pending_mutex);
	return inode;
}

void pending_end(struct session *session)
{
	struct pending *gone = NULL, *next;

	pthread_mutex_lock(&pending_mutex);
	for (struct pending **p = &pendings; *p;) {
		if ((*p)->session != session) {
			p = &(*p)->next;
			continue;
		}
		struct pending *pending = unlink_at(p);
		pending->next = gone;
		gone = pending;
	}
	pthread_mutex_unlock(&pending_mutex);
	for (; gone; gone = next) {
		next = gone->next;
		pending_free(gone);
	}
}
