/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes, and what a symbolic link points to.
 *
 * An attribute is an item, by the hash of its name; a value that is too large for one follows in pieces.
 * attr_lock is held meanwhile, so that a value is seen as a whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "libservices/volume/vol.h"

enum { SAME_HASH_MAX = 256, NEED = 8 };

_Static_assert(XATTR_NAME_MAX <= VF_XATTR_NAME_MAX, "an item holds what ls_xattr_check lets pass");

struct search {
	const char *name; /* NULL: any */
	size_t length;
	struct vf_key key; /* of the one found */
	unsigned free;
	bool found, bad;
	char item[VF_VALUE_MAX];
	unsigned size;
};

static bool item_good(const struct vf_xattr *x, unsigned length)
{
	if (length < VF_XATTR_FIXED || x->length == 0 || length < VF_XATTR_FIXED + x->length ||
	    x->size > VF_XATTR_MAX)
		return false;
	if (!x->pieces)
		return length == VF_XATTR_FIXED + x->length + x->size;
	return x->pieces == (x->size + VF_XATTR_PIECE - 1) / VF_XATTR_PIECE;
}

static int search_one(void *arg, struct vf_key key, const void *value, unsigned length)
{
	const struct vf_xattr *x = value;
	struct search *s = arg;

	s->bad = !item_good(x, length);
	if (s->bad)
		return 1;
	if ((key.lo & 0xff) == s->free)
		s->free++;
	if (x->length != s->length || memcmp(x->name, s->name, s->length) != 0)
		return 0;
	s->key = key;
	s->size = length;
	memcpy(s->item, value, length);
	s->found = true;
	return 1;
}

static uint64_t xattr_place(const struct vol *v, const char *name, size_t length)
{
	return vol_name_hash(v->super.hash_seed, name, length) >> 16 << 8;
}

/* 1: found; 0: not, and s->free is the first number for it. */
static int xattr_search(struct vol *v, struct vol_inode *inode, const char *name, struct search *s)
{
	uint64_t place = xattr_place(v, name, strlen(name));
	int r;

	s->name = name;
	s->length = strlen(name);
	s->free = 0;
	s->found = s->bad = false;
	if (vol_bare(inode))
		return 0;
	r = vol_tree_scan(v, vol_key(inode->ino, VF_XATTR, place),
			  vol_key(inode->ino, VF_XATTR, place | 0xff), search_one, s);
	if (r == 0 && s->bad)
		r = vol_fail(v, -EIO, "inode %" PRIu64 " has an attribute that makes no sense", inode->ino);
	return r < 0 ? r : s->found;
}

static struct vf_key piece_key(struct vf_key key, unsigned n)
{
	return (struct vf_key){(key.hi & ~(uint64_t)0xff) | VF_PIECE, key.lo << 6 | n};
}

static ssize_t value_read(struct vol *v, const struct search *s, char *buf, size_t size)
{
	const struct vf_xattr *x = (const struct vf_xattr *)s->item;
	unsigned left = x->size;
	int r;

	if (size == 0)
		return x->size;
	if (size < x->size)
		return -ERANGE;
	if (!x->pieces) {
		memcpy(buf, x->name + x->length, x->size);
		return x->size;
	}
	for (unsigned i = 0; i < x->pieces; i++) {
		unsigned n = left < VF_XATTR_PIECE ? left : VF_XATTR_PIECE;
		r = vol_tree_get(v, piece_key(s->key, i), buf + i * VF_XATTR_PIECE, n);
		if (r != (int)n)
			return r < 0 && r != -ENOENT
				   ? r
				   : vol_fail(v, -EIO, "an attribute at item %" PRIx64 " lacks a part",
					      s->key.hi);
		left -= n;
	}
	return x->size;
}

ssize_t vol_ls_getxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode,
			const char *name, void *buf, size_t size)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol *v = vol_of(ls);
	struct search s;
	ssize_t r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r == -EPERM || r == -EACCES ? -ENODATA : r;
	pthread_mutex_lock(&inode->attr_lock);
	r = xattr_search(v, inode, name, &s);
	if (r == 1)
		r = value_read(v, &s, buf, size);
	else if (r == 0)
		r = -ENODATA;
	pthread_mutex_unlock(&inode->attr_lock);
	return r;
}

/* ---- changing: within an operation, with attr_lock held -------------------------------------- */

static int pieces_remove(struct vol *v, const struct search *s)
{
	const struct vf_xattr *x = (const struct vf_xattr *)s->item;
	int r = 0;

	for (unsigned i = x->pieces; i-- > 0 && r == 0;)
		r = vol_del(v, piece_key(s->key, i));
	return r;
}

static int xattr_put(struct vol *v, struct vf_key key, const char *name, const char *value, size_t size)
{
	char item[VF_VALUE_MAX];
	struct vf_xattr *x = (struct vf_xattr *)item;
	size_t length = strlen(name), fixed = VF_XATTR_FIXED + length;
	bool within = fixed + size <= VF_VALUE_MAX;
	int r;

	x->size = size;
	x->length = length;
	x->pieces = within ? 0 : (size + VF_XATTR_PIECE - 1) / VF_XATTR_PIECE;
	memcpy(x->name, name, length);
	if (within && size)
		memcpy(x->name + length, value, size);
	r = vol_put(v, key, item, within ? fixed + size : fixed);
	for (unsigned i = 0; i < x->pieces && r == 0; i++, value += VF_XATTR_PIECE, size -= VF_XATTR_PIECE)
		r = vol_put(v, piece_key(key, i), value, size < VF_XATTR_PIECE ? size : VF_XATTR_PIECE);
	return r;
}

static int xattr_set(struct vol *v, struct vol_inode *inode, const char *name, const void *buf, size_t size,
		     int flags)
{
	struct search s;
	int r = xattr_search(v, inode, name, &s);

	if (r < 0)
		return r;
	if (r == 1 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (r == 0 && (flags & XATTR_REPLACE))
		return -ENODATA;
	if (r == 0 && s.free == SAME_HASH_MAX)
		return -ENOSPC;
	if (r == 0)
		s.key = vol_key(inode->ino, VF_XATTR, xattr_place(v, name, s.length) | s.free);
	else
		r = pieces_remove(v, &s);
	vol_clothe(inode);
	return r < 0 ? r : xattr_put(v, s.key, name, buf, size);
}

int vol_ls_setxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, const char *name,
		    const void *buf, size_t size, int flags)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol *v = vol_of(ls);
	void *copy;
	int r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	copy = malloc(size ? size : 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, buf, size); /* tree and journal must get the same bytes */
	vol_throttle(v);
	r = vol_op_begin(v, NEED + 2 * (size / VF_XATTR_PIECE));
	if (r == 0) {
		pthread_mutex_lock(&inode->attr_lock);
		r = xattr_set(v, inode, name, copy, size, flags);
		pthread_mutex_unlock(&inode->attr_lock);
		if (r == 0)
			vol_inode_touch(v, inode, LS_CTIME);
		vol_op_end(v);
	}
	free(copy);
	return r;
}

int vol_ls_removexattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode,
		       const char *name)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol *v = vol_of(ls);
	struct search s;
	int r = ls_xattr_check(inode->type, name);

	if (r < 0)
		return r;
	vol_throttle(v);
	r = vol_op_begin(v, 0);
	if (r < 0)
		return r;
	pthread_mutex_lock(&inode->attr_lock);
	r = xattr_search(v, inode, name, &s);
	if (r == 0)
		r = -ENODATA;
	if (r == 1)
		r = pieces_remove(v, &s);
	if (r == 0)
		r = vol_del(v, s.key);
	pthread_mutex_unlock(&inode->attr_lock);
	if (r == 0)
		vol_inode_touch(v, inode, LS_CTIME);
	vol_op_end(v);
	return r;
}

/* ---- listing --------------------------------------------------------------------------------- */

struct names {
	char *buf;
	size_t size;
	ssize_t length;
	bool bad;
};

static int name_one(void *arg, struct vf_key key, const void *value, unsigned length)
{
	const struct vf_xattr *x = value;
	struct names *n = arg;

	n->bad = !item_good(x, length);
	if (n->bad)
		return 1;
	if (n->size && n->length + x->length + 1u > n->size) {
		n->length = -ERANGE;
		return 1;
	}
	if (n->size) {
		memcpy(n->buf + n->length, x->name, x->length);
		n->buf[n->length + x->length] = 0;
	}
	n->length += x->length + 1;
	return 0;
}

ssize_t vol_ls_listxattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf,
			 size_t size)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct names n = {.buf = buf, .size = size};
	struct vol *v = vol_of(ls);
	int r = 0;

	pthread_mutex_lock(&inode->attr_lock);
	if (!vol_bare(inode))
		r = vol_tree_scan(v, vol_key(inode->ino, VF_XATTR, 0),
				  vol_key(inode->ino, VF_XATTR, UINT64_MAX), name_one, &n);
	pthread_mutex_unlock(&inode->attr_lock);
	if (r == 0 && n.bad)
		r = vol_fail(v, -EIO, "inode %" PRIu64 " has an attribute that makes no sense", inode->ino);
	if (r < 0)
		return r;
	return n.length > XATTR_LIST_MAX ? -E2BIG : n.length;
}

ssize_t vol_ls_readlink(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, char *buf,
			size_t size)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol *v = vol_of(ls);
	size_t length = inode->attr.size, done = 0, n; /* never changes */
	int r;

	if (inode->type != S_IFLNK)
		return -EINVAL;
	length = length < size ? length : size;
	for (; done < length; done += n) {
		n = length - done < VF_INLINE_MAX ? length - done : VF_INLINE_MAX;
		r = vol_tree_get(v, vol_key(inode->ino, VF_INLINE, done / VF_INLINE_MAX), buf + done, n);
		if (r < (int)n)
			return r < 0 && r != -ENOENT
				   ? r
				   : vol_fail(v, -EIO, "link %" PRIu64 " lacks a part", inode->ino);
	}
	vol_inode_accessed(v, inode);
	return done;
}
