/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of the preload door. A request that must wait is parked: it costs no thread, and completes when the
 * lock is granted, when the client cancels it because a signal came, or when the session ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "service/request.h"
#include "service/stats.h"

struct wait_entry {
	struct lock_wait wait;
	struct service *service;
	struct back_request back;
	struct ofd *ofd;
	struct wait_entry *next; /* of the session */
};

static void wait_list(struct wait_entry *entry)
{
	struct session *s = (struct session *)entry->back.session;

	pthread_mutex_lock(&s->lock);
	entry->next = s->waits;
	s->waits = entry;
	pthread_mutex_unlock(&s->lock);
}

static void wait_unlist(struct wait_entry *entry)
{
	struct session *s = (struct session *)entry->back.session;

	pthread_mutex_lock(&s->lock);
	for (struct wait_entry **p = &s->waits; *p; p = &(*p)->next)
		if (*p == entry) {
			*p = entry->next;
			break;
		}
	pthread_mutex_unlock(&s->lock);
}

static void wait_done(struct lock_wait *wait, int result)
{
	struct wait_entry *entry = (struct wait_entry *)wait;
	struct wire_reply reply = {.result = result};

	wait_unlist(entry);
	stat_record_parked(DOOR_PRELOAD, entry->back.request.op, entry->back.taken_at, result,
			   &(struct stat_about){.pid = ((struct session *)entry->back.session)->pid,
						.container = ((struct session *)entry->back.session)->container});
	back_complete(entry->service->back, &entry->back, &reply);
	ofd_unref(entry->ofd);
	free(entry);
}

/* An object for a wait that may come; takes over ofd's reference when the wait is parked. */
static struct wait_entry *wait_new(struct request *q, struct ofd *ofd)
{
	struct wait_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	*entry = (struct wait_entry){.wait.done = wait_done, .service = q->service, .back = *q->back, .ofd = ofd};
	return entry;
}

/* After vfs_flock or lock_set_wait said r. */
static int64_t wait_settle(struct wait_entry *entry, struct ofd *ofd, int r)
{
	if (r == 1)
		return REQUEST_PARKED;
	if (entry) {
		wait_unlist(entry);
		free(entry);
	}
	ofd_unref(ofd);
	return r;
}

int64_t request_flock(struct request *q)
{
	struct ofd *ofd = session_handle_get(q->session, q->in->handle);
	struct wait_entry *entry = NULL;

	if (!ofd)
		return -EBADF;
	if (!(q->in->arg & LOCK_NB)) {
		entry = wait_new(q, ofd);
		if (!entry)
			return wait_settle(NULL, ofd, -ENOMEM);
		wait_list(entry);
	}
	return wait_settle(entry, ofd, vfs_flock(&q->caller, ofd, q->in->arg, entry ? &entry->wait : NULL));
}

/* The range that the request names. 0 or -errno. */
static int range_of(struct request *q, struct ofd *ofd, struct lock_range *ret)
{
	bool ofd_lock = q->in->arg == F_OFD_SETLK || q->in->arg == F_OFD_SETLKW || q->in->arg == F_OFD_GETLK;
	int64_t start = q->in->offset, length = q->in->length;

	if (length < 0) {
		start += length;
		length = -length;
	}
	if (start < 0)
		return -EINVAL;
	if (length > 0 && start > INT64_MAX - (length - 1))
		return -EOVERFLOW;
	*ret = (struct lock_range){.type = (int)q->in->mode, .start = start,
				   .end = length ? (uint64_t)start + length - 1 : UINT64_MAX,
				   .pid = ofd_lock ? -1 : q->session->pid};
	if (ofd_lock)
		ret->owner = (struct lock_owner){LOCK_OWNER_OFD, ofd->id};
	else
		ret->owner = session_lock_owner(q->session);
	switch (ret->type) {
	case F_UNLCK:
		return 0;
	case F_RDLCK:
		return (ofd->flags & O_ACCMODE) == O_WRONLY ? -EBADF : 0;
	case F_WRLCK:
		return (ofd->flags & O_ACCMODE) == O_RDONLY ? -EBADF : 0;
	}
	return -EINVAL;
}

static int64_t lock_query(struct request *q, struct ofd *ofd, const struct lock_range *probe)
{
	struct lock_range found;
	int r = hosts_lock_get(ofd, probe, &found);

	if (r < 0)
		return r;
	q->out.arg = found.type;
	q->out.offset = found.start;
	q->out.length = found.end == UINT64_MAX ? 0 : found.end - found.start + 1;
	q->out.handle = found.pid > 0 ? process_inner_pid(q->service->proc_fd, found.pid) : found.pid;
	return 0;
}

int64_t request_lock(struct request *q)
{
	struct ofd *ofd = session_handle_get(q->session, q->in->handle);
	struct wait_entry *entry = NULL;
	struct lock_range range;
	bool get;
	int64_t r;

	if (!ofd)
		return -EBADF;
	get = q->in->arg == F_GETLK || q->in->arg == F_OFD_GETLK;
	r = range_of(q, ofd, &range);
	if (get && r == -EBADF)
		r = 0; /* asking needs no access */
	if (r < 0)
		return wait_settle(NULL, ofd, r);
	if (get) {
		r = range.type == F_UNLCK ? -EINVAL : lock_query(q, ofd, &range);
		return wait_settle(NULL, ofd, r);
	}
	if (range.owner.kind == LOCK_OWNER_OFD)
		ofd->ofd_locked = true;
	else
		q->session->had_locks = true;
	if (q->in->arg == F_SETLK || q->in->arg == F_OFD_SETLK)
		return wait_settle(NULL, ofd, vfs_lock(&q->caller, ofd, &range));
	if (q->in->arg != F_SETLKW && q->in->arg != F_OFD_SETLKW)
		return wait_settle(NULL, ofd, -EINVAL);
	entry = wait_new(q, ofd);
	if (!entry)
		return wait_settle(NULL, ofd, -ENOMEM);
	entry->wait.range = range;
	wait_list(entry);
	return wait_settle(entry, ofd, hosts_lock_wait(ofd, &entry->wait));
}

/* Under the session's lock the entry cannot be freed: wait_done unlists it first. */
static bool cancel_one(struct session *s, int64_t slot)
{
	struct wait_entry *entry;

	pthread_mutex_lock(&s->lock);
	for (entry = s->waits; entry && slot >= 0 && entry->back.slot != slot; entry = entry->next)
		;
	pthread_mutex_unlock(&s->lock);
	/* It may be over by now; hosts_lock_cancel compares the address with the waits there are. */
	return entry && hosts_lock_cancel(&entry->wait);
}

int64_t request_cancel(struct request *q)
{
	cancel_one(q->session, q->in->arg & 0xffff);
	return 0;
}

void session_waits_end(struct session *session)
{
	while (cancel_one(session, -1))
		;
}
