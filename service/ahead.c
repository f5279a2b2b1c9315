/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that walks a tree opens, or looks at, the files of a directory one after the other: in the order in which
 * they are listed, or in the order of their names. Each of these requests costs a message, and there is nothing in them
 * that could not be told. So a request that continues such a row is, once it is answered, followed by the same request
 * for the next few names, and the answers are left where the client will look: names and attributes in the lease table,
 * open files in the session's memory, with their data if that is small.
 *
 * Nobody may be able to tell. A file that is opened ahead is a parked handle (session-park.c), and goes as these go when
 * the file loses its name. Whether the client may open it is looked at again when it does. Access times stay: what would
 * change by being read is left alone, and so is what somebody has open for whom a second user would make a difference.
 *
 * After that the worker stays for a moment, as it would to wait for a request, and opens more when the client has taken
 * some. So while the client works with one file the service opens another, and neither waits: a client that comes for the
 * file that is just being opened finds its name in wire_session.ahead_next, and sends no message.
 *
 * A client that goes on like this in one directory will do so in the next: once it has listed that, its row begins.
 *
 * A row is known by its directory, as the client names it: a few of them a session, for some programs walk two trees at
 * once. Whether it is worth it a score tells, of the session: rows that go on, and files that were taken, count for it;
 * directories that were read for nothing, and files that nobody came for, count against it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/wire-lease.h"
#include "service/ahead-chain.h"
#include "service/ahead-internal.h"
#include "service/ahead.h"
#include "service/limit.h"

enum {
	OPENS = 8, /* at a time */
	STEP = 2,  /* of one row, if there are several */
	NAMES = 16,
	FAILED_MAX = 2, /* files in a row that would show it */
	NEAR = 20, /* so many names further on it is still the same row */
	SCORE_START = 4,
	SCORE_TRUSTED = 10, /* a directory is followed from its first name on */
	LISTED_MAX = 32 * 1024, /* bytes of records */
	TRY_EVERY = 32, /* requests, if the score is 0 */
	LINGER_NS = 60000,      /* after the client has taken something */
};

/* ---- rows -------------------------------------------------------------------------------------------- */

static void row_end(struct ahead *a, struct row *row)
{
	ahead_places_leave(a, row);
	ahead_list_free(row->list);
	free(row->prefix);
	*row = (struct row){0};
}

static struct row *row_of(struct ahead *a, uint64_t key)
{
	struct row *oldest = &a->row[1];

	for (struct row *r = oldest; r < a->row + AHEAD_ROWS; r++) {
		if (r->key == key)
			return r;
		if (r->turn < oldest->turn)
			oldest = r;
	}
	row_end(a, oldest);
	oldest->key = key;
	return oldest;
}

/* How far on it is, in that order; more than NEAR: it is not. */
static unsigned distance(const struct row *row, const unsigned at[AHEAD_ORDERS], enum ahead_order order)
{
	return at[order] - row->at[order];
}

/* `had`: it is known where the last one was. */
static bool row_goes_on(struct ahead *a, const struct row *row, bool had, const unsigned at[AHEAD_ORDERS])
{
	enum ahead_order other = a->order == AHEAD_BY_NAME ? AHEAD_AS_LISTED : AHEAD_BY_NAME;
	bool proven = a->taken;

	a->taken = 0;
	if (!had)
		return at[a->order] <= 1;
	/* In a small directory a name is near the last one in any order. */
	if (!proven && distance(row, at, other) < distance(row, at, a->order))
		a->order = other;
	/* From the last one that was asked for, or from those that were opened without. */
	return distance(row, at, a->order) <= NEAR ||
	       (row->on && at[a->order] + OPENS + 1 >= row->next && at[a->order] <= row->next + OPENS);
}

/* The row's list, of the directory that it is now; *ret_had: where the last one was is in row->at. */
static bool row_list(struct ahead *a, struct row *row, const struct asked *asked, bool *ret_had)
{
	struct inode *dir = asked->dir->inode;
	int r;

	*ret_had = row->list && row->ino == dir->ino;
	if (*ret_had)
		return true;
	row->list = ahead_list_free(row->list);
	row->ino = dir->ino;
	ahead_score(a, -1);
	r = ahead_list_read(asked->c, dir, &asked->dir->attr, &row->list);
	row->closed = r == -EFBIG || r == -EAGAIN;
	if (r < 0)
		return false;
	*ret_had = row->last[0] && ahead_list_find(row->list, row->last, row->at);
	return true;
}

/* The next request of this client may wait already: it is likely to be one of those that will be spared. */
static bool is_enough(const struct asked *asked)
{
	return back_is_wanted(asked->session->service->back);
}

static bool is_file(unsigned type)
{
	return type == DT_REG || type == DT_UNKNOWN;
}

/* The name of what is next, if it is a file, and how the client will name it. NULL: the row is at its end. */
static const char *row_next(const struct ahead *a, struct row *row, const struct asked *asked, uint64_t base,
			    uint64_t *ret_path)
{
	unsigned type;
	const char *name = row->on ? ahead_list_at(row->list, a->order, row->next, &type) : NULL;

	*ret_path = name && is_file(type) ? ahead_path(asked, base, name) : 0;
	ahead_tell_next(a, asked->session, row, *ret_path);
	return name;
}

/* Opens until there are so many ahead. */
static void row_open(struct ahead *a, struct row *row, struct asked *asked, uint64_t base, unsigned until)
{
	unsigned failed = 0;
	uint64_t path;
	const char *name = row_next(a, row, asked, base, &path);

	for (; row->on && row->open < until && !is_enough(asked); name = row_next(a, row, asked, base, &path)) {
		int r = path ? ahead_name(a, asked, path, name) : 0;

		row->next++;
		asked->opened += r > 0;
		failed = r < 0 ? failed + 1 : 0;
		if (name && failed < FAILED_MAX)
			continue;
		row->on = false;
		if (name) { /* a tree that is walked for the first time: each file's access time is due */
			ahead_score(a, -FAILED_MAX);
			row->closed = true;
		}
	}
}

static void row_look(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	const unsigned from = row->at[a->order] + 1;
	const char *name;
	unsigned type;

	for (unsigned n = 0; n < NAMES && !is_enough(asked); n++) {
		name = ahead_list_at(row->list, a->order, from + n, &type);
		if (!name)
			return;
		ahead_name(a, asked, 0, name);
	}
}

/* The client comes to what is not open, or was not when it came: from there on, unless that is done already. */
static void row_goes_from(struct row *row, const struct asked *asked, unsigned from)
{
	if (!row->on || from > row->next || from + OPENS < row->next)
		row->next = from;
	row->in = *asked->in;
	if (!row->prefix)
		row->prefix = strndup(asked->path, asked->name - asked->path);
	row->on = row->prefix != NULL;
}

static void row_follow(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	unsigned at[AHEAD_ORDERS];
	bool had, goes_on;

	if (!row_list(a, row, asked, &had))
		return;
	if (!ahead_list_find(row->list, asked->name, at)) {
		row->list = ahead_list_free(row->list); /* it has changed */
		row->on = false;
		return;
	}
	goes_on = row_goes_on(a, row, had, at);
	memcpy(row->at, at, sizeof(at));
	ahead_score(a, goes_on ? 1 : -1);
	if (!goes_on) {
		row->on = false;
	} else if (asked->in->op == WIRE_OPEN) {
		row_goes_from(row, asked, at[a->order] + 1);
		a->in = *asked->in;
		a->by_handle = !*row->prefix && !(asked->in->base & WIRE_MOUNT(0));
		row_open(a, row, asked, base, OPENS);
	} else {
		row_look(a, row, asked, base);
	}
}

/* Without a request, as long as the directory is what it was. */
static void row_continue(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	if (row->list && row->ino == asked->dir->inode->ino)
		row_open(a, row, asked, base, row->open + STEP);
	else
		row->on = false;
}

/* From its first name on, for its directory has just been listed. */
static void row_begin(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	row->ino = asked->dir->inode->ino;
	row->list = ahead_list_free(row->list);
	ahead_score(a, -1);
	if (a->listed_ino == row->ino)
		row->list = ahead_list_of(a->listed, a->listed_size);
	else
		ahead_list_read(asked->c, asked->dir->inode, &asked->dir->attr, &row->list);
	a->listed_ino = 0;
	row->on = row->list != NULL;
	row->next = 0;
	for (unsigned i = 0; i < AHEAD_ORDERS; i++)
		row->at[i] = -1u;
	row_open(a, row, asked, base, OPENS);
}

/* ---- the chain --------------------------------------------------------------------------------------- */

/* What is next, and how the client will name it. 0: that is not known, and the chain is at its end. */
static uint64_t chain_ahead(const struct ahead *a, struct row *row, const struct asked *asked, uint64_t base,
			    char name[CHAIN_PATH])
{
	uint64_t path = row->on && chain_next(row->last_opened, name) ? ahead_path(asked, base, name) : 0;

	ahead_tell_next(a, asked->session, row, path);
	row->on = path != 0;
	return path;
}

/* Opens until there are so many ahead; what cannot be opened may lead round in circles. */
static void chain_open(struct ahead *a, struct row *row, struct asked *asked, uint64_t base, unsigned until)
{
	char name[CHAIN_PATH];
	uint64_t path = chain_ahead(a, row, asked, base, name);

	for (unsigned tries = 0; path && row->open < until && tries < OPENS && !is_enough(asked); tries++) {
		row->last_opened = path;
		asked->opened += ahead_name(a, asked, path, name) > 0;
		path = chain_ahead(a, row, asked, base, name);
	}
}

static void chain_begin(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	row->last_opened = a->last;
	row->in = *asked->in;
	if (!row->prefix)
		row->prefix = strdup(""); /* its paths are whole */
	row->on = row->prefix != NULL;
	chain_open(a, row, asked, base, OPENS);
}

static void chain_continue(struct ahead *a, struct row *row, struct asked *asked, uint64_t base)
{
	chain_open(a, row, asked, base, row->open + STEP);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

typedef void row_step(struct ahead *a, struct row *row, struct asked *asked, uint64_t base);

/* In the directory that the path leads to, as the client. False: it does not, or not to one of ours. */
static bool step_in(struct ahead *a, struct asked *asked, row_step *step)
{
	char text[PATH_MAX], *base_path;
	struct inode *base;
	struct caller c;
	struct walk dir;
	bool steps = false;

	snprintf(text, sizeof(text), "%.*s", (int)(asked->name - asked->path), asked->path);
	if (session_base(asked->session, asked->in->base, &base, &base_path) != 0)
		return false;
	session_caller(asked->session, &c, false);
	c.tid = asked->in->more.tid;
	c.learns = true;
	asked->c = &c;
	if (walk(&c, base, base_path, text, WALK_FOLLOW, &dir) == 0) {
		asked->dir = &dir;
		steps = dir.inode->type == S_IFDIR && !dir.inode->fs->shared;
		if (steps)
			step(a, asked->row, asked, base->ino);
		walk_end(&dir);
	}
	caller_fini(&c);
	free(base_path);
	inode_unref(base);
	return steps;
}

static void follow(struct ahead *a, struct asked *asked)
{
	struct row *row = row_of(a, lease_path_hash(0, asked->in->base, asked->path, asked->name - asked->path));

	row->turn = ++a->turn;
	if (row->closed)
		return;
	/* The second name of a directory tells whether it is a row. */
	if (!row->list && !row->last[0]) {
		strcpy(row->last, asked->name);
		if (a->score < SCORE_TRUSTED)
			return;
	}
	asked->row = row;
	step_in(a, asked, row_follow);
}

/* The same as ahead_path, of what was asked for. 0: it cannot be told. */
static uint64_t path_of(const struct asked *asked)
{
	struct inode *base;
	char *base_path;
	uint64_t path;

	if (session_base(asked->session, asked->in->base, &base, &base_path) != 0)
		return 0;
	path = lease_path_hash(base->fs->index, base->ino, asked->path, strlen(asked->path));
	free(base_path);
	inode_unref(base);
	return path;
}

/* Where no rows go on. False: nothing is known of what comes after this file. */
static bool follow_chain(struct ahead *a, struct asked *asked)
{
	const uint64_t last = a->last;
	struct asked whole = *asked;
	char next[CHAIN_PATH];

	a->last = a->score < SCORE_TRUSTED ? path_of(asked) : 0;
	if (!a->last)
		return false;
	chain_learn(last, asked->path);
	if (!chain_next(a->last, next))
		return false;
	whole.name = asked->path;
	whole.row = a->row;
	step_in(a, &whole, chain_begin);
	asked->opened = whole.opened;
	return whole.opened;
}

static struct asked asked_of(struct row *row, struct session *session)
{
	return (struct asked){.in = &row->in, .path = row->prefix, .name = row->prefix + strlen(row->prefix),
			      .session = session, .row = row};
}

/* The client has listed a directory, and will open what is in it: from there, or by the name that the directory had. */
static unsigned follow_listing(struct ahead *a, struct session *session, const struct wire_request *in)
{
	const char *prefix = a->by_handle ? "" : a->dir;
	uint32_t base = a->by_handle ? (uint32_t)in->handle : a->dir_base;
	struct row *row = row_of(a, lease_path_hash(0, base, prefix, strlen(prefix)));
	struct asked asked;

	row->turn = ++a->turn;
	if (row->closed)
		return 0;
	free(row->prefix);
	row->prefix = strdup(prefix);
	if (!row->prefix)
		return 0;
	row->in = a->in;
	row->in.base = base;
	asked = asked_of(row, session);
	step_in(a, &asked, row_begin);
	return asked.opened;
}

static void row_again(struct ahead *a, struct row *row, struct session *session)
{
	struct asked asked = asked_of(row, session);

	if (!step_in(a, &asked, row_is_chain(a, row) ? chain_continue : row_continue))
		row->on = false;
	session_parked_busy(session, asked.opened);
}

/* Of the rows that go on, the one with the least that is ahead. */
static struct row *row_neediest(struct ahead *a)
{
	struct row *least = NULL;

	for (struct row *row = a->row; row < a->row + AHEAD_ROWS; row++)
		if (row->on && (!least || row->open < least->open))
			least = row;
	return least;
}

/* While the client takes what is there, more is brought, without its asking; both are busy then, and neither waits. */
static void linger(struct ahead *a, struct session *session, const struct wire_request *in)
{
	int64_t since = ls_now(), yielded = 0;
	struct row *row;

	while ((row = row_neediest(a)) != NULL && ls_now() - since < LINGER_NS &&
	       back_linger(session->service->back, in, &yielded)) {
		if (ahead_places_count(a, session))
			since = ls_now();
		if (row->open < OPENS)
			row_again(a, row, session);
	}
}

static struct ahead *ahead_of(struct session *session)
{
	struct ahead *a;

	pthread_mutex_lock(&session->lock);
	a = session->ahead;
	if (!a && (a = calloc(1, sizeof(*a))) != NULL) {
		pthread_mutex_init(&a->lock, NULL);
		a->score = SCORE_START;
		__atomic_store_n(&session->ahead, a, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&session->lock);
	return a;
}

/* A client that goes from file to file also opens and lists directories, and reads what is too large to come along. */
static bool is_on_its_way(const struct session *session, const struct wire_request *in)
{
	const struct ahead *a = __atomic_load_n(&session->ahead, __ATOMIC_ACQUIRE);

	if (!a || __atomic_load_n(&a->score, __ATOMIC_RELAXED) < SCORE_TRUSTED)
		return false;
	if (in->op == WIRE_READ)
		return __atomic_load_n(&a->going, __ATOMIC_RELAXED);
	return in->op == WIRE_GETDENTS ? !in->offset : in->op == WIRE_OPEN && (in->arg & O_DIRECTORY);
}

bool ahead_wants(const struct session *session, const struct wire_request *in, int64_t result)
{
	enum { OTHERS = O_ACCMODE | O_CREAT | O_TRUNC | O_DIRECTORY | O_PATH | O_DIRECT };

	if (is_on_its_way(session, in))
		return result >= 0 && !limit_is_on();
	if (!(in->op == WIRE_OPEN && (in->flags & WIRE_AND_NEXT) && !(in->arg & OTHERS)) &&
	    !(in->op == WIRE_GETATTR && (in->flags & WIRE_LEARN)))
		return false;
	return result >= 0 && session->lease && !(in->flags & WIRE_EMPTY) && !limit_is_on();
}

static void directory_opened(struct ahead *a, const struct wire_request *in, const char *path)
{
	size_t len = strlen(path);

	if (len + 1 >= sizeof(a->dir))
		return;
	a->dir_base = in->base;
	snprintf(a->dir, sizeof(a->dir), "%s%s", path, !len || path[len - 1] == '/' ? "" : "/");
}

/* What follows from the request: files to be opened. */
static void follow_request(struct ahead *a, struct asked *asked)
{
	const struct wire_request *in = asked->in;
	size_t len = strlen(asked->name);

	if (in->op == WIRE_READ)
		return;
	if (in->op == WIRE_GETDENTS)
		asked->opened = follow_listing(a, asked->session, in);
	else if (in->op == WIRE_OPEN && (in->arg & O_DIRECTORY))
		directory_opened(a, in, asked->path);
	else if (len && len <= NAME_MAX && (in->op != WIRE_OPEN || !follow_chain(a, asked)) &&
		 (a->score > 0 || ++a->tries % TRY_EVERY == 0))
		follow(a, asked);
}

static void ahead_leave(struct ahead *a, const struct session *session)
{
	bool going = false;

	for (struct row *row = a->row; row < a->row + AHEAD_ROWS; row++) {
		ahead_tell_next(a, session, row, 0);
		going |= row->on;
	}
	__atomic_store_n(&a->going, going, __ATOMIC_RELAXED);
}

unsigned ahead_follow(struct session *session, const struct wire_request *in, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct asked asked = {.in = in, .path = path, .name = slash ? slash + 1 : path, .session = session};
	struct ahead *a = ahead_of(session);

	if (!a || pthread_mutex_trylock(&a->lock))
		return 0;
	ahead_places_count(a, session);
	follow_request(a, &asked);
	if (asked.opened || in->op == WIRE_READ)
		linger(a, session, in);
	ahead_leave(a, session);
	pthread_mutex_unlock(&a->lock);
	/* The client has something to do now, and then comes for more. */
	if (asked.opened)
		back_expect(in);
	return asked.opened;
}

/* A copy: the client can write to the original. */
static void listing_keep(struct ahead *a, uint64_t ino, const char *records, size_t size)
{
	a->listed_ino = 0;
	if (!a->listed && !(a->listed = malloc(LISTED_MAX)))
		return;
	memcpy(a->listed, records, size);
	a->listed_size = size;
	a->listed_ino = ino;
}

void ahead_listed(struct session *session, const struct wire_request *in, uint64_t ino, const char *records, size_t size)
{
	struct ahead *a = __atomic_load_n(&session->ahead, __ATOMIC_ACQUIRE);

	if (size > LISTED_MAX || !is_on_its_way(session, in) || pthread_mutex_trylock(&a->lock))
		return;
	listing_keep(a, ino, records, size);
	pthread_mutex_unlock(&a->lock);
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	free(a->listed);
	for (unsigned i = 0; i < AHEAD_ROWS; i++)
		row_end(a, &a->row[i]);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
