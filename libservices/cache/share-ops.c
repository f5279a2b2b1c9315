/* SPDX-License-Identifier: Apache-2.0 */
/* Beginning and ending shares: who has which, and the pages that mappings need. */
#include <errno.h>
#include <stdlib.h>

#include "libservices/cache/cache.h"

enum {
	KERNEL_FILL_PAGES = 2048 + CHUNK_PAGES,
	KERNEL_FILL_CROWDED = 64, /* where others would have to leave for it */
	KERNEL_CACHE_MIN = 16 << 20,
};

static uint64_t pages_of(uint64_t size)
{
	return (size + CACHE_PAGE - 1) / CACHE_PAGE;
}

static bool is_mapping(enum ls_share_how how)
{
	return how >= LS_SHARE_MAP;
}

static bool is_to_write(enum ls_share_how how)
{
	return how == LS_SHARE_WRITE || how == LS_SHARE_MAP_WRITE || how == LS_SHARE_KERNEL_WRITE;
}

static bool is_kernel(enum ls_share_how how)
{
	return how >= LS_SHARE_KERNEL;
}

/* A mapping that is to be written now, too, keeps what it keeps already. */
static bool is_pinned(struct cinode *c, enum ls_share_how how, uint64_t first, uint64_t last)
{
	const struct share_range *range = NULL;

	if (how != LS_SHARE_MAP_WRITE)
		return false;
	pthread_rwlock_rdlock(&c->lock);
	if (c->share)
		LIST_FOREACH(range, &c->share->ranges, link)
			if (range->first <= first && range->last >= last && range->pinned)
				break;
	pthread_rwlock_unlock(&c->lock);
	return range != NULL;
}

/*
 * Mappings may take half of the cache, the other half has to serve everything else; the kernel somewhat less of it, and
 * nothing of a small cache: what it may write is looked through at each flush, and a small one is always flushing.
 */
static uint64_t pinned_limit(const struct budget *b, enum ls_share_how how)
{
	uint64_t limit = budget_limit(b);

	return !is_kernel(how) ? limit / 2 : limit < KERNEL_CACHE_MIN ? 0 : limit / 8 * 3;
}

/* What the kernel may write it has to read already. */
static int range_pin(struct cinode *c, enum ls_share_how how, uint64_t offset, uint64_t length,
		     struct share_range **ret)
{
	struct budget *b = c->cache->budget;
	uint64_t size = c->size > offset ? c->size - offset : 0,
		 bytes = how == LS_SHARE_KERNEL_WRITE ? 0 : is_kernel(how) || length > size ? size : length;
	struct share_range *range;

	if (!is_kernel(how) && is_pinned(c, how, page_index(offset), page_index(offset + length - 1)))
		bytes = 0;
	if ((__atomic_add_fetch(&b->pinned, bytes, __ATOMIC_RELAXED) > pinned_limit(b, how) && bytes) ||
	    !(range = calloc(1, sizeof(*range)))) {
		__atomic_sub_fetch(&b->pinned, bytes, __ATOMIC_RELAXED);
		return -EAGAIN;
	}
	range->how = how;
	range->first = is_kernel(how) ? 0 : page_index(offset);
	range->last = is_kernel(how) ? UINT64_MAX / CACHE_PAGE : page_index(offset + length - 1);
	range->pinned = bytes;
	*ret = range;
	return 0;
}

static void range_unpin(struct cinode *c, struct share_range *range)
{
	if (!range)
		return;
	__atomic_sub_fetch(&c->cache->budget->pinned, range->pinned, __ATOMIC_RELAXED);
	free(range);
}

/*
 * May the data file be handed out like this, or does it have to be another? Who had it to write may have
 * kept it, and may do to it what he likes: that must hurt nobody but himself. Who had it to copy from may
 * be at it now, and must not find it cut. What the kernel has it keeps; and what programs have mapped it is to have, too,
 * for to others who map the file they can do no more than with the file. Large folios are not to be mapped (data.c).
 */
static bool data_is_spoilt(const struct cinode *c, const struct ls_call *call, enum ls_share_how how)
{
	if (is_kernel(how) && cshare_is_exact(c->share))
		return false;
	if (is_mapping(how) && c->data_large)
		return true;
	if (c->data_uid != UINT32_MAX && (is_kernel(how) || c->data_uid != call->cred->uid))
		return true;
	return is_mapping(how) && !cshare_is_exact(c->share) && c->data_copied;
}

/* With io and the lock held. */
static int share_add(struct cinode *c, const struct ls_call *call, enum ls_share_how how,
		     struct share_range *range)
{
	struct share *s = c->share;
	bool was_exact = cshare_is_exact(s);
	int r = 0;

	if (data_is_spoilt(c, call, how))
		r = was_exact ? -EAGAIN : cshare_renew(c, false); /* mappings cannot move */
	if (r < 0)
		return r;
	if (how == LS_SHARE_KERNEL && was_exact && !cshare_kernel_fits(c))
		return -EAGAIN;
	s->count[how]++;
	if (range) {
		LIST_INSERT_HEAD(&s->ranges, range, link);
		if (!was_exact) {
			__atomic_store_n(&s->state->exact, 1, __ATOMIC_SEQ_CST);
			cshare_epoch(s);
			cshare_length(c, true);
		}
	}
	if (how == LS_SHARE_WRITE || how == LS_SHARE_MAP_WRITE)
		c->data_uid = call->cred->uid;
	if (how == LS_SHARE_KERNEL_WRITE && s->count[how] == 1)
		cshare_kernel_begin(c);
	c->data_copied |= !cshare_is_exact(s);
	cshare_writable(c);
	return 0;
}

static bool has_copiers(const struct share *s)
{
	return s->count[LS_SHARE_READ] + s->count[LS_SHARE_WRITE] > 0;
}

static struct share_range *range_take(struct share *s, enum ls_share_how how, uint64_t first, uint64_t last)
{
	struct share_range *range;

	LIST_FOREACH(range, &s->ranges, link)
	if (range->how == how && (is_kernel(how) || (range->first == first && range->last == last)))
		break;
	if (range)
		LIST_REMOVE(range, link);
	return range;
}

/* With the lock held. Returns the range that is not needed any more. */
static struct share_range *share_drop(struct cinode *c, enum ls_share_how how, uint64_t first,
				      uint64_t last)
{
	struct share *s = c->share;
	struct share_range *range = is_mapping(how) ? range_take(s, how, first, last) : NULL;

	s->count[how]--;
	s->whole = s->whole && s->count[LS_SHARE_KERNEL];
	if (is_mapping(how) && !cshare_is_exact(s)) {
		__atomic_store_n(&s->state->exact, 0, __ATOMIC_SEQ_CST);
		cshare_epoch(s);
		cshare_length(c, false);
		c->data_copied |= has_copiers(s);
	}
	if (!is_mapping(how) && !has_copiers(s))
		cshare_epoch(s);
	cshare_writable(c);
	cshare_merge(c); /* who has seen that he may write has set his marks by now, or sees it now */
	if (!has_copiers(s) && !cshare_is_exact(s))
		cshare_end(c);
	return range;
}

/* Pages of the range, as far as the file goes. */
static int range_fill(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last)
{
	uint64_t end = pages_of(__atomic_load_n(&c->size, __ATOMIC_RELAXED));
	int r = 0;

	last = last < end ? last : end - 1;
	for (uint64_t page = first; r == 0 && end && page <= last; page += CACHE_FILL_PAGES) {
		uint64_t to = page + CACHE_FILL_PAGES - 1 < last ? page + CACHE_FILL_PAGES - 1 : last;
		budget_make_room(c->cache, call, (to - page + 1) * CACHE_PAGE);
		r = fill_lock(c, call, page, to, to);
		if (r == 0)
			pthread_rwlock_unlock(&c->lock);
	}
	return r;
}

/* For the kernel, those that are not there are holes, and right. */
int cshare_grown(struct cinode *c, const struct ls_call *call)
{
	uint64_t first = UINT64_MAX, last = 0;
	struct share_range *range;

	pthread_rwlock_rdlock(&c->lock);
	if (c->share)
		LIST_FOREACH(range, &c->share->ranges, link)
		{
			if (is_kernel(range->how))
				continue;
			first = range->first < first ? range->first : first;
			last = range->last > last ? range->last : last;
		}
	pthread_rwlock_unlock(&c->lock);
	return first == UINT64_MAX ? 0 : range_fill(c, call, first, last);
}

/* An open must not wait for a large file to be read; nor drive out what others use, for it may be a short one. */
static bool is_mostly_absent(const struct cinode *c)
{
	const struct budget *b = c->cache->budget;
	uint64_t limit = budget_limit(b), used = __atomic_load_n(&b->used, __ATOMIC_RELAXED);
	uint64_t room = used < limit ? (limit - used) / CACHE_PAGE : 0, end = pages_of(c->size), absent = 0;

	for (uint64_t i = 0; i * CHUNK_PAGES < end && absent <= KERNEL_FILL_PAGES; i++) {
		const struct chunk *chunk = chunk_find(c, i);
		absent += CHUNK_PAGES - (chunk ? __builtin_popcount(chunk->present) : 0);
	}
	return absent > (absent > room ? KERNEL_FILL_CROWDED : KERNEL_FILL_PAGES);
}

/* From here on what is absent is a hole. */
static int kernel_fill(struct cinode *c, const struct ls_call *call)
{
	int r, tries = 3;

	do {
		r = range_fill(c, call, 0, UINT64_MAX / CACHE_PAGE);
		pthread_rwlock_wrlock(&c->lock);
		c->share->whole = r == 0 && (!c->size || body_present(c, 0, pages_of(c->size) - 1));
		pthread_rwlock_unlock(&c->lock);
	} while (r == 0 && !c->share->whole && --tries);
	return r == 0 && !tries ? -EAGAIN : r;
}

static int share_do(struct cinode *c, const struct ls_call *call, enum ls_share_how how,
		    struct share_range *range)
{
	int r = 0;

	pthread_mutex_lock(&c->io);
	pthread_rwlock_wrlock(&c->lock);
	if (how != LS_SHARE_KERNEL_WRITE && (is_to_write(how) ? !cinode_may_store(c) : !cinode_is_kept(c)))
		r = -EAGAIN;
	else if (pages_of(c->size) > CACHE_SHARED_PAGES)
		r = -EOPNOTSUPP;
	else if (how == LS_SHARE_KERNEL && is_mostly_absent(c))
		r = -EAGAIN;
	else if (how == LS_SHARE_KERNEL_WRITE && (!c->share || !c->share->count[LS_SHARE_KERNEL]))
		r = -EINVAL;
	/* What sharers write must have room below. */
	if (r == 0 && is_to_write(how) && c->size && cinode_reserve(c, call, 0, c->size) < 0)
		r = -EAGAIN;
	if (r == 0 && !c->share)
		r = cshare_begin(c, call, !is_mapping(how));
	if (r == 0)
		r = share_add(c, call, how, range);
	if (r == 0 && is_to_write(how)) {
		cinode_own(c);
		cflusher_note(c);
	}
	if (r < 0 && c->share && !cshare_is_exact(c->share) && !has_copiers(c->share))
		cshare_end(c);
	pthread_rwlock_unlock(&c->lock);
	pthread_mutex_unlock(&c->io);
	return r;
}

int cache_share(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
		off_t offset, off_t length, struct ls_share *ret)
{
	struct cinode *c = cinode_of(inode);
	struct share_range *range = NULL;
	int r = 0;

	if (!c)
		return -EOPNOTSUPP;
	if (how < LS_SHARE_READ || how >= LS_SHARE_MAX || offset < 0 ||
	    (is_mapping(how) && !is_kernel(how) && length <= 0))
		return -EINVAL;
	if (c->cache->asks && is_mapping(how) && !is_kernel(how))
		return -EOPNOTSUPP; /* what is mapped cannot be taken back */
	if (is_to_write(how))
		r = below_writer(c, call);
	if (r == 0 && how != LS_SHARE_KERNEL_WRITE)
		r = keep_begin(c, call, is_to_write(how));
	if (r == KEEP_LOST)
		r = -EAGAIN;
	if (r == 0 && is_mapping(how))
		r = range_pin(c, how, offset, length, &range);
	if (r < 0)
		return r;
	r = share_do(c, call, how, range);
	if (r < 0) {
		range_unpin(c, range);
		return r;
	}
	if (how == LS_SHARE_KERNEL)
		r = kernel_fill(c, call);
	else if (range && !is_kernel(how))
		r = range_fill(c, call, range->first, range->last);
	if (r == 0 && range && is_to_write(how))
		r = cshare_hash(c, range);
	if (r < 0) {
		cache_unshare(ls, call, inode, how, is_kernel(how) ? LS_SHARE_FORCE : offset, length);
		return r;
	}
	pthread_rwlock_rdlock(&c->lock);
	*ret = (struct ls_share){.data = is_to_write(how) ? c->data : c->share->data_fd,
				 .state = c->share->state_fd,
				 .marks = how == LS_SHARE_WRITE ? c->share->marks_fd : -1};
	pthread_rwlock_unlock(&c->lock);
	return 0;
}

int cache_unshare(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, enum ls_share_how how,
		  off_t offset, off_t length)
{
	struct cinode *c = cinode_of(inode);
	struct share_range *range = NULL;
	int r = 0;

	if (!c)
		return -EOPNOTSUPP;
	pthread_rwlock_wrlock(&c->lock);
	if (how == LS_SHARE_NONE) {
		if (c->share)
			cshare_epoch(c->share);
		pthread_rwlock_unlock(&c->lock);
		return 0;
	}
	if (c->share && is_kernel(how) && how < LS_SHARE_MAX && c->share->count[how] == 1 &&
	    offset != LS_SHARE_FORCE && cshare_kernel_maps(c)) {
		r = -EBUSY;
	} else if (c->share && how > 0 && how < LS_SHARE_MAX && c->share->count[how]) {
		cshare_merge(c);
		if (is_to_write(how) && is_mapping(how))
			cshare_scan(c);
		range = share_drop(c, how, page_index(offset), page_index(offset + length - 1));
	} else {
		r = -EINVAL;
	}
	pthread_rwlock_unlock(&c->lock);
	range_unpin(c, range);
	cflusher_done(c, call, 0);
	below_settle(c, call);
	return r;
}
