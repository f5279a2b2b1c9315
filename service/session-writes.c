/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files the preload door's clients have open to write, asked when a program is to run from one. The kernel refuses
 * that for the files that it knows to be open; of handles that never became descriptors of its own we know alone.
 *
 * It is asked seldom, so nothing is counted for it: all handles of all sessions are looked at. A client that has ended
 * writes no more, though its end may not have been heard of yet.
 */
#include <fcntl.h>

#include "service/service.h"
#include "service/session.h"
#include "service/socket.h"

static bool is_writer(const struct ofd *ofd, const struct inode *inode)
{
	return ofd && ofd->inode == inode && ofd->file && (ofd->flags & O_ACCMODE) != O_RDONLY &&
	       !__atomic_load_n(&ofd->in_kernel, __ATOMIC_ACQUIRE);
}

static bool session_writes(struct session *session, const struct inode *inode)
{
	bool found = false;

	pthread_mutex_lock(&session->lock);
	for (unsigned i = 0; i < session->handle_room && !found; i++)
		found = is_writer(session->handles[i].ofd, inode);
	pthread_mutex_unlock(&session->lock);
	return found;
}

bool sessions_write(void *arg, struct inode *inode)
{
	struct service *s = arg;
	bool found = false;

	sessions_reap(s);
	pthread_mutex_lock(&s->sessions_lock);
	for (struct session *session = s->sessions; session && !found; session = session->next)
		found = session_writes(session, inode);
	pthread_mutex_unlock(&s->sessions_lock);
	return found;
}
