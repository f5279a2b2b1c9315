/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked handles: a client that closes a file keeps the handle in its session's memory instead of sending CLOSE, and
 * may take it out again to open the file without a message. Whoever changes the word to 0 owns the handle.
 *
 * Nobody may be able to tell. So what loses a name is taken from the clients before that is acknowledged. A client
 * looks, after it has parked a handle, whether the inode is still in its lease table; here we look for handles after
 * the inode was taken out of the tables: of the two, one sees the other. And a handle that a client has parked is
 * closed without dropping the process's locks: the close(2) is long past, and there were none then.
 */
#include "service/service.h"
#include "service/session.h"

enum {
	LOOK_EVERY = 2, /* opens */
	LOOK_ENDS = 3,  /* handles: as many as come, and one */
	AT_ONCE = 32,
};

static uint32_t *parked_of(const struct session *session)
{
	return ((struct wire_session *)session->back.memory)->parked;
}

struct ofd *session_parked_take(struct session *session, uint32_t *word, uint32_t handle)
{
	if (!__atomic_compare_exchange_n(word, &handle, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return NULL;
	return session_handle_take(session, handle);
}

static unsigned parked_count(const uint32_t *parked)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WIRE_PARKED; i++)
		n += __atomic_load_n(&parked[i], __ATOMIC_RELAXED) != 0;
	return n;
}

void session_parked_busy(struct session *session, unsigned ahead)
{
	uint32_t *parked = parked_of(session);
	unsigned room = WIRE_PARKED / 4 + ahead, ends = LOOK_ENDS + ahead, ended = 0, count;

	if (__atomic_add_fetch(&session->opens, 1, __ATOMIC_RELAXED) % LOOK_EVERY && !ahead)
		return;
	count = parked_count(parked);
	if (count <= WIRE_PARKED - room)
		return;
	if (ends > count - (WIRE_PARKED - room))
		ends = count - (WIRE_PARKED - room);
	/* The client fills the places in turn; those after the last that we emptied are the oldest. */
	for (unsigned i = 0; i < WIRE_PARKED && ended < ends; i++) {
		uint32_t *word = &parked[__atomic_fetch_add(&session->parked_next, 1, __ATOMIC_RELAXED) % WIRE_PARKED];
		uint32_t handle = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (!handle)
			continue;
		ofd_unref(session_parked_take(session, word, handle));
		ended++;
	}
}

/* Those of one session; collects open files, to be closed without a lock. Returns how many, at most `room`. */
static unsigned parked_collect(struct session *session, const struct inode *inode, struct ofd **ret, unsigned room)
{
	uint32_t *parked = parked_of(session);
	unsigned n = 0;

	for (unsigned i = 0; i < WIRE_PARKED + WIRE_AHEAD && n < room; i++) {
		uint32_t handle = __atomic_load_n(&parked[i], __ATOMIC_SEQ_CST);
		struct ofd *ofd = handle ? session_handle_get(session, handle) : NULL;
		bool found = ofd && ofd->inode == inode;
		ofd_unref(ofd);
		if (found && (ofd = session_parked_take(session, &parked[i], handle)) != NULL)
			ret[n++] = ofd;
	}
	return n;
}

void sessions_parked_drop(void *arg, struct inode *inode)
{
	struct ofd *found[AT_ONCE];
	struct service *s = arg;
	unsigned n;

	do {
		n = 0;
		pthread_mutex_lock(&s->sessions_lock);
		for (struct session *session = s->sessions; session && n < AT_ONCE; session = session->next)
			n += parked_collect(session, inode, found + n, AT_ONCE - n);
		pthread_mutex_unlock(&s->sessions_lock);
		for (unsigned i = 0; i < n; i++)
			ofd_unref(found[i]);
	} while (n == AT_ONCE);
}
