/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The union layer's insides. See union.c for the idea as a whole.
 *
 * Locks, outermost first:
 *
 *  1 inode.up       who copies the inode to the writable branch; an ancestor's is never taken with a child's held
 *  2 union_fs.rename  moves between directories, and of directories: the tree's shape stands still
 *  3 inode.lock     of directories: names, branches; a parent before its child, unrelated ones only under rename
 *  4 inode.content  of files: which branch the data is in, and so which handles the open files have
 *  5 union_fs.lock  the table of inodes, references, and each inode's place (parent and name). Held for no call below
 *
 * An inode lives while `refs` counts anything: callers' references, open files, a cached name that leads to it,
 * and the children whose place is in it.
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libservices/libservice.h"
#include "libservices/rules.h"

enum { UNION_BRANCHES = 129, UNION_NAME_MAX = NAME_MAX, UNION_WORK_NAME = 32, UNION_PRUNE = 1024 };

/* Where something is: an inode of one of the layers below. */
struct union_real {
	struct ls_inode *inode;
	unsigned branch;
	bool marked; /* a directory that may hold whiteouts in the xattr form (opaque is "x") */
};

enum union_under { UNION_UNKNOWN, UNION_NOTHING, UNION_SOMETHING };

/* A name of a directory, present or known to be absent. A node of a tree in the order of cookies; see tree.c. */
struct union_name {
	struct union_name *left, *right;
	uint64_t cookie;
	struct union_inode *inode; /* one reference; NULL: absent, or only listed */
	uint64_t ino;              /* listed: the branch's number */
	uint8_t branch;            /* listed: where it was first seen */
	uint8_t type;              /* DT_*; DT_UNKNOWN: absent */
	bool whiteout;             /* absent: the writable branch has a whiteout */
	bool above;                /* present: the writable branch has the name itself */
	uint8_t under;             /* enum union_under: is there anything below the writable branch's? */
	uint8_t len;
	char name[];
};

struct union_file {
	struct union_file *next; /* of the same inode */
	struct union_inode *inode;
	struct ls_file *below, *fresh; /* fresh: while copying up, the one to change to */
	unsigned branch;
	int flags;
};

/* See parts.c. The first is the inode's `real`, and has no reference of its own. */
struct union_part {
	struct union_real real;
	struct ls_file *file;
	uint64_t limit;  /* holes before this are what the next part has */
	uint64_t *bits;  /* of each block: is it here? NULL: there is no next part */
	uint64_t blocks;
	unsigned shift;
};

struct union_parts {
	unsigned count;
	struct union_part part[];
};

struct union_inode {
	struct union_inode *next; /* in the table's bucket */
	uint64_t number, refs;
	mode_t type;
	pthread_mutex_t up;
	struct union_inode *parent; /* its place; NULL: none, or not known */
	char *name;

	pthread_rwlock_t content; /* files */
	struct union_real real;   /* files: where it is */
	struct union_parts *parts; /* atomic; NULL: all of its data is in `real` */
	struct union_real old;    /* where it was before it was copied up, if mappings were given there */
	bool old_lent;            /* the reference to it is that of a part */
	bool above;               /* atomic: in the writable branch, for ever */
	bool indexed;             /* other names of it are below: the index holds it, and links counts its names */
	unsigned links, gone;     /* gone: names removed while it was below */
	uint64_t copiers, maps;   /* shares given by `real` while that was below: to read, to map */
	uint64_t recalled;        /* shares to read that have been ended below, and of which the end is still to be told */
	struct union_file *files;

	pthread_mutex_t lock;      /* directories */
	struct union_real *branch; /* top to bottom */
	unsigned branch_count;
	char *redirect; /* of the writable branch, as on disk */
	bool complete;  /* every name there is is in the tree */
	bool impure;    /* the writable branch's directory holds inodes with an origin */
	bool dead;
	unsigned open_count, subdirs;
	struct union_name *names;
	size_t name_count, absent_count;
	struct union_inode *newer, *older; /* of directories with names, in order of use */
};

struct union_fs {
	struct ls *ls;
	unsigned count;     /* branches */
	bool writable;      /* branch 0 is */
	bool shared;        /* others may change a branch: ask again each time */
	const char *prefix; /* "trusted.overlay." */
	size_t name_limit;
	uint64_t range_min; /* files as large as this are copied up by range; 0: none */
	bool partial[UNION_BRANCHES]; /* the branch holds files without all of their data. Atomic */
	struct ls_inode *work; /* in branch 0 */
	const char *work_name;
	uint64_t work_count; /* atomic */
	bool has_index;      /* atomic */
	uint64_t seed;
	pthread_mutex_t rename, lock;
	struct union_inode **bucket;
	size_t bucket_count, inode_count, name_total; /* name_total: atomic */
	struct union_inode *newest, *oldest;
	struct union_inode *root;
	uint64_t hits, walks, copied_files, copied_bytes; /* atomic; for stats */
};

/* What a walk through the branches found. Owns a reference to each of `real`. */
struct union_found {
	struct union_real real[UNION_BRANCHES];
	unsigned count; /* 0: nothing */
	struct ls_attr attr; /* of the first */
	bool whiteout;       /* in the writable branch */
	bool impure;
	char *redirect; /* of the writable branch; the caller's */
	uint64_t origin; /* 0: none */
	struct union_parts *parts; /* owned; NULL: a file has all of its data */
};

static inline struct union_fs *union_of(struct ls *ls)
{
	return ls->state;
}

static inline struct union_inode *union_inode_of(struct ls_inode *inode)
{
	return (struct union_inode *)inode;
}

static inline struct union_file *union_file_of(struct ls_file *f)
{
	return (struct union_file *)f;
}

static inline bool union_is_above(const struct union_inode *inode)
{
	return __atomic_load_n(&inode->above, __ATOMIC_ACQUIRE);
}

static inline bool union_is_dir(const struct union_inode *inode)
{
	return inode->type == S_IFDIR;
}

/* A directory's inode in the writable branch, which it must have. */
static inline struct ls_inode *union_above(const struct union_inode *dir)
{
	return dir->branch[0].inode;
}

/* inode.c */
int union_table_init(struct union_fs *u);
void union_table_fini(struct union_fs *u);
uint64_t union_number(const struct union_fs *u, unsigned branch, uint64_t ino);
/* The inode that was found; takes what `found` owns, also on failure. */
int union_inode_enter(struct union_fs *u, const struct ls_call *call, struct union_found *found,
		      struct union_inode **ret);
struct union_inode *union_inode_find(struct union_fs *u, uint64_t number);
struct union_inode *union_inode_ref(struct union_fs *u, struct union_inode *inode);
void union_inode_unref(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t n);
/* All of its data is in `real` now. content held to write. */
void union_inode_parts_end(struct union_fs *u, const struct ls_call *call, struct union_inode *inode);
/* Its place is that name from now on; dir NULL: it has none. */
int union_place_set(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
		    struct union_inode *dir, const char *name);
/* Its place, if it has one: a reference to the directory, and the name. */
struct union_inode *union_place(struct union_fs *u, struct union_inode *inode, char name[static UNION_NAME_MAX + 1]);
int union_attr(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *f,
	       struct ls_attr *ret);
/* The answer of an operation that gives an inode away: its attributes, or the reference ended. */
int union_give(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_inode **ret_inode,
	       struct ls_attr *ret_attr);

/* rename.c: where the branches below have the directory. With union_fs.rename held. */
int union_path_below(const struct union_inode *dir, char path[static PATH_MAX]);

/* tree.c: with the directory's lock held. */
struct union_name *union_name_find(struct union_fs *u, struct union_inode *dir, const char *name);
struct union_name *union_name_add(struct union_fs *u, struct union_inode *dir, const char *name, size_t len);
struct union_name *union_name_after(struct union_inode *dir, uint64_t cookie);
void union_names_drop(struct union_fs *u, const struct ls_call *call, struct union_inode *dir);
/* Drops names of directories that have not been used for long, while there are too many. With no lock held. */
void union_names_limit(struct union_fs *u, const struct ls_call *call);
void union_names_used(struct union_fs *u, struct union_inode *dir);
void union_names_unlink(struct union_fs *u, struct union_inode *dir); /* from the order of use; u->lock held */

/* name.c: with the directory's lock held. */
int union_name_check(const struct union_fs *u, const struct union_inode *dir, const char *name);
/* The name, looked up if need be: its inode is set if it is present. */
int union_name_load(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, const char *name,
		    struct union_name **ret);
/* The name leads to the inode from now on (takes the reference), or nowhere. */
void union_name_set(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n,
		    struct union_inode *inode);
/* Is there anything of that name below the writable branch? 0, 1, -errno. */
int union_name_under(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n);

/* walk.c */
int union_walk(struct union_fs *u, const struct ls_call *call, const struct union_inode *dir, unsigned first,
	       const char *name, struct union_found *ret);
/* What has that path in the branches from that one on. */
int union_walk_from(struct union_fs *u, const struct ls_call *call, unsigned branch, const char *path,
		    struct union_found *ret);
void union_found_fini(struct union_fs *u, const struct ls_call *call, struct union_found *found);
/* 1, 0, -errno */
int union_is_whiteout(struct union_fs *u, const struct ls_call *call, const struct union_real *real, bool marked,
		      const struct ls_attr *attr);

/* parts.c. Sets found->parts if the file that was found lacks data. */
int union_parts_find(struct union_fs *u, const struct ls_call *call, const struct union_inode *dir, const char *name,
		     struct union_found *found);
struct union_parts *union_parts_new(unsigned count);
void union_parts_free(struct union_fs *u, const struct ls_call *call, struct union_parts *p);
/* Marks a copy as one without its data, which is at that path in the branches below. */
int union_parts_mark(struct union_fs *u, const struct ls_call *call, struct ls_inode *made, const char *path,
		     uint64_t limit);
/* Opens what is needed to read and write. fresh: the part is all hole. */
int union_part_begin(struct union_fs *u, const struct ls_call *call, struct union_part *p, bool top, bool fresh);
/* With inode.content held to write: */
int union_parts_open(struct union_fs *u, const struct ls_call *call, struct union_parts *p);
ssize_t union_parts_write(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *f,
			  const struct iovec *iov, int iovcnt, off_t offset, unsigned flags, off_t *ret_end);
int union_parts_cut(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t size);
/* Copies all that is missing: then it is a file as any other. */
int union_parts_complete(struct union_fs *u, const struct ls_call *call, struct union_inode *inode);
/* To read or to write, with the parts open: */
ssize_t union_parts_read(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
			 const struct iovec *iov, int iovcnt, off_t offset);
static inline bool union_is_partial(const struct union_inode *inode)
{
	return __atomic_load_n(&inode->parts, __ATOMIC_ACQUIRE) != NULL;
}

/* list.c */
int union_complete(struct union_fs *u, const struct ls_call *call, struct union_inode *dir);
/* -ENOTEMPTY if a name is present. Lock held. */
int union_check_empty(struct union_fs *u, const struct ls_call *call, struct union_inode *dir);

/* mark.c: our marks, as extended attributes with the prefix. */
int union_mark_get(struct union_fs *u, const struct ls_call *call, const struct union_real *real, const char *mark,
		   char *buf, size_t size); /* length, 0: none, -errno */
int union_mark_set(struct union_fs *u, const struct ls_call *call, struct ls_inode *inode, const char *mark,
		   const char *value); /* in the writable branch */
bool union_mark_is(const struct union_fs *u, const char *xattr); /* is the attribute one of ours? */

/* work.c */
int union_work_open(struct union_fs *u, char *error, size_t error_size);
void union_work_close(struct union_fs *u);
void union_work_name(struct union_fs *u, char name[static UNION_WORK_NAME]);
void union_index_name(uint64_t number, char name[static UNION_WORK_NAME]);
/* Makes a whiteout of that name in the work directory, or in a directory of the writable branch. */
int union_whiteout(struct union_fs *u, const struct ls_call *call, struct ls_inode *dir, const char *name);
/* Removes what is in the work directory under that name, with the whiteouts in it. */
void union_work_remove(struct union_fs *u, const struct ls_call *call, const char *name, bool is_dir);

/* up.c: with no lock held. 0, or -errno: then nothing has changed. */
int union_up(struct union_fs *u, const struct ls_call *call, struct union_inode *inode);
int union_up_cut(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, uint64_t size);
/* The total number of names changed, of an inode that the index holds. */
void union_links(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, int change);
/* Gives a name whose inode is above, while the name is not, to the writable branch. Directory's lock held. */
int union_name_up(struct union_fs *u, const struct ls_call *call, struct union_inode *dir, struct union_name *n);

/* copy.c */
int union_copy_data(struct union_fs *u, const struct ls_call *call, const struct union_real *from,
		    struct ls_file *to, uint64_t size);
int union_copy_xattrs(struct union_fs *u, const struct ls_call *call, const struct union_real *from,
		      struct ls_inode *to);
int union_copy_attr(struct union_fs *u, const struct ls_call *call, const struct ls_attr *attr, struct ls_inode *to);

/* file.c: an open file, of a handle below that it takes over, also on failure. Of a file below: content held. */
int union_file_new(struct union_fs *u, const struct ls_call *call, struct union_inode *inode, struct ls_file *below,
		   unsigned branch, int flags, struct ls_file **ret);

/* share.c: the file is about to be another; whoever copies from its memory asks again. content held to write. */
void union_shares_recall(struct union_fs *u, const struct ls_call *call, struct union_inode *inode);

/* remove.c */
void union_inode_lost(struct union_fs *u, const struct ls_call *call, struct union_inode *inode,
		      struct union_inode *dir, const char *name);

/* work.c */
/* Takes the whiteouts out of a directory of the writable branch that looks empty. */
int union_clear(struct union_fs *u, const struct ls_call *call, struct ls_inode *dir);

#define X(ret, name, params, ...) ret union_##name params;
LS_OPS(X)
#undef X
