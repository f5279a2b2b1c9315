/* SPDX-License-Identifier: Apache-2.0 */
#include "service/watched.h"

#include "service/request.h"
#include "service/share.h"

/* Which one is the last is said once, and no mark is made in a turn that is over. */
static void watched_mark(struct session *session, struct inode *inode)
{
	struct service *s = session->service;

	pthread_mutex_lock(&s->watch_lock);
	if (!session->watches) {
		session->watches = true;
		s->watchers++;
	}
	if (!s->watch_turn)
		s->watch_turn = 1;
	__atomic_store_n(&inode->watched, s->watch_turn, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&s->watch_lock);
}

void watched_end(struct session *session)
{
	struct service *s = session->service;

	pthread_mutex_lock(&s->watch_lock);
	if (session->watches && --s->watchers == 0)
		__atomic_add_fetch(&s->watch_turn, 1, __ATOMIC_SEQ_CST);
	session->watches = false;
	pthread_mutex_unlock(&s->watch_lock);
}

int64_t request_watch(struct request *q)
{
	struct object o;
	int r = request_object(q, q->in->flags & WIRE_NOFOLLOW ? 0 : WALK_FOLLOW, &o);

	if (r < 0)
		return r;
	if (o.inode->fs->hooks) {
		watched_mark(q->session, o.inode);
		/* Who writes to it without a message asks next time. */
		share_end_writers(o.inode);
	}
	object_end(&o);
	return 0;
}
