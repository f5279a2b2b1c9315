/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mem layer's insides. See mem.c for the idea as a whole.
 *
 * Locks, outermost first. Nothing is waited for but a lock further down.
 *
 *  1 mem.rename        one rename between two directories at a time, so that the tree's shape stands still
 *                      while it is looked at
 *  2 inode.content     of directories: its names; a parent before its child; two unrelated ones only under
 *                      mem.rename. Of files: the data. A file's is taken with no directory's held.
 *  3 inode.attr_lock   the attributes, link count and extended attributes; never two at once
 *  4 table.lock, pool.lock
 *
 * An inode lives while `refs` counts anything: names, references of callers, open files, and, for a
 * directory, children that know it as their parent.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libservices/libservice.h"
#include "libservices/lock.h"
#include "libservices/rules.h"

enum {
	MEM_PAGE = 4096,
	MEM_CHUNK = 65536,
	MEM_CHUNK_PAGES = MEM_CHUNK / MEM_PAGE,
	MEM_ROOT = 1,
	MEM_LINK_MAX = 1 << 30,
};

#define MEM_FILE_MAX (INT64_MAX & ~(int64_t)(MEM_PAGE - 1))

/* Memory for the contents of files, in chunks; see pool.c. */
struct mem_pool {
	pthread_mutex_t lock;
	uintptr_t *spare; /* chunks to give out; bit 0 set: it is all zero bytes */
	size_t spare_count, spare_max;
	size_t warm; /* how many of them are not zero: they occupy memory */
	struct mem_region *regions;
	uintptr_t fresh, fresh_end; /* of the newest region: never given out yet */
	size_t carved;              /* chunks given out at least once */
};

struct mem_table {
	pthread_mutex_t lock;
	struct mem_inode **bucket;
	size_t bucket_count, count;
	uint64_t last_ino;
};

struct mem {
	uint64_t limit, used;             /* bytes; atomic */
	uint64_t inode_limit, inode_used; /* atomic */
	uint64_t seed;                    /* of the hash of names */
	pthread_mutex_t rename;
	struct mem_table table;
	struct mem_pool pool;
	struct mem_inode *root;
};

/* A sparse array of pages; see data.c. */
struct mem_data {
	uintptr_t root;
	unsigned height;
	uint64_t pages;
};

struct mem_entry {
	struct mem_entry *next; /* in its bucket */
	uint64_t hash;
	uint64_t cookie;
	struct mem_inode *inode;
	unsigned len;
	char name[];
};

struct mem_place {
	uint64_t cookie;
	struct mem_entry *entry; /* NULL: removed */
};

/* Names by hash, and in the order of their cookies; see dir.c. */
struct mem_dir {
	struct mem_entry **bucket;
	size_t bucket_count, count;
	struct mem_place *place;
	size_t place_count, place_max;
	uint64_t last_cookie;
	struct mem_inode *parent; /* changes under mem.rename and attr_lock */
	bool dead;                /* removed: takes no new names */
};

struct mem_xattr {
	struct mem_xattr *next;
	size_t size;
	size_t name_len;
	char name[]; /* with its NUL, then the value */
};

struct mem_inode {
	uint64_t refs;          /* atomic */
	mode_t type;            /* S_IFMT bits; they never change */
	bool linkable;          /* an unnamed file that may get a name */
	bool atime_due;         /* atomic: the next read sets atime, as it is older than another time */
	struct mem_inode *next; /* in the table's bucket */
	struct fair_lock content;
	pthread_mutex_t attr_lock;
	struct ls_attr attr; /* size and blocks change under content (for writing) and attr_lock */
	struct mem_xattr *xattrs;
	union {
		struct mem_data data;
		struct mem_dir dir;
		char *target;
	};
};

struct mem_file {
	struct mem_inode *inode;
	int flags;
	uint64_t last_cookie; /* atomic: a listing ends here, however fast names are added */
};

static inline struct mem *mem_of(struct ls *ls)
{
	return ls->state;
}

static inline struct mem_inode *mem_inode_of(struct ls_inode *inode)
{
	return (struct mem_inode *)inode;
}

static inline struct mem_file *mem_file_of(struct ls_file *f)
{
	return (struct mem_file *)f;
}

/* mem.c: the budget. 0 or -ENOSPC. */
int mem_charge(struct mem *mem, uint64_t bytes);
void mem_uncharge(struct mem *mem, uint64_t bytes);
uint64_t mem_free_bytes(const struct mem *mem);

/* inode.c */

int mem_table_init(struct mem *mem);
void mem_table_fini(struct mem *mem); /* frees every inode, referenced or not */
/* A new inode with one reference, owned as the call says. */
struct mem_new {
	mode_t mode; /* with its type */
	unsigned nlink, major, minor;
	bool linkable;
	const char *target;       /* of a symbolic link */
	struct mem_inode *parent; /* of a directory; the root has none */
};
int mem_inode_new(struct mem *mem, const struct ls_call *call, const struct mem_new *what,
		  struct mem_inode **ret);
struct mem_inode *mem_inode_ref(struct mem_inode *inode);
/* Ends n references. Takes NULL. Holds no lock while it frees. */
void mem_inode_unref(struct mem *mem, struct mem_inode *inode, uint64_t n);
void mem_inode_attr(struct mem_inode *inode, struct ls_attr *ret);
void mem_inode_touch(struct mem_inode *inode, unsigned what); /* enum ls_touch; to now */
void mem_inode_accessed(struct mem_inode *inode);
/* Changes the link count, and touches. */
void mem_inode_links(struct mem_inode *inode, int change, unsigned touch);
/* A name came or went (content held): times and size. */
void mem_dir_changed(struct mem_inode *dir);

/* pool.c */
int mem_pool_init(struct mem_pool *pool);
void mem_pool_fini(struct mem_pool *pool);
/* A chunk, aligned to its size; *ret_zero tells whether it is all zero bytes. 0 if there is no memory. */
uintptr_t mem_pool_get(struct mem_pool *pool, bool *ret_zero);
void mem_pool_put(struct mem_pool *pool, uintptr_t chunk);
/* Pages first..last of a zero chunk will be written: has the kernel give them in one go. */
void mem_pool_touch(uintptr_t chunk, unsigned first, unsigned last);

/* data.c: with content held, for writing unless the data is const. Offsets and lengths have been checked.
 */
void mem_data_read(const struct mem_data *data, char *buf, uint64_t offset, uint64_t length);
/* How much was written: less than length if space ran out, and then -errno if nothing was. */
int64_t mem_data_write(struct mem *mem, struct mem_data *data, const char *buf, uint64_t offset,
		       uint64_t length);
void mem_data_punch(struct mem *mem, struct mem_data *data, uint64_t offset, uint64_t length);
int mem_data_reserve(struct mem *mem, struct mem_data *data, uint64_t offset, uint64_t length);
/* The first byte from offset on, before `end`, that is in a page (or, if !present, in none); or end. */
uint64_t mem_data_find(const struct mem_data *data, uint64_t offset, uint64_t end, bool present);
void mem_data_fini(struct mem *mem, struct mem_data *data);

/* dir.c: with content held, for writing but for find. */
struct mem_entry *mem_dir_find(const struct mem *mem, const struct mem_dir *dir, const char *name);
/* Takes a reference to the inode. -ENOSPC, -ENOMEM. */
int mem_dir_add(struct mem *mem, struct mem_dir *dir, const char *name, struct mem_inode *inode);
/* Gives the entry's reference to the caller. Never fails, allocates nothing. */
struct mem_inode *mem_dir_remove(struct mem *mem, struct mem_dir *dir, struct mem_entry *entry);
void mem_dir_fini(struct mem *mem, struct mem_dir *dir);
/* The place of the first entry after the cookie. */
size_t mem_dir_after(const struct mem_dir *dir, uint64_t cookie);

/* name.c */
/* Lets an empty directory take no more names; its parent's content is held. -ENOTEMPTY. */
int mem_dir_kill(struct mem_inode *dir);

/* xattr.c */
void mem_xattr_fini(struct mem *mem, struct mem_inode *inode);

/* The operations, mem_<op>, in inode.c, name.c, rename.c, file.c, xattr.c and mem.c. */
#define X(ret, name, params, ...) ret mem_##name params;
LS_FILE_OPS(X)
#undef X
