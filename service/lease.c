/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service's side of the lease tables: what is entered, and when it goes.
 *
 * To each set of a table belongs a word of the service's own, common to all tables: how many changes are under way
 * that concern something in the set, and how many there have been. Who enters reads the word before he asks the layer
 * (a token), and enters only if it is still the same and nothing is under way. Who changes increments it, then takes
 * out what is there, then has the layer make the change, then counts it. `tables` tells which tables may have
 * anything in the set, so that a change of something that nobody knows costs two increments. It is set before the word
 * is looked at, as the word is changed before `tables` is looked at: of the two, one sees the other.
 *
 * A set's lock is held for the copying of an entry. It is a spinning one: no thread blocks while it has it.
 *
 * A name is good as long as its directory's `anchor` is what it was. The anchor belongs to the set, not to the entry:
 * so it survives that the directory's entry makes room for another. It changes when a directory of that set is no more
 * to be searched by those who could, and is gone for good when its numbers are used up.
 *
 * A directory is whole (LEASE_WHOLE) in a table that has seen it empty and an entry for every name made in it since.
 * A change of a name leaves an entry there that says to ask. Whoever enters the flag has the directory's token, and who
 * changes a name has changed the directory's word before he looks for the flag: again, one sees the other. A set of
 * attributes may be locked while one of names is, not the other way round.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "libservices/rules.h"
#include "service/lease-internal.h"
#include "service/perm.h"
#include "service/request.h"

enum {
	UNDER_WAY = 0xffff, /* of a word; above it, how many there have been */
	ONE_DONE = 0x10000,
};

/* Where others change the files, too: those of a regular file that a layer keeps, until it revokes them. Names never. */
static bool may_keep(const struct inode *inode)
{
	return !inode->fs->shared || (inode->fs->delegates && inode->type == S_IFREG);
}

/* ---- sets ------------------------------------------------------------------------------------ */

static uint32_t attr_place_of(const struct inode *inode)
{
	return lease_attr_place(inode->fs->index, inode->ino);
}

static struct lease_set *attr_set(const struct inode *inode)
{
	return &leases.attr[attr_place_of(inode) / LEASE_WAYS];
}

static uint32_t name_place_of(const struct inode *dir, const char *name, size_t len)
{
	return lease_name_place(dir->fs->index, dir->ino, name, len);
}

static struct lease_set *name_set(const struct inode *dir, const char *name, size_t len)
{
	return &leases.name[name_place_of(dir, name, len) / LEASE_WAYS];
}

static uint32_t set_anchor(const struct lease_set *set)
{
	return __atomic_load_n(&set->gone, __ATOMIC_RELAXED) + 1; /* 0: none */
}

/* With the set's lock held, for a caller who is about to enter something there. */
static bool set_open(struct lease_set *set, const struct caller *c, uint64_t token)
{
	__atomic_fetch_or(&set->tables, 1u << (c->lease - leases.lease), __ATOMIC_SEQ_CST);
	return __atomic_load_n(&c->lease->id, __ATOMIC_SEQ_CST) == c->lease_id &&
	       __atomic_load_n(&set->word, __ATOMIC_SEQ_CST) == token;
}

static void seq_begin(uint32_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void seq_end(uint32_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}

/* ---- entries of names ------------------------------------------------------------------------ */

static struct lease_name *names_of(const struct lease *lease, const struct lease_set *set)
{
	return lease->table->name[set - leases.name];
}

static struct lease_attr *attrs_of(const struct lease *lease, const struct lease_set *set)
{
	return lease->table->attr[set - leases.attr];
}

static bool name_is(const struct lease_name *e, const struct inode *dir, const char *name, size_t len)
{
	return e->dir == dir->ino && e->mount == dir->fs->index && e->len == len && !memcmp(e->name, name, len);
}

/* A name that is there makes room for another: its directory is not whole any more. */
static void name_evict(struct lease *lease, const struct lease_name *e)
{
	uint32_t first = lease_attr_place(e->mount, e->dir);
	struct lease_set *set = &leases.attr[first / LEASE_WAYS];
	struct lease_attr *entries = attrs_of(lease, set);

	if (e->anchor && !e->ino)
		return;
	lease_set_lock(set);
	for (unsigned i = 0; i < LEASE_WAYS; i++)
		if (entries[i].attr.ino == e->dir && entries[i].mount == e->mount && (entries[i].flags & LEASE_WHOLE)) {
			seq_begin(&entries[i].seq);
			entries[i].flags &= ~LEASE_WHOLE;
			seq_end(&entries[i].seq);
		}
	lease_set_unlock(set);
}

/* The entry of that name; else one to use for it. */
static struct lease_name *name_place(struct lease *lease, struct lease_name *set, const struct inode *dir,
				     const char *name, size_t len)
{
	unsigned first = name_place_of(dir, name, len);
	struct lease_name *free = NULL;

	for (unsigned i = 0; i < LEASE_WAYS; i++) {
		struct lease_name *e = &set[(first + i) % LEASE_WAYS];
		if (name_is(e, dir, name, len))
			return e;
		if (!free && !e->dir)
			free = e;
	}
	if (!free) {
		free = &set[__atomic_fetch_add(&lease->victim, 1, __ATOMIC_RELAXED) % LEASE_WAYS];
		name_evict(lease, free);
	}
	return free;
}

static void name_put(struct lease_name *e, const struct inode *dir, uint32_t anchor, const char *name, size_t len,
		     const struct inode *inode)
{
	seq_begin(&e->seq);
	e->anchor = anchor;
	e->dir = dir->ino;
	e->mount = dir->fs->index;
	e->ino = inode ? inode->ino : 0;
	e->type = inode ? inode->type >> 12 : 0;
	e->len = len;
	memset(e->name, 0, sizeof(e->name));
	memcpy(e->name, name, len);
	seq_end(&e->seq);
}

/* Whoever looks for the name is to ask, in a table where its directory is whole. */
static void name_ask(struct lease *lease, struct lease_name *set, const struct inode *dir, const char *name, size_t len)
{
	name_put(name_place(lease, set, dir, name, len), dir, 0, name, len, NULL);
}

/* Takes the name out of one table. Returns whether anything is left in the set. */
static bool name_drop(struct lease_name *set, const struct inode *dir, const char *name, size_t len)
{
	bool left = false;

	for (unsigned i = 0; i < LEASE_WAYS; i++) {
		if (name_is(&set[i], dir, name, len)) {
			seq_begin(&set[i].seq);
			set[i].dir = 0;
			seq_end(&set[i].seq);
		}
		left |= set[i].dir != 0;
	}
	return left;
}

/* ---- entries of attributes ------------------------------------------------------------------- */

static bool attr_is(const struct lease_attr *e, const struct inode *inode)
{
	return e->attr.ino == inode->ino && e->mount == inode->fs->index;
}

/* Directories stay longer: without theirs all names below are of no use. */
static struct lease_attr *attr_place(struct lease *lease, struct lease_attr *set, const struct inode *inode)
{
	struct lease_attr *free = NULL, *file = NULL;
	unsigned first = attr_place_of(inode), victim = __atomic_fetch_add(&lease->victim, 1, __ATOMIC_RELAXED);

	for (unsigned i = 0; i < LEASE_WAYS; i++) {
		struct lease_attr *e = &set[(first + i) % LEASE_WAYS];
		if (attr_is(e, inode))
			return e;
		if (!free && !e->attr.ino)
			free = e;
		else if (!(e->flags & LEASE_NAMES) && (!file || i <= victim % LEASE_WAYS))
			file = e;
	}
	return free ? free : file ? file : &set[victim % LEASE_WAYS];
}

static struct lease_attr *attr_find(const struct lease *lease, const struct lease_set *set, const struct inode *inode)
{
	struct lease_attr *entries = attrs_of(lease, set);
	unsigned first = attr_place_of(inode);

	for (unsigned i = 0; i < LEASE_WAYS; i++) {
		struct lease_attr *e = &entries[(first + i) % LEASE_WAYS];
		if (attr_is(e, inode))
			return e;
	}
	return NULL;
}

/*
 * What is said to be allowed is allowed at once: by an ACL's entries for two groups of the caller's, one thing and another
 * may be allowed, and both together not.
 */
static uint32_t attr_flags(struct caller *c, const struct inode *inode, const struct ls_attr *attr)
{
	static const struct {
		unsigned may;
		uint32_t flag;
	} each[] = {{MAY_READ, LEASE_MAY_R}, {MAY_WRITE, LEASE_MAY_W}, {MAY_EXEC, LEASE_MAY_X}};
	bool fixed = inode->fs->rdonly && (S_ISREG(attr->mode) || S_ISDIR(attr->mode) || S_ISLNK(attr->mode));
	unsigned may = 0;
	uint32_t flags = 0;

	for (unsigned i = 0; i < 3; i++)
		if (!(fixed && each[i].may == MAY_WRITE) && perm_access(c, inode, attr, may | each[i].may) == 0) {
			may |= each[i].may;
			flags |= each[i].flag;
		}
	if (S_ISDIR(attr->mode) && ((may & MAY_EXEC) || perm_access(c, inode, attr, MAY_EXEC) == 0))
		flags |= LEASE_NAMES;
	return flags;
}

static void attr_put(struct lease_attr *e, const struct inode *inode, const struct ls_attr *attr, uint32_t flags,
		     uint32_t anchor, uint64_t change)
{
	seq_begin(&e->seq);
	if (attr_is(e, inode))
		flags |= e->flags & LEASE_WHOLE;
	e->flags = anchor ? flags : flags & ~LEASE_NAMES;
	e->mount = inode->fs->index;
	e->anchor = anchor;
	e->change = change;
	wire_attr_from(attr, &e->attr);
	seq_end(&e->seq);
}

/* Takes the attributes, or all of the entry, out of one table. Returns whether anything is left in the set. */
static bool attr_drop(struct lease_attr *set, const struct inode *inode, bool gone)
{
	bool left = false;

	for (unsigned i = 0; i < LEASE_WAYS; i++) {
		struct lease_attr *e = &set[i];
		if (attr_is(e, inode) && (gone || (e->flags & LEASE_KNOWN))) {
			seq_begin(&e->seq);
			e->flags &= ~LEASE_KNOWN;
			e->change = 0;
			if (gone)
				e->attr.ino = e->flags = 0;
			seq_end(&e->seq);
		}
		left |= e->attr.ino != 0;
	}
	return left;
}

/* ---- changes --------------------------------------------------------------------------------- */

static void change_start(struct lease_change *change, struct lease_set *set)
{
	change->word[change->count++] = &set->word;
	__atomic_fetch_add(&set->word, 1, __ATOMIC_SEQ_CST);
}

/* In which tables it is, as bits. */
static uint16_t whole_in(const struct inode *dir)
{
	struct lease_set *set = attr_set(dir);
	uint16_t tables, whole = 0;

	if (!__atomic_load_n(&set->tables, __ATOMIC_SEQ_CST))
		return 0;
	lease_set_lock(set);
	tables = set->tables;
	for (unsigned i = 0; tables >> i; i++) {
		const struct lease_attr *e = tables >> i & 1 ? attr_find(&leases.lease[i], set, dir) : NULL;
		if (e && (e->flags & LEASE_WHOLE))
			whole |= 1u << i;
	}
	lease_set_unlock(set);
	return whole;
}

static void name_forget(struct lease_set *set, const struct inode *dir, const char *name, size_t len, uint16_t whole)
{
	uint16_t tables;

	lease_set_lock(set);
	tables = __atomic_or_fetch(&set->tables, whole, __ATOMIC_RELAXED);
	for (unsigned i = 0; tables >> i; i++) {
		struct lease *lease = &leases.lease[i];
		if (whole >> i & 1)
			name_ask(lease, names_of(lease, set), dir, name, len);
		else if ((tables >> i & 1) && !name_drop(names_of(lease, set), dir, name, len))
			__atomic_fetch_and(&set->tables, ~(1u << i), __ATOMIC_RELAXED);
	}
	lease_set_unlock(set);
}

void lease_change_name(struct lease_change *change, const struct inode *dir, const char *name)
{
	size_t len = strlen(name);
	struct lease_set *set;
	uint16_t whole;

	if (dir->fs->shared || len > LEASE_NAME_MAX)
		return;
	set = name_set(dir, name, len);
	change_start(change, set);
	whole = whole_in(dir);
	if (whole || __atomic_load_n(&set->tables, __ATOMIC_SEQ_CST))
		name_forget(set, dir, name, len, whole);
}

void lease_name_gone(const struct inode *dir, const char *name)
{
	size_t len = strlen(name);
	struct lease_set *set;

	if (dir->fs->shared || len > LEASE_NAME_MAX)
		return;
	set = name_set(dir, name, len);
	if (__atomic_load_n(&set->tables, __ATOMIC_SEQ_CST))
		name_forget(set, dir, name, len, 0);
}

static void attr_forget(struct lease_set *set, const struct inode *inode, bool gone)
{
	uint16_t tables;

	lease_set_lock(set);
	tables = set->tables;
	for (unsigned i = 0; tables >> i; i++)
		if ((tables >> i & 1) && !attr_drop(attrs_of(&leases.lease[i], set), inode, gone))
			__atomic_fetch_and(&set->tables, ~(1u << i), __ATOMIC_RELAXED);
	if (gone && inode->type == S_IFDIR && set->gone != UINT32_MAX)
		__atomic_store_n(&set->gone, set->gone + 1, __ATOMIC_RELAXED);
	lease_set_unlock(set);
}

void lease_change_attr(struct lease_change *change, const struct inode *inode)
{
	struct lease_set *set = attr_set(inode);

	if (!may_keep(inode))
		return;
	change_start(change, set);
	if (__atomic_load_n(&set->tables, __ATOMIC_SEQ_CST))
		attr_forget(set, inode, false);
}

void lease_change_all(struct lease_change *change, const struct inode *inode)
{
	struct lease_set *set = attr_set(inode);

	if (!may_keep(inode))
		return;
	change_start(change, set);
	/* Names hang on a directory's anchor even when its entry is in no table. */
	if (inode->type == S_IFDIR || __atomic_load_n(&set->tables, __ATOMIC_SEQ_CST))
		attr_forget(set, inode, true);
}

void lease_change_end(struct lease_change *change)
{
	while (change->count)
		__atomic_fetch_add(change->word[--change->count], ONE_DONE - 1, __ATOMIC_SEQ_CST);
}

static void attr_changed(const struct inode *inode)
{
	struct lease_change change;

	lease_change_begin(&change);
	lease_change_attr(&change, inode);
	lease_change_end(&change);
}

void lease_revoke(void *arg, uint64_t ino)
{
	struct inode *inode = inode_find(arg, ino);

	if (inode)
		attr_changed(inode);
	inode_unref(inode);
}

void lease_hold(struct inode *inode)
{
	__atomic_add_fetch(&inode->lease_held, 1, __ATOMIC_SEQ_CST);
	attr_changed(inode);
}

void lease_release(struct inode *inode)
{
	__atomic_sub_fetch(&inode->lease_held, 1, __ATOMIC_SEQ_CST);
	attr_changed(inode); /* what was read before now is not entered */
}

/* ---- access times ---------------------------------------------------------------------------- */

static bool atime_due(const struct wire_attr *a)
{
	const struct ls_attr times = {.atime = {a->atime, a->atime_ns}, .mtime = {a->mtime, a->mtime_ns},
				      .ctime = {a->ctime, a->ctime_ns}};

	return ls_atime_due_kernel(&times);
}

/* Any table's entry; what is in them is the same. Only a hint: nothing is locked. */
static const struct lease_attr *attr_anywhere(const struct lease_set *set, const struct inode *inode)
{
	uint16_t tables = __atomic_load_n(&set->tables, __ATOMIC_ACQUIRE);

	for (unsigned i = 0; tables >> i; i++) {
		const struct lease_attr *e = tables >> i & 1 ? attr_find(&leases.lease[i], set, inode) : NULL;
		if (e && (e->flags & LEASE_KNOWN))
			return e;
	}
	return NULL;
}

void lease_accessed(struct caller *c, const struct inode *inode)
{
	const struct lease_attr *e;
	struct ls_attr now;

	if (!may_keep(inode))
		return;
	e = attr_anywhere(attr_set(inode), inode);
	/* As a rule the time is set once after each change of the file: layers do as the kernel does. */
	if (e && (!atime_due(&e->attr) || (ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &now) == 0 &&
					   now.atime.tv_sec == e->attr.atime && now.atime.tv_nsec == e->attr.atime_ns)))
		return;
	attr_changed(inode);
}

/* ---- entering -------------------------------------------------------------------------------- */

uint64_t lease_name_token(const struct caller *c, const struct inode *dir, const char *name)
{
	size_t len;
	uint64_t word;

	if (!c->lease || dir->fs->shared || (len = strlen(name)) > LEASE_NAME_MAX)
		return LEASE_NEVER;
	word = __atomic_load_n(&name_set(dir, name, len)->word, __ATOMIC_ACQUIRE);
	return word & UNDER_WAY ? LEASE_NEVER : word;
}

/* The directory's anchor, if names in it may be entered; else 0. */
static uint32_t dir_anchor(const struct caller *c, const struct inode *dir)
{
	const struct lease_set *set = attr_set(dir);
	const struct lease_attr *e = attr_find(c->lease, set, dir);

	return e && (e->flags & LEASE_NAMES) ? e->anchor : 0;
}

void lease_enter_name(struct caller *c, const struct inode *dir, const char *name, const struct inode *inode,
		      uint64_t token)
{
	struct lease_set *set;
	uint32_t anchor;
	size_t len;

	if (token == LEASE_NEVER || !(anchor = dir_anchor(c, dir)))
		return;
	len = strlen(name);
	set = name_set(dir, name, len);
	lease_set_lock(set);
	if (set_open(set, c, token))
		name_put(name_place(c->lease, names_of(c->lease, set), dir, name, len), dir, anchor, name, len, inode);
	lease_set_unlock(set);
}

uint64_t lease_known(const struct caller *c, const struct inode *inode)
{
	const struct lease_attr *e;
	uint32_t seq;
	uint64_t change;

	if (!c->lease || !may_keep(inode))
		return 0;
	e = attr_find(c->lease, attr_set(inode), inode);
	if (!e)
		return 0;
	seq = __atomic_load_n(&e->seq, __ATOMIC_ACQUIRE);
	change = attr_is(e, inode) ? e->change : 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return seq & 1 || __atomic_load_n(&e->seq, __ATOMIC_RELAXED) != seq ? 0 : change;
}

/* `flags`: what is known beside. */
static uint64_t attr_enter(struct caller *c, const struct inode *inode, const struct ls_attr *attr, uint64_t token,
			   uint32_t flags)
{
	struct lease_set *set = attr_set(inode);
	uint64_t change = 0;

	flags |= attr_flags(c, inode, attr);
	lease_set_lock(set);
	if (set_open(set, c, token)) {
		if (!__atomic_load_n(&inode->lease_held, __ATOMIC_SEQ_CST)) {
			flags |= LEASE_KNOWN;
			change = __atomic_add_fetch(&leases.change, 1, __ATOMIC_RELAXED);
		}
		attr_put(attr_place(c->lease, attrs_of(c->lease, set), inode), inode, attr, flags, set_anchor(set), change);
	}
	lease_set_unlock(set);
	return change;
}

uint64_t lease_learn(struct caller *c, struct inode *inode)
{
	uint64_t token, change = lease_known(c, inode);
	struct ls_attr attr;

	if (change || !c->lease || !may_keep(inode))
		return change;
	token = __atomic_load_n(&attr_set(inode)->word, __ATOMIC_ACQUIRE);
	/* What has no name is known by descriptors alone, and its number may be another's as soon as they are closed. */
	if ((token & UNDER_WAY) || ls_getattr(inode->fs->stack, &c->call, inode->ls, NULL, &attr) < 0 || !attr.nlink ||
	    (inode->fs->shared && !attr.kept))
		return 0;
	return attr_enter(c, inode, &attr, token, 0);
}

/* The layer says that it has none, and of what may have an ACL, that this is for want of one. */
static bool is_bare(struct caller *c, const struct inode *inode)
{
	struct ls *stack = inode->fs->stack;

	return ls_listxattr(stack, &c->call, inode->ls, NULL, 0) == 0 &&
	       (inode->type == S_IFLNK || ls_getxattr(stack, &c->call, inode->ls, ACL_ACCESS, NULL, 0) == -ENODATA);
}

void lease_learn_bare(struct caller *c, const struct inode *inode)
{
	struct lease_set *set = attr_set(inode);
	struct lease_attr *e;
	uint64_t token;

	if (!c->lease || inode->fs->shared)
		return;
	token = __atomic_load_n(&set->word, __ATOMIC_ACQUIRE);
	e = attr_find(c->lease, set, inode);
	if ((token & UNDER_WAY) || !e || (e->flags & LEASE_BARE) || !is_bare(c, inode))
		return;
	lease_set_lock(set);
	e = set_open(set, c, token) ? attr_find(c->lease, set, inode) : NULL;
	if (e && (e->flags & LEASE_KNOWN)) {
		seq_begin(&e->seq);
		e->flags |= LEASE_BARE;
		seq_end(&e->seq);
	}
	lease_set_unlock(set);
}

/* A name made in it would have changed its times, and of a layer of ours its size, too. */
void lease_learn_empty(struct caller *c, const struct inode *dir, const struct ls_attr *made)
{
	struct ls_attr now;
	uint64_t token;

	if (!c->lease || !may_keep(dir))
		return;
	token = __atomic_load_n(&attr_set(dir)->word, __ATOMIC_ACQUIRE);
	if (!(token & UNDER_WAY) && ls_getattr(dir->fs->stack, &c->call, dir->ls, NULL, &now) == 0 && now.nlink &&
	    now.size == made->size && ls_time_equal(now.mtime, made->mtime) && ls_time_equal(now.ctime, made->ctime))
		attr_enter(c, dir, &now, token, LEASE_WHOLE);
}

/* ---- a mount's end ----------------------------------------------------------------------------- */

static void names_forget(struct lease_name *set, unsigned mount)
{
	for (unsigned i = 0; i < LEASE_WAYS; i++)
		if (set[i].dir && set[i].mount == mount) {
			seq_begin(&set[i].seq);
			set[i].dir = 0;
			seq_end(&set[i].seq);
		}
}

static void attrs_forget(struct lease_attr *set, unsigned mount)
{
	for (unsigned i = 0; i < LEASE_WAYS; i++)
		if (set[i].attr.ino && set[i].mount == mount) {
			seq_begin(&set[i].seq);
			set[i].attr.ino = 0;
			seq_end(&set[i].seq);
		}
}

static void set_forget(struct lease_set *set, bool names, unsigned mount)
{
	if (!__atomic_load_n(&set->tables, __ATOMIC_RELAXED))
		return;
	lease_set_lock(set);
	for (unsigned t = 0; t < LEASES_MAX; t++) {
		if (!(set->tables & 1u << t))
			continue;
		if (names)
			names_forget(names_of(&leases.lease[t], set), mount);
		else
			attrs_forget(attrs_of(&leases.lease[t], set), mount);
	}
	lease_set_unlock(set);
}

void leases_forget(unsigned mount)
{
	/* Directories first: names that are missing would be taken for names that are not there. */
	for (unsigned i = 0; i < LEASE_ATTR_SETS; i++)
		set_forget(&leases.attr[i], false, mount);
	for (unsigned i = 0; i < LEASE_NAME_SETS; i++)
		set_forget(&leases.name[i], true, mount);
}
