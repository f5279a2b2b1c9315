/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel as a sharer: FUSE passthrough. It writes the data file as if that were the file, takes no lock of ours,
 * sets no marks, and makes it longer. It never makes it shorter, and punches no holes: programs' calls for that reach
 * us as messages.
 *
 * So, while it has the file,
 *  - the data file is as long as that is. While it may write, its length and mtime are the truth, and looked at before
 *    ours are told to anybody;
 *  - all of it was there at the beginning and stays, so an absent page is a hole in the data file, which reads as zeros:
 *    we do not fill it, the kernel may be storing there. What makes holes below makes them here;
 *  - nothing zeroes what is behind the end as we know it, or cuts the data file there: the end may have moved on.
 *
 * What it mapped of the file while it had that open it keeps mapped, and holds the data file open for it; nobody is told
 * when that ends. So we look, by asking for a lease to write, which is given only to who has a file open alone.
 *
 * Room below cannot be reserved before the kernel makes a file longer. It is when we see it; if there is none, the next
 * fsync of each open file says so, as after a write-back that failed.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libservices/cache/cache.h"
#include "libservices/rules.h"

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
	if (!ls_time_equal(st.st_mtim, s->mtime))
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

bool cshare_kernel_maps(struct cinode *c)
{
	int own = c->share->data_fd, to_read;
	bool alone;

	/* Ours to read would count: its number is the other's meanwhile. */
	if (dup3(c->data, own, O_CLOEXEC) < 0)
		return true;
	alone = fcntl(c->data, F_SETLEASE, F_WRLCK) == 0;
	if (alone)
		fcntl(c->data, F_SETLEASE, F_UNLCK);
	to_read = cshare_fd_to_read(c->data);
	if (to_read >= 0) {
		dup3(to_read, own, O_CLOEXEC);
		close(to_read);
	}
	return !alone;
}

/* Mappings do not mind if it is longer by less than a page; who reads to its end does. */
bool cshare_kernel_fits(struct cinode *c)
{
	struct stat st;

	if (fstat(c->data, &st) < 0)
		return false;
	if ((uint64_t)st.st_size > c->size && page_index(st.st_size - 1) <= page_index(c->size) &&
	    ftruncate(c->data, c->size) == 0)
		st.st_size = c->size;
	c->share->length = st.st_size;
	return (uint64_t)st.st_size == c->size;
}

void cshare_kernel_begin(struct cinode *c)
{
	cshare_kernel_mine(c);
}

bool cshare_kernel_allocates(int mode)
{
	mode &= ~FALLOC_FL_KEEP_SIZE;
	return !mode || mode == FALLOC_FL_PUNCH_HOLE || mode == FALLOC_FL_ZERO_RANGE;
}

/* What is zeros below, too, is not to be written. */
static void hashes_zero(struct chunk *chunk, uint64_t offset, uint64_t end)
{
	static const char zeros[CACHE_PAGE];

	for (unsigned i = 0; chunk->hash && i < CHUNK_PAGES; i++) {
		uint64_t start = (chunk->index * CHUNK_PAGES + i) * CACHE_PAGE;
		if (start >= offset && start + CACHE_PAGE <= end)
			chunk->hash[i] = cpage_hash(zeros);
		else if (start < end && start + CACHE_PAGE > offset)
			chunk->hash[i] = 0;
	}
}

void cshare_kernel_zero(struct cinode *c, uint64_t offset, uint64_t length)
{
	fallocate(c->data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
	for (struct chunk *chunk = chunk_from(c, offset / CACHE_CHUNK, false);
	     chunk && chunk->index <= (offset + length - 1) / CACHE_CHUNK; chunk = chunk_from(c, chunk->index + 1, false))
		hashes_zero(chunk, offset, offset + length);
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
