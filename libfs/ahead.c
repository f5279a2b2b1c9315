/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking files that the service opened ahead: struct wire_ahead. Such a handle is a parked one, in a place that the
 * service fills. Who changes its word to WIRE_TAKING has the place to himself until the word is 0: the service fills
 * only places whose word is 0, and takes back only a handle that it finds there.
 */
#include "ipc/front-internal.h"
#include "ipc/sys.h"
#include "libfs/internal.h"
#include "libfs/keep.h"
#include "libfs/park.h"

enum { AWAIT_US = 10 };

static const struct wire_ahead *ahead_at(const struct front_session *s, unsigned i)
{
	return (const struct wire_ahead *)(s->segment + WIRE_AHEAD_AT) + i;
}

static const char *ahead_data(const struct front_session *s, unsigned i)
{
	return s->segment + WIRE_AHEAD_AT + WIRE_PAGE + (uint64_t)i * WIRE_AHEAD_DATA;
}

static int ahead_is(const struct wire_ahead *a, const struct fs_object *o, const struct lease_object *at, uint32_t flags,
		    uint64_t path)
{
	return a->path == path && a->ino == at->ino && a->mount == o->mount && a->flags == flags;
}

static int place_take(const struct front_session *s, unsigned i, const struct fs_object *o, const struct lease_object *at,
		      uint32_t flags, struct fs_opened *ret)
{
	const struct wire_ahead *a = ahead_at(s, i);
	uint32_t *word = &front_head(s)->parked[WIRE_PARKED + i], handle = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	int is;

	if (!handle || handle == WIRE_TAKING ||
	    !__atomic_compare_exchange_n(word, &handle, WIRE_TAKING, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return 0;
	/* Looked at only now, that it stays what it is. */
	is = a->handle == handle && ahead_is(a, o, at, flags, ret->path);
	if (is) {
		ret->handle = handle;
		ret->attr.ino = a->ino;
		ret->attr.mode = a->type;
		if (a->length <= WIRE_AHEAD_DATA)
			keep_put(a->mount, a->ino, a->change, ahead_data(s, i), a->length);
	}
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	/* Not put back: the file may have lost its name meanwhile, and nobody would look for the handle again. */
	if (!is)
		fs_close(handle, fs_session());
	return is;
}

/* What the place says is of this session; so must be what the caller says of `o`. */
static int places_take(const struct front_session *s, const struct fs_object *o, const struct lease_object *at, uint32_t flags,
		       struct fs_opened *ret)
{
	const uint32_t key = (uint32_t)(ret->path >> 32);

	for (unsigned i = 0; i < WIRE_AHEAD; i++)
		if (__atomic_load_n(&front_head(s)->ahead_key[i], __ATOMIC_RELAXED) == key &&
		    place_take(s, i, o, at, flags, ret))
			return 1;
	return 0;
}

/* The service is just opening it: what is asked of it now would come later. True when that may be over. */
static int ahead_await(const struct front_session *s, uint64_t path)
{
	const uint32_t *next = front_head(s)->ahead_next, key = (uint32_t)(path >> 32);
	uint64_t start;
	unsigned row = 0;

	while (row < WIRE_AHEAD_ROWS && __atomic_load_n(&next[row], __ATOMIC_ACQUIRE) != key)
		row++;
	if (row == WIRE_AHEAD_ROWS || fs_table()->one_core)
		return 0;
	start = sys_cycles();
	while (__atomic_load_n(&next[row], __ATOMIC_ACQUIRE) == key) {
		if (sys_cycles() - start > (uint64_t)AWAIT_US * fs_front()->cycles_us)
			return 0;
		sys_pause();
	}
	return 1;
}

int ahead_take(const struct fs_object *o, const struct lease_object *at, uint32_t flags, struct fs_opened *ret)
{
	struct front_session *s = front_pin(fs_front());
	int r;

	if (!s)
		return 0;
	r = places_take(s, o, at, flags, ret) ||
	    (ahead_await(s, ret->path) && places_take(s, o, at, flags, ret));
	front_unpin(fs_front(), s);
	return r;
}
