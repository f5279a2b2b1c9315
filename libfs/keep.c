/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few places with one file's bytes, or one directory's records, each. A place is found by the inode alone, so that it
 * serves whoever has the file open. `users` counts who copies from it; who fills it has it alone (FILLING). Nobody
 * waits: a place in use is passed over.
 *
 * Files are worth an OPEN with data only to programs that read what they open, which is most. A score follows what
 * became of what was brought; when it is low, only every now and then an OPEN tries again.
 */
#include <errno.h>
#include "ipc/sys.h"
#include "libfs/cursor.h"
#include "libfs/internal.h"
#include "libfs/keep.h"
#include "libfs/lease.h"

enum {
	SMALLS = 6,
	LARGES = 2, /* who compares files reads two at a time */
	PLACES = SMALLS + LARGES,
	FILLING = 1u << 31,
	SCORE_START = 8,
	SCORE_MAX = 32,
	PROBE_EVERY = 32, /* opens */
};

struct place {
	uint32_t users;
	uint32_t mount;
	uint64_t ino; /* 0: nothing is there */
	uint64_t change;
	uint32_t generation; /* of the service: its change counts begin anew */
	uint32_t length;
	uint32_t used;
	uint32_t pad[7];
};
_Static_assert(sizeof(struct place) == 64, "a cache line");

static struct {
	struct place place[PLACES];
	uint32_t next, next_large;
	uint32_t opens;
	int32_t score; /* less SCORE_START, so that it begins as 0 */
	char small[SMALLS][KEEP_SMALL_MAX] __attribute__((aligned(4096)));
	char large[LARGES][KEEP_LARGE_MAX];
} __attribute__((aligned(4096))) keep; /* whole pages, and nothing else in them */

int keep_wipe_on_fork(void)
{
	return fs_wipe_on_fork(&keep, sizeof(keep));
}

static char *place_data(const struct place *p)
{
	return p - keep.place < SMALLS ? keep.small[p - keep.place] : keep.large[p - keep.place - SMALLS];
}

static uint32_t generation_now(void)
{
	return __atomic_load_n(&fs_table()->generation, __ATOMIC_ACQUIRE);
}

/* ---- the score ------------------------------------------------------------------------------- */

/* Of no consequence if two threads do it at once. */
static void score_add(int by)
{
	int32_t score = __atomic_load_n(&keep.score, __ATOMIC_RELAXED) + by;

	if (score >= -SCORE_START && score <= SCORE_MAX - SCORE_START)
		__atomic_store_n(&keep.score, score, __ATOMIC_RELAXED);
}

uint32_t keep_wanted(uint64_t size)
{
	if (size != UINT64_MAX && size > KEEP_LARGE_MAX)
		return 0;
	if (__atomic_load_n(&keep.score, __ATOMIC_RELAXED) <= -SCORE_START &&
	    __atomic_add_fetch(&keep.opens, 1, __ATOMIC_RELAXED) % PROBE_EVERY)
		return 0;
	return size == UINT64_MAX || size <= WIRE_INLINE ? WIRE_INLINE : KEEP_LARGE_MAX;
}

/* ---- places ---------------------------------------------------------------------------------- */

static int place_is(const struct place *p, uint32_t mount, uint64_t ino)
{
	return __atomic_load_n(&p->ino, __ATOMIC_RELAXED) == ino && p->mount == mount;
}

static struct place *place_find(uint32_t mount, uint64_t ino)
{
	struct place *p;

	for (p = keep.place; p < keep.place + PLACES; p++)
		if (place_is(p, mount, ino))
			return p;
	return NULL;
}

static void place_leave(struct place *p)
{
	__atomic_sub_fetch(&p->users, 1, __ATOMIC_RELEASE);
}

/* The inode's place, with what is good there now; place_leave it. */
static struct place *place_enter(uint32_t mount, uint64_t ino)
{
	struct place *p = place_find(mount, ino);
	uint64_t size;

	if (!p)
		return NULL;
	if (!(__atomic_fetch_add(&p->users, 1, __ATOMIC_ACQUIRE) & FILLING) && place_is(p, mount, ino) &&
	    p->change == lease_change(mount, ino, &size) && p->change && p->generation == generation_now())
		return p;
	place_leave(p);
	return NULL;
}

static int place_begin(struct place *p)
{
	uint32_t nobody = 0;

	return __atomic_compare_exchange_n(&p->users, &nobody, FILLING, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* One to fill, ours alone; NULL if that would have to wait. */
static struct place *place_for(uint32_t mount, uint64_t ino, uint64_t length)
{
	struct place *p = place_find(mount, ino);

	/* An inode has one place at most, for the sake of place_find. */
	if (p && (length > KEEP_SMALL_MAX) != (p >= &keep.place[SMALLS])) {
		if (!place_begin(p))
			return NULL;
		__atomic_store_n(&p->ino, 0, __ATOMIC_RELAXED);
		__atomic_fetch_and(&p->users, ~FILLING, __ATOMIC_RELEASE);
		p = NULL;
	}
	if (!p && length > KEEP_SMALL_MAX)
		p = &keep.place[SMALLS + __atomic_fetch_add(&keep.next_large, 1, __ATOMIC_RELAXED) % LARGES];
	else if (!p)
		p = &keep.place[__atomic_fetch_add(&keep.next, 1, __ATOMIC_RELAXED) % SMALLS];
	return place_begin(p) ? p : NULL;
}

int keep_has(uint32_t mount, uint64_t ino, uint64_t change)
{
	const struct place *p = place_find(mount, ino);

	return p && p->change == change;
}

void keep_put(uint32_t mount, uint64_t ino, uint64_t change, const void *data, uint64_t length)
{
	struct place *p;

	if (!change || length > KEEP_LARGE_MAX || !(p = place_for(mount, ino, length)))
		return;
	if (p->ino && !p->used)
		score_add(-1);
	p->mount = mount;
	p->change = change;
	p->generation = generation_now();
	p->length = (uint32_t)length;
	p->used = 0;
	copy_smc(place_data(p), data, length);
	__atomic_store_n(&p->ino, ino, __ATOMIC_RELEASE);
	__atomic_fetch_and(&p->users, ~FILLING, __ATOMIC_RELEASE);
}

static void place_used(struct place *p)
{
	if (p->used)
		return;
	p->used = 1;
	score_add(2);
}

/* ---- files ----------------------------------------------------------------------------------- */

uint64_t keep_reading(const struct fs_file *f, uint64_t offset, uint64_t *ret_size)
{
	uint64_t change = offset ? 0 : lease_change(f->mount, f->ino, ret_size);

	return change && *ret_size <= KEEP_LARGE_MAX && keep_wanted(*ret_size) ? change : 0;
}

void keep_was_read(const struct fs_file *f, uint64_t change, const void *data, uint64_t length)
{
	uint64_t size;

	if (lease_change(f->mount, f->ino, &size) == change && size == length)
		keep_put(f->mount, f->ino, change, data, length);
}

int keep_read(const struct fs_file *f, struct cursor *c, uint64_t offset, int64_t *ret)
{
	struct place *p = place_enter(f->mount, f->ino);
	uint64_t n, copied;

	if (!p)
		return 0;
	n = offset < p->length ? p->length - offset : 0;
	if (n > c->left)
		n = c->left;
	copied = n ? cursor_copy(c, place_data(p) + offset, n, 1, UINT32_MAX) : 0;
	place_used(p);
	place_leave(p);
	*ret = n && !copied ? -EFAULT : (int64_t)copied;
	return 1;
}

/* ---- directories ----------------------------------------------------------------------------- */

/* struct linux_dirent64 */
struct record {
	uint64_t ino;
	uint64_t next;
	uint16_t length;
} __attribute__((packed));

static const struct record *record_at(const char *data, uint32_t at)
{
	return (const struct record *)(data + at);
}

/* Where the records after the cookie begin; UINT32_MAX if it is not there. */
static uint32_t records_find(const char *data, uint32_t length, uint64_t cookie)
{
	uint32_t at = 0;

	while (cookie && at < length) {
		const struct record *r = record_at(data, at);

		at += r->length;
		if (r->next == cookie)
			return at;
	}
	return cookie ? UINT32_MAX : 0;
}

/* How many bytes of whole records fit; *ret_next is the cookie after them. */
static uint32_t records_fit(const char *data, uint32_t from, uint32_t length, uint64_t size, uint64_t *ret_next)
{
	uint32_t at = from;

	while (at < length && at - from + record_at(data, at)->length <= size) {
		*ret_next = record_at(data, at)->next;
		at += record_at(data, at)->length;
	}
	return at - from;
}

static int64_t records_give(const struct place *p, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next)
{
	const char *data = place_data(p);
	uint32_t from = records_find(data, p->length, cookie), n;

	if (from == UINT32_MAX)
		return -EAGAIN;
	*ret_next = cookie;
	n = records_fit(data, from, p->length, size, ret_next);
	if (!n)
		return from < p->length ? -EINVAL : 0;
	if (!fs_memory_writable((uint64_t)buf, n))
		return -EFAULT;
	copy_smc(buf, data + from, n);
	return n;
}

int keep_list(const struct fs_file *f, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next, int64_t *ret)
{
	struct place *p = place_enter(f->mount, f->ino);

	if (!p)
		return 0;
	*ret = records_give(p, buf, size, cookie, ret_next);
	p->used = 1;
	place_leave(p);
	return *ret != -EAGAIN;
}
