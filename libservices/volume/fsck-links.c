/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and inodes: each name leads to an inode, each inode has the names that it counts, each directory
 * one, and from each a way leads up to the root.
 *
 * What has no name any more, but should have one, gets it in /lost+found.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libservices/volume/fsck-internal.h"

#define NAME_TAKEN (UINT64_C(1) << 63) /* in fsck_name.dir */

static int inode_compare(const void *a, const void *b)
{
	const struct fsck_inode *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

struct fsck_inode *fsck_inode_find(struct fsck *f, uint64_t ino)
{
	struct fsck_inode key = {.ino = ino};

	return f->inode_count ? bsearch(&key, f->inode, f->inode_count, sizeof(key), inode_compare) : NULL;
}

static struct fsck_inode *inode_live(struct fsck *f, uint64_t ino)
{
	struct fsck_inode *i = fsck_inode_find(f, ino);

	return i && !(i->fix & FSCK_DROP) ? i : NULL;
}

/* ---- items for the tree to come -------------------------------------------------------------------- */

static int item_put(struct fsck *f, struct vf_key key, const void *value, uint32_t length)
{
	f->rewrite_tree = true;
	return fsck_over_add(&f->over, key, value, length);
}

static int name_drop(struct fsck *f, struct fsck_name *n)
{
	struct fsck_inode *dir = fsck_inode_find(f, n->dir);

	if (dir) {
		dir->found--;
		dir->fix |= FSCK_FIX_SIZE;
	}
	return item_put(f, vol_key(n->dir, VF_DIRENT, n->lo), NULL, FSCK_GONE);
}

static int dirent_put(struct fsck *f, struct fsck_inode *dir, const char *name,
		      const struct fsck_inode *inode)
{
	uint8_t value[VF_DIRENT_FIXED + VF_NAME_MAX];
	struct vf_dirent *d = (void *)value;
	uint64_t hash = fsck_hash(f, name, strlen(name)) >> 9;

	*d = (struct vf_dirent){.ino = inode->ino, .type = inode->mode >> 12, .length = strlen(name)};
	memcpy(d->name, name, d->length);
	dir->found++;
	dir->fix |= FSCK_FIX_SIZE;
	/* n = 255: further than names with the same hash have ever come */
	return item_put(f, vol_key(dir->ino, VF_DIRENT, (hash ? hash : 1) << 8 | 255), d,
			VF_DIRENT_FIXED + d->length);
}

/* A new, empty directory in the tree to come. */
static int directory_make(struct fsck *f, uint64_t ino, uint64_t parent, mode_t mode)
{
	int64_t now = time(NULL);
	struct vf_inode v = {.mode = S_IFDIR | mode,
			     .nlink = 2,
			     .parent = parent,
			     .atime = now,
			     .mtime = now,
			     .ctime = now,
			     .btime = now};
	size_t at = 0;

	if (fsck_grow(&f->inode, f->inode_count, &f->inode_max, sizeof(*f->inode)) < 0)
		return -ENOMEM;
	while (at < f->inode_count && f->inode[at].ino < ino)
		at++;
	memmove(f->inode + at + 1, f->inode + at, (f->inode_count - at) * sizeof(*f->inode));
	f->inode_count++;
	f->inode[at] = (struct fsck_inode){.ino = ino,
					   .parent = parent,
					   .mode = v.mode,
					   .nlink = 2,
					   .names = 1,
					   .reached = true,
					   .named_in = parent};
	return item_put(f, vol_key(ino, VF_INODE, 0), &v, sizeof(v));
}

static int lost_found_make(struct fsck *f)
{
	struct fsck_inode *root = inode_live(f, VF_INO_ROOT);
	char name[32] = "lost+found";
	int r;

	f->lost_found = f->next_ino++;
	snprintf(name + 10, sizeof(name) - 10, ".%" PRIu64, f->lost_found);
	root->subdirs++;
	r = directory_make(f, f->lost_found, VF_INO_ROOT, 0700);
	return r < 0 ? r
		     : dirent_put(f, fsck_inode_find(f, VF_INO_ROOT), name,
				  fsck_inode_find(f, f->lost_found));
}

/* Called when the names of all others are settled: inodes move when a directory is made. */
static int inode_attach(struct fsck *f, uint64_t ino)
{
	struct fsck_inode *i, *dir;
	char name[32];
	int r = f->lost_found ? 0 : lost_found_make(f);

	if (r < 0)
		return r;
	i = fsck_inode_find(f, ino);
	dir = fsck_inode_find(f, f->lost_found);
	snprintf(name, sizeof(name), "#%" PRIu64, ino);
	i->names++;
	if (S_ISDIR(i->mode)) {
		i->named_in = i->parent = dir->ino;
		i->fix |= FSCK_FIX_PARENT;
		dir->subdirs++;
	} else {
		i->nlink = i->names;
		i->fix |= FSCK_FIX_NLINK;
	}
	return dirent_put(f, dir, name, i);
}

/* ---- every name ------------------------------------------------------------------------------------ */

/* Of a directory that has several, the one that it thinks it has comes first. */
static int name_compare(const void *a, const void *b)
{
	const struct fsck_name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static int name_wrong(struct fsck *f, struct fsck_name *n, const char *why)
{
	fsck_say(f, FSCK_DAMAGE, n->dir, 0, "directory %" PRIu64 ": a name of inode %" PRIu64 "%s", n->dir,
		 n->ino, why);
	return name_drop(f, n);
}

static int name_retype(struct fsck *f, struct fsck_name *n, const struct fsck_inode *i)
{
	fsck_say(f, FSCK_DAMAGE, n->dir, 0,
		 "directory %" PRIu64 ": a name says that inode %" PRIu64
		 " is of type %u; it is of type %u",
		 n->dir, n->ino, n->type, i->mode >> 12);
	n->type = i->mode >> 12;
	f->rewrite_tree = true; /* which gives names their inodes' types */
	return 0;
}

static int name_take(struct fsck *f, struct fsck_name *n)
{
	struct fsck_inode *i = inode_live(f, n->ino), *dir = inode_live(f, n->dir);

	if (!dir)
		return 0; /* goes with its directory */
	if (!i)
		return name_wrong(f, n, ", which is not there");
	if (n->ino == VF_INO_ROOT)
		return name_wrong(f, n, ", which is the root");
	if (S_ISDIR(i->mode) && i->named_in)
		return name_wrong(f, n, ", which is a directory with another name");
	i->names++;
	if (S_ISDIR(i->mode)) {
		i->named_in = n->dir;
		dir->subdirs++;
	}
	return n->type == i->mode >> 12 ? 0 : name_retype(f, n, i);
}

static int names_take(struct fsck *f)
{
	int r = 0;

	if (f->name_count)
		qsort(f->name, f->name_count, sizeof(*f->name), name_compare);
	/* First the names of directories where the directory itself says that it is. */
	for (size_t k = 0; k < f->name_count && r == 0; k++) {
		struct fsck_inode *i = inode_live(f, f->name[k].ino);
		if (i && S_ISDIR(i->mode) && i->parent == f->name[k].dir && !i->named_in)
			r = name_take(f, &f->name[k]);
		else
			continue;
		f->name[k].dir |= NAME_TAKEN;
	}
	for (size_t k = 0; k < f->name_count && r == 0; k++)
		if (!(f->name[k].dir & NAME_TAKEN))
			r = name_take(f, &f->name[k]);
	return r;
}

/* ---- every directory: a way to the root ------------------------------------------------------------ */

/* A way up from a directory that comes back to it. */
static bool is_below_itself(struct fsck *f, struct fsck_inode *from)
{
	struct fsck_inode *i = from;

	for (uint64_t steps = 0; i && i->named_in && !i->reached && steps <= f->inode_count; steps++) {
		i = inode_live(f, i->named_in);
		if (i == from)
			return true;
	}
	return false;
}

/* What a way up met leads up, too. */
static void way_mark(struct fsck *f, struct fsck_inode *i)
{
	for (; i && i->named_in && !i->reached; i = inode_live(f, i->named_in))
		i->reached = true;
}

static int name_cut(struct fsck *f, struct fsck_inode *i)
{
	for (size_t k = 0; k < f->name_count; k++) {
		struct fsck_name n = f->name[k];
		n.dir &= ~NAME_TAKEN;
		if (n.ino != i->ino || n.dir != i->named_in)
			continue;
		fsck_inode_find(f, n.dir)->subdirs--;
		i->names--;
		i->named_in = 0;
		return name_drop(f, &n);
	}
	return 0;
}

static int ways_check(struct fsck *f)
{
	int r = 0;

	fsck_inode_find(f, VF_INO_ROOT)->reached = true;
	for (size_t k = 0; k < f->inode_count && r == 0; k++) {
		struct fsck_inode *i = &f->inode[k];
		if (!S_ISDIR(i->mode) || i->fix & FSCK_DROP)
			continue;
		if (is_below_itself(f, i)) {
			fsck_say(f, FSCK_DAMAGE, i->ino, 0, "directory %" PRIu64 " is below itself",
				 i->ino);
			r = name_cut(f, i);
		} else {
			way_mark(f, i);
		}
	}
	return r;
}

/* ---- every inode ------------------------------------------------------------------------------------ */

static int orphan_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool orphan_listed(const struct fsck *f, uint64_t ino)
{
	return f->orphan_count && bsearch(&ino, f->orphan, f->orphan_count, sizeof(ino), orphan_compare);
}

static int orphan_check(struct fsck *f, struct fsck_inode *i)
{
	if (orphan_listed(f, i->ino))
		return 0;
	fsck_say(f, FSCK_DAMAGE, i->ino, 0, "inode %" PRIu64 " has no name and is not listed as such",
		 i->ino);
	return item_put(f, vol_key(0, VF_ORPHAN, i->ino), NULL, 0);
}

static void links_check(struct fsck *f, struct fsck_inode *i)
{
	uint32_t links = S_ISDIR(i->mode) ? 2 + i->subdirs : i->names;

	if (S_ISDIR(i->mode) && i->ino != VF_INO_ROOT && i->parent != i->named_in) {
		fsck_say(f, FSCK_DAMAGE, i->ino, 0,
			 "directory %" PRIu64 " is in %" PRIu64 " and thinks it is in %" PRIu64, i->ino,
			 i->named_in, i->parent);
		i->fix |= FSCK_FIX_PARENT;
	}
	if (i->nlink == links)
		return;
	fsck_say(f, FSCK_DAMAGE, i->ino, 0, "inode %" PRIu64 " has %u links and counts %u", i->ino, links,
		 i->nlink);
	i->fix |= FSCK_FIX_NLINK;
}

/* 1: it has no name, and should have one. */
static int inode_check(struct fsck *f, struct fsck_inode *i)
{
	if (i->ino == VF_INO_ROOT || i->names) {
		links_check(f, i);
		return 0;
	}
	if (i->nlink == 0)
		return orphan_check(f, i);
	fsck_say(f, FSCK_DAMAGE, i->ino, 0, "inode %" PRIu64 " has no name", i->ino);
	return 1;
}

static int orphans_check(struct fsck *f)
{
	int r = 0;

	for (size_t k = 0; k < f->orphan_count && r == 0; k++) {
		struct fsck_inode *i = inode_live(f, f->orphan[k]);
		if (i && i->nlink == 0 && i->names == 0)
			continue;
		fsck_say(f, FSCK_DAMAGE, f->orphan[k], 0,
			 "inode %" PRIu64 " is listed as one without a name and %s", f->orphan[k],
			 i ? "has one" : "is not there");
		r = item_put(f, vol_key(0, VF_ORPHAN, f->orphan[k]), NULL, FSCK_GONE);
	}
	return r;
}

static int inodes_check(struct fsck *f)
{
	uint64_t *nameless = NULL;
	size_t count = 0, max = 0;
	int r = 0;

	for (size_t k = 0; k < f->inode_count && r >= 0; k++) {
		if (f->inode[k].fix & FSCK_DROP)
			continue;
		r = inode_check(f, &f->inode[k]);
		if (r == 1 && (r = fsck_grow(&nameless, count, &max, sizeof(*nameless))) == 0)
			nameless[count++] = f->inode[k].ino;
	}
	for (size_t k = 0; k < count && r == 0; k++)
		r = inode_attach(f, nameless[k]);
	free(nameless);
	return r;
}

static int root_check(struct fsck *f)
{
	struct fsck_inode *root = inode_live(f, VF_INO_ROOT);

	if (root && S_ISDIR(root->mode) && root->parent == VF_INO_ROOT)
		return 0;
	if (root && S_ISDIR(root->mode)) {
		fsck_say(f, FSCK_DAMAGE, VF_INO_ROOT, 0, "the root directory thinks it is in %" PRIu64,
			 root->parent);
		root->parent = root->named_in = VF_INO_ROOT;
		root->fix |= FSCK_FIX_PARENT;
		return 0;
	}
	if (root)
		return fsck_fail(f, -EUCLEAN, "its root is no directory");
	fsck_say(f, FSCK_DAMAGE, VF_INO_ROOT, 0, "the root directory is not there");
	return directory_make(f, VF_INO_ROOT, VF_INO_ROOT, 0755);
}

static bool needs_fix(const struct fsck *f)
{
	for (size_t k = 0; k < f->inode_count; k++)
		if (f->inode[k].fix)
			return true;
	return false;
}

int fsck_links(struct fsck *f)
{
	int r = root_check(f);

	if (r == 0)
		r = names_take(f);
	if (r == 0)
		r = ways_check(f);
	if (r == 0)
		r = inodes_check(f);
	if (r == 0)
		r = orphans_check(f);
	fsck_over_sort(&f->over);
	f->rewrite_tree |= needs_fix(f);
	return r < 0 && !*f->error ? fsck_fail(f, r, "out of memory") : r;
}
