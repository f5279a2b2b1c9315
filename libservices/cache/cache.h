/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache layer's insides. See cache.c for the idea as a whole.
 *
 * Locks, outermost first. Nothing is waited for but a lock further down.
 *
 *  1 cinode.io       who changes what is below: write-back, and whatever cuts or fills ranges there. Held
 * over I/O. 2 cinode.lock     pages, size, times. Held over I/O only by who cuts (cut.c). Readers of the
 * same file share it. 3 cinode_shard.lock, cache.dirty_lock, cache.fill_lock, budget.lock, page_pool.lock;
 * never two of them, but the pool's inside the budget's
 *
 * The evictor goes the other way, from budget.lock to cinode.lock, and so only tries the latter.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/wire-share.h"
#include "libservices/libservice.h"

enum {
	CACHE_PAGE = 4096,
	CHUNK_PAGES = 16,
	CACHE_CHUNK = CHUNK_PAGES * CACHE_PAGE,
	CACHE_SEGMENT = 256 * 1024, /* of a read or write that is done in one go */
	CACHE_FILL_PAGES = 256,     /* read from below at once */
	CACHE_SHORT = 2048,         /* a last page of up to so many bytes takes no more than it needs */
	CACHE_SHARDS = 64,
	CACHE_GHOSTS = 1 << 16,
	CACHE_SHARED_PAGES = SHARE_REGIONS_MAX * SHARE_REGION, /* of the largest file that is shared */
	CACHE_IDLE_WRITERS = 512, /* files open below for their write-back alone */
	CACHE_IDLE_KEPT = 8192, /* files open below for their delegation alone */
	CACHE_KEPT_BUCKETS = 1024,
};

#define CHUNK_ALL 0xffffu

struct cache;
struct cinode;
struct share;
struct chunk;
TAILQ_HEAD(chunk_list, chunk);
TAILQ_HEAD(cinode_list, cinode);

/* ---- pages of memory (pages.c) -------------------------------------------------------------------- */

struct page_pool {
	pthread_mutex_t lock;
	void **warm, **cold; /* to give out; cold ones occupy no memory */
	size_t warm_count, cold_count, warm_max, room;
	struct page_arena *arenas;
	char *fresh, *fresh_end;
};

int cpage_pool_init(struct page_pool *pool);
void cpage_pool_fini(struct page_pool *pool);
void *cpage_get(struct page_pool *pool); /* NULL: no memory. Not zeroed */
void cpage_put(struct page_pool *pool, void *page);

/* ---- the budget of a pool's caches (budget.c, evict.c) --------------------------------------------- */

enum chunk_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN, QUEUES };

struct policy;

struct cache_figures { /* atomic */
	uint64_t hits, misses, read_ahead, evicted, written, failed, throttled_ns, throttled, recalled;
};

/* The thread that looks at the machine's memory; pressure.c. */
struct pressure {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool runs, ending;
	bool looks; /* atomic: not asleep without end */
};

struct budget {
	struct budget *next; /* in the registry */
	uint64_t dev, ino;   /* of the directory; 0: a cache of its own */
	unsigned users;
	uint64_t size;                          /* atomic */
	uint64_t floor;                         /* atomic; of size: what it need not give back */
	uint64_t limit;                         /* atomic; size, or less while the machine is short of memory */
	struct pressure pressure;
	uint64_t used;                          /* atomic; bytes of memory */
	uint64_t dirty;                         /* atomic; bytes of dirty pages */
	uint64_t pinned;                        /* atomic; bytes that mappings keep */
	unsigned dirty_ratio, background_ratio; /* atomic; percent of limit */
	uint64_t data_files, data_files_many;   /* atomic; descriptors */
	struct page_pool pool;
	pthread_mutex_t lock; /* of what follows */
	struct chunk_list list[QUEUES];
	uint64_t bytes[QUEUES];
	uint64_t chunks;
	const struct policy *policy;
	uint32_t *ghost; /* what left the small queue lately, as hashes */
	LIST_HEAD(, cache) caches;
};

int budget_join(struct cache *cache, int dir); /* dir -1: one of its own */
void budget_leave(struct cache *cache);
void budget_charge(struct budget *b, struct chunk *chunk, int64_t bytes); /* chunk NULL: of none */
/*
 * Evicts until n bytes fit, writing back where nothing clean is left. Call it without a lock. 0, or the
 * -errno with which that failed: then there is no room.
 */
int budget_make_room(struct cache *cache, const struct ls_call *call, uint64_t n);
static inline uint64_t budget_limit(const struct budget *b)
{
	return __atomic_load_n(&b->limit, __ATOMIC_RELAXED);
}
static inline uint64_t budget_background(const struct budget *b)
{
	return budget_limit(b) / 100 *
	       __atomic_load_n(&b->background_ratio, __ATOMIC_RELAXED);
}
static inline uint64_t budget_dirty_limit(const struct budget *b)
{
	return budget_limit(b) / 100 *
	       __atomic_load_n(&b->dirty_ratio, __ATOMIC_RELAXED);
}

/* pressure.c */
extern const char *cache_meminfo; /* where it reads what the machine has; for tests */
void pressure_init(struct pressure *p);
/* More than the floor is used. */
void pressure_watch(struct budget *b);
void pressure_fini(struct pressure *p);

const struct policy *policy_find(const char *name);
/* A chunk that has just been made; one that goes. Any locks of the file's may be held. */
void queue_enter(struct budget *b, struct chunk *chunk);
void queue_leave(struct budget *b, struct chunk *chunk);
/* Frees clean chunks until want bytes came free or none is left; how many did. */
uint64_t evict_some(struct budget *b, uint64_t want);

/* ---- chunks: pages of a file, 16 at a time (chunk.c) ------------------------------------------------ */

struct chunk {
	TAILQ_ENTRY(chunk) link; /* in its queue */
	struct cinode *inode;
	uint64_t index;
	uint16_t present, dirty; /* a bit a page */
	uint16_t touched;        /* read or written since it came; atomic, like freq */
	uint16_t shorts;         /* pages that are from malloc, and not whole */
	uint16_t writing;        /* write-backs under way: it stays */
	uint8_t freq;            /* how often it was used again, up to 3 */
	uint8_t queue;
	uint32_t charged;
	uint64_t *hash; /* of each page as it is below; while the kernel or mappings may write (share.c) */
	void *page[CHUNK_PAGES]; /* NULL: absent, or in the data file */
};

struct chunk *chunk_find(const struct cinode *c, uint64_t index);
/* Finds or makes. NULL: no memory */
struct chunk *chunk_make(struct cinode *c, uint64_t index);
/* The first from that index on; of those with dirty pages, if `dirty`. */
struct chunk *chunk_from(const struct cinode *c, uint64_t index, bool dirty);
/* chunk->dirty became or ceased to be 0. */
void chunk_tag(struct cinode *c, const struct chunk *chunk);
/* Takes the empty chunk out of the file and its queue, and frees it. */
void chunk_free(struct chunk *chunk);

static inline uint64_t page_index(uint64_t offset)
{
	return offset / CACHE_PAGE;
}

static inline unsigned page_bit(uint64_t page)
{
	return 1u << page % CHUNK_PAGES;
}

static inline struct chunk *chunk_of_page(const struct cinode *c, uint64_t page)
{
	return chunk_find(c, page / CHUNK_PAGES);
}

/* ---- inodes (inode.c) ------------------------------------------------------------------------------ */

struct fill { /* under way; on somebody's stack */
	LIST_ENTRY(fill) link;
	uint64_t first, last;
};

struct cinode {
	struct cinode *next; /* in its bucket */
	struct cache *cache;
	struct ls_inode *below;
	uint64_t ino;
	unsigned users;      /* atomic: refs, and what else needs it: pages, being dirty, threads at work */
	unsigned refs;       /* atomic: lookups and opens */
	unsigned opens;      /* atomic */
	uint64_t below_refs; /* under the shard's lock */
	pthread_mutex_t io;
	pthread_rwlock_t lock; /* of what follows */
	uint64_t size, below_size;
	uint64_t below_bytes; /* from here on below has nothing but zeros */
	uint64_t below_version; /* counts changes of the bytes below that we made */
	struct timespec atime, mtime, ctime, below_ctime;
	bool own;                        /* size and times here count, not those below */
	bool times_dirty;                /* ... and below has not been told of the times */
	bool atime_due;                  /* the next read sets atime. Atomic */
	bool gone;                       /* its last name is gone. Atomic */
	struct ls_file *reader, *writer; /* open below */
	/* Only where the cache asks (keep.c): */
	unsigned using;                  /* calls under way with these; atomic */
	unsigned writers;                /* files open here to write; atomic */
	unsigned passing;                /* changes under way below that pass by the cache; atomic */
	unsigned kept;                   /* enum ls_delegation; atomic. Set with the lock held for writing */
	unsigned recalls;                /* atomic; counts the ends of delegations */
	bool stale;                      /* the delegation has ended, and what is here has not gone yet. Atomic */
	bool idle;                       /* among cache.idle_kept */
	int64_t keep_after;              /* before that time no delegation is asked for; atomic */
	struct ls_file *delegated;       /* under cache.kept_lock, like: */
	LIST_ENTRY(cinode) kept_link;
	bool parked;                     /* the writer is among cache.idle_writers */
	LIST_HEAD(, fill) fills;
	/* pages */
	void *root;
	unsigned height;
	uint64_t chunks, dirty_pages;
	int data;          /* the bytes are in this file and not in memory; -1: they are in memory */
	bool data_large;   /* the data file has large folios */
	uint32_t data_uid; /* who has had the data file to write; UINT32_MAX: nobody */
	bool data_copied;  /* somebody may be copying from it without being counted */
	struct share *share;
	/* write-back errors: as the kernel's errseq */
	int error;
	unsigned error_seq;
	bool error_seen;
	unsigned writing_back; /* then ctime below is not to be looked at */
	/* under cache.dirty_lock */
	TAILQ_ENTRY(cinode) dirty_link;
	bool listed;
	bool watched; /* clean, but sharers may write */
	int64_t due;  /* CLOCK_MONOTONIC ns when it became dirty, or may be tried again */
};

struct cinode_shard {
	pthread_mutex_t lock;
	struct cinode **bucket;
	size_t bucket_count, count;
};

struct cfile {
	struct cinode *inode;
	int flags;
	unsigned error_seq;
	int64_t owed;        /* ns of throttling not slept yet */
	uint64_t last_end;   /* where the last read ended; atomic, like what follows */
	uint64_t ahead_from; /* pages up to here have been asked for */
	uint64_t window;     /* bytes; 0: not sequential */
};

struct cache {
	struct ls *below;
	struct ls *ls;
	struct budget *budget;
	LIST_ENTRY(cache) link;    /* in the budget */
	int dir;                   /* where data files are made; -1: nowhere, in memory files */
	int large_dir;             /* where those with large folios are; -1: there are none */
	bool off;                  /* others change what is below: everything passes */
	bool asks;                 /* ... but what is had under a delegation may be kept: keep.c */
	pthread_mutex_t kept_lock;
	LIST_HEAD(, cinode) kept[CACHE_KEPT_BUCKETS]; /* by the delegated file */
	unsigned idle_kept;
	bool no_reserve;           /* atomic: below promises no room */
	uint64_t readahead, batch; /* atomic, like what follows */
	int64_t flush_interval;
	bool flush_on_close;
	unsigned idle_writers;
	struct cinode_shard shard[CACHE_SHARDS];
	unsigned entering[2]; /* operations below that may return an inode, by the epoch they began in */
	unsigned epoch;
	uint64_t freed; /* files with times of their own that were forgotten */
	pthread_mutex_t epoch_lock;
	struct cache_figures figures;

	pthread_mutex_t fill_lock; /* with fill_done: somebody's fill has ended */
	pthread_cond_t fill_done;

	pthread_mutex_t dirty_lock; /* of what follows */
	pthread_cond_t flush_wake, flushed;
	struct cinode_list dirty;
	bool ending, flusher_runs, reader_runs;
	bool pressed; /* atomic: more is dirty than the background ratio allows, and the flusher knows */
	int64_t owed; /* atomic: how long the flusher is asked to wait, for what clients stored (ls.moved) */
	pthread_t flusher, reader;
	uint64_t rate; /* bytes a second of write-back; atomic */
	pthread_cond_t ahead_wake;
	STAILQ_HEAD(, ahead) ahead;
	unsigned ahead_count;
};

/* Tells who counts the bytes. How long it is until more are welcome, in ns. */
static inline int64_t cache_moved(const struct cache *cache, const struct ls_call *call, bool written, uint64_t bytes)
{
	return cache->ls->moved ? cache->ls->moved(call, written, bytes) : 0;
}

static inline struct cache *cache_of(struct ls *ls)
{
	return ls->state;
}

/*
 * Handles: those of regular files are ours, marked by bit 0; all others are those of the layer below. So
 * whatever is no regular file costs nothing.
 */
static inline struct cinode *cinode_of(const void *inode)
{
	return (uintptr_t)inode & 1 ? (struct cinode *)((uintptr_t)inode - 1) : NULL;
}

static inline struct cfile *cfile_of(const void *file)
{
	return (uintptr_t)file & 1 ? (struct cfile *)((uintptr_t)file - 1) : NULL;
}

static inline void *handle_of(void *object)
{
	return (void *)((uintptr_t)object | 1);
}

static inline struct ls_inode *inode_below(struct ls_inode *inode)
{
	struct cinode *c = cinode_of(inode);

	return c ? c->below : inode;
}

int cinode_table_init(struct cache *cache);
void cinode_table_fini(struct cache *cache);
/* Around the operation below that may return an inode, and its cinode_enter. */
struct entry {
	unsigned epoch;
	uint64_t freed;
};
struct entry entry_begin(struct cache *cache);
void entry_end(struct cache *cache, const struct entry *e);
/* Turns what an operation below returned into ours, with its attributes; takes the reference over. */
int cinode_enter(struct cache *cache, const struct ls_call *call, const struct entry *e,
		 struct ls_inode **inode, struct ls_attr *attr);
void cinode_forget(struct cinode *c, const struct ls_call *call, uint64_t n);
static inline void cinode_hold(struct cinode *c)
{
	__atomic_add_fetch(&c->users, 1, __ATOMIC_RELAXED);
}
void cinode_put(struct cinode *c, const struct ls_call *call);
/* By number, held; NULL if it is not known. */
struct cinode *cinode_find(struct cache *cache, uint64_t ino);
/* Its last name is gone, or, after link, not. */
void cinode_gone(struct cinode *c, const struct ls_call *call, bool gone);
/* Drops the pages of a file without a name, if nobody refers to it. */
void cinode_discard(struct cinode *c, const struct ls_call *call);
static inline bool cinode_is_lost(const struct cinode *c)
{
	return __atomic_load_n(&c->gone, __ATOMIC_SEQ_CST) && !__atomic_load_n(&c->refs, __ATOMIC_SEQ_CST);
}
/* With the lock held: what attributes from below really are. */
void cinode_merge(struct cinode *c, struct ls_attr *attr);
/* With the lock held for writing: the data changed now. */
void cinode_touch(struct cinode *c);
void cinode_own(struct cinode *c);

/* ---- files open below (below.c) ---------------------------------------------------------------------- */

/* Opened when they are first needed. The handle stays while the file is open, dirty or being filled. */
int below_reader(struct cinode *c, const struct ls_call *call);
int below_writer(struct cinode *c, const struct ls_call *call);
int below_open_reader(struct cinode *c, const struct ls_call *call); /* beside a writer, too */
/* Takes over a file that a create below has opened for reading and writing. */
void below_adopt(struct cinode *c, const struct ls_call *call, struct ls_file *file);
/* Closes what nobody needs any more. Call it without a lock. */
void below_settle(struct cinode *c, const struct ls_call *call);
/* Without a lock, too, by who keeps the file open here, or a fill under way. */
static inline struct ls_file *below_file(const struct cinode *c)
{
	struct ls_file *writer = __atomic_load_n(&c->writer, __ATOMIC_ACQUIRE);

	return writer ? writer : __atomic_load_n(&c->reader, __ATOMIC_ACQUIRE);
}

/* The file below for one call, which below_unuse ends; NULL: none is open. */
static inline struct ls_file *below_use(struct cinode *c)
{
	__atomic_add_fetch(&c->using, 1, __ATOMIC_SEQ_CST);
	return below_file(c);
}

/* ... opened if need be. */
int below_take(struct cinode *c, const struct ls_call *call, struct ls_file **ret);
static inline void below_unuse(struct cinode *c)
{
	__atomic_sub_fetch(&c->using, 1, __ATOMIC_SEQ_CST);
}

/* ---- delegations (keep.c) ---------------------------------------------------------------------------- */

#define KEEP_LOST (-EKEYEXPIRED) /* inside the cache: there is no delegation any more; do it below */

/* What is cached counts. With the lock held it stays so, unless it is recalled: then it goes when the lock is free. */
static inline bool cinode_is_kept(const struct cinode *c)
{
	return !c->cache->asks || __atomic_load_n(&c->kept, __ATOMIC_SEQ_CST) != LS_DELEGATION_NONE;
}

static inline bool cinode_may_store(const struct cinode *c)
{
	return !c->cache->asks || __atomic_load_n(&c->kept, __ATOMIC_SEQ_CST) == LS_DELEGATION_WRITE;
}

/*
 * Before an operation that uses what is cached, without a lock. 0: it may be used, until KEEP_LOST; KEEP_LOST: it is to be
 * done below, and nothing is cached; or -errno.
 */
int keep_begin(struct cinode *c, const struct ls_call *call, bool stores);
/* What is cached goes below, and the delegation back: the operation to come is below's. */
int keep_end(struct cinode *c, const struct ls_call *call);
/* With io held. After a delegation has ended: what was changed goes below, and all of it from here. */
int keep_settle(struct cinode *c, const struct ls_call *call);
/* With the lock held for writing and nothing dirty: for what is about to be closed below. */
void keep_let_go(struct cinode *c);
/* The same, of one that nobody has open here: is its delegation worth to stay? */
bool keep_idle(struct cinode *c);
/* Around a change of the file below. False: it has a delegation now, which is to end first. */
bool keep_pass_begin(struct cinode *c);
void keep_pass_end(struct cinode *c);
/* ... of any bytes, after it. */
int keep_passed(struct cinode *c, const struct ls_call *call);
/* Somebody opens it: what he sees is what others have closed. */
int keep_open(struct cinode *c, const struct ls_call *call);
/* With io held: others may have written since what is dirty was kept. It is dropped, and -EIO. */
int keep_overtaken(struct cinode *c);
/* It is forgotten. */
void keep_fini(struct cinode *c);
void keep_recalled(void *arg, struct ls_file *file);
ssize_t keep_pass_read(struct cinode *c, const struct ls_call *call, const struct iovec *iov, int iovcnt, uint64_t skip,
		       off_t offset);
/* KEEP_LOST: there is a delegation now. */
ssize_t keep_pass_write(struct cinode *c, const struct ls_call *call, const struct iovec *iov, int iovcnt, uint64_t skip,
			off_t offset, unsigned flags, off_t *ret_end);

/* ---- the data file (data.c): with the lock held, for writing where it changes ------------------------ */

/* An empty one; its descriptor, or -errno. `*large`: with large folios, if there are such files. */
int cdata_new(const struct cache *cache, bool *large);
void cdata_begin(struct cinode *c, int fd, bool large); /* it is the file's from now on */
void cdata_end(struct cinode *c);
void cdata_clear(const struct cinode *c); /* its memory goes, whoever has it mapped */
/* There are to be some descriptors left: only who has to begins another. */
bool cdata_are_many(const struct cache *cache);
int cdata_read(int fd, char *buf, uint64_t length, uint64_t offset);
/* 0 or -errno; changes iov. To what is there, or to a file from its beginning on. */
int cdata_write(int fd, struct iovec *iov, int n, uint64_t offset);
/* The same, to pages that may be absent. */
int cdata_fill(const struct cinode *c, struct iovec *iov, int n, uint64_t offset);
/* Those pages of a chunk have no memory any more. */
void cdata_punch(const struct cinode *c, const struct chunk *chunk, unsigned mask);

/* ---- bytes (body.c): with the lock held, for writing where they change ------------------------------- */

bool body_present(const struct cinode *c, uint64_t first, uint64_t last);
/* The first page in first..last that is absent; last + 1: none is. */
uint64_t body_absent(const struct cinode *c, uint64_t first, uint64_t last);
/* Out of, and into, pages that are present. */
int body_read(const struct cinode *c, char *buf, uint64_t offset, uint64_t length);
/* Makes pages present where it must: what of them is not written is zeros. */
int body_write(struct cinode *c, const char *buf, uint64_t offset, uint64_t length);
/* The kernel has put bytes of its own there: the page is present, and dirty. */
void body_adopt(struct cinode *c, uint64_t page);
int body_zero(struct cinode *c, uint64_t from, uint64_t to); /* of one page, if it is present */
/* Makes n pages (CACHE_FILL_PAGES) present that are absent; those of the pool's that it takes over are NULL then. */
int body_install(struct cinode *c, uint64_t page, void **bytes, unsigned n);
/* Pages go, dirty or not. */
void body_drop(struct cinode *c, uint64_t first, uint64_t last);
uint64_t chunk_drop(struct chunk *chunk, unsigned mask);          /* bytes that came free */
void chunk_forget_dirt(struct chunk *chunk, unsigned mask);       /* as if it had been written back */
void body_dirty(struct cinode *c, uint64_t first, uint64_t last); /* of those that are present */
/* Moves the bytes into a data file, with large folios if there are such and all bytes are there; needs io too. */
int body_to_file(struct cinode *c, bool large);
void chunk_touch(struct chunk *chunk, unsigned mask, unsigned again);

/* ---- operations on files ------------------------------------------------------------------------------
 */

/*
 * fill.c: returns 0 with the lock held for writing and the pages first..last (up to the file's end)
 * present, or -errno and no lock. Reads up to `wish` if it must read at all.
 */
int fill_lock(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last, uint64_t wish);
/* readahead.c */
uint64_t ahead_plan(struct cfile *f, const struct ls_call *call, uint64_t offset, uint64_t length, bool missed);
void ahead_stop(struct cache *cache);

/* writeback.c: with io held. Writes dirty pages in first..last, with these ls_write flags. */
int cinode_reserve(struct cinode *c, const struct ls_call *call, uint64_t offset,
		   uint64_t length); /* write.c; lock held */
int writeback_pages(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last,
		    unsigned flags);
/* ... and then size and times. */
int writeback_all(struct cinode *c, const struct ls_call *call, unsigned flags);
/* All of it, without io held. */
int writeback(struct cinode *c, const struct ls_call *call);
/* The oldest dirty inode of the cache. -ENOENT: none is dirty. */
int writeback_oldest(struct cache *cache, const struct ls_call *call);
int writeback_sync(struct cache *cache, const struct ls_call *call);

/* flusher.c */
void cflusher_note(struct cinode *c); /* became dirty; with the lock held */
void cflusher_urge(struct cinode *c); /* to be looked at now; with the lock held for writing */
void cflusher_wake(struct cache *cache);
void cflusher_done(struct cinode *c, const struct ls_call *call, int result); /* without a lock */
void cflusher_stop(struct cache *cache);
void cflusher_throttle(struct cfile *f, const struct ls_call *call, uint64_t bytes);
extern const struct ls_call cflusher_call;


static inline void figure_add(uint64_t *figure, uint64_t n)
{
	__atomic_add_fetch(figure, n, __ATOMIC_RELAXED);
}

/* Clean pages go, dirty ones are written first. A hint. */
void cache_forget_pages(struct cinode *c, const struct ls_call *call, uint64_t first, uint64_t last);

/* ---- shared memory (share.c, marks.c, grant.c, kernel.c) --------------------------------------------------------
 */

struct share_range { /* of a mapping, or the whole file for the kernel */
	LIST_ENTRY(share_range) link;
	uint64_t first, last; /* pages */
	uint64_t pinned;      /* bytes */
	enum ls_share_how how;
};

struct share {
	struct share_state *state; /* mapped; nobody else can write it or cut it */
	struct share_marks *marks; /* mapped; others write it, and cannot cut it */
	int state_fd, marks_fd;    /* state_fd is for reading only */
	int data_fd;               /* c->data, for reading only */
	unsigned count[LS_SHARE_MAX];
	LIST_HEAD(, share_range) ranges;
	uint64_t length; /* of the data file */
	uint64_t charged;
	uint64_t pages;        /* words there are */
	bool set_id;           /* only requests may write: they take set-id bits away */
	bool may_cut;          /* the next change of size may make the data file shorter */
	struct timespec mtime; /* of the data file, when the kernel may write it and it was looked at */
	bool whole;            /* the kernel has it: what is absent is a hole in the data file, and zeros */
	bool stored;           /* since the last scan it has been seen to change */
	uint64_t granted;
	uint32_t grant_session;
};

/* All with the file's lock held for writing. */
void cshare_came(struct cinode *c, uint64_t page); /* is present from now on */
/*
 * Pages of the chunk are to go. What clients have stored into them counts: then they are dirty and present
 * again, and true is returned.
 */
bool cshare_goes(struct chunk *chunk, unsigned mask);
void cshare_went(struct cinode *c, uint64_t first, uint64_t last); /* cut away: no question */
bool cshare_keeps(const struct chunk *chunk);                      /* a mapping needs it to stay */
bool cshare_writes(const struct cinode *c); /* others may change the bytes without asking */
bool cshare_is_exact(const struct share *s);
void cshare_size(struct cinode *c);                 /* c->size has changed: tells the sharers */
void cshare_length(struct cinode *c, bool may_cut); /* of the data file, as it should be now */
void cshare_epoch(struct share *s);
void cshare_mode(struct cinode *c, uint32_t mode);
void cshare_before_cut(
    struct cinode *c); /* the file is to become shorter: mappings fault, copies must not */
void cshare_writable(struct cinode *c);
/* A new data file, and new marks: who has the old ones is on his own. */
int cshare_renew(struct cinode *c, bool marks);
/* Another open file of the same data, to read only; or -errno. */
int cshare_fd_to_read(int fd);
/* With io too: the first share, and none any more. */
int cshare_begin(struct cinode *c, const struct ls_call *call, bool large);
void cshare_end(struct cinode *c);
/* Mapped files grow with the file: pages before the new end are there. Without a lock. */
int cshare_grown(struct cinode *c, const struct ls_call *call);
void cshare_fini(struct cinode *c); /* whoever shares it: the cache is closed */

/* Takes over what sharers have changed: marks, size, times. */
void cshare_merge(struct cinode *c);
static inline void cshare_look(struct cinode *c)
{
	if (__builtin_expect(c->share != NULL, 0))
		cshare_merge(c);
}
/* ... and finds pages that were changed without a mark, by comparing all that may be. */
void cshare_scan(struct cinode *c);
int cshare_hash(struct cinode *c, const struct share_range *range); /* what they are compared with */
uint64_t cpage_hash(const void *page);                              /* never 0 */

/* kernel.c, with the lock held for writing: the kernel has the data file, and may write it and make it longer. */
static inline bool cshare_kernel_writes(const struct cinode *c)
{
	return c->share && c->share->count[LS_SHARE_KERNEL_WRITE];
}
static inline bool cshare_kernel_has(const struct cinode *c)
{
	return c->share && c->share->whole;
}
bool cshare_kernel_maps(struct cinode *c); /* or somebody else: the data file is open in other hands than ours */
bool cshare_kernel_fits(struct cinode *c); /* the data file ends where the file does, now */
void cshare_kernel_begin(struct cinode *c);
bool cshare_kernel_allocates(int mode); /* can be done to the data file, too */
void cshare_kernel_zero(struct cinode *c, uint64_t offset, uint64_t length); /* below has zeros there now */
void cshare_kernel_merge(struct cinode *c);
void cshare_kernel_holes(struct cinode *c); /* finds pages that it has stored where there were none */
void cshare_kernel_mine(struct cinode *c); /* we have written the data file ourselves just now */
bool cshare_kernel_length(struct cinode *c, uint64_t length); /* makes it as long, or leaves it longer */

/* Somebody but the one with the grant changes the end: takes it back until cgrant_resume, after so many bytes were written. */
void cgrant_pause(struct cinode *c);
void cgrant_resume(struct cinode *c, const struct ls_call *call, uint64_t written);
void cgrant_merge(struct cinode *c);

int cache_lock(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *file, bool get,
	       struct ls_lock *lock);
/* The operations, cache_<op>. */
#define X(ret, name, params, ...) ret cache_##name params;
LS_OPS(X)
#undef X
