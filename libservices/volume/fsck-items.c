/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items, one after the other. All that belongs to an inode comes together, the inode first: what is
 * wrong with it is seen while it goes by. What concerns several inodes is noted for fsck-links.c.
 *
 * A correction is an item of the next `over`: nothing of the present stream changes under it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "libservices/volume/fsck-internal.h"

/* A value in pieces that must follow. */
struct pieces {
	uint64_t lo; /* of its XATTR */
	uint32_t size;
	unsigned count, seen;
};

struct items {
	struct fsck *f;
	uint64_t ino;              /* of the items that go by; 0: none yet */
	struct fsck_inode *inode;  /* NULL: it is not there, or no good */
	bool told;                 /* that it is not there */
	uint64_t end;              /* of the last extent */
	uint64_t link_size, piece; /* of a symbolic link */
	bool piece_last, inlined;
	struct pieces *pieces;
	size_t piece_count, piece_max;
	struct fsck_over fixes;
};

static int item_drop(struct items *s, struct vf_key key)
{
	return fsck_over_add(&s->fixes, key, NULL, FSCK_GONE);
}

/* An item that cannot stay. */
__attribute__((format(printf, 3, 4))) static int item_wrong(struct items *s, struct vf_key key,
							    const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fsck_say(s->f, FSCK_DAMAGE, key.hi >> 8, 0, "inode %" PRIu64 ": %s", (uint64_t)(key.hi >> 8), text);
	return item_drop(s, key);
}

/* ---- an inode's end: what can be told only now ---------------------------------------------------- */

static void pieces_end(struct items *s)
{
	for (size_t i = 0; i < s->piece_count; i++)
		if (s->pieces[i].seen != s->pieces[i].count)
			item_wrong(s, vol_key(s->ino, VF_XATTR, s->pieces[i].lo),
				   "an attribute has %u of its %u pieces", s->pieces[i].seen,
				   s->pieces[i].count);
	s->piece_count = 0;
}

static void inode_end(struct items *s)
{
	struct fsck_inode *i = s->inode;
	struct fsck *f = s->f;

	pieces_end(s);
	if (!i)
		return;
	if (S_ISLNK(i->mode) && s->link_size != i->size) {
		fsck_say(f, FSCK_DAMAGE, i->ino, 0,
			 "inode %" PRIu64 ": a symbolic link has %" PRIu64 " of its %" PRIu64 " bytes",
			 i->ino, s->link_size, i->size);
		i->fix |= FSCK_DROP;
	}
	if (S_ISDIR(i->mode) && i->found != i->size) {
		fsck_say(f, FSCK_DAMAGE, i->ino, 0,
			 "inode %" PRIu64 ": a directory has %" PRIu64 " names and counts %" PRIu64, i->ino,
			 i->found, i->size);
		i->fix |= FSCK_FIX_SIZE;
	}
	if (!S_ISDIR(i->mode) && i->found != i->blocks) {
		fsck_say(f, FSCK_DAMAGE, i->ino, 0,
			 "inode %" PRIu64 ": it has %" PRIu64 " blocks and counts %" PRIu64, i->ino,
			 i->found, i->blocks);
		i->fix |= FSCK_FIX_BLOCKS;
	}
	s->inode = NULL;
}

static void inode_begin(struct items *s, uint64_t ino)
{
	inode_end(s);
	s->ino = ino;
	s->told = s->piece_last = s->inlined = false;
	s->end = s->link_size = s->piece = 0;
}

/* ---- one kind after the other --------------------------------------------------------------------- */

static int visit_orphan(struct items *s, struct vf_key key, unsigned length)
{
	struct fsck *f = s->f;

	if ((key.hi & 255) != VF_ORPHAN || length)
		return item_wrong(s, key, "an item that nobody has");
	if (fsck_grow(&f->orphan, f->orphan_count, &f->orphan_max, sizeof(*f->orphan)) < 0)
		return -ENOMEM;
	f->orphan[f->orphan_count++] = key.lo;
	f->counts->orphans++;
	return 0;
}

static const char *inode_wrong(const struct fsck *f, uint64_t ino, const struct vf_inode *v,
			       unsigned length)
{
	const char *wrong = vol_check_inode(v, length);

	if (wrong)
		return wrong;
	if (ino >= f->next_ino)
		return "it has a number that was not given out yet";
	if (v->zero || v->flags & ~VF_INODE_LINKABLE)
		return "it has flags of no known meaning";
	if (!S_ISCHR(v->mode) && !S_ISBLK(v->mode) && (v->rdev_major || v->rdev_minor))
		return "it has a device's number and is none";
	return NULL;
}

static int visit_inode(struct items *s, struct vf_key key, const struct vf_inode *v, unsigned length)
{
	const char *wrong = key.lo ? "it is there twice" : inode_wrong(s->f, s->ino, v, length);
	struct fsck *f = s->f;

	if (wrong) {
		s->told = true;
		return item_wrong(s, key, "%s", wrong);
	}
	if (fsck_grow(&f->inode, f->inode_count, &f->inode_max, sizeof(*f->inode)) < 0)
		return -ENOMEM;
	s->inode = &f->inode[f->inode_count++];
	*s->inode = (struct fsck_inode){.ino = s->ino,
					.parent = v->parent,
					.size = v->size,
					.blocks = v->blocks,
					.mode = v->mode,
					.nlink = v->nlink};
	f->counts->inodes++;
	f->counts->directories += S_ISDIR(v->mode);
	if (f->counts->inodes % 4096 == 0)
		fsck_progress(f, "inodes", f->counts->inodes, f->super.inode_count);
	return 0;
}

static int visit_inline(struct items *s, struct vf_key key, unsigned length)
{
	bool link = S_ISLNK(s->inode->mode);

	if (!link && !S_ISREG(s->inode->mode))
		return item_wrong(s, key, "it has bytes and is neither a file nor a symbolic link");
	if (length < 1 || length > VF_INLINE_MAX)
		return item_wrong(s, key, "it has %u bytes within the tree", length);
	if (!link && key.lo)
		return item_wrong(s, key, "it has more than one block within the tree");
	if (link && (key.lo != s->piece || s->piece_last))
		return item_wrong(s, key, "a symbolic link is not complete");
	s->piece++;
	s->piece_last = length < VF_INLINE_MAX;
	s->link_size += length;
	s->inlined = true;
	return 0;
}

static int visit_xattr(struct items *s, struct vf_key key, const struct vf_xattr *x, unsigned length)
{
	uint64_t hash;
	unsigned pieces;

	if (length < VF_XATTR_FIXED || x->length < 1 || length < VF_XATTR_FIXED + x->length ||
	    memchr(x->name, 0, x->length))
		return item_wrong(s, key, "an attribute without a name");
	pieces = x->pieces ? (x->size + VF_XATTR_PIECE - 1) / VF_XATTR_PIECE : 0;
	if (x->size > VF_XATTR_MAX || x->pieces != pieces ||
	    length != VF_XATTR_FIXED + x->length + (pieces ? 0 : x->size))
		return item_wrong(s, key, "an attribute of another length than it says");
	hash = fsck_hash(s->f, x->name, x->length) >> 16;
	if (key.lo >> 8 != hash)
		return item_wrong(s, key, "an attribute in the wrong place");
	s->f->counts->attributes++;
	if (!pieces)
		return 0;
	if (fsck_grow(&s->pieces, s->piece_count, &s->piece_max, sizeof(*s->pieces)) < 0)
		return -ENOMEM;
	s->pieces[s->piece_count++] = (struct pieces){key.lo, x->size, pieces, 0};
	return 0;
}

static int visit_piece(struct items *s, struct vf_key key, unsigned length)
{
	uint64_t lo = key.lo / VF_XATTR_PIECES, n = key.lo % VF_XATTR_PIECES;

	for (size_t i = 0; i < s->piece_count; i++) {
		struct pieces *p = &s->pieces[i];
		if (p->lo != lo || n != p->seen || n >= p->count)
			continue;
		if (length != (n + 1 < p->count ? VF_XATTR_PIECE : p->size - n * VF_XATTR_PIECE))
			break;
		p->seen++;
		return 0;
	}
	return item_wrong(s, key, "a piece of an attribute that is not there");
}

static bool name_good(const struct vf_dirent *d)
{
	if (memchr(d->name, 0, d->length) || memchr(d->name, '/', d->length))
		return false;
	return !(d->name[0] == '.' && (d->length == 1 || (d->length == 2 && d->name[1] == '.')));
}

static int visit_dirent(struct items *s, struct vf_key key, const struct vf_dirent *d, unsigned length)
{
	struct fsck *f = s->f;
	uint64_t hash;

	if (!S_ISDIR(s->inode->mode))
		return item_wrong(s, key, "it has names and is no directory");
	if (length < VF_DIRENT_FIXED + 1 || length != VF_DIRENT_FIXED + d->length || !name_good(d))
		return item_wrong(s, key, "a name that cannot be one");
	hash = fsck_hash(f, d->name, d->length) >> 9;
	if (key.lo >> 8 != (hash ? hash : 1))
		return item_wrong(s, key, "a name in the wrong place");
	if (fsck_grow(&f->name, f->name_count, &f->name_max, sizeof(*f->name)) < 0)
		return -ENOMEM;
	f->name[f->name_count++] = (struct fsck_name){d->ino, s->ino, key.lo, d->type};
	f->counts->names++;
	s->inode->found++;
	return 0;
}

static int visit_extent(struct items *s, struct vf_key key, const struct vf_extent *e, unsigned length)
{
	struct fsck *f = s->f;

	if (!S_ISREG(s->inode->mode))
		return item_wrong(s, key, "it has blocks and is no file");
	if (length != sizeof(*e) || e->length < 1 || e->length > VF_EXTENT_MAX ||
	    e->flags & ~VF_EXTENT_UNWRITTEN || key.lo >= VF_FILE_BLOCKS ||
	    e->length > VF_FILE_BLOCKS - key.lo)
		return item_wrong(s, key, "an extent that cannot be one");
	if (!vol_in_groups(&f->super, e->start, e->length))
		return item_wrong(s, key, "an extent outside of the volume");
	if (key.lo < s->end || (key.lo == 0 && s->inlined))
		return item_wrong(s, key, "two extents for block %" PRIu64 " of the file", key.lo);
	if (!fsck_own(f, e->start, e->length))
		return item_wrong(s, key, "it has blocks of %" PRIu64 "+%u, which somebody else has, too",
				  e->start, e->length);
	s->end = key.lo + e->length;
	s->inode->found += e->length;
	f->counts->extents++;
	return 0;
}

static int visit(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg)
{
	uint64_t ino = key.hi >> 8;
	unsigned type = key.hi & 255;
	struct items *s = arg;

	if (ino == 0)
		return visit_orphan(s, key, length);
	if (ino != s->ino)
		inode_begin(s, ino);
	if (type == VF_INODE)
		return visit_inode(s, key, (const void *)value, length);
	if (!s->inode) {
		if (s->told)
			return item_drop(s, key);
		s->told = true;
		return item_wrong(s, key, "it is not there, but what belongs to it is");
	}
	switch (type) {
	case VF_INLINE:
		return visit_inline(s, key, length);
	case VF_XATTR:
		return visit_xattr(s, key, (const void *)value, length);
	case VF_PIECE:
		return visit_piece(s, key, length);
	case VF_DIRENT:
		return visit_dirent(s, key, (const void *)value, length);
	case VF_EXTENT:
		return visit_extent(s, key, (const void *)value, length);
	default:
		return item_wrong(s, key, "an item of no known kind");
	}
}

int fsck_items(struct fsck *f)
{
	struct items s = {.f = f};
	int r = fsck_tree_scan(f, true, visit, &s);

	if (r == 0)
		inode_end(&s);
	for (size_t i = 0; i < s.fixes.count && r == 0; i++)
		r = fsck_over_add(&f->over, s.fixes.item[i].key, NULL, FSCK_GONE);
	f->rewrite_tree |= s.fixes.count > 0 || f->lost;
	fsck_over_fini(&s.fixes);
	free(s.pieces);
	return r < 0 && !*f->error ? fsck_fail(f, r, "out of memory") : r;
}
