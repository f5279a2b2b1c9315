/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places where a client finds what was opened ahead (struct wire_ahead), and how one name comes there.
 *
 * All of it is the client's to write. So nothing is read from there but the words that say what has been taken, and a
 * handle that stands there is taken back only if it is one of this session's.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/wire-lease.h"
#include "libservices/rules.h"
#include "service/ahead-internal.h"
#include "service/lease.h"

enum { SCORE_TAKEN = 2 };

/* ---- places ------------------------------------------------------------------------------------------ */

static uint32_t *word_of(const struct session *session, unsigned place)
{
	return &((struct wire_session *)session->back.memory)->parked[WIRE_PARKED + place];
}

static char *data_of(const struct session *session, unsigned place)
{
	return session->back.memory + WIRE_AHEAD_AT + WIRE_PAGE + (size_t)place * WIRE_AHEAD_DATA;
}

/* Nothing of the row's is there any more. */
static void place_done(struct ahead *a, unsigned i)
{
	if (a->placed[i] && a->placed_for[i]->open)
		a->placed_for[i]->open--;
	a->placed[i] = 0;
}

void ahead_places_leave(struct ahead *a, const struct row *row)
{
	for (unsigned i = 0; i < WIRE_AHEAD; i++)
		if (a->placed_for[i] == row)
			a->placed[i] = 0;
}

unsigned ahead_places_count(struct ahead *a, const struct session *session)
{
	uint64_t latest = 0;
	unsigned taken = 0;

	for (unsigned i = 0; i < WIRE_AHEAD; i++) {
		if (!a->placed[i] || __atomic_load_n(word_of(session, i), __ATOMIC_RELAXED) == a->placed[i])
			continue;
		if (a->placed_turn[i] > latest) {
			latest = a->placed_turn[i];
			a->last = a->placed_path[i];
		}
		if (!row_is_chain(a, a->placed_for[i])) {
			a->taken++;
			ahead_score(a, SCORE_TAKEN);
		}
		place_done(a, i);
		taken++;
	}
	return taken;
}

/* One for us alone, until its word is a handle: an empty one, or the oldest. -1: the client is just taking what is in it. */
static int place_empty(struct ahead *a, struct session *session)
{
	unsigned i = a->next % WIRE_AHEAD;
	uint32_t handle;

	for (unsigned n = 0; n < WIRE_AHEAD; n++)
		if (!__atomic_load_n(word_of(session, (i + n) % WIRE_AHEAD), __ATOMIC_ACQUIRE)) {
			i = (i + n) % WIRE_AHEAD;
			break;
		}
	a->next = i + 1;
	handle = __atomic_load_n(word_of(session, i), __ATOMIC_RELAXED);
	if (handle && handle != WIRE_TAKING) {
		ofd_unref(session_parked_take(session, word_of(session, i), handle));
		if (!row_is_chain(a, a->placed_for[i]))
			ahead_score(a, -1);
	}
	place_done(a, i);
	return __atomic_load_n(word_of(session, i), __ATOMIC_ACQUIRE) ? -1 : (int)i;
}

/* All of a small file as of ret->change. */
static void data_fill(struct caller *c, struct ofd *ofd, uint64_t size, char *to, struct wire_ahead *ret)
{
	struct iovec iov = {to, WIRE_AHEAD_DATA};
	uint64_t change = size <= WIRE_AHEAD_DATA ? lease_learn(c, ofd->inode) : 0;

	ret->length = WIRE_AHEAD_NONE;
	if (!change || vfs_read(c, ofd, &iov, 1, 0) != (ssize_t)size || lease_known(c, ofd->inode) != change)
		return;
	ret->change = change;
	ret->length = size;
}

/* Takes over the open file. `to` and the head are the client's to write, and nothing is read from there. */
static void place_fill(struct ahead *a, const struct asked *asked, struct ofd *ofd, uint64_t size, uint64_t path)
{
	struct session *session = asked->session;
	struct inode *inode = ofd->inode; /* the caller has it, too */
	struct wire_ahead place = {.path = path, .ino = inode->ino, .flags = asked->in->arg, .mount = inode->fs->index,
				   .type = inode->type};
	int i = place_empty(a, session);
	int64_t handle;

	if (i < 0) {
		ofd_unref(ofd);
		return;
	}
	data_fill(asked->c, ofd, size, data_of(session, i), &place);
	handle = session_handle_new(session, ofd);
	if (handle < 0)
		return;
	place.handle = handle;
	memcpy(session->back.memory + WIRE_AHEAD_AT + i * sizeof(place), &place, sizeof(place));
	((struct wire_session *)session->back.memory)->ahead_key[i] = path >> 32;
	a->placed[i] = handle;
	a->placed_for[i] = asked->row;
	a->placed_path[i] = path;
	a->placed_turn[i] = ++a->places;
	asked->row->open++;
	/* A full barrier before the look at the lease, as with what the client parks. Partner: sessions_parked_drop. */
	__atomic_exchange_n(word_of(session, i), place.handle, __ATOMIC_SEQ_CST);
	if (!lease_known(asked->c, inode))
		ofd_unref(session_parked_take(session, word_of(session, i), place.handle));
}

/* ---- one name ---------------------------------------------------------------------------------------- */

uint64_t ahead_path(const struct asked *asked, uint64_t base, const char *name)
{
	char path[PATH_MAX];
	size_t before = asked->name - asked->path, len = strlen(name);

	if (before + len >= sizeof(path))
		return 0;
	memcpy(path, asked->path, before);
	memcpy(path + before, name, len);
	return lease_path_hash(asked->dir->inode->fs->index, base, path, before + len);
}

void ahead_tell_next(const struct ahead *a, const struct session *session, struct row *row, uint64_t path)
{
	struct wire_session *head = (struct wire_session *)session->back.memory;

	if (row->told == (uint32_t)(path >> 32))
		return; /* the client has the line in its cache */
	row->told = path >> 32;
	__atomic_store_n(&head->ahead_next[row - a->row], row->told, __ATOMIC_RELEASE);
}

/* Who has it open already may be this client. What others have open only to read it by messages they have all the same. */
static bool may_open(const struct ahead *a, const struct asked *asked, const struct walk *w)
{
	if (w->inode->type != S_IFREG || w->inode->fs != asked->dir->inode->fs)
		return false;
	return !__atomic_load_n(&w->inode->opens, __ATOMIC_RELAXED) ||
	       (row_is_chain(a, asked->row) && !__atomic_load_n(&w->inode->shares, __ATOMIC_RELAXED));
}

int ahead_name(struct ahead *a, const struct asked *asked, uint64_t path, const char *name)
{
	const struct walk *dir = asked->dir;
	const bool opens = asked->in->op == WIRE_OPEN, follows = opens ? !(asked->in->arg & O_NOFOLLOW)
								       : !(asked->in->flags & WIRE_NOFOLLOW);
	struct ofd *ofd;
	struct walk w;
	int r = 0;

	if (walk(asked->c, dir->inode, dir->path_known ? dir->path : NULL, name, follows ? WALK_FOLLOW : 0, &w) < 0)
		return 0;
	if (opens && may_open(a, asked, &w)) {
		r = ls_atime_due_kernel(&w.attr) ? -1 : path && vfs_open(asked->c, w.inode, asked->in->arg,
								    w.path_known ? w.path : NULL, &ofd) == 0;
		if (r > 0)
			place_fill(a, asked, ofd, w.attr.size, path);
	}
	walk_end(&w);
	return r;
}
