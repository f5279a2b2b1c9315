/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume's insides. volume.c has the idea as a whole, format.h what lies on the area.
 *
 * Locks, outermost first. Nothing is waited for but a lock further down.
 *
 *  1 vol.checkpoint   one checkpoint at a time
 *  2 vol.rename       one rename between two directories at a time
 *  3 inode.content    of directories: their names; a parent before its child, two unrelated ones only under
 *                     vol.rename. Of files: pages and extents. Of several files at once only if all but the
 *                     first are taken without waiting
 *  4 vol.epoch        held (shared) by whoever changes what a transaction must have as a whole, between
 *                     vol_op_begin and vol_op_end; taken alone (exclusive) to end a transaction. No file
 * data is transferred under it 5 inode.attr_lock  attributes; never two at once 6 vol.tree_lock    the
 * shape and the bytes of the tree's nodes 7 table.lock, space.lock, log.lock, cache.lock, paged.lock,
 * buffers.lock; never two at once, but for table before paged and before log
 *
 * Back-pressure (vol_throttle) is waited for before any of them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libservices/area.h"
#include "libservices/libservice.h"
#include "libservices/lock.h"
#include "libservices/rules.h"
#include "libservices/volume/format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are used as they lie on the area");

struct vol;

/* ---- buffers of one block, aligned to it (buffer.c) ------------------------------------------ */

struct vol_buffers {
	pthread_mutex_t lock;
	void **spare;                   /* a stack */
	size_t spare_count, spare_cold; /* the lowest are without memory */
	void **slabs;
	size_t slab_count;
};

void *vol_buffer_get(struct vol *v); /* NULL: no memory. Its contents are anything */
void vol_buffer_put(struct vol *v, void *buffer);
void vol_buffers_fini(struct vol *v);

/* ---- metadata: nodes in memory (cache.c) ----------------------------------------------------- */

struct vol_node {
	struct vol_node *hash_next;
	struct vol_node *next, **prev; /* among the dirty ones */
	uint64_t block;
	uint8_t *buf;
	bool dirty;
	bool shared; /* a checkpoint is writing buf: it must not change */
	bool used;   /* since the hand came by */
};

struct vol_cache {
	pthread_mutex_t lock; /* adding; removing needs tree_lock alone */
	struct vol_node **bucket;
	size_t bucket_count;
	struct vol_node **all; /* for the hand of the clock */
	size_t count, all_max, max, hand;
	struct vol_node *dirty;
	size_t dirty_count; /* atomic */
};

/* With tree_lock held. load: reads it if it is not there (or -EIO, -ENOMEM); find: NULL then. */
struct vol_node *vol_cache_find(struct vol *v, uint64_t block);
int vol_cache_load(struct vol *v, uint64_t block, unsigned level, struct vol_node **ret);
/* With tree_lock held alone. */
int vol_cache_new(struct vol *v, uint64_t block, unsigned level, struct vol_node **ret);
int vol_cache_change(struct vol *v, struct vol_node *n); /* before its bytes change. -ENOMEM */
void vol_cache_drop(struct vol *v, struct vol_node *n);
void vol_cache_shrink(struct vol *v);
int vol_cache_init(struct vol *v, size_t bytes);
void vol_cache_fini(struct vol *v);

/* ---- nodes as bytes (node.c): the caller knows that it fits ---------------------------------- */

struct vf_key vol_key(uint64_t ino, enum vf_type type, uint64_t lo);
int vol_key_compare(struct vf_key a, struct vf_key b);
void vol_leaf_init(uint8_t *buf, unsigned level);
unsigned vol_leaf_search(const uint8_t *buf, struct vf_key key, bool *ret_found); /* first slot >= key */
struct vf_key vol_leaf_key(const uint8_t *buf, unsigned i);
const void *vol_leaf_value(const uint8_t *buf, unsigned i, unsigned *ret_length);
unsigned vol_leaf_room(const uint8_t *buf); /* bytes for slots and values */
void vol_leaf_insert(uint8_t *buf, unsigned i, struct vf_key key, const void *value, unsigned length);
void vol_leaf_replace(uint8_t *buf, unsigned i, const void *value, unsigned length);
void vol_leaf_remove(uint8_t *buf, unsigned i);
/* The slots from `at` on move to the end of `to`. */
void vol_leaf_move(uint8_t *from, unsigned at, uint8_t *to);
unsigned vol_inner_search(const uint8_t *buf, struct vf_key key); /* the child where the key would be */
struct vf_key vol_inner_key(const uint8_t *buf, unsigned i);
uint64_t vol_inner_child(const uint8_t *buf, unsigned i);
void vol_inner_set_key(uint8_t *buf, unsigned i, struct vf_key key);
void vol_inner_insert(uint8_t *buf, unsigned i, struct vf_key key, uint64_t block);
void vol_inner_remove(uint8_t *buf, unsigned i);
/* As vol_leaf_move; the first one moved gets `key`. */
void vol_inner_move(uint8_t *from, unsigned at, uint8_t *to, struct vf_key key);

static inline struct vf_head *vol_head(const uint8_t *buf)
{
	return (struct vf_head *)buf;
}

/* ---- checks of what was read (check.c): NULL, or what is wrong in a few words ---------------- */

const char *vol_check_super(const struct vf_super *s);
const char *vol_check_head(const struct vf_super *s, const uint8_t *buf, uint64_t block, enum vf_kind kind);
const char *vol_check_node(const uint8_t *buf, unsigned level);
const char *vol_check_inode(const struct vf_inode *i, unsigned length);
bool vol_in_groups(const struct vf_super *s, uint64_t block, uint64_t count); /* within one group */
uint32_t vol_block_crc(const uint8_t *buf);
uint32_t vol_super_crc(const struct vf_super *s);

/* ---- the tree (tree.c) ----------------------------------------------------------------------- */

/* The length of the item's value; `value` gets what fits into max. -ENOENT. */
int vol_tree_get(struct vol *v, struct vf_key key, void *value, unsigned max);
/* The first (or last) item with from <= key <= to. */
int vol_tree_first(struct vol *v, struct vf_key from, struct vf_key to, struct vf_key *ret, void *value,
		   unsigned max);
int vol_tree_last(struct vol *v, struct vf_key from, struct vf_key to, struct vf_key *ret, void *value,
		  unsigned max);
/* Calls visit, with tree_lock held, for items in ascending order until it returns non-zero. 0 or -errno. */
typedef int vol_visit(void *arg, struct vf_key key, const void *value, unsigned length);
int vol_tree_scan(struct vol *v, struct vf_key from, struct vf_key to, vol_visit *visit, void *arg);
/* Not journaled: vol_put and vol_del are. 1: was not there before (put), was there (del). */
int vol_tree_put(struct vol *v, struct vf_key key, const void *value, unsigned length);
int vol_tree_del(struct vol *v, struct vf_key key);

/* ---- free space (space.c) -------------------------------------------------------------------- */

struct vol_range {
	uint64_t start, count;
};

struct vol_ranges {
	struct vol_range *range;
	size_t count, max;
};

int vol_ranges_add(struct vol_ranges *r, uint64_t start, uint64_t count);
void vol_ranges_fini(struct vol_ranges *r);

struct vol_group {
	uint8_t *bits; /* the bitmap block; NULL: not in memory */
	uint8_t *busy; /* as bits: free, but not to be given out now; NULL: none */
	uint32_t free;
	uint32_t busy_count;
	uint8_t flags; /* enum vf_group_flags */
	bool dirty;
	bool shared;            /* a checkpoint is writing the bitmap: it must not be read again before */
	struct vol_group *next; /* among the dirty ones */
};

struct vol_space {
	pthread_mutex_t lock;
	struct vol_group *group;
	uint64_t group_count;
	uint64_t free;     /* 0 bits in all bitmaps */
	uint64_t reserved; /* of these promised to pages and to claims */
	uint64_t busy;     /* and of these, or of blocks in use, kept off for now */
	uint64_t floor;    /* of the free ones kept for the tree */
	uint64_t data_hint, node_hint;
	struct vol_group *dirty;
	uint64_t dirty_count; /* atomic */
	uint64_t loaded, loaded_max, hand;
	struct vol_ranges node_freed; /* busy until the next checkpoint has been made */
	uint64_t node_busy;           /* these, and those that a checkpoint under way will settle */
};

int vol_space_init(struct vol *v);
void vol_space_fini(struct vol *v);
/* Promises n blocks. -ENOSPC. `least`: fewer will do. Returns how many. */
int64_t vol_space_reserve(struct vol *v, uint64_t n, uint64_t least);
void vol_space_unreserve(struct vol *v, uint64_t n);
void vol_space_promise(struct vol *v, uint64_t n); /* even if that takes from the floor */
uint64_t vol_space_available(struct vol *v);
/* Picks up to `want` contiguous blocks that were promised and keeps others off them. -ENOSPC: all are busy.
 */
int vol_space_claim(struct vol *v, uint64_t goal, uint64_t want, struct vol_range *ret);
void vol_space_unclaim(struct vol *v, uint64_t start, uint64_t count); /* still promised */
/* What was claimed is used, and no longer promised. */
int vol_space_use(struct vol *v, uint64_t start, uint64_t count);
/* Free, and busy until vol_space_settle, which moves the hint (of data or nodes) back to it. */
int vol_space_free(struct vol *v, uint64_t start, uint64_t count);
void vol_space_settle(struct vol *v, const struct vol_ranges *r, uint64_t *hint);
int vol_space_node_new(struct vol *v, uint64_t *ret);
int vol_space_node_free(struct vol *v, uint64_t block);
/* For replaying: keeps blocks off whatever they are; sets or clears them whatever they were. */
int vol_space_busy(struct vol *v, uint64_t start, uint64_t count);
int vol_space_mark(struct vol *v, uint64_t start, uint64_t count, bool used);
/* What a checkpoint has to write: calls add for the image of each block that changed, and makes them clean.
 */
typedef int vol_image_add(void *arg, uint64_t block, uint8_t *buf); /* takes buf */
int vol_space_images(struct vol *v, vol_image_add *add, void *arg);
void vol_space_imaged(struct vol *v); /* they are at their places */
/* The groups of a larger volume. */
int vol_space_grow(struct vol *v, uint64_t blocks);
uint64_t vol_group_start(const struct vf_super *s, uint64_t group);
uint64_t vol_group_blocks(const struct vf_super *s, uint64_t group);
uint64_t vol_group_count(const struct vf_super *s);
unsigned
vol_group_own(uint64_t group); /* its metadata's blocks, at its start; the bitmap is the last one */
void vol_bitmap_init(const struct vf_super *s, uint64_t group, uint8_t *buf);
void vol_head_init(const struct vf_super *s, uint8_t *buf, enum vf_kind kind, uint64_t block,
		   uint64_t owner);

/* ---- transactions and the journal (log.c) ---------------------------------------------------- */

struct vol_log {
	pthread_mutex_t lock; /* buf, size, freed */
	uint8_t *buf;         /* of the running transaction; the head's place first */
	size_t size, max;
	uint32_t records;
	uint8_t *spare;
	size_t spare_max;
	struct vol_ranges freed; /* by the running transaction */
	uint64_t seq;            /* of the running transaction; changes under epoch, alone */
	uint64_t head, tail;     /* in blocks since ever; modulo the ring's. atomic */
	bool idle;               /* nothing has happened since the last commit; atomic */
	uint64_t thin_from, thin_end; /* blocks, as head, that may never have been written; the committer's */

	pthread_mutex_t commit_lock;
	pthread_cond_t commit_done;
	bool committing;
	uint64_t durable; /* newest transaction on the medium; atomic */
};

int vol_log_init(struct vol *v);
void vol_log_fini(struct vol *v);
/* Begins a change; -EROFS. `need`: blocks that the tree may need; -ENOSPC if only the floor is left. */
int vol_op_begin(struct vol *v, unsigned need);
void vol_op_end(struct vol *v);
/* Within an operation, each of them. A failure makes the volume read-only, as half a change is in memory.
 */
int vol_put(struct vol *v, struct vf_key key, const void *value, unsigned length);
int vol_del(struct vol *v, struct vf_key key);
int vol_log_record(struct vol *v, enum vf_record_type type, uint64_t a, uint64_t b, uint32_t arg,
		   const void *payload, unsigned size);
int vol_free_blocks(struct vol *v, uint64_t start, uint64_t count);
int vol_use_blocks(struct vol *v, uint64_t start, uint64_t count);
/* Until transaction seq is on the medium. */
int vol_log_commit(struct vol *v, uint64_t seq);
/* What has been written to its place until now and everything else. */
int vol_log_flush(struct vol *v);
int vol_sync_to(struct vol *v, uint64_t seq); /* transaction seq, and file data written so far */
int vol_data_flush(struct vol *v);            /* only what has been written to its place */
struct vol_snapshot;
int vol_log_commit_snapshot(struct vol *v, struct vol_snapshot *snap);
/* Bytes of the ring that are taken or soon will be. */
uint64_t vol_log_used(const struct vol *v);
uint64_t vol_log_pending(const struct vol *v); /* of these by the running transaction */

/* ---- checkpoints (checkpoint.c), replaying (replay.c), mounting (mount.c) -------------------- */

int vol_checkpoint(struct vol *v, bool clean);
/* Makes a checkpoint if that frees blocks; no locks are held. 0: it is worth trying again. */
int vol_space_reclaim(struct vol *v);
void vol_snapshot_take(struct vol *v, struct vol_snapshot *snap, uint64_t tail, uint64_t seq);
int vol_super_write(struct area *area, const struct vf_super *s);
/* Applies the journal; *ret_any: there was something. A sentence in error. */
int vol_replay(struct vol *v, bool *ret_any, char *error, size_t error_size);
/* Reads superblock and shadow; puts the shadow's images to their places unless the volume is read-only. */
int vol_recover(struct vol *v, char *error, size_t error_size);
struct vol_overlay {
	uint64_t block, image; /* where it belongs, where it is */
};

/* ---- inodes (inode.c) ------------------------------------------------------------------------ */

struct vol_page {
	uint64_t index; /* block of the file */
	uint8_t *data;
	uint16_t from, to; /* bytes that neither the journal nor the block's place has */
	bool dirty;        /* not at its place */
	bool logged;       /* dirty, and the journal has some of it */
	bool reserved;     /* a block is promised to it */
};

struct vol_paged;

struct vol_inode {
	uint64_t ino;
	mode_t type;
	uint64_t users;                  /* references and open files; under table.lock */
	struct vol_inode *next;          /* in the table's bucket */
	struct vol_inode *older, *newer; /* unused ones */
	bool unused;                     /* is on that list */
	bool going;                      /* is being deleted, or failed to */
	bool atime_due;                  /* atomic */

	struct fair_lock content;
	pthread_mutex_t attr_lock;
	struct ls_attr attr; /* blocks: computed; see vol_inode_attr */
	uint64_t parent;     /* of a directory; changes under vol.rename too */
	uint64_t disk_size;  /* what is stored: no more than has been written */
	uint64_t blocks;     /* of its extents; atomic */
	uint64_t promised;   /* to its pages; atomic */
	bool dirty; /* is on the list of those to be stored with the transaction; changes under log.lock;
		       atomic */
	struct vol_inode *dirty_next, **dirty_prev;
	bool stored;   /* has an INODE item */
	bool orphan;   /* has an ORPHAN item */
	bool survivor; /* had one when it was read */
	bool linkable;
	bool bare;             /* has no items but these; atomic */
	bool inlined;          /* has an INLINE item; atomic */
	bool dead;             /* a directory without a name: takes no new ones */
	uint64_t changed;      /* newest transaction with a change of it; atomic */
	uint64_t data_changed; /* and one that fdatasync waits for; atomic */

	/* Of files, under content. */
	struct vol_page **page; /* ascending */
	uint64_t page_count, page_max, dirty_pages;
	struct vol_ranges
	    owed;        /* ranges of blocks, ascending, to which blocks are promised; see reserve.c */
	uint64_t logged; /* newest transaction with DATA or ZERO of it; 0: none in the journal */
	struct vol_paged
	    *paged; /* its list, if it has pages or a part in the journal; paged_lock; atomic */
	struct vol_inode *paged_newer, *paged_older;
};

enum { VOL_PAGED_DIRTY, VOL_PAGED_CLEAN };

struct vol_paged {
	struct vol_inode *newest, *oldest;
};

struct vol_table {
	pthread_mutex_t lock;
	uint64_t removals; /* of inodes: whoever reads one anew looks whether it is still the same */
	struct vol_inode **bucket;
	size_t bucket_count, count, max;
	struct vol_inode *oldest, *newest; /* unused ones */
};

struct vol_file {
	struct vol_inode *inode;
	int flags;
	uint64_t next_read; /* where a sequential read would go on; atomic */
};

int vol_table_init(struct vol *v, size_t bytes);
void vol_table_fini(struct vol *v);
struct vol_new {
	mode_t mode;
	unsigned nlink, major, minor;
	bool linkable;
	uint64_t parent; /* of a directory */
};
/* Within an operation. One user: the caller. */
int vol_inode_new(struct vol *v, const struct ls_call *call, const struct vol_new *what,
		  struct vol_inode **ret);
/* By number; one user more. -ESTALE. */
int vol_inode_get(struct vol *v, uint64_t ino, struct vol_inode **ret);
struct vol_inode *vol_inode_ref(struct vol *v, struct vol_inode *inode);
bool vol_inode_ref_alive(struct vol *v, struct vol_inode *inode); /* with nothing known about it */
/* Ends n uses. Takes NULL. Deletes what has neither names nor users: with no locks held. */
void vol_inode_put(struct vol *v, struct vol_inode *inode, uint64_t n);
void vol_inode_attr(struct vol_inode *inode, struct ls_attr *ret);
void vol_size_raise(struct vol_inode *inode, uint64_t end); /* within an operation: to `end` at least */
/* Within an operation: its item is to be put. */
void vol_inode_dirty(struct vol *v, struct vol_inode *inode, bool data);
void vol_inode_touch(struct vol *v, struct vol_inode *inode, unsigned what);
void vol_inode_links(struct vol *v, struct vol_inode *inode, int change, unsigned touch);
void vol_inode_accessed(struct vol *v, struct vol_inode *inode); /* no locks are held */
/* After an inode has left the list of dirty ones or of those with pages. */
void vol_inode_settle(struct vol *v, struct vol_inode *inode);
/* With epoch held alone: puts the items of all that changed. */
int vol_inodes_store(struct vol *v);
/* No longer to be stored: within an operation. */
void vol_inode_undirty(struct vol *v, struct vol_inode *inode);

/* ---- names (dir.c) --------------------------------------------------------------------------- */

struct vol_entry {
	struct vf_key key;
	uint64_t ino;
	unsigned type;
	bool full; /* not found, and no place for another of that hash */
};

uint64_t vol_name_hash(const uint64_t seed[2], const char *name, size_t length);
/* With content held. -ENOENT: *ret says where it would go. */
int vol_dir_find(struct vol *v, struct vol_inode *dir, const char *name, struct vol_entry *ret);
int vol_entry_inode(struct vol *v, const struct vol_entry *e, struct vol_inode **ret);
/* Within an operation, with content held for writing. */
int vol_dir_add(struct vol *v, struct vol_inode *dir, const struct vol_entry *e, const char *name,
		struct vol_inode *inode);
int vol_dir_set(struct vol *v, const struct vol_entry *e, const char *name, struct vol_inode *inode);
int vol_dir_remove(struct vol *v, struct vol_inode *dir, const struct vol_entry *e);
void vol_dir_changed(struct vol *v, struct vol_inode *dir, int names);
/* Before an operation, as it locks: an empty directory takes no more names. -ENOTEMPTY. And back. */
int vol_dir_kill(struct vol_inode *dir);
void vol_dir_revive(struct vol_inode *dir);

/* ---- what files contain ---------------------------------------------------------------------- */

enum vol_run_kind { VOL_HOLE, VOL_WRITTEN, VOL_UNWRITTEN };

struct vol_run {
	enum vol_run_kind kind;
	uint64_t start; /* block of the volume */
	uint64_t count;
};

/* map.c. What is at block `first` of the file, and for how many blocks (at most max) it goes on. */
int vol_map_find(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t max, struct vol_run *ret);
/* Within an operation. The range is a hole (set), or unwritten (written). */
int vol_map_set(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t start, uint64_t count,
		unsigned flags);
int vol_map_written(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count);
/* Frees what lies in first..end, from the end on, up to some number of extents. *ret_end: where it stopped.
 */
int vol_map_clear(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end, uint64_t *ret_end);
int vol_inline_drop(struct vol *v, struct vol_inode *inode); /* the INLINE item, if there is one */

/* reserve.c. Is block `first` of the file owed? *count: for at most how many from there on that is the
 * same. */
bool vol_owed(const struct vol_inode *inode, uint64_t first, uint64_t *count);
/* first..end is owed no more. How many blocks were: their promises are the caller's; or end (drop). */
uint64_t vol_owed_take(struct vol_inode *inode, uint64_t first, uint64_t end);
void vol_owed_drop(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end);

/* page.c. With content held, for writing but for find and after. */
struct vol_page *vol_page_find(struct vol_inode *inode, uint64_t index);
uint64_t vol_pages_gap(const struct vol_inode *inode, uint64_t index,
		       uint64_t max); /* how many blocks, at most max, are in no page */
uint64_t vol_page_after(const struct vol_inode *inode, uint64_t index); /* place of the first >= index */
/* The page, read in unless `fresh`: then its bytes, if it is new, are anything. */
int vol_page_get(struct vol *v, struct vol_inode *inode, uint64_t index, bool fresh, struct vol_page **ret);
/* Promises it a block if it will need one. -ENOSPC. */
int vol_page_reserve(struct vol *v, struct vol_inode *inode, struct vol_page *p);
void vol_page_promise(struct vol *v, struct vol_inode *inode, struct vol_page *p); /* does not fail */
void vol_page_dirty(struct vol *v, struct vol_inode *inode, struct vol_page *p, unsigned from, unsigned to);
/* It is at its place. `kept`: the block that was promised was not needed. */
void vol_page_clean(struct vol *v, struct vol_inode *inode, struct vol_page *p, bool kept);
/* Drops pages first..end, dirty or not; or all that are clean. */
void vol_pages_drop(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t end);
void vol_pages_drop_clean(struct vol *v, struct vol_inode *inode);
/* Off the list of inodes with pages, if there is nothing any more (or anyway). */
void vol_pages_leave(struct vol *v, struct vol_inode *inode, bool anyway);
/* Clean pages of files go until there is room. No locks are held. */
void vol_pages_balance(struct vol *v);

/* page-log.c: pages and the journal. Within an operation, but for zero_prepare, which comes before. */
/* The page that has the bytes from offset to the end of its block, to be zeroed; NULL if they are in a
 * hole. */
int vol_page_zero_prepare(struct vol *v, struct vol_inode *inode, uint64_t offset, struct vol_page **ret);
int vol_page_zero(struct vol *v, struct vol_inode *inode, struct vol_page *p, unsigned from, unsigned to);
int vol_page_log(struct vol *v, struct vol_inode *inode, struct vol_page *p);
/* What the journal has of these blocks (0: all) no longer counts. */
int vol_pages_forget(struct vol *v, struct vol_inode *inode, uint64_t first, uint64_t count);
/* After an operation that logged: while a checkpoint waits for it, the pages go to their places at once. */
int vol_pages_logged(struct vol *v, struct vol_inode *inode);

/* transfer.c: blocks from or to memory of any alignment. */
struct vol_cursor {
	const struct iovec *iov;
	int count;
	size_t at; /* in iov[0] */
};
void vol_cursor_get(struct vol_cursor *c, void *buf, size_t n);       /* memory -> buf */
void vol_cursor_put(struct vol_cursor *c, const void *buf, size_t n); /* buf (NULL: zeros) -> memory */
size_t vol_iov_length(const struct iovec *iov, int count);
struct vol_batch;
struct vol_batch *vol_batch_new(struct vol *v, enum area_op op);
/* Adds n blocks at `start`; the cursor moves on. */
int vol_batch_add(struct vol_batch *b, uint64_t start, uint64_t n, struct vol_cursor *c);
/* Waits for all; the first error, or `r` if that is one already. Frees it. */
int vol_batch_end(struct vol_batch *b, int r);
int vol_read_blocks(struct vol *v, void *buf, uint64_t start, uint64_t count);
/* A block of metadata: from the shadow, if its image there counts but may not be put to its place. */
int vol_read_meta(struct vol *v, void *buf, uint64_t block);

/* write-direct.c: n whole blocks. content is held for writing. How many bytes it did, or -errno. */
ssize_t vol_write_direct(struct vol *v, struct vol_inode *inode, struct vol_cursor *c, uint64_t offset,
			 uint64_t n);

/* write-back.c. content is held for writing. */
/* Writes all dirty pages to their places. */
int vol_inode_write_back(struct vol *v, struct vol_inode *inode);
/* So that a commit has all of the file: logs or writes its pages. */
int vol_inode_secure(struct vol *v, struct vol_inode *inode);
/* With no locks held: files with dirty pages, those that wait longest first, until `leave` pages are left.
 */
int vol_write_back(struct vol *v, uint64_t leave);
int vol_write_back_logged(struct vol *v);
/* Claims blocks for a hole whose blocks are promised. */
int vol_claim(struct vol *v, uint64_t goal, uint64_t want, struct vol_range *ret);

int vol_file_resize(struct vol *v, struct vol_inode *inode, uint64_t size); /* resize.c */
int vol_inode_erase(struct vol *v, struct vol_inode *inode); /* all its items, in steps; no locks held */

/* ---- the whole (volume.c, keeper.c) ---------------------------------------------------------- */

/* For the proof that the crash tests would notice: which barrier is left out. */
enum vol_skip {
	VOL_SKIP_NONE,
	VOL_SKIP_DATA_FLUSH,
	VOL_SKIP_COMMIT_FUA,
	VOL_SKIP_SHADOW_FLUSH,
	VOL_SKIP_HOME_FLUSH
};

struct vol {
	struct area *area;
	const char *name; /* for sentences */
	char *mounting;   /* where to put one while it is being mounted */
	size_t mounting_size;
	struct vf_super super; /* as of the newest checkpoint */
	bool rdonly;
	int failed; /* atomic */
	enum vol_skip skip;
	struct vol_overlay *overlay; /* of a read-only volume: images that stay in the shadow */
	size_t overlay_count;

	struct vol_buffers buffers;
	struct vol_cache cache;
	struct fair_lock tree_lock;
	uint64_t root;
	unsigned root_level;
	struct vol_space space;
	pthread_rwlock_t epoch;
	struct vol_log log;
	uint64_t data_written,
	    data_flushed; /* transfers of file data to its place: done, durable. atomic */
	struct vol_inode *dirty_inodes, **dirty_inodes_end; /* under log.lock */
	uint64_t dirty_inode_count, new_inode_count;        /* atomic */
	uint64_t stored_inodes;                             /* INODE items */
	uint64_t next_ino, inode_count;                     /* atomic */

	pthread_mutex_t checkpoint;
	pthread_mutex_t rename;
	struct vol_table table;
	struct vol_inode *root_inode;

	pthread_mutex_t paged_lock;
	struct vol_paged paged[2];              /* inodes with pages */
	uint64_t pages, pages_max, dirty_pages; /* atomic */
	uint64_t logged_pages;                  /* dirty ones of which the journal has something; atomic */
	bool log_block;                         /* a checkpoint waits until there are none; atomic */

	pthread_t keeper;
	bool keeper_runs;
	pthread_mutex_t keeper_lock;
	pthread_cond_t keeper_wake, throttle_wake;
	bool keeper_stop, keeper_checkpoint, keeper_write_back, keeper_commit, keeper_timer;
	bool keeper_armed;        /* it commits what is there after a while, and need not be told of more; atomic */
	uint64_t commit_interval; /* ns; atomic */
	int64_t
	    orphans_due; /* when to erase those found at mounting, CLOCK_MONOTONIC ns; 0: done; atomic */
};

static inline bool vol_bare(const struct vol_inode *inode)
{
	return __atomic_load_n(&inode->bare, __ATOMIC_RELAXED);
}

/* It is about to get other items. */
static inline void vol_clothe(struct vol_inode *inode)
{
	__atomic_store_n(&inode->bare, false, __ATOMIC_RELAXED);
}

static inline struct vol *vol_of(struct ls *ls)
{
	return ls->state;
}

static inline struct vol_inode *vol_inode_of(struct ls_inode *inode)
{
	return (struct vol_inode *)inode;
}

static inline struct vol_file *vol_file_of(struct ls_file *f)
{
	return (struct vol_file *)f;
}

/* Read-only from now on; says why once. Returns r. */
__attribute__((format(printf, 3, 4))) int vol_fail(struct vol *v, int r, const char *format, ...);
static inline int vol_failed(struct vol *v)
{
	return __atomic_load_n(&v->failed, __ATOMIC_ACQUIRE);
}

/* Before a change, with no locks held: waits while the journal or the memory is full of what is not
 * written. */
void vol_throttle(struct vol *v);
void vol_keeper_wake(struct vol *v, bool *what);
int vol_keeper_start(struct vol *v);
void vol_keeper_stop(struct vol *v);

struct vol_config {
	uint64_t metadata_cache, buffer, commit_interval; /* 0: the default */
	bool rdonly, no_keeper;
	enum vol_skip skip;
};
/* Takes no ownership of the area. A sentence in error. */
int vol_mount(struct area *area, const char *name, const struct vol_config *config, struct vol **ret,
	      char *error, size_t error_size);
int vol_grow(struct vol *v);    /* if the area has become larger */
int vol_unmount(struct vol *v); /* writes back unless failed; frees all */

/* The operations, vol_op_<op>. */
#define X(ret, name, params, ...) ret vol_ls_##name params;
LS_OPS(X)
#undef X
