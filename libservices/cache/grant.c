/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending without asking. The session with the grant may move the file's end up to `granted`, over pages
 * that are there already, zeroed, with room for them below. How far it has come stands in the marks, and is
 * believed up to that point.
 *
 * Whoever else moves the end takes the grant back first. The holder is at most in the middle of one append
 * then, and is waited for; if it does not come out, stopped or hostile, the file gets new data and it
 * appends to the old.
 */
#include <errno.h>
#include <time.h>

#include "libservices/cache/cache.h"

enum {
	GRANT_AHEAD = 256 * 1024,
	GRANT_SMALL = 32 * 1024, /* who writes more at once has no use for it, and asks again when that changes */
	PATIENCE_MS = 100,
};

/* The end as the holder says; between our own and what it was granted, else it lies. */
void cgrant_merge(struct cinode *c)
{
	struct share *s = c->share;
	uint64_t size = __atomic_load_n(&s->marks->size, __ATOMIC_ACQUIRE), old = c->size;

	if (s->granted <= old || size <= old || size > s->granted)
		return;
	cinode_own(c);
	__atomic_store_n(&c->size, size, __ATOMIC_RELAXED);
	body_dirty(c, page_index(old), page_index(size - 1));
	cinode_touch(c);
	cshare_size(c);
}

/*
 * The grant is withdrawn: who takes `appending` now looks at grant_session, and lets go again. False: the
 * holder is stuck, and its release will fail.
 */
static bool holder_leaves(struct share *s)
{
	const struct timespec ms = {0, 1000000};
	uint32_t busy = 1;

	for (int i = 0; i < PATIENCE_MS; i++) {
		if (__atomic_load_n(&s->marks->appending, __ATOMIC_SEQ_CST) == 0)
			return true;
		nanosleep(&ms, NULL);
	}
	return !__atomic_compare_exchange_n(&s->marks->appending, &busy, 2, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST) &&
	       busy == 0;
}

/* With the lock held for writing. Granted pages behind the end go. */
static void grant_take(struct cinode *c)
{
	struct share *s = c->share;
	uint64_t end;
	bool left, was_end = s->length == s->granted;

	__atomic_store_n(&s->state->grant_session, UINT32_MAX, __ATOMIC_SEQ_CST);
	left = holder_leaves(s);
	cgrant_merge(c);
	end = (c->size + CACHE_PAGE - 1) / CACHE_PAGE;
	s->granted = 0;
	__atomic_store_n(&s->state->granted, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->marks->size, 0, __ATOMIC_SEQ_CST);
	body_drop(c, end, UINT64_MAX / CACHE_PAGE);
	if (!left)
		cshare_renew(c, true);
	else if (was_end)
		cshare_length(c, true); /* nobody but the holder had anything to do there */
}

void cgrant_pause(struct cinode *c)
{
	if (c->share && c->share->granted)
		grant_take(c);
}

/* With the lock held for writing: pages from the end on, zeroed. */
static int grant_prepare(struct cinode *c, const struct ls_call *call, uint64_t to)
{
	static const char zeros[GRANT_AHEAD];
	uint64_t end = (c->size + CACHE_PAGE - 1) / CACHE_PAGE;
	int r = cinode_reserve(c, call, c->size, to - c->size);

	/* The holder appends to the last page too: it has to be there. */
	if (r == 0 && c->size % CACHE_PAGE && !body_present(c, end - 1, end - 1))
		return -EAGAIN;
	if (r == 0)
		r = body_zero(c, c->size, end * CACHE_PAGE);
	if (r == 0 && to > end * CACHE_PAGE)
		r = body_write(c, zeros, end * CACHE_PAGE, to - end * CACHE_PAGE);
	return r;
}

static int grant_give(struct cinode *c, const struct ls_call *call, uint32_t session)
{
	struct share *s = c->share;
	uint64_t to = (c->size + GRANT_AHEAD) / CACHE_PAGE * CACHE_PAGE;
	int r;

	if (!s || !s->count[LS_SHARE_WRITE] || cshare_is_exact(s) || s->set_id ||
	    to / CACHE_PAGE > s->pages)
		return -EAGAIN;
	r = grant_prepare(c, call, to);
	if (r < 0) {
		body_drop(c, (c->size + CACHE_PAGE - 1) / CACHE_PAGE, UINT64_MAX / CACHE_PAGE);
		return r;
	}
	s->granted = to;
	s->grant_session = session;
	cshare_size(c);
	__atomic_store_n(&s->marks->size, c->size, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->state->granted, to, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->state->grant_session, session, __ATOMIC_SEQ_CST);
	return 0;
}

void cgrant_resume(struct cinode *c, const struct ls_call *call, uint64_t written)
{
	struct share *s = c->share;

	if (!s || s->grant_session == UINT32_MAX || s->granted)
		return;
	if (written >= GRANT_SMALL || grant_give(c, call, s->grant_session) < 0)
		s->grant_session = UINT32_MAX;
}

int cache_grant(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint32_t session)
{
	struct cinode *c = cinode_of(inode);
	int r = 0;

	if (!c)
		return -EOPNOTSUPP;
	if (session != UINT32_MAX)
		budget_make_room(c->cache, call, GRANT_AHEAD);
	pthread_rwlock_wrlock(&c->lock);
	cgrant_pause(c);
	if (c->share)
		c->share->grant_session = UINT32_MAX;
	if (session != UINT32_MAX)
		r = grant_give(c, call, session);
	pthread_rwlock_unlock(&c->lock);
	return r;
}
