/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel as a sharer: FUSE passthrough. It writes the data file as if that were the file, takes no lock of ours,
 * sets no marks, and makes it longer. It never makes it shorter, and punches no holes: programs' calls for that reach
 * us as messages.
 *
 * So, while it may write,
 *  - the data file's length and mtime are the truth, and looked at before ours are told to anybody;
 *  - an absent page is a hole in the data file, which reads as zeros: we do not fill it, the kernel may be storing there;
 *  - nothing zeroes what is behind the end as we know it, or cuts the data file there: the end may have moved on.
 *
 * Room below cannot be reserved before the kernel makes a file longer. It is when we see it; if there is none, the next
 * fsync of each open file says so, as after a write-back that failed.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/cache/cache.h"

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void grown_fails(struct cinode *c, int r)
{
	c->error = r;
	c->error_seq++;
	c->error_seen = false;
}

/* What of the range is not there yet, or is to count as changed. */
static void pages_adopt(struct cinode *c, uint64_t from, uint64_t to, bool all)
{
	uint64_t last = page_index(to - 1), page = page_index(from);
	int r;

	if (!all)
		page = body_absent(c, page, last);
	if (page > last)
		return;
	from = page * CACHE_PAGE > from ? page * CACHE_PAGE : from;
	r = cinode_reserve(c, &cflusher_call, from, to - from);
	for (; page <= last; page++)
		if (all || !body_present(c, page, page))
			body_adopt(c, page);
	if (r < 0)
		grown_fails(c, r);
}

/* Where there is data. What was skipped when the file grew are holes, however large. */
static void data_adopt(struct cinode *c, uint64_t from, uint64_t to, bool all)
{
	while (from < to) {
		off_t data = lseek(c->data, from, SEEK_DATA), hole = data < 0 ? -1 : lseek(c->data, data, SEEK_HOLE);

		if (hole < 0 || (uint64_t)data >= to)
			break;
		from = (uint64_t)hole < to ? (uint64_t)hole : to;
		pages_adopt(c, data, from, all);
	}
}

static void length_merge(struct cinode *c, uint64_t length)
{
	uint64_t old = c->size;

	c->share->length = length;
	if (length <= old)
		return;
	cinode_own(c);
	__atomic_store_n(&c->size, length, __ATOMIC_RELAXED);
	data_adopt(c, old, length, true);
	__atomic_store_n(&c->share->state->size, length, __ATOMIC_SEQ_CST);
	cflusher_note(c);
}

static void stored(struct cinode *c, const struct timespec *when)
{
	cinode_own(c);
	c->share->stored = true;
	c->mtime = c->ctime = *when;
	c->times_dirty = true;
	__atomic_store_n(&c->atime_due, true, __ATOMIC_RELAXED);
	cflusher_note(c);
}

void cshare_kernel_merge(struct cinode *c)
{
	struct share *s = c->share;
	struct stat st;

	if (fstat(c->data, &st) < 0)
		return;
	if ((uint64_t)st.st_size != s->length)
		length_merge(c, st.st_size);
	if (!same_time(&st.st_mtim, &s->mtime))
		stored(c, &st.st_mtim);
	s->mtime = st.st_mtim;
}

void cshare_kernel_holes(struct cinode *c)
{
	data_adopt(c, 0, c->size, false);
}

void cshare_kernel_mine(struct cinode *c)
{
	struct stat st;

	if (cshare_kernel_writes(c) && fstat(c->data, &st) == 0)
		c->share->mtime = st.st_mtim;
}

void cshare_kernel_begin(struct cinode *c)
{
	cshare_kernel_mine(c);
}

/* Of a new end the last byte is written, unless it is there: that cannot cut. */
bool cshare_kernel_length(struct cinode *c, uint64_t length)
{
	struct stat st;

	if (fstat(c->data, &st) < 0)
		return false;
	if ((uint64_t)st.st_size < length)
		return fallocate(c->data, 0, length - 1, 1) == 0;
	return c->share->may_cut && (uint64_t)st.st_size > length ? ftruncate(c->data, length) == 0 : true;
}
