/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: their memory, their numbers, and the life of a request in a slot.
 *
 * Every byte of a session's memory is the client's to change at any moment. What the service decides by is a
 * private copy of the request, made once. `taken` is private, too: however a client plays with the state of
 * a slot, no two requests of one slot are served at once.
 *
 * A session is looked up by a number that comes from a hostile queue, by several workers at once, while it
 * may be closing. A request takes its slot (a full barrier) and then sees whether the session is open;
 * closing ends the openness (a full barrier) and then sees whether slots are taken. So either the request
 * sees that it comes too late, or the session waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ipc/back-internal.h"

/* ---- references -------------------------------------------------------------------------------- */

bool back_place_get(struct back_place *place)
{
	uint32_t refs = __atomic_load_n(&place->refs, __ATOMIC_RELAXED);

	/* Acquires the session that place_open published. */
	while (refs & BACK_OPEN)
		if (__atomic_compare_exchange_n(&place->refs, &refs, refs + 1, 1, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

static bool place_is_idle(struct back_place *place)
{
	if (__atomic_load_n(&place->refs, __ATOMIC_SEQ_CST))
		return false;
	for (unsigned i = 0; i < WIRE_SLOTS; i++)
		if (__atomic_load_n(&place->taken[i], __ATOMIC_SEQ_CST))
			return false;
	return true;
}

static void session_end(struct back_session *session)
{
	munmap(session->memory, WIRE_SESSION_SIZE);
	if (session->memfd >= 0)
		close(session->memfd);
	session->memory = NULL;
	session->memfd = -1;
	if (session->free)
		session->free(session);
}

/* Ends a closed session, if it is time. */
static void place_end(struct back_place *place)
{
	struct back_session *session = NULL;
	struct back *back = place->back;

	if (!back)
		return; /* nobody ever had it: a hostile queue named it */
	pthread_mutex_lock(&back->lock);
	if (place->session && place_is_idle(place)) {
		session = place->session;
		place->session = NULL;
	}
	pthread_mutex_unlock(&back->lock);
	if (session)
		session_end(session);
}

/* Ends one reference. */
void back_place_put(struct back_place *place)
{
	if (__atomic_sub_fetch(&place->refs, 1, __ATOMIC_SEQ_CST) == 0)
		place_end(place);
}

void back_session_put(struct back_session *session)
{
	back_place_put(session->place);
}

struct back_session *back_session_get(struct back *back, uint32_t number)
{
	struct back_place *place = &back->places[number & BACK_PLACE_MASK];

	if (!back_place_get(place))
		return NULL;
	if (place->number == number)
		return place->session;
	back_place_put(place);
	return NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static int memory_make(struct back_memory *ret)
{
	int fd = memfd_create("polytropon-session", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;
	char *memory;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, WIRE_SESSION_SIZE) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	memory = mmap(NULL, WIRE_SESSION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret = (struct back_memory){memory, fd};
	return 0;
}

void back_memory_end(struct back_memory *m)
{
	if (!m->memory)
		return;
	munmap(m->memory, WIRE_SESSION_SIZE);
	close(m->fd);
	m->memory = NULL;
}

void back_session_prepare(struct back *back)
{
	struct back_memory m;

	pthread_mutex_lock(&back->lock);
	if (!back->ready.memory && memory_make(&m) == 0) {
		*(volatile char *)m.memory = 0; /* the first page, which every session has */
		back->ready = m;
	}
	pthread_mutex_unlock(&back->lock);
}

static int session_map(struct back *back, struct back_session *session)
{
	struct back_memory m;
	int r;

	pthread_mutex_lock(&back->lock);
	m = back->ready;
	back->ready.memory = NULL;
	pthread_mutex_unlock(&back->lock);
	if (!m.memory && (r = memory_make(&m)) < 0)
		return r;
	session->memory = m.memory;
	session->memfd = m.fd;
	return 0;
}

/* A place that nobody has, or NULL. The lock is held. */
static struct back_place *place_find(struct back *back)
{
	for (unsigned i = 0; i < BACK_PLACES - 1; i++) {
		struct back_place *place = &back->places[back->place_hint];

		/* Place 0 is not used: no session has the number 0. */
		back->place_hint = back->place_hint % BACK_PLACE_MASK + 1;
		/* A late request may still be finding out that it is too late. */
		if (!place->session && place_is_idle(place))
			return place;
	}
	return NULL;
}

static int place_open(struct back *back, struct back_session *session, struct wire_session *head)
{
	struct back_place *place;

	pthread_mutex_lock(&back->lock);
	place = place_find(back);
	if (place) {
		session->place = place;
		session->number = (uint32_t)(place - back->places) | (((place->number >> 16) + 1) & 0xff) << 16;
		head->session = session->number;
		memcpy(session->memory, head, sizeof(*head));
		place->back = back;
		place->number = session->number;
		__atomic_store_n(&place->memory, session->memory, __ATOMIC_RELAXED);
		place->session = session;
		__atomic_store_n(&place->refs, BACK_OPEN | 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&back->lock);
	return place ? 0 : -ENFILE;
}

int back_session_open(struct back *back, struct back_session *session, const struct wire_session *head)
{
	struct wire_session full = *head;
	int r;

	session->kick_next = NULL;
	session->kicked = false;
	r = session_map(back, session);
	if (r < 0)
		return r;
	full.magic = WIRE_MAGIC;
	full.version = WIRE_VERSION;
	full.generation = __atomic_load_n(&back->table->generation, __ATOMIC_ACQUIRE);
	full.slots = WIRE_SLOTS;
	full.slot_stride = WIRE_SLOT_STRIDE;
	r = place_open(back, session, &full);
	if (r < 0) {
		munmap(session->memory, WIRE_SESSION_SIZE);
		close(session->memfd);
		session->memory = NULL;
		session->memfd = -1;
	}
	return r;
}

static bool kick_cancel(struct back *back, struct back_session *session)
{
	struct back_session **at;
	bool kicked;

	pthread_mutex_lock(&back->lock);
	kicked = session->kicked;
	session->kicked = false;
	for (at = &back->kicks; kicked && *at != session;)
		at = &(*at)->kick_next;
	if (kicked)
		*at = session->kick_next;
	pthread_mutex_unlock(&back->lock);
	return kicked;
}

void back_session_close(struct back *back, struct back_session *session)
{
	struct back_place *place = session->place;

	/* First, so that it cannot be kicked again. */
	__atomic_fetch_sub(&place->refs, BACK_OPEN, __ATOMIC_SEQ_CST);
	if (kick_cancel(back, session))
		back_place_put(place);
	back_place_put(place);
}

/* ---- requests ---------------------------------------------------------------------------------- */

/* SUBMITTED becomes TAKEN, with the waiter's bit kept. */
static bool slot_take(struct wire_slot *slot, bool tell)
{
	uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

	if (!tell)
		return (state & WIRE_SLOT_STATE_MASK) == WIRE_SLOT_SUBMITTED;
	/* Twice: an honest client changes it once at most, to set the bit. Acquires the request that the
	 * client's store of SUBMITTED released. */
	for (int i = 0; i < 2 && (state & WIRE_SLOT_STATE_MASK) == WIRE_SLOT_SUBMITTED; i++)
		if (__atomic_compare_exchange_n(&slot->state, &state, WIRE_SLOT_TAKEN | (state & WIRE_SLOT_WAITER),
						0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static bool op_may_wait(uint16_t op)
{
	return op == WIRE_FSYNC || op == WIRE_SYNCFS || op == WIRE_FLOCK || op == WIRE_LOCK || op == WIRE_COPY ||
	       op == WIRE_FALLOCATE;
}

/* True if the slot is ours to serve. */
static bool taken_set(uint8_t *taken)
{
	uint8_t none = 0;

	if (__atomic_compare_exchange_n(taken, &none, BACK_TAKEN, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return true;
	/* The one who serves it may be done but for clearing this. He will have a look. */
	return __atomic_fetch_or(taken, BACK_WANTED, __ATOMIC_SEQ_CST) == 0;
}

static void taken_clear(struct back_place *place, unsigned slot)
{
	uint8_t old = __atomic_exchange_n(&place->taken[slot], 0, __ATOMIC_SEQ_CST);

	if (__builtin_expect(!(__atomic_load_n(&place->refs, __ATOMIC_SEQ_CST) & BACK_OPEN), 0)) {
		place_end(place);
	} else if (__builtin_expect(old & BACK_WANTED, 0) && back_place_get(place)) {
		back_session_kick(place->back, place->session);
		back_place_put(place);
	}
}

void back_place_prefetch(const struct back_place *place, unsigned index)
{
	/* Perhaps a closed session's, or nothing: a prefetch may miss. */
	char *memory = __atomic_load_n(&place->memory, __ATOMIC_RELAXED);
	struct wire_slot *slot = back_slot(memory, index);

	__asm__ volatile("prefetchw %0" : : "m"(slot->state));
}

static void request_copy(struct wire_request *to, const struct wire_request *shared)
{
	memcpy(to, shared, offsetof(struct wire_request, more));
	/* From here on the compiler may not go back to the shared original. */
	__asm__ volatile("" : : : "memory");
	if (to->flags & WIRE_MORE)
		memcpy(&to->more, &shared->more, sizeof(to->more));
	else
		to->more = (struct wire_request_more){0};
	__asm__ volatile("" : : : "memory");
}

bool back_place_take(struct back_place *place, uint32_t number, unsigned index, bool tell, struct back_request *ret)
{
	struct wire_slot *slot;

	if (!taken_set(&place->taken[index]))
		return false;
	/* Now the session stays, if it is one, and that one. */
	if (!(__atomic_load_n(&place->refs, __ATOMIC_SEQ_CST) & BACK_OPEN) || place->number != number ||
	    !slot_take(slot = back_slot(place->memory, index), tell)) {
		taken_clear(place, index);
		return false;
	}
	request_copy(&ret->request, &slot->request);
	if (!tell && op_may_wait(ret->request.op))
		slot_take(slot, true);
	ret->session = place->session;
	ret->slot = index;
	return true;
}

void back_answer(struct back_request *request, const struct wire_reply *reply)
{
	struct wire_slot *slot = back_slot(request->session->memory, request->slot);

	/* The next request is quicker if the client still has the rest of the lines. */
	memcpy(&slot->reply, reply, reply->attr.ino ? sizeof(*reply) : offsetof(struct wire_reply, attr));
	/* Releases the reply to the client's acquiring look at the state. */
	request->sleeps = __atomic_exchange_n(&slot->state, WIRE_SLOT_DONE, __ATOMIC_ACQ_REL) & WIRE_SLOT_WAITER;
}

void back_finish(struct back *back, struct back_request *request)
{
	struct back_place *place = request->session->place;
	struct wire_slot *slot = back_slot(place->memory, request->slot);
	bool stays;

	if (__builtin_expect(!request->sleeps, 1)) {
		taken_clear(place, request->slot); /* last, for it lets the session go */
		return;
	}
	back_count(&back->queue[0].counters.wakes, 1);
	/* Who is woken may send his next request before we are back, and somebody else find it: the slot is free by then. */
	stays = back_place_get(place);
	if (stays)
		taken_clear(place, request->slot);
	sys_futex_wake(&slot->state, 1);
	if (stays)
		back_place_put(place);
	else
		taken_clear(place, request->slot);
}

void back_complete(struct back *back, struct back_request *request, const struct wire_reply *reply)
{
	back_answer(request, reply);
	back_finish(back, request);
}

void *back_payload(const struct back_request *request, enum wire_where where, size_t *ret_size)
{
	struct wire_slot *slot = back_slot(request->session->memory, request->slot);

	*ret_size = where == WIRE_IN_BULK ? WIRE_BULK : WIRE_INLINE;
	return where == WIRE_IN_BULK ? (void *)((char *)slot + WIRE_PAGE) : (void *)slot->inline_;
}

/* ---- kicks ------------------------------------------------------------------------------------- */

void back_session_kick(struct back *back, struct back_session *session)
{
	pthread_mutex_lock(&back->lock);
	session->kick_slot = 0; /* if it is in the list, look at all its slots again */
	if (!session->kicked && back_place_get(session->place)) {
		session->kicked = true;
		session->kick_next = back->kicks;
		back->kicks = session;
		__atomic_store_n(&back->kicked, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&back->lock);
	back_count(&back->queue[0].counters.kicks, 1);
	back_alarm(back);
}

/* A look, before anything is done that would report a slot that is being served as wanted. */
static bool slot_is_submitted(const struct back_session *session, unsigned index)
{
	uint32_t state = __atomic_load_n(&back_slot(session->memory, index)->state, __ATOMIC_RELAXED);

	return (state & WIRE_SLOT_STATE_MASK) == WIRE_SLOT_SUBMITTED;
}

/* The lock is held. False: there is nothing more to take from the session. */
static bool kick_take_from(struct back *back, struct back_session *session, struct back_request *ret)
{
	while (session->kick_slot < WIRE_SLOTS)
		if (slot_is_submitted(session, session->kick_slot++) &&
		    back_place_take(session->place, session->number, session->kick_slot - 1, true, ret))
			return true;
	return false;
}

bool back_kick_take(struct back *back, struct back_request *ret)
{
	struct back_session *session;
	bool found = false;

	pthread_mutex_lock(&back->lock);
	while (!found && (session = back->kicks) != NULL) {
		found = kick_take_from(back, session, ret);
		if (found)
			break;
		back->kicks = session->kick_next;
		session->kicked = false;
		/* Its last reference may free it, which must not happen under the lock. */
		pthread_mutex_unlock(&back->lock);
		back_session_put(session);
		pthread_mutex_lock(&back->lock);
	}
	if (!back->kicks)
		__atomic_store_n(&back->kicked, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&back->lock);
	return found;
}
