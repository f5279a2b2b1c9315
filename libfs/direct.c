/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of files' data: when to ask for one, and when it goes.
 *
 * To ask costs as much as some dozens of small requests (a connection, three mappings), so a file must have cost that
 * much before: then, whatever comes, at most twice of what was needed is spent. Files that are read once are not
 * asked for. The answer "not now" makes it wait for twice as long the next time.
 *
 * All files of the process that are open on one inode have one share. The service ends it when the last handle on the
 * inode is closed; nothing has to be said. A handle that is parked is not closed, so of the last few files their mappings
 * stay. They do not go to the child of a fork, which is another session.
 *
 * `data` is mapped with room for the file to grow. What lies behind its end is not touched, for the size is looked at
 * first, so the room costs nothing but addresses.
 */
#include "libfs/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "ipc/sys.h"
#include "libfs/internal.h"

enum {
	HEAT_ASK = 32,           /* requests' worth */
	HEAT_SHIFT = 14,         /* log2 of the bytes that cost as much again as a request itself */
	HEAT_BACKOFF_MAX = 10,   /* doublings */
	HEAT_NEVER = UINT16_MAX, /* instead of the doublings */
	ROOM_SHIFT = 21,
	LINGERING = 4,
};
#define ROOM_LEAST (64ull << 20)
#define LENGTH_MAX ((uint64_t)SHARE_REGIONS_MAX * SHARE_REGION * SHARE_PAGE)

static struct {
	struct direct direct[DIRECT_MAX];
	uint32_t top; /* all in use are below */
	uint32_t lingering[LINGERING], next; /* each a user more */
} __attribute__((aligned(4096))) shares; /* whole pages, and nothing else in them */

static uint32_t shares_wiped; /* the child of a fork finds them zeroed */

/* ---- copying ---------------------------------------------------------------------------------- */

static uint64_t state_length(const struct direct *d)
{
	return SHARE_HEADER + d->length / SHARE_PAGE * sizeof(uint32_t);
}

static uint64_t marks_length(const struct direct *d)
{
	return SHARE_MARKS_HEADER + d->length / SHARE_PAGE;
}

/* From here on the entry is free, when it has no user. */
static void direct_clear(struct direct *d)
{
	if (d->state)
		sys_munmap((void *)(uintptr_t)d->state, state_length(d));
	if (d->marks)
		sys_munmap(d->marks, marks_length(d));
	if (d->data)
		sys_munmap(d->data, d->length);
	d->state = NULL;
	d->marks = NULL;
	__atomic_store_n(&d->used, 0, __ATOMIC_RELEASE);
}

static void direct_unmap(struct direct *d)
{
	uint32_t dead = DIRECT_DEAD;

	if (!__atomic_compare_exchange_n(&d->copiers, &dead, DIRECT_DEAD | DIRECT_GONE, 0, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return;
	direct_clear(d);
}

static void copier_leave(struct direct *d)
{
	if (__atomic_sub_fetch(&d->copiers, 1, __ATOMIC_ACQ_REL) == DIRECT_DEAD)
		direct_unmap(d);
}

struct direct *direct_enter(struct fs_file *f, struct wire_slot **slot)
{
	uint32_t share = __atomic_load_n(&f->share, __ATOMIC_ACQUIRE);
	struct direct *d = share ? &shares.direct[share - 1] : NULL;

	if (!d)
		return NULL;
	*slot = NULL;
	if (!(__atomic_add_fetch(&d->copiers, 1, __ATOMIC_ACQUIRE) & DIRECT_DEAD) && d->ino == f->ino &&
	    d->mount == f->mount && !fs_file_stale(f) && (!d->exact || (*slot = front_copying_begin(fs_front(), (uint32_t)d->session))))
		return d;
	copier_leave(d);
	direct_drop(f);
	return NULL;
}

void direct_leave(struct direct *d, struct wire_slot *slot)
{
	if (__builtin_expect(slot != NULL, 0))
		front_copying_end(fs_front(), slot);
	copier_leave(d);
}

/* ---- letting go ------------------------------------------------------------------------------- */

static void direct_kill(struct direct *d)
{
	if (__atomic_fetch_or(&d->copiers, DIRECT_DEAD, __ATOMIC_ACQ_REL) == 0)
		direct_unmap(d);
}

static void user_leave(struct direct *d)
{
	if (__atomic_sub_fetch(&d->users, 1, __ATOMIC_ACQ_REL) == 0)
		direct_kill(d);
}

void direct_drop(struct fs_file *f)
{
	uint32_t share = __atomic_load_n(&f->share, __ATOMIC_ACQUIRE);
	struct direct *d = share ? &shares.direct[share - 1] : NULL;

	if (!d || !__atomic_compare_exchange_n(&f->share, &share, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	direct_kill(d);
	user_leave(d);
}

void direct_release(uint32_t share)
{
	if (share)
		user_leave(&shares.direct[share - 1]);
}

static int lingers(uint32_t share)
{
	uint32_t i = 0;

	while (i < LINGERING && __atomic_load_n(&shares.lingering[i], __ATOMIC_RELAXED) != share)
		i++;
	return i < LINGERING;
}

/* In the place of another's, which goes instead. One to write goes at once. */
void direct_linger(uint32_t share)
{
	uint32_t i;

	if (share && !shares.direct[share - 1].marks && !lingers(share)) {
		i = __atomic_fetch_add(&shares.next, 1, __ATOMIC_RELAXED) % LINGERING;
		share = __atomic_exchange_n(&shares.lingering[i], share, __ATOMIC_ACQ_REL);
	}
	direct_release(share);
}

/* ---- asking ----------------------------------------------------------------------------------- */

static int direct_wipe(void)
{
	int r = shares_wiped ? 0 : fs_wipe_on_fork(&shares, sizeof(shares));

	if (r == 0)
		shares_wiped = 1;
	return r;
}

/* One more user, unless it is dead or there is none. */
static int user_join(struct direct *d)
{
	uint32_t users = __atomic_load_n(&d->users, __ATOMIC_ACQUIRE);

	while (users)
		if (__atomic_compare_exchange_n(&d->users, &users, users + 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return 1;
	return 0;
}

static int direct_suits(const struct direct *d, const struct fs_file *f, int writes)
{
	return d->ino == f->ino && d->mount == f->mount && d->session == f->session && (d->marks || !writes) &&
	       !(__atomic_load_n(&d->copiers, __ATOMIC_ACQUIRE) & DIRECT_DEAD);
}

/* The process's share of the file, one user more; or NULL. */
static struct direct *direct_find(const struct fs_file *f, int writes)
{
	struct direct *d = shares.direct, *end = d + __atomic_load_n(&shares.top, __ATOMIC_ACQUIRE);

	for (; d < end; d++) {
		if (!direct_suits(d, f, writes) || !user_join(d))
			continue;
		if (direct_suits(d, f, writes))
			return d;
		user_leave(d);
	}
	return NULL;
}

static void shares_top(uint32_t top)
{
	uint32_t old = __atomic_load_n(&shares.top, __ATOMIC_RELAXED);

	while (old < top && !__atomic_compare_exchange_n(&shares.top, &old, top, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		;
}

/* An entry that nobody refers to, with one user; dead as yet. NULL: all are used. */
static struct direct *direct_new(void)
{
	struct direct *d;
	uint32_t i, none;

	for (i = 0; i < DIRECT_MAX; i++) {
		d = &shares.direct[i];
		none = 0;
		if (d->users || !__atomic_compare_exchange_n(&d->users, &none, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		/* Not yet unmapped? */
		if (!__atomic_load_n(&d->used, __ATOMIC_ACQUIRE)) {
			__atomic_or_fetch(&d->copiers, DIRECT_DEAD | DIRECT_GONE, __ATOMIC_ACQ_REL);
			__atomic_store_n(&d->used, 1, __ATOMIC_RELAXED);
			shares_top(i + 1);
			return d;
		}
		__atomic_sub_fetch(&d->users, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *memory_map(int fd, uint64_t length, int writable)
{
	void *at = sys_mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (sys_failed((long)at))
		return NULL;
	sys_madvise(at, length, MADV_DONTFORK);
	sys_madvise(at, length, MADV_DONTDUMP);
	return at;
}

/* How much of `data` to map. */
static uint64_t length_for(uint64_t size)
{
	uint64_t length = size + (size > ROOM_LEAST ? size : ROOM_LEAST);

	length = (length + (1 << ROOM_SHIFT) - 1) >> ROOM_SHIFT << ROOM_SHIFT;
	return length < LENGTH_MAX ? length : LENGTH_MAX;
}

static int direct_map(struct direct *d, const struct front_share *got)
{
	const struct share_state *state = memory_map(got->state, SHARE_HEADER, 0);
	uint64_t size;

	if (!state)
		return -ENOMEM;
	size = state->size;
	d->epoch = __atomic_load_n(&state->epoch, __ATOMIC_ACQUIRE);
	d->exact = state->exact;
	d->length = size <= LENGTH_MAX && state->magic == SHARE_MAGIC ? length_for(size) : 0;
	sys_munmap((void *)(uintptr_t)state, SHARE_HEADER);
	if (!d->length)
		return -EPROTO;
	d->marks = NULL;
	d->state = memory_map(got->state, state_length(d), 0);
	if (got->marks >= 0)
		d->marks = memory_map(got->marks, marks_length(d), 1);
	d->data = memory_map(got->data, d->length, d->marks != NULL);
	/* Or the kernel might fill what the cache has let go of, to have 2 MiB in one piece. */
	if (d->data)
		sys_madvise(d->data, d->length, MADV_NOHUGEPAGE);
	return d->state && d->data && (d->marks || got->marks < 0) ? 0 : -ENOMEM;
}

static int direct_open(const struct fs_file *f, int writes, struct direct **ret)
{
	struct front_share ask = {.handle = f->handle, .how = writes ? WIRE_SHARE_WRITE : WIRE_SHARE_READ};
	struct direct *d = direct_new();
	int r;

	if (!d)
		return -ENOSPC;
	d->data = NULL;
	d->state = NULL;
	d->marks = NULL;
	d->extended = d->grant_off = 0;
	r = f->session == fs_session() ? front_share(fs_front(), &ask) : -ESTALE;
	if (r == 0) {
		r = ask.state >= 0 && ask.data >= 0 && (ask.marks >= 0 || !writes) ? direct_map(d, &ask) : -EPROTO;
		front_share_close(&ask);
	}
	if (r < 0) {
		direct_clear(d);
		__atomic_sub_fetch(&d->users, 1, __ATOMIC_RELEASE);
		return r;
	}
	d->ino = f->ino;
	d->mount = f->mount;
	d->session = f->session;
	/* Alive from here on. */
	__atomic_and_fetch(&d->copiers, ~(uint32_t)(DIRECT_DEAD | DIRECT_GONE), __ATOMIC_ACQ_REL);
	*ret = d;
	return 0;
}

static int direct_ask(const struct fs_file *f, int writes, struct direct **ret)
{
	uint64_t all = ~0ull, old = 0;
	int r;

	/* A handler that jumps away would leave descriptors behind. */
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all));
	r = direct_open(f, writes, ret);
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old));
	return r;
}

static void direct_attach(struct fs_file *f, struct direct *d)
{
	uint32_t none = 0;

	direct_drop(f);
	if (!__atomic_compare_exchange_n(&f->share, &none, (uint32_t)(d - shares.direct) + 1, 0, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		user_leave(d);
}

/* What it has is good enough: a hint. */
static int has_share(const struct fs_file *f, int writes)
{
	uint32_t share = __atomic_load_n(&f->share, __ATOMIC_RELAXED);

	return share && (!writes || shares.direct[share - 1].marks);
}

static int heat_eligible(const struct fs_file *f)
{
	return f->type == S_IFREG && !(f->flags & (O_DIRECT | O_PATH)) && !fs_file_stale(f);
}

void direct_warm(struct fs_file *f, uint64_t bytes, int writes)
{
	uint32_t heat = f->heat & 0xffff, wait = f->heat >> 16;
	struct direct *d;
	int r;

	if (wait == HEAT_NEVER || has_share(f, writes))
		return;
	if (shares.top && (d = direct_find(f, writes)) != NULL) {
		direct_attach(f, d);
		return;
	}
	heat += 1 + (uint32_t)(bytes >> HEAT_SHIFT);
	if (heat < (uint32_t)HEAT_ASK << wait) {
		f->heat = heat | wait << 16;
		return;
	}
	if (!heat_eligible(f) || direct_wipe() < 0) {
		f->heat = (uint32_t)HEAT_NEVER << 16;
		return;
	}
	r = direct_ask(f, writes, &d);
	if (r == 0)
		direct_attach(f, d);
	wait = r == 0 ? 0 : wait + (wait < HEAT_BACKOFF_MAX);
	f->heat = r == -EOPNOTSUPP || r == -EACCES || r == -EINVAL ? (uint32_t)HEAT_NEVER << 16 : wait << 16;
}
