/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over the lease table. Nothing here waits, writes or calls anybody: any doubt is LEASE_ASK.
 *
 * Each entry is read between two looks at its `seq`; the whole walk between two looks at front_lease.turn, for the
 * table may be replaced under us. A name is good while its directory is in the table with the anchor that the name
 * has. The steps of a walk are true one after the other, as those of the kernel's walk are.
 */
#include <sys/stat.h>
#include "ipc/front-count.h"
#include "ipc/front-lease.h"
#include "libfs/internal.h"
#include "libfs/lease.h"

struct view {
	const struct lease_table *table;
	uint64_t turn;
};

static int view_begin(struct view *v)
{
	const struct front_lease *l = fs_lease();

	v->turn = __atomic_load_n(&l->turn, __ATOMIC_ACQUIRE);
	if (!(v->turn & 1))
		return 0;
	v->table = l->table;
	return __atomic_load_n(&v->table->generation, __ATOMIC_RELAXED) ==
		       __atomic_load_n(&fs_table()->generation, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&v->table->closed, __ATOMIC_ACQUIRE);
}

/* The first question of a process needs a session all the same, and has a table with it. */
static int view_first(struct view *v)
{
	return view_begin(v) || (!fs_attached() && fs_ready() == 0 && view_begin(v));
}

/* What was read is of the table that we began with. */
static int view_good(const struct view *v)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&fs_lease()->turn, __ATOMIC_RELAXED) == v->turn;
}

static int seq_good(const uint32_t *word, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(seq & 1) && __atomic_load_n(word, __ATOMIC_RELAXED) == seq;
}

/* ---- attributes ------------------------------------------------------------------------------ */

struct found {
	uint32_t flags, anchor;
	uint64_t change, size;
};

/* By words: compilers make a call of it, or slow string instructions. */
static void attr_copy(struct wire_attr *to, const struct wire_attr *from)
{
	const uint64_t *f = (const uint64_t *)from;
	uint64_t *t = (uint64_t *)to;
	unsigned i;

	for (i = 0; i < sizeof(*to) / sizeof(*t); i++)
		t[i] = f[i];
}

/* 1: the inode is in the table. attr may be NULL. */
static int attr_read(const struct view *v, uint32_t mount, uint64_t ino, struct found *ret, struct wire_attr *attr)
{
	const uint32_t place = lease_attr_place(mount, ino);
	const struct lease_attr *set = v->table->attr[place / LEASE_WAYS];
	unsigned i;

	for (i = 0; i < LEASE_WAYS; i++) {
		const struct lease_attr *e = &set[(place + i) % LEASE_WAYS];
		uint32_t seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);

		if (e->attr.ino != ino || e->mount != mount)
			continue;
		ret->flags = e->flags;
		ret->anchor = e->anchor;
		ret->change = e->change;
		ret->size = e->attr.size;
		if (attr)
			attr_copy(attr, &e->attr);
		return seq_good(&e->seq, seq);
	}
	return 0;
}

int lease_holds(uint32_t mount, uint64_t ino)
{
	struct found found;
	struct view v;

	return view_begin(&v) && attr_read(&v, mount, ino, &found, NULL) && view_good(&v);
}

uint64_t lease_change(uint32_t mount, uint64_t ino, uint64_t *ret_size)
{
	struct found found;
	struct view v;

	if (!view_begin(&v) || !attr_read(&v, mount, ino, &found, NULL) || !view_good(&v))
		return 0;
	*ret_size = found.size;
	return found.change;
}

/* ---- names ----------------------------------------------------------------------------------- */

static int name_equal(const char *a, const char *b, uint32_t len)
{
	uint32_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t x, y;

		__builtin_memcpy(&x, a + i, 8);
		__builtin_memcpy(&y, b + i, 8);
		if (x != y)
			return 0;
	}
	for (; i < len; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

/* LEASE_THERE sets ret->ino and ret->type. */
static enum lease_answer name_read(const struct view *v, uint32_t mount, uint64_t dir, uint32_t anchor,
				   const char *name, uint32_t len, struct lease_object *ret)
{
	const uint32_t place = lease_name_place(mount, dir, name, len);
	const struct lease_name *set = v->table->name[place / LEASE_WAYS];
	unsigned i;

	for (i = 0; i < LEASE_WAYS; i++) {
		const struct lease_name *e = &set[(place + i) % LEASE_WAYS];
		uint32_t seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);

		if (e->dir != dir || e->len != len || e->mount != mount || e->anchor != anchor ||
		    !name_equal(e->name, name, len))
			continue;
		ret->ino = e->ino;
		ret->type = (uint32_t)e->type << 12;
		if (!seq_good(&e->seq, seq))
			return LEASE_ASK;
		return ret->ino ? LEASE_THERE : LEASE_ABSENT;
	}
	return LEASE_ASK;
}

/* Nothing in its set is the name, or may be about to become it: then, if the directory is whole, it is not there. */
static int name_missing(const struct view *v, uint32_t mount, uint64_t dir, const char *name, uint32_t len)
{
	const struct lease_name *set = v->table->name[lease_name_place(mount, dir, name, len) / LEASE_WAYS];
	unsigned i;

	for (i = 0; i < LEASE_WAYS; i++) {
		const struct lease_name *e = &set[i];
		uint32_t seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);

		if (e->dir == dir && e->len == len && e->mount == mount && name_equal(e->name, name, len))
			return 0;
		if (!seq_good(&e->seq, seq))
			return 0;
	}
	return 1;
}

/* The flag is looked at once more behind the entries: it goes before one of them does. */
static enum lease_answer step_whole(const struct view *v, uint32_t mount, uint64_t ino, const char *name, uint32_t len)
{
	const uint32_t whole = LEASE_NAMES | LEASE_WHOLE;
	struct found dir;

	return name_missing(v, mount, ino, name, len) && attr_read(v, mount, ino, &dir, NULL) &&
			       (dir.flags & whole) == whole ?
		       LEASE_ABSENT :
		       LEASE_ASK;
}

/* One step down from the directory ret->ino. */
static enum lease_answer step(const struct view *v, uint32_t mount, const char *name, uint32_t len,
			      struct lease_object *ret)
{
	const uint64_t ino = ret->ino;
	enum lease_answer answer;
	struct found dir;

	if (len > LEASE_NAME_MAX || (len == 2 && name[0] == '.' && name[1] == '.'))
		return LEASE_ASK;
	if (!attr_read(v, mount, ino, &dir, NULL) || !(dir.flags & LEASE_NAMES))
		return LEASE_ASK;
	if (len == 1 && name[0] == '.')
		return LEASE_THERE;
	answer = name_read(v, mount, ino, dir.anchor, name, len, ret);
	if (answer == LEASE_ASK && (dir.flags & LEASE_WHOLE))
		answer = step_whole(v, mount, ino, name, len);
	return answer;
}

static const char *skip(const char *p, const char *end)
{
	while (p < end && *p == '/')
		p++;
	return p;
}

static enum lease_answer walk(const struct view *v, const struct fs_object *o, struct lease_object *ret)
{
	const char *end = o->path + o->len, *p = skip(o->path, end);

	ret->ino = o->ino;
	ret->type = S_IFDIR;
	while (p < end) {
		const char *name = p;
		enum lease_answer answer;

		while (p < end && *p != '/')
			p++;
		answer = ret->type == S_IFDIR ? step(v, o->mount, name, (uint32_t)(p - name), ret) : LEASE_ASK;
		if (answer != LEASE_THERE)
			return answer;
		/* A slash behind the last name, too, asks for a directory. */
		if (p < end && ret->type != S_IFDIR)
			return LEASE_ASK;
		p = skip(p, end);
	}
	return ret->type == S_IFLNK && !(o->flags & WIRE_NOFOLLOW) ? LEASE_ASK : LEASE_THERE;
}

static enum lease_answer lease_counted(enum lease_answer answer)
{
	front_count(answer == LEASE_ASK ? WIRE_COUNT_LEASE_MISSES : WIRE_COUNT_LEASE_HITS, 1);
	return answer;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The inode that the object starts from is known, and the handle that stands for it is good. */
static int object_starts(const struct fs_object *o)
{
	return o->ino && (!o->session || o->session == fs_session());
}

static enum lease_answer object_find(const struct view *v, const struct fs_object *o, struct lease_object *ret)
{
	if (!(o->flags & WIRE_EMPTY))
		return walk(v, o, ret);
	ret->ino = o->ino;
	ret->type = 0;
	return LEASE_THERE;
}

enum lease_answer lease_find(const struct fs_object *o, struct lease_object *ret)
{
	enum lease_answer answer;
	struct found found;
	struct view v;

	if (!object_starts(o) || !view_first(&v))
		return LEASE_ASK;
	answer = object_find(&v, o, ret);
	ret->change = 0;
	ret->may = 0;
	if (answer == LEASE_THERE && attr_read(&v, o->mount, ret->ino, &found, NULL)) {
		ret->change = found.change;
		ret->size = found.size;
		ret->may = found.flags & (LEASE_MAY_R | LEASE_MAY_W | LEASE_MAY_X);
	}
	return lease_counted(view_good(&v) ? answer : LEASE_ASK);
}

/* `flags`: what has to be known. */
static enum lease_answer object_attr(const struct fs_object *o, uint32_t flags, struct wire_attr *ret)
{
	enum lease_answer answer;
	struct lease_object at;
	struct found found;
	struct view v;

	if (!object_starts(o) || !view_first(&v))
		return LEASE_ASK;
	answer = object_find(&v, o, &at);
	if (answer == LEASE_THERE &&
	    (!attr_read(&v, o->mount, at.ino, &found, ret) || (found.flags & flags) != flags))
		answer = LEASE_ASK;
	return lease_counted(view_good(&v) ? answer : LEASE_ASK);
}

enum lease_answer lease_getattr(const struct fs_object *o, struct wire_attr *ret)
{
	return object_attr(o, LEASE_KNOWN, ret);
}

int lease_is_bare(const struct fs_object *o, struct wire_attr *ret)
{
	return object_attr(o, LEASE_KNOWN | LEASE_BARE, ret) == LEASE_THERE;
}
