/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's names: items of the tree, by the hash of the name.
 *
 * The place of a name, lo of its key, is its cookie for those who list the directory. It stays the same as
 * long as the name does, whatever comes and goes around it, so a listing sees each name that stays exactly
 * once. Names that have the same hash are told apart by the low byte, for which a new one takes the first
 * free value.
 *
 * The hash is keyed, so that nobody outside can choose names that all have the same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "libservices/volume/vol.h"

enum { SAME_HASH_MAX = 256 };

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t s[4])
{
	s[0] += s[1];
	s[1] = rotate(s[1], 13) ^ s[0];
	s[0] = rotate(s[0], 32);
	s[2] += s[3];
	s[3] = rotate(s[3], 16) ^ s[2];
	s[0] += s[3];
	s[3] = rotate(s[3], 21) ^ s[0];
	s[2] += s[1];
	s[1] = rotate(s[1], 17) ^ s[2];
	s[2] = rotate(s[2], 32);
}

/* SipHash-1-3. */
uint64_t vol_name_hash(const uint64_t seed[2], const char *name, size_t length)
{
	uint64_t s[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
			 seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
	uint64_t word;
	size_t at;

	for (at = 0; at + 8 <= length; at += 8) {
		memcpy(&word, name + at, 8);
		s[3] ^= word;
		sip_round(s);
		s[0] ^= word;
	}
	word = 0;
	memcpy(&word, name + at, length - at);
	word |= (uint64_t)length << 56;
	s[3] ^= word;
	sip_round(s);
	s[0] ^= word;
	s[2] ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s[0] ^ s[1] ^ s[2] ^ s[3];
}

static uint64_t name_place(const struct vol *v, const char *name, size_t length)
{
	uint64_t hash = vol_name_hash(v->super.hash_seed, name, length) >> 9;

	return (hash ? hash : 1) << 8;
}

struct search {
	const char *name;
	size_t length;
	struct vol_entry *entry;
	unsigned free; /* the first unused number */
	bool found, bad;
};

/* Is this a name at all? An image may contain anything. */
static bool dirent_good(const struct vf_dirent *d, unsigned length)
{
	return length > VF_DIRENT_FIXED && length == VF_DIRENT_FIXED + d->length && d->ino != 0 &&
	       d->ino <= VF_INO_MAX;
}

static int search_one(void *arg, struct vf_key key, const void *value, unsigned length)
{
	const struct vf_dirent *d = value;
	struct search *s = arg;

	s->bad = !dirent_good(d, length);
	if (s->bad)
		return 1;
	if ((key.lo & 0xff) == s->free)
		s->free++;
	if (d->length != s->length || memcmp(d->name, s->name, s->length) != 0)
		return 0;
	*s->entry = (struct vol_entry){key, d->ino, d->type};
	s->found = true;
	return 1;
}

static int dir_search(struct vol *v, struct vol_inode *dir, struct search *s)
{
	uint64_t place = name_place(v, s->name, s->length);
	int r = vol_tree_scan(v, vol_key(dir->ino, VF_DIRENT, place),
			      vol_key(dir->ino, VF_DIRENT, place | 0xff), search_one, s);

	if (r == 0 && s->bad)
		r = vol_fail(v, -EIO, "directory %" PRIu64 " has something that is no name", dir->ino);
	return r;
}

int vol_dir_find(struct vol *v, struct vol_inode *dir, const char *name, struct vol_entry *ret)
{
	struct search s = {.name = name, .length = strlen(name), .entry = ret};
	int r;

	r = vol_bare(dir) ? 0 : dir_search(v, dir, &s);
	if (r == 0 && !s.found) {
		/* Where it would go. */
		*ret = (struct vol_entry){
		    .key = vol_key(dir->ino, VF_DIRENT, name_place(v, name, s.length) | (s.free & 0xff)),
		    .full = s.free == SAME_HASH_MAX};
		r = -ENOENT;
	}
	return r;
}

/* An entry whose inode is not there is damage, not a missing file. */
int vol_entry_inode(struct vol *v, const struct vol_entry *e, struct vol_inode **ret)
{
	int r = vol_inode_get(v, e->ino, ret);

	return r == -ESTALE ? -EIO : r;
}

static int dirent_put(struct vol *v, struct vf_key key, const char *name, const struct vol_inode *inode)
{
	char item[VF_DIRENT_FIXED + VF_NAME_MAX];
	struct vf_dirent *d = (struct vf_dirent *)item;
	size_t length = strlen(name);

	d->ino = inode->ino;
	d->type = inode->type >> 12;
	d->length = length;
	memcpy(d->name, name, length);
	return vol_put(v, key, item, VF_DIRENT_FIXED + length);
}

int vol_dir_add(struct vol *v, struct vol_inode *dir, const struct vol_entry *e, const char *name,
		struct vol_inode *inode)
{
	if (e->full)
		return -ENOSPC;
	vol_clothe(dir);
	return dirent_put(v, e->key, name, inode);
}

int vol_dir_set(struct vol *v, const struct vol_entry *e, const char *name, struct vol_inode *inode)
{
	return dirent_put(v, e->key, name, inode);
}

int vol_dir_remove(struct vol *v, struct vol_inode *dir, const struct vol_entry *e)
{
	return vol_del(v, e->key);
}

int vol_dir_kill(struct vol_inode *dir)
{
	int r = 0;

	fair_lock_write(&dir->content);
	if (dir->attr.size)
		r = -ENOTEMPTY;
	else
		dir->dead = true;
	fair_unlock(&dir->content);
	return r;
}

void vol_dir_revive(struct vol_inode *dir)
{
	fair_lock_write(&dir->content);
	dir->dead = false;
	fair_unlock(&dir->content);
}

/* ---- listing --------------------------------------------------------------------------------- */

enum { LISTING = 8192, DOT = 1, DOTDOT = 2 };

/* Names are copied and reported when nothing is held: the one who asked may look them up from inside of
 * emit. */
struct listed {
	uint64_t ino, next;
	uint16_t type, length;
	char name[];
};

struct listing {
	_Alignas(8) char buf[LISTING];
	size_t used;
	bool full, bad;
};

static void listing_add(struct listing *l, const char *name, size_t length, uint64_t ino, unsigned type,
			uint64_t next)
{
	size_t size = (sizeof(struct listed) + length + 1 + 7) & ~(size_t)7;
	struct listed *e = (struct listed *)(l->buf + l->used);

	l->full = l->used + size > LISTING;
	if (l->full)
		return;
	*e = (struct listed){ino, next, type, length};
	memcpy(e->name, name, length);
	e->name[length] = 0;
	l->used += size;
}

static int list_one(void *arg, struct vf_key key, const void *value, unsigned length)
{
	const struct vf_dirent *d = value;
	struct listing *l = arg;

	l->bad = !dirent_good(d, length);
	if (!l->bad)
		listing_add(l, d->name, d->length, d->ino, d->type, key.lo);
	return l->bad || l->full;
}

static int listing_fill(struct vol *v, struct vol_inode *dir, uint64_t cookie, struct listing *l)
{
	int r;

	l->used = 0;
	if (cookie < DOT)
		listing_add(l, ".", 1, dir->ino, S_IFDIR >> 12, DOT);
	fair_lock_read(&dir->content);
	if (cookie < DOTDOT)
		listing_add(l, "..", 2, dir->parent, S_IFDIR >> 12, DOTDOT);
	r = dir->dead ? -ENOENT : 0;
	if (r == 0)
		r = vol_tree_scan(v, vol_key(dir->ino, VF_DIRENT, cookie + 1),
				  vol_key(dir->ino, VF_DIRENT, UINT64_MAX), list_one, l);
	fair_unlock(&dir->content);
	if (r == 0 && l->bad)
		r = vol_fail(v, -EIO, "directory %" PRIu64 " has something that is no name", dir->ino);
	return r;
}

int vol_ls_readdir(struct ls *ls, const struct ls_call *call, struct ls_file *f, uint64_t cookie,
		   ls_emit *emit, void *arg)
{
	struct vol_inode *dir = vol_file_of(f)->inode;
	struct vol *v = vol_of(ls);
	struct listing l = {.used = 0};
	bool go_on = true;
	int r;

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	while (go_on && (r = listing_fill(v, dir, cookie, &l)) == 0 && l.used) {
		for (size_t at = 0; go_on && at < l.used;) {
			const struct listed *e = (const struct listed *)(l.buf + at);
			go_on = emit(arg, e->name, e->length, e->ino, e->type, e->next) == 0;
			cookie = e->next;
			at += (sizeof(*e) + e->length + 1 + 7) & ~(size_t)7;
		}
		go_on = go_on && l.full;
	}
	if (r == 0 && !(vol_file_of(f)->flags & O_NOATIME))
		vol_inode_accessed(v, dir);
	return r;
}
