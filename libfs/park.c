/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of parked handles. Beside each word of the session's memory, which says that a handle is parked,
 * we keep what it is a handle on. The word decides: who changes it to 0 has the handle, we or the service.
 *
 * A handle is parked only if its inode is in the lease table, that is, has a name and will be taken out when it loses
 * one; and that is looked at once more when it is parked. The service takes it out first and looks for parked handles
 * then. So one of the two sees the other, and nothing that was removed is kept.
 *
 * A place's `seq` is odd while somebody fills it; who took a handle from a place looks whether the place is still what
 * it was. Nobody waits: a place that is in use by another is passed over.
 */
#include <fcntl.h>
#include "ipc/front-internal.h"
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/park.h"

enum {
	PARK_LARGE = 0100000, /* what the kernel calls O_LARGEFILE */
	PARK_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | PARK_LARGE,
};

struct place {
	uint32_t seq;
	uint32_t handle;
	uint64_t session, ino, path;
	uint32_t flags, mount, type;
	uint32_t pad[5];
};
_Static_assert(sizeof(struct place) == 64, "a cache line");

static struct {
	uint32_t key[WIRE_PARKED]; /* of the places, from their paths; to pass over most of them quickly */
	struct place place[WIRE_PARKED];
	uint32_t next; /* to fill */
	uint32_t ended;
} __attribute__((aligned(4096))) park; /* whole pages, and nothing else in them */

int park_wipe_on_fork(void)
{
	return fs_wipe_on_fork(&park, sizeof(park));
}

void park_end(void)
{
	__atomic_store_n(&park.ended, 1, __ATOMIC_SEQ_CST);
}

int park_is_on(void)
{
	return !__atomic_load_n(&park.ended, __ATOMIC_RELAXED);
}

int park_flags(uint32_t flags)
{
	return !(flags & ~(uint32_t)PARK_FLAGS);
}

static uint32_t path_key(uint64_t path)
{
	return (uint32_t)(path >> 32) | 1;
}

/* ---- parking --------------------------------------------------------------------------------- */

static int place_begin(struct place *p)
{
	uint32_t seq = __atomic_load_n(&p->seq, __ATOMIC_RELAXED);

	return !(seq & 1) &&
	       __atomic_compare_exchange_n(&p->seq, &seq, seq + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void place_end(struct place *p)
{
	__atomic_store_n(&p->seq, p->seq + 1, __ATOMIC_RELEASE);
}

static int word_change(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static int place_fill(struct place *p, uint32_t *word, const struct fs_file *f)
{
	int r;

	if (!place_begin(p))
		return 0;
	/* Whoever took the last handle out may still look at what it was. */
	__atomic_store_n(&park.key[p - park.place], path_key(f->path), __ATOMIC_RELAXED);
	p->handle = f->handle;
	p->session = f->session;
	p->ino = f->ino;
	p->path = f->path;
	p->flags = f->flags;
	p->mount = f->mount;
	p->type = f->type;
	/* The full barrier before the look at the lease; partner: service/session-park.c */
	r = word_change(word, 0, f->handle);
	place_end(p);
	return r;
}

/* The word that has the handle now, or NULL. */
static uint32_t *park_fill(uint32_t *parked, const struct fs_file *f)
{
	unsigned n, i;

	for (n = 0; n < WIRE_PARKED; n++) {
		i = __atomic_fetch_add(&park.next, 1, __ATOMIC_RELAXED) % WIRE_PARKED;
		if (!__atomic_load_n(&parked[i], __ATOMIC_RELAXED) && place_fill(&park.place[i], &parked[i], f))
			return &parked[i];
	}
	return NULL;
}

int park_put(const struct fs_file *f)
{
	struct front_session *s;
	uint32_t *word;
	int r = 0;

	if (!f->path || f->offset >= FS_HANDED || !park_is_on() ||
	    f->session != fs_session() || !lease_holds(f->mount, f->ino))
		return 0;
	s = front_pin(fs_front());
	if (!s)
		return 0;
	word = f->session == fs_session() ? park_fill(front_head(s)->parked, f) : NULL;
	if (word)
		/* Not ours any more: the service has closed it, or another thread has opened it. */
		r = lease_holds(f->mount, f->ino) || !word_change(word, f->handle, 0);
	front_unpin(fs_front(), s);
	return r;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int place_is(const struct place *p, const struct fs_object *o, const struct lease_object *at, uint32_t flags,
		    uint64_t path)
{
	return p->path == path && p->ino == at->ino && p->mount == o->mount && p->flags == flags &&
	       p->session == fs_session();
}

/* Takes the handle out of a place, if it is what we look for. */
static int place_take(struct place *p, uint32_t *word, const struct fs_object *o, const struct lease_object *at,
		      uint32_t flags, struct fs_opened *ret)
{
	uint32_t seq = __atomic_load_n(&p->seq, __ATOMIC_ACQUIRE), handle = p->handle;
	struct fs_opened opened = {.handle = handle, .path = p->path, .attr = {.ino = p->ino, .mode = p->type}};
	uint64_t session = p->session;

	if ((seq & 1) || !handle || __atomic_load_n(word, __ATOMIC_RELAXED) != handle ||
	    !place_is(p, o, at, flags, ret->path) || !word_change(word, handle, 0))
		return 0;
	if (__atomic_load_n(&p->seq, __ATOMIC_RELAXED) == seq) {
		*ret = opened;
		return 1;
	}
	/* The same number, but of another file. */
	fs_close(handle, session);
	return 0;
}

int park_take(const struct fs_object *o, const struct lease_object *at, uint32_t flags, struct fs_opened *ret)
{
	uint32_t key = path_key(ret->path);
	struct front_session *s = NULL;
	unsigned i;
	int r = 0;

	for (i = 0; i < WIRE_PARKED && !r; i++) {
		if (__atomic_load_n(&park.key[i], __ATOMIC_RELAXED) != key)
			continue;
		if (!s && !(s = front_pin(fs_front())))
			return 0;
		r = place_take(&park.place[i], &front_head(s)->parked[i], o, at, flags, ret);
	}
	if (s)
		front_unpin(fs_front(), s);
	return r;
}
