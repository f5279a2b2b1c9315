/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check's insides: one pass over everything, in the order of the tree's keys.
 *
 * The volume's state is what its tree says, changed by what the journal says: items of both are merged as
 * they stream by (fsck-items.c). What must be corrected goes the same way, as items laid over the others
 * (`over`) and as facts of inodes, until fsck-repair.c writes the stream out as a new tree.
 */
#pragma once

#include <stdio.h>

#include "libservices/volume/fsck.h"
#include "libservices/volume/vol.h"

/* An item that replaces, or removes (length FSCK_GONE), the tree's. */
struct fsck_item {
	struct vf_key key;
	uint64_t order; /* the later one counts */
	uint32_t length;
	uint8_t *value;
};

enum { FSCK_GONE = UINT32_MAX };

struct fsck_over {
	struct fsck_item *item;
	size_t count, max;
	uint64_t order;
};

/* A block of metadata that the shadow has, or that was read. */
struct fsck_image {
	uint64_t block;
	uint8_t *buf;
};

struct fsck_span {
	uint64_t start, count;
	size_t order; /* of those of a group the later one counts */
	bool used;
};

enum fsck_inode_fix {
	FSCK_FIX_NLINK = 1 << 0,
	FSCK_FIX_SIZE = 1 << 1,
	FSCK_FIX_BLOCKS = 1 << 2,
	FSCK_FIX_PARENT = 1 << 3,
	FSCK_DROP = 1 << 4, /* with all its items */
};

/* What is known of an inode when all items have been seen; ascending by number. */
struct fsck_inode {
	uint64_t ino, parent, size, blocks;
	uint32_t mode, nlink;
	uint32_t names, subdirs;
	uint64_t named_in; /* of a directory: where its name is; 0: nowhere yet */
	uint64_t found;    /* of a directory: names in it; of a file: blocks of its extents */
	uint8_t fix;       /* enum fsck_inode_fix */
	bool orphan, reached;
};

/* A name: who is meant, and where its item is. */
struct fsck_name {
	uint64_t ino, dir, lo;
	uint8_t type;
};

struct fsck {
	struct area *area;
	const struct fsck_options *options;
	struct fsck_report *report;
	struct fsck_counts *counts;
	bool quiet;
	char *error;
	size_t error_size;

	struct vf_super super; /* the state to start from */
	bool super_bad[2];     /* the copy is not as it should be */
	struct fsck_image *image;
	size_t image_count;
	struct fsck_over over;
	struct fsck_span *span; /* what the journal allocated and freed, in its order */
	size_t span_count, span_max;
	uint64_t next_ino, next_tail, next_seq;
	bool journal_data; /* the journal has bytes of files */
	void (*frame)(struct fsck *f, const struct vf_frame *frame,
		      uint64_t at); /* sees each; may be NULL */
	void *frame_arg;

	uint64_t group_count;
	uint8_t **owned; /* by group: a bit for each block that somebody has; NULL: nobody has any */
	uint64_t tree_items, base_inodes;
	bool lost; /* some of the tree cannot be read */
	bool rewrite_tree, rewrite_space;

	struct fsck_inode *inode;
	size_t inode_count, inode_max;
	struct fsck_name *name;
	size_t name_count, name_max;
	uint64_t *orphan;
	size_t orphan_count, orphan_max;
	uint64_t lost_found; /* the directory for what has no name; 0: not needed yet */
};

void fsck_fini(struct fsck *f);
/* Makes room for one more at the end of an array. -ENOMEM. */
int fsck_grow(void *array, size_t count, size_t *max, size_t size);
__attribute__((format(printf, 5, 6))) void fsck_say(struct fsck *f, enum fsck_kind kind, uint64_t ino,
						    uint64_t block, const char *format, ...);
__attribute__((format(printf, 3, 4))) int fsck_fail(struct fsck *f, int r, const char *format, ...);
void fsck_progress(struct fsck *f, const char *doing, uint64_t done, uint64_t all);

/* ---- what is where (fsck-read.c) ----------------------------------------------------------------- */

int fsck_read_super(struct fsck *f);
int fsck_read_shadow(struct fsck *f);
int fsck_read_journal(struct fsck *f);
/* A block of metadata, as of the state to start from. NULL, or what is wrong with it. -errno in *ret_r:
 * give up. */
const char *fsck_read_block(struct fsck *f, uint64_t block, enum vf_kind kind, uint8_t *buf, int *ret_r);
uint64_t fsck_group_start(const struct fsck *f, uint64_t group);
uint64_t fsck_group_blocks(const struct fsck *f, uint64_t group);
unsigned fsck_group_own(uint64_t group); /* blocks of metadata at its start */

/* ---- items laid over the tree's (fsck-over.c) ----------------------------------------------------- */

/* value NULL and length FSCK_GONE: none */
int fsck_over_add(struct fsck_over *o, struct vf_key key, const void *value, uint32_t length);
void fsck_over_sort(struct fsck_over *o); /* and leaves the newest of each key */
void fsck_over_fini(struct fsck_over *o);

/* ---- the tree, merged with what lies over it (fsck-tree.c) ---------------------------------------- */

typedef int fsck_visit(struct fsck *f, struct vf_key key, const uint8_t *value, unsigned length, void *arg);
/* first: says what is wrong, and notes who has which block. 0 or -errno. */
int fsck_tree_scan(struct fsck *f, bool first, fsck_visit *visit, void *arg);
/* Only items from <= key <= to; says nothing. */
int fsck_tree_range(struct fsck *f, struct vf_key from, struct vf_key to, fsck_visit *visit, void *arg);

/* ---- the items (fsck-items.c), names (fsck-links.c), space (fsck-space.c) -------------------------- */

int fsck_items(struct fsck *f);
int fsck_links(struct fsck *f);
struct fsck_inode *fsck_inode_find(struct fsck *f, uint64_t ino);
static inline uint64_t fsck_hash(const struct fsck *f, const char *name, size_t length)
{
	return vol_name_hash(f->super.hash_seed, name, length);
}

int fsck_space_init(struct fsck *f);
void fsck_space_fini(struct fsck *f);
/* False: somebody has one of them already. All are noted. */
bool fsck_own(struct fsck *f, uint64_t start, uint64_t count);
int fsck_space(struct fsck *f);

/* ---- writing (fsck-repair.c) ---------------------------------------------------------------------- */

int fsck_repair(struct fsck *f);
