/* SPDX-License-Identifier: Apache-2.0 */
/* What ahead.c, which follows rows, has of ahead-place.c, which opens files and leaves them for the client; and both know. */
#pragma once

#include <limits.h>

#include "ipc/wire.h"
#include "service/ahead-list.h"
#include "service/request.h"

enum {
	AHEAD_ROWS = WIRE_AHEAD_ROWS,
	SCORE_MAX = 24,
};

struct row {
	uint64_t key; /* of the directory, as it is named; 0: nothing is here */
	uint64_t turn; /* when it was asked for last */
	uint64_t ino;
	struct ahead_list *list; /* NULL: not read */
	bool closed; /* it cannot be, or is not worth it */
	char last[NAME_MAX + 1]; /* the name that was asked for first, before the list was read */
	unsigned at[AHEAD_ORDERS]; /* where the last one is in it */
	/* To go on without being asked: */
	struct wire_request in; /* the last one */
	char *prefix;           /* the directory, as its path names it; owned */
	bool on;                /* it goes on */
	unsigned next;          /* then in the order that fits the first that was not opened ahead */
	unsigned open;          /* that were, and are there to be taken */
	uint64_t last_opened;   /* of the chain: the last one that was, as a hash of its path */
	uint32_t told;          /* what the client was told to be next */
};

struct ahead {
	pthread_mutex_t lock; /* never waited for */
	struct row row[AHEAD_ROWS]; /* the first follows the chain: row_is_chain */
	uint64_t last; /* file that the client opened, as a hash of its path */
	uint64_t turn;
	bool going; /* atomic; some row is on */
	enum ahead_order order; /* that fitted last */
	/* How a row that went on named its files, which is how the next one will: */
	struct wire_request in;
	bool by_handle; /* from their directory */
	/* The directory that was opened last, if it is not: */
	uint32_t dir_base;
	char dir[PATH_MAX];
	/* And the one that was listed last, with its records (getdents64); 0: none. */
	uint64_t listed_ino;
	char *listed;
	size_t listed_size;
	unsigned taken; /* of what was opened ahead in that order, since a row went on */
	int score;
	unsigned tries;
	unsigned next; /* place to fill */
	uint32_t placed[WIRE_AHEAD]; /* handles of which it is not known yet what becomes of them */
	struct row *placed_for[WIRE_AHEAD];
	uint64_t placed_path[WIRE_AHEAD], placed_turn[WIRE_AHEAD];
	uint64_t places; /* filled so far */
};

/* It is no directory's, but follows what others have opened (ahead-chain.h), and has no part in the score. */
static inline bool row_is_chain(const struct ahead *a, const struct row *row)
{
	return row == a->row;
}

/* The request that was answered, and its directory. */
struct asked {
	const struct wire_request *in;
	const char *path, *name; /* the last component begins there */
	struct session *session;
	struct caller *c;
	struct row *row;
	const struct walk *dir;
	unsigned opened; /* ahead of it */
};

static inline void ahead_score(struct ahead *a, int by)
{
	const int score = a->score + by;

	__atomic_store_n(&a->score, score < 0 ? 0 : score > SCORE_MAX ? SCORE_MAX : score, __ATOMIC_RELAXED);
}

/* How many of those that are placed the client has taken since the last time. */
unsigned ahead_places_count(struct ahead *a, const struct session *session);
/* What is placed for the row stays, until its place is needed; but for nobody. */
void ahead_places_leave(struct ahead *a, const struct row *row);
/* What the client will name it by, as a hash; 0: too long. `base`: the inode that paths start from. */
uint64_t ahead_path(const struct asked *asked, uint64_t base, const char *name);
/* Tells the client which file of the row is the next to be placed; 0: none. */
void ahead_tell_next(const struct ahead *a, const struct session *session, struct row *row, uint64_t path);
/*
 * Does with this name what was asked of another: enters it in the lease table, or opens it and places it as `path`.
 * 1: it is open now; 0: it is not; -1: it is not, for to read it would set its access time.
 */
int ahead_name(struct ahead *a, const struct asked *asked, uint64_t path, const char *name);
