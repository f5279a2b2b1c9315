/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/lease.h"
#include "service/service.h"
#include "service/session.h"
#include "service/share.h"

static uint32_t handle_number(unsigned index, uint16_t generation)
{
	return index | (uint32_t)(generation & 0x7fff) << 16;
}

/* With the lock held. */
static int handles_grow(struct session *s)
{
	unsigned room = s->handle_room ? s->handle_room * 2 : 32;
	struct handle *handles;

	if (s->handle_room >= HANDLES_MAX)
		return -ENFILE;
	handles = realloc(s->handles, room * sizeof(*handles));
	if (!handles)
		return -ENOMEM;
	memset(handles + s->handle_room, 0, (room - s->handle_room) * sizeof(*handles));
	s->handles = handles;
	s->handle_hint = s->handle_room;
	s->handle_room = room;
	return 0;
}

/* With the lock held: the index of an empty place. */
static int handle_place(struct session *s)
{
	for (unsigned n = 0; n < s->handle_room; n++) {
		unsigned i = s->handle_hint + n;
		if (i >= s->handle_room)
			i -= s->handle_room;
		if (!s->handles[i].ofd)
			return i;
	}
	return handles_grow(s) < 0 ? -ENFILE : (int)s->handle_hint;
}

int64_t session_handle_new(struct session *s, struct ofd *ofd)
{
	int64_t r;
	int i;

	pthread_mutex_lock(&s->lock);
	i = s->ended ? -EIO : handle_place(s);
	r = i;
	if (i >= 0) {
		struct handle *h = &s->handles[i];
		/* 0 is no handle */
		if (++h->generation > 0x7fff)
			h->generation = 1;
		h->ofd = ofd;
		r = handle_number(i, h->generation);
		s->handle_hint = i + 1 < (int)s->handle_room ? i + 1 : 0;
	}
	if (i >= 0)
		__atomic_add_fetch(&ofd->inode->handles, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&s->lock);
	if (i < 0)
		ofd_unref(ofd);
	else
		share_opened(ofd->inode); /* it may be another session's too */
	return r;
}

/* With the lock held. */
static struct handle *handle_find(struct session *s, uint32_t number)
{
	unsigned i = number & 0xffff;

	if (i >= s->handle_room || !s->handles[i].ofd || handle_number(i, s->handles[i].generation) != number)
		return NULL;
	return &s->handles[i];
}

struct ofd *session_handle_get(struct session *s, uint32_t number)
{
	struct handle *h;
	struct ofd *ofd;

	pthread_mutex_lock(&s->lock);
	h = handle_find(s, number);
	ofd = h ? ofd_ref(h->ofd) : NULL;
	pthread_mutex_unlock(&s->lock);
	return ofd;
}

struct ofd *session_handle_take(struct session *s, uint32_t number)
{
	struct handle *h;
	struct ofd *ofd = NULL;

	pthread_mutex_lock(&s->lock);
	h = handle_find(s, number);
	if (h) {
		ofd = h->ofd;
		h->ofd = NULL;
		__atomic_sub_fetch(&ofd->inode->handles, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&s->lock);
	if (ofd)
		share_handle_closed(s, ofd->inode);
	return ofd;
}

void session_caller(struct session *s, struct caller *c, bool real)
{
	pthread_mutex_lock(&s->lock);
	caller_init(c, DOOR_PRELOAD, s->service->pool, real ? s->process.real_uid : s->process.uid,
		    real ? s->process.real_gid : s->process.gid, s->pid);
	c->session = s;
	c->call.payer = s->container;
	c->lease = s->lease;
	c->lease_id = s->lease ? lease_id(s->lease) : 0;
	c->groups_known = true;
	if (s->process.group_count <= CRED_GROUPS_MAX) {
		memcpy(c->groups, s->process.groups, s->process.group_count * sizeof(gid_t));
		c->cred.groups = c->groups;
	} else {
		c->more_groups = malloc(s->process.group_count * sizeof(gid_t));
		if (c->more_groups)
			memcpy(c->more_groups, s->process.groups, s->process.group_count * sizeof(gid_t));
		c->cred.groups = c->more_groups;
	}
	c->cred.group_count = c->cred.groups ? s->process.group_count : 0;
	pthread_mutex_unlock(&s->lock);
}

struct lock_owner session_lock_owner(const struct session *s)
{
	return (struct lock_owner){LOCK_OWNER_PROCESS, s->pid};
}
