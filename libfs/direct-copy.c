/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing in files' cached data. ipc/wire-share.h says why it is right; here is in what order.
 *
 * A transfer goes in pieces. Each looks at the epoch, the size and the words of its pages, copies, and looks again; if
 * something has changed the cursor goes back, and the piece and what follows is left to a request. Words only count up,
 * so their sum says whether one has changed.
 *
 * Pages that are not present are never touched: there is no memory behind them, and a touch would make some.
 */
#include "libfs/direct.h"

#include <errno.h>
#include <fcntl.h>
#include "ipc/front-count.h"
#include "ipc/sys.h"
#include "libfs/cursor.h"
#include "libfs/internal.h"

enum {
	PIECE = 256 * 1024,
	EXTENDED_ASK = 4,  /* requests that make a file longer, until a grant is asked for */
	GRANT_AGAIN = 256, /* and until it is asked for again */
};

/* Orders loads before loads, and stores before stores: x86 does, the compiler might not. */
#define ORDER() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* ---- what is there ---------------------------------------------------------------------------- */

/* The sum of the words of pages; 0 if one is not present. */
static uint64_t words_sum(const struct share_state *s, uint64_t from, uint64_t n)
{
	uint64_t page = from / SHARE_PAGE, last = (from + n - 1) / SHARE_PAGE, sum = 0;
	uint32_t word, all = SHARE_PRESENT;

	for (; page <= last; page++) {
		word = __atomic_load_n(&s->page[page], __ATOMIC_ACQUIRE);
		all &= word;
		sum += word;
	}
	return all ? sum : 0;
}

struct size {
	uint64_t size; /* there are so many bytes */
	int certain;   /* and there are no more */
};

/*
 * The holder of a grant has appended up to marks->size, which the service puts into state->size before it clears it: so
 * marks->size is read first.
 */
static struct size size_now(const struct direct *d)
{
	uint64_t appended = d->marks ? __atomic_load_n(&d->marks->size, __ATOMIC_ACQUIRE) : 0;
	uint64_t size = __atomic_load_n(&d->state->size, __ATOMIC_ACQUIRE);
	uint32_t holder = __atomic_load_n(&d->state->grant_session, __ATOMIC_ACQUIRE);

	if (holder == (uint32_t)d->session && d->marks) {
		if (appended <= size)
			return (struct size){size, 1};
		if (appended <= __atomic_load_n(&d->state->granted, __ATOMIC_ACQUIRE))
			return (struct size){appended, 1};
	}
	return (struct size){size, holder == UINT32_MAX && appended <= size};
}

static int epoch_good(const struct direct *d)
{
	return __atomic_load_n(&d->state->epoch, __ATOMIC_ACQUIRE) == d->epoch;
}

int direct_size(struct fs_file *f, uint64_t *ret)
{
	struct wire_slot *slot;
	struct direct *d = direct_enter(f, &slot);
	struct size size;
	int good;

	if (!d)
		return 0;
	size = size_now(d);
	good = epoch_good(d);
	direct_leave(d, slot);
	*ret = size.size;
	return good && size.certain;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* A piece that is within the file. Returns n, fewer if the program's memory ends, or 0. */
static uint64_t read_piece(struct direct *d, struct cursor *c, uint64_t offset, uint64_t n)
{
	struct cursor start = *c;
	uint64_t sum, done;

	if (offset + n > d->length || !epoch_good(d) || !(sum = words_sum(d->state, offset, n)))
		return 0;
	done = cursor_copy(c, d->data + offset, n, 1, UINT32_MAX);
	ORDER();
	if (words_sum(d->state, offset, n) == sum && epoch_good(d) && size_now(d).size >= offset + n)
		return done;
	*c = start;
	return 0;
}

static int64_t read_pieces(struct direct *d, struct cursor *c, uint64_t offset, int *ret_end)
{
	struct size size = size_now(d);
	uint64_t done = 0, n, piece = 1, left = c->left;

	*ret_end = 0;
	if (offset >= size.size || left > size.size - offset) {
		if (!size.certain || !epoch_good(d))
			return 0;
		left = offset < size.size ? size.size - offset : 0;
		*ret_end = 1;
	}
	for (; left && piece; left -= piece) {
		n = PIECE - offset % PIECE;
		piece = read_piece(d, c, offset, n < left ? n : left);
		offset += piece;
		done += piece;
	}
	*ret_end &= !left;
	return (int64_t)done;
}

int64_t direct_read(struct fs_file *f, struct cursor *c, uint64_t offset, int *ret_end)
{
	struct wire_slot *slot;
	struct direct *d = direct_enter(f, &slot);
	int64_t r = 0;
	int over;

	*ret_end = 0;
	if (!d)
		return 0;
	r = read_pieces(d, c, offset, ret_end);
	over = r == 0 && !*ret_end && !epoch_good(d);
	direct_leave(d, slot);
	if (r || *ret_end) {
		front_count(WIRE_COUNT_DIRECT_READS, 1);
		front_count(WIRE_COUNT_DIRECT_BYTES_READ, (uint64_t)r);
	}
	if (over)
		direct_drop(f);
	return r;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static int writable(const struct direct *d)
{
	return epoch_good(d) && __atomic_load_n(&d->state->writable, __ATOMIC_ACQUIRE);
}

/*
 * The bytes were stored. Each mark is a plain store after them, whether it is set already or not: the service clears
 * marks before it reads, so if it clears one that was set before ours, ours comes after.
 */
static void marks_set(struct share_marks *m, uint64_t offset, uint64_t n)
{
	uint64_t first = offset / SHARE_PAGE, last = (offset + n - 1) / SHARE_PAGE, i;

	ORDER();
	for (i = first; i <= last; i++)
		__atomic_store_n(&m->page[i], 1, __ATOMIC_RELEASE);
	for (i = first / SHARE_REGION; i <= last / SHARE_REGION; i++)
		__atomic_store_n(&m->region[i], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&m->any, 1, __ATOMIC_RELEASE);
}

/*
 * A first store into a page that is not in our page tables would fetch just this one; a load fetches the pages around,
 * too, and they can be written then.
 */
static void pages_touch(const char *data, uint64_t n)
{
	for (uint64_t i = 0; i < n; i += SHARE_PAGE)
		(void)*(const volatile char *)(data + i);
}

/* Stores a piece into pages that are present. Returns how much, or 0; *ret_good: nobody has changed anything. */
static uint64_t store(struct direct *d, struct cursor *c, uint64_t offset, uint64_t n, int *ret_good)
{
	uint64_t sum = words_sum(d->state, offset, n), done;
	int64_t now = fs_clock();

	*ret_good = 0;
	if (!sum || !now)
		return 0;
	pages_touch(d->data + offset, n);
	done = cursor_copy(c, d->data + offset, n, 0, UINT32_MAX);
	if (!done)
		return 0;
	marks_set(d->marks, offset, done);
	/* A full barrier after the marks, before the words. Partner: who evicts changes the words first, and then looks
	 * at the marks. */
	__atomic_exchange_n(&d->marks->mtime, now, __ATOMIC_SEQ_CST);
	*ret_good = words_sum(d->state, offset, n) == sum && writable(d);
	return done;
}

/* A piece within the file. */
static uint64_t overwrite_piece(struct direct *d, struct cursor *c, uint64_t offset, uint64_t n)
{
	struct cursor start = *c;
	uint64_t done;
	int good;

	if (offset + n > d->length || !writable(d))
		return 0;
	done = store(d, c, offset, n, &good);
	if (good && size_now(d).size >= offset + done)
		return done;
	*c = start;
	return 0;
}

static int64_t overwrite(struct direct *d, struct cursor *c, uint64_t offset)
{
	uint64_t done = 0, n, piece = 1;

	for (; c->left && piece; offset += piece) {
		n = PIECE - offset % PIECE;
		piece = overwrite_piece(d, c, offset, n < c->left ? n : c->left);
		done += piece;
	}
	return (int64_t)done;
}

/* ---- appending -------------------------------------------------------------------------------- */

enum extent { EXTENT_GOOD, EXTENT_MORE, EXTENT_NO, EXTENT_HOLE };

/*
 * With `appending` taken: whether a write that ends at `end` is within the grant, or one would not help. A page that
 * nobody writes is to be a hole, which the service alone makes.
 */
static enum extent extent_of(const struct direct *d, uint64_t offset, uint64_t size, uint64_t end)
{
	if (offset / SHARE_PAGE > (size + SHARE_PAGE - 1) / SHARE_PAGE || end > d->length)
		return EXTENT_HOLE;
	if (__atomic_load_n(&d->state->grant_session, __ATOMIC_ACQUIRE) != (uint32_t)d->session || !writable(d))
		return EXTENT_NO;
	return end <= __atomic_load_n(&d->state->granted, __ATOMIC_ACQUIRE) ? EXTENT_GOOD : EXTENT_MORE;
}

/* Zeros between the end of the file and a write behind it, in pages that it writes as well. */
static int gap_fill(struct direct *d, uint64_t from, uint64_t to)
{
	static char zeros[SHARE_PAGE];
	struct iovec iov = {zeros, sizeof(zeros)};
	struct cursor c;
	int good = 1;

	for (; good && from < to; from += iov.iov_len) {
		iov.iov_len = SHARE_PAGE - from % SHARE_PAGE;
		iov.iov_len = iov.iov_len < to - from ? iov.iov_len : to - from;
		cursor_init(&c, &iov, 1);
		store(d, &c, from, iov.iov_len, &good);
	}
	return good;
}

/* With `appending` taken. Returns what was stored and published. */
static uint64_t append_taken(struct direct *d, struct cursor *c, uint64_t offset, int at_end, enum extent *ret,
			     uint64_t *ret_end)
{
	struct cursor start = *c;
	struct size size = size_now(d);
	uint64_t at = at_end ? size.size : offset, n = c->left, done;
	int good;

	*ret = size.certain ? extent_of(d, at, size.size, at + n) : EXTENT_NO;
	if (*ret != EXTENT_GOOD || !gap_fill(d, size.size, at))
		return 0;
	done = store(d, c, at, n, &good);
	if (!good) {
		*c = start;
		return 0;
	}
	*ret_end = at + done;
	if (at + done > size.size)
		__atomic_store_n(&d->marks->size, at + done, __ATOMIC_RELEASE);
	return done;
}

static uint64_t append_once(struct direct *d, struct cursor *c, uint64_t offset, int at_end, enum extent *ret,
			    uint64_t *ret_end)
{
	struct cursor start = *c;
	uint32_t word = 0;
	uint64_t done;

	*ret = EXTENT_NO;
	/* A full barrier before the grant is looked at. Partner: the service clears it, then looks at this word. */
	if (!__atomic_compare_exchange_n(&d->marks->appending, &word, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return 0;
	done = append_taken(d, c, offset, at_end, ret, ret_end);
	word = 1;
	if (__atomic_compare_exchange_n(&d->marks->appending, &word, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return done;
	/* The service did not wait for us. */
	*c = start;
	*ret = EXTENT_NO;
	return 0;
}

/* Not between enter and leave: the service may wait for the copiers. */
static int grant_ask(struct fs_file *f)
{
	struct fs_op op;
	int64_t r = fs_op_begin(&op, WIRE_GRANT, f->session, 0);

	if (r < 0)
		return 0;
	op.q->handle = f->handle;
	return fs_op_finish(&op) == 0;
}

/* Whether it is time to ask for a grant. */
static int grant_wanted(struct direct *d, enum extent extent)
{
	if (extent == EXTENT_HOLE)
		return 0;
	if (d->grant_off) {
		d->grant_off--;
		return 0;
	}
	return extent == EXTENT_MORE || ++d->extended >= EXTENDED_ASK;
}

/* ---- both ------------------------------------------------------------------------------------- */

struct attempt {
	uint64_t done, end;
	int over;  /* the share is */
	int grant; /* a grant would help */
};

static void attempt_in(struct direct *d, struct fs_file *f, struct cursor *c, uint64_t offset, struct attempt *a)
{
	int at_end = (f->flags & O_APPEND) != 0;
	enum extent extent;

	if (!d->marks)
		return;
	if (!at_end && offset + c->left <= size_now(d).size) {
		a->done = (uint64_t)overwrite(d, c, offset);
		a->end = offset + a->done;
	} else {
		a->done = append_once(d, c, offset, at_end, &extent, &a->end);
		a->grant = !a->done && grant_wanted(d, extent);
		if (a->grant)
			d->grant_off = GRANT_AGAIN;
	}
}

static struct attempt attempt(struct fs_file *f, struct cursor *c, uint64_t offset)
{
	struct wire_slot *slot;
	struct direct *d = direct_enter(f, &slot);
	struct attempt a = {0};

	if (!d)
		return a;
	attempt_in(d, f, c, offset, &a);
	a.over = !a.done && !epoch_good(d);
	direct_leave(d, slot);
	if (a.over)
		direct_drop(f);
	return a;
}

static void grant_came(struct fs_file *f)
{
	struct wire_slot *slot;
	struct direct *d = direct_enter(f, &slot);

	if (!d)
		return;
	d->grant_off = d->extended = 0;
	direct_leave(d, slot);
}

int64_t direct_write(struct fs_file *f, struct cursor *c, uint64_t offset, uint64_t *ret_end)
{
	struct attempt a;

	if ((f->flags & (O_SYNC | O_DSYNC | O_DIRECT)) || offset + c->left < offset)
		return 0;
	a = attempt(f, c, offset);
	if (a.grant && grant_ask(f)) {
		grant_came(f);
		a = attempt(f, c, offset);
	}
	if (a.done) {
		*ret_end = a.end;
		front_count(WIRE_COUNT_DIRECT_WRITES, 1);
		front_count(WIRE_COUNT_DIRECT_BYTES_WRITTEN, a.done);
	}
	return (int64_t)a.done;
}
