/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire protocol: every byte that a client (libfs, preload) and a filesystem service share.
 *
 * It is the one header that both sides include. It uses nothing but fixed-width integers, so that
 * freestanding code can include it. Four pieces of memory are shared:
 *
 *   table    a file in the pool's directory, written by the engine and the service, read-only to
 *            clients: the mount table, the service's generation, and what its workers are doing.
 *   queues   one memfd per pool, writable by every client of the pool: RCQB rings (ipc/rcqb.h).
 *            Not trusted: an entry is a hint that names a session and a slot, never an authority.
 *   session  one memfd per client process, mapped by that process and the service alone: request
 *            buffers ("slots"), one for each thread that has a request under way.
 *   socket   WIRE_SOCKET in the pool's directory, SOCK_SEQPACKET: HELLO, WELCOME and the memfds.
 *            The client closes it at once; it keeps no descriptor.
 *
 * Sizes are in bytes, times in ns since the epoch unless said otherwise, errors negative errno.
 * Every field and message is "since 1" unless it says otherwise.
 */
#pragma once

#include <stdint.h>

enum {
	WIRE_MAGIC = 0x59544c50, /* "PLTY" */
	WIRE_VERSION = 1,
};

/* ---- the pool's directory, as its processes see it ------------------------------------------ */

#define WIRE_POOL_DIR "/run/polytropon"
#define WIRE_SOCKET WIRE_POOL_DIR "/socket"
#define WIRE_TABLE WIRE_POOL_DIR "/table"
/* A regular file of mode 0. An O_PATH descriptor on it stands in the process's descriptor table for
 * a file that only the service has open; any system call that reaches the kernel with it fails. */
#define WIRE_PLACEHOLDER WIRE_POOL_DIR "/placeholder"
/* The store of the pool's containers, and the directory of their roots' mount points; see service/roots.h. */
#define WIRE_ROOTS "/run/polytropon-roots"
#define WIRE_ROOT_DIR WIRE_POOL_DIR "/root"
/* In a container, where those are hidden: how many seccomp filters its programs begin with, in digits. */
#define WIRE_FILTERS WIRE_ROOT_DIR "/filters"
#define WIRE_PRELOAD WIRE_POOL_DIR "/preload.so"
/* Pre-patched text of C libraries: WIRE_PATCH_DIR "/" <build-id in hex>; see preload/overlay.h. */
#define WIRE_PATCH_DIR WIRE_POOL_DIR "/patch"

/* ---- table ----------------------------------------------------------------------------------- */

enum {
	WIRE_MOUNTS_FIXED = 25, /* those of the pool file, and the store of its containers */
	WIRE_MOUNTS_MAX = 512,  /* and roots of containers */
	WIRE_MOUNT_PATH_MAX = 464, /* with its NUL */
	WIRE_QUEUES_MAX = 16,
};

/* What the worker of a queue is doing: a hint for the client's choice between spinning and sleeping. */
enum wire_worker_state {
	WIRE_WORKER_ASLEEP = 0,   /* in futex_wait on the queue's doorbell: ring it */
	WIRE_WORKER_SPINNING = 1, /* polling the queue */
	WIRE_WORKER_BUSY = 2,     /* serving a request; will look at the queue again */
};

struct wire_worker {
	uint32_t state; /* enum wire_worker_state */
	uint32_t cpu;   /* where it last ran */
	uint32_t spare; /* > 0: other workers of this queue are asleep and may be woken */
	uint32_t pad[13];
	/* On a cache line of its own, for it changes twice with every request: somebody polls the queue. If
	 * not, all who are awake serve requests, and a client that is about to sleep wakes a spare one. */
	uint32_t leading;
	uint32_t pad2[15];
};
_Static_assert(sizeof(struct wire_worker) == 128, "two cache lines");

enum wire_service_state {
	WIRE_SERVICE_DOWN = 0, /* not started, or died; the engine is restarting it */
	WIRE_SERVICE_UP = 1,
	WIRE_SERVICE_GONE = 2, /* the pool is ending */
};

enum wire_mount_flags {
	WIRE_MOUNT_FUSE = 1 << 0, /* a FUSE mount stands at the path: descriptors can be materialised */
	WIRE_MOUNT_RDONLY = 1 << 1,
	/* Not ours: a mount of the kernel's stands here, below one of ours. Paths into it are the kernel's. */
	WIRE_MOUNT_KERNEL = 1 << 2,
	/* The root of a container, of those from mount_count on. */
	WIRE_MOUNT_ROOT = 1 << 3,
};

struct wire_mount {
	uint64_t dev;      /* st_dev that the FUSE mount shows, as stat(2) returns it; both doors show it */
	uint32_t flags;    /* enum wire_mount_flags */
	uint32_t path_len; /* without the NUL */
	uint64_t root_ino;
	/* What the kernel's FUSE_INIT said (major, minor, max_readahead, flags, flags2), kept by the service
	 * for the service that follows it. Clients do not need it. */
	uint32_t fuse_init[5];
	uint32_t pad;
	char path[WIRE_MOUNT_PATH_MAX]; /* absolute, normalised, no trailing slash ("/" excepted) */
};

struct wire_table {
	uint32_t magic;
	uint32_t version;
	/* Incremented, and woken as a futex, whenever the service dies or starts. A session belongs to
	 * one generation; after a change its requests in flight are lost and its handles are stale. */
	uint32_t generation;
	uint32_t service_state; /* enum wire_service_state */
	uint32_t mount_count;
	uint32_t queue_count;
	uint32_t one_core;      /* the pool has one core: never spin */
	uint32_t placeholder_ino_lo, placeholder_ino_hi; /* identity of WIRE_PLACEHOLDER */
	uint32_t placeholder_dev_lo, placeholder_dev_hi;
	uint32_t service_pid;   /* in the host's PID namespace; for people, not for programs */
	char pool[64];
	/* From mount_count up to here are roots of containers, as they are opened and closed: a process whose / has the
	 * `dev` of one of them has that one there, wherever `path` says that the pool sees it. dev 0: none. A place is
	 * not used anew while a session has anything of it in hand. */
	uint32_t mount_top;
	uint32_t pad[3];
	struct wire_worker worker[WIRE_QUEUES_MAX];
	struct wire_mount mount[WIRE_MOUNTS_MAX];
};

/* ---- session --------------------------------------------------------------------------------- */

enum {
	WIRE_SLOTS = 32,        /* request buffers of a session */
	WIRE_PARKED = 32,
	WIRE_PAGE = 4096,
	WIRE_INLINE = 3584,     /* bytes at the end of a slot's first page */
	WIRE_BULK = 256 * 1024, /* bytes after it */
	WIRE_SLOT_STRIDE = WIRE_PAGE + WIRE_BULK,
	WIRE_COUNTS_AT = WIRE_PAGE + WIRE_SLOTS * WIRE_SLOT_STRIDE, /* struct wire_counts */
	WIRE_COUNT_SHARDS = 8,
	WIRE_COUNT_CALLS = 448, /* system calls by number; those beyond are counted with the last */
	WIRE_AHEAD_AT = WIRE_COUNTS_AT + WIRE_COUNT_SHARDS * WIRE_PAGE, /* struct wire_ahead, WIRE_AHEAD of them */
	WIRE_AHEAD = 16,
	WIRE_AHEAD_ROWS = 8,
	WIRE_AHEAD_DATA = 16 * 1024, /* bytes of a file each, behind these */
	WIRE_SESSION_SIZE = WIRE_AHEAD_AT + WIRE_PAGE + WIRE_AHEAD * WIRE_AHEAD_DATA,
};

/*
 * A slot's life. Only the client moves it to SUBMITTED; only the service to TAKEN and DONE. Who has the slot meanwhile
 * is the client's own business. The word is a futex: a client that sleeps sets WIRE_SLOT_WAITER in it first, and the
 * service wakes it when the word that it replaces by DONE had that bit.
 */
enum wire_slot_state {
	WIRE_SLOT_FREE = 0,      /* never used yet */
	WIRE_SLOT_SUBMITTED = 1, /* waits for the service */
	WIRE_SLOT_TAKEN = 2,     /* the service has copied the request */
	WIRE_SLOT_DONE = 3,      /* the reply is there */
	WIRE_SLOT_STATE_MASK = 3,
	WIRE_SLOT_WAITER = 4,
};

/* Attributes of an inode, for both directions. st_dev is the mount's, known to the client. */
struct wire_attr {
	uint64_t ino;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	uint32_t blksize;
	uint32_t pad;
	int64_t atime, mtime, ctime, btime; /* seconds */
	uint32_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

enum wire_where {
	WIRE_IN_INLINE = 0,
	WIRE_IN_BULK = 1,
	WIRE_IN_CLIENT = 2, /* at `address` in the client's memory: cross-memory attach */
};

/*
 * A directory to start from: the root of mount n, or a handle of this session. WIRE_MOUNT needs no
 * handle. A base that the operation does not use is 0.
 */
#define WIRE_MOUNT(n) (0x80000000u | (uint32_t)(n))

/* Up to `sent` it is all that most need. The rest counts with WIRE_MORE only, which front_call sets if there is any. */
struct wire_request {
	uint8_t op;     /* enum wire_op */
	uint8_t where;  /* enum wire_where, of the payload: strings, or data in, or data out */
	uint16_t flags; /* enum wire_request_flags */
	uint32_t base;  /* where `path` starts: WIRE_MOUNT(n) or a directory handle */
	uint32_t handle;
	uint32_t mode;
	uint64_t offset;
	uint64_t length;
	uint64_t arg;
	uint16_t path_len; /* bytes of the first string in the payload, without its NUL (both carry one) */
	uint16_t cpu;      /* the core that it was submitted from: a hint, whether to spin for the next */
	uint32_t out_max;  /* the most the service may put into the payload */
	uint64_t sent; /* time stamp counter when it was submitted, or a moment later; 0: nobody looked at it */
	struct wire_request_more {
		uint64_t arg2;
		uint64_t address; /* with WIRE_IN_CLIENT */
		uint32_t base2;
		uint32_t path2_len;
		uint32_t tid; /* of MATERIALISE: the caller's thread, as gettid(2) returns it to the caller; else 0 */
		uint32_t pad;
	} more;
};

struct wire_reply {
	int64_t result; /* >= 0, -errno, or WIRE_ESCAPE */
	uint32_t handle;
	uint32_t out_len; /* bytes of payload */
	uint64_t offset;
	uint64_t arg;
	uint64_t change; /* with attr: lease_attr.change of the inode as of then; 0: it has no lease */
	uint64_t length; /* of GETLK's lock */
	uint64_t spare;
	struct wire_attr attr; /* ino 0, as the service has it: there is none, and what the client sees here means nothing */
};

/*
 * "Not mine": the walk left the instance (.. above the root, a symbolic link to an absolute path or
 * out of it, a nested mount). The client hands the unchanged system call to the kernel.
 */
#define WIRE_ESCAPE (-4242)

/* With an open file's id behind it, a name in its mount's root that the kernel opens it by (MATERIALISE). */
#define WIRE_OPEN_NAME ".polytropon-open-"

/*
 * One cache line goes to and fro, with the state and all of most requests, and then with the head of the reply, which is
 * all of most replies. So a reply takes the place of its request, which the service has copied by then.
 */
struct wire_slot {
	uint32_t state;   /* futex; enum wire_slot_state | WIRE_SLOT_WAITER */
	uint32_t watched; /* written by the service. 1: a worker polls `state`; no queue is needed */
	union {
		struct wire_request request;
		struct wire_reply reply;
		uint8_t pad[4096 - WIRE_INLINE - 2 * sizeof(uint32_t)];
	};
	uint8_t inline_[WIRE_INLINE];
	/* followed by WIRE_BULK bytes */
};

_Static_assert(__builtin_offsetof(struct wire_slot, request.more) == 64, "the rest of a request is in the first line");
_Static_assert(__builtin_offsetof(struct wire_slot, reply.attr) == 64, "the rest of a reply is in the first line");
_Static_assert(sizeof(struct wire_slot) == WIRE_PAGE, "a slot's header and inline payload are a page");

/* The first page of a session's memfd. Written by the service before it hands it out. */
struct wire_session {
	uint32_t magic;
	uint32_t version;
	uint32_t session; /* its number, which queue items carry */
	uint32_t generation;
	uint32_t slots;
	uint32_t slot_stride;
	/* Copy thresholds that the service measured at its start; see ipc/copy.h. */
	uint32_t smo_min; /* from this size on, SMO instead of SMC */
	uint32_t cma_min; /* from this size on, CMA; UINT32_MAX: never */
	uint32_t umask;   /* of the process when it attached */
	uint32_t pid;     /* of the process, in its own PID namespace; 0 where unknown */
	uint32_t uid, gid; /* what the service checks permissions with */
	uint32_t pad[20];
	/* Written by the client from here on. */
	uint32_t copying; /* threads that copy from files whose share is `exact` (wire-share.h) */
	uint32_t forking; /* 1: a child may have its mappings and will ask for shares of its own in a moment */
	uint32_t pad2[14];
	/*
	 * Handles that the client has no use for now: closed, or kept to be opened again. Whoever moves a word from
	 * the handle to 0 owns it: the client to use the handle again, the service to close it (when the file loses its
	 * last name, when many are parked, whenever it likes). Only files that were opened to read, without any lock.
	 */
	uint32_t parked[WIRE_PARKED + WIRE_AHEAD]; /* behind the client's own places, those of struct wire_ahead */
	uint32_t ahead_key[WIRE_AHEAD]; /* the upper half of their wire_ahead.path, to pass over most of them quickly */
	/* The same of files that the service is just opening, or will in a moment; 0: none. To wait for. */
	uint32_t ahead_next[WIRE_AHEAD_ROWS];
};

/*
 * A file that the service opened because it expects the client to do so next (service/ahead.c). Written by the service
 * while the handle's word in wire_session.parked is 0, and published by that. The client takes it by changing the word
 * to WIRE_TAKING, and to 0 when it has read what is here.
 */
struct wire_ahead {
	uint64_t path; /* lease_path_hash of what it is expected to be opened by; 0: never used */
	uint64_t ino, change;
	uint32_t handle, flags; /* open(2)'s */
	uint32_t mount, type;   /* S_IFMT bits */
	uint32_t length; /* of the data that came along, all of the file as of `change`; WIRE_AHEAD_NONE: not */
	uint32_t pad[3];
};
#define WIRE_TAKING 1u /* no handle: those have their generation in the upper half, from 1 on */
#define WIRE_AHEAD_NONE UINT32_MAX
_Static_assert(WIRE_AHEAD * sizeof(struct wire_ahead) <= WIRE_PAGE, "layout");

/*
 * What the client counts of itself, for people who ask: what it was spared to ask, and what it left to the kernel. It
 * may write what it likes here; nobody decides anything by it. Threads are spread over the shards by where their
 * stacks are, and count without atomic operations: two of one shard may lose a count between them.
 */
#define WIRE_COUNTS(X)                                                                              \
	X(DIRECT_READS, direct_reads)   /* reads, or the first parts of some, from shared data */   \
	X(DIRECT_BYTES_READ, direct_bytes_read)                                                     \
	X(DIRECT_WRITES, direct_writes)                                                             \
	X(DIRECT_BYTES_WRITTEN, direct_bytes_written)                                               \
	X(LEASE_HITS, lease_hits)       /* names and attributes that needed no message */           \
	X(LEASE_MISSES, lease_misses)                                                               \
	X(KEPT, kept)                   /* small files and listings that were remembered */         \
	X(REOPENED, reopened)           /* opens by a handle that was parked */                     \
	X(OPENED_AHEAD, opened_ahead)   /* opens of what the service had opened already */          \
	X(REQUESTS, requests)                                                                       \
	X(ADOPTED, adopted)             /* the kernel's descriptors that were taken over */         \
	X(STALE, stale)                 /* descriptors closed without the client's seeing it */     \
	/* Descriptors that were made the kernel's, by why. */                                      \
	X(REAL_CALL, real_call)         /* a call that is not served */                             \
	X(REAL_MAP, real_map)                                                                       \
	X(REAL_STANDARD, real_standard) /* dup2 onto 2 */                                           \
	X(REAL_FORK, real_fork)                                                                     \
	X(REAL_EXEC, real_exec)                                                                     \
	X(REAL_PASSED, real_passed)     /* to another process, or to an io_uring */                 \
	X(REAL_PROC, real_proc)         /* named in /proc/self/fd */                                \
	X(REAL_POLL, real_poll)                                                                     \
	X(REAL_CLASS, real_class)       /* the process lost its placeholders for good */            \
	X(REAL_NUMBER, real_number)     /* a descriptor beyond what is remembered */

enum wire_count {
#define X(NAME, name) WIRE_COUNT_##NAME,
	WIRE_COUNTS(X)
#undef X
		WIRE_COUNT_MAX
};

struct wire_count_shard {
	uint64_t count[64];                 /* enum wire_count */
	uint32_t served[WIRE_COUNT_CALLS];  /* system calls that were answered without the kernel */
	uint32_t kernel[WIRE_COUNT_CALLS];  /* and that were left to it, on whatever files */
};
_Static_assert(sizeof(struct wire_count_shard) == WIRE_PAGE && WIRE_COUNT_MAX <= 64, "a page each");

struct wire_counts {
	struct wire_count_shard shard[WIRE_COUNT_SHARDS];
};

/* ---- socket ---------------------------------------------------------------------------------- */

enum wire_hello_kind {
	WIRE_HELLO_ATTACH = 1,      /* a new session; replaces an older one of the same process */
	WIRE_HELLO_CREDENTIALS = 2, /* take uid, gid and groups of the sender anew; keeps the session */
	/* The sender is about to exec and keeps this connection as a close-on-exec descriptor: its end
	 * ends the session. A byte sent on it first says that the exec failed. */
	WIRE_HELLO_EXEC = 3,
	/* Requests of this session wait and nobody answers: look at its slots, whatever the queues say. */
	WIRE_HELLO_KICK = 4,
	/* Open this handle's open file through the FUSE mount for me and send me the descriptor: where the
	 * kernel would not let the sender open it again by name. WELCOME carries it.
	 * Without a FUSE mount WELCOME carries a token of the open file (service/token.h): an O_PATH descriptor
	 * that whoever holds it can turn into a handle (ADOPT). From now on the service keeps the open file's
	 * offset, which is `offset` now (UINT64_MAX: as it was): see WIRE_OWN_OFFSET. */
	WIRE_HELLO_FETCH = 5,
	/* The cached data of this handle's file (ipc/wire-share.h); how: enum wire_share_how. WELCOME carries the
	 * descriptors data and state and, for writers, marks; its session is a number for UNSHARE.
	 * handle 0: of the file that share number `parent_share` of session `parent` is of, which is or was the
	 * sender's parent's, and is mapped still. */
	WIRE_HELLO_SHARE = 6,
	/* The sender has mounted or unmounted something: answered when the service knows. */
	WIRE_HELLO_MOUNTS = 7,
};

struct wire_hello {
	uint32_t magic;
	uint32_t version;
	uint32_t kind;
	uint32_t session; /* for all but ATTACH */
	uint32_t pid;     /* the sender's own, for nested PID namespaces */
	uint32_t handle;  /* for FETCH, SHARE; for ATTACH the base (WIRE_MOUNT) of the directory to adopt, or 0 */
	uint32_t how;     /* for SHARE */
	uint32_t parent_share;
	uint64_t offset, length; /* for SHARE to map; offset for FETCH, and for ATTACH the directory's inode */
	uint32_t parent;
	uint32_t pad;
};

enum wire_share_how {
	WIRE_SHARE_READ = 1,  /* to copy from */
	WIRE_SHARE_WRITE = 2, /* and to */
	WIRE_SHARE_MAP = 3,   /* for a mapping of the program's own: MAP_PRIVATE, or only to read */
	WIRE_SHARE_MAP_WRITE = 4,
};

/*
 * The answer. With ATTACH it carries the session's memfd, the queues' memfd and, if there is one for these
 * credentials, the lease table (ipc/wire-lease.h); with CREDENTIALS the new lease table, if there is one.
 */
struct wire_welcome {
	uint32_t magic;
	uint32_t version;
	int32_t result; /* 0 or -errno */
	uint32_t session;
	uint32_t generation;
	uint32_t queue_count;
	uint32_t queue_slots;
	uint32_t queue_stride;
	uint64_t session_size;
	uint64_t queues_size;
	uint32_t adopted; /* a handle of the sender's working directory, if it is the one in the hello; or 0 */
	uint32_t pad;
};

/* Item of a queue: session << 16 | slot. */
#define WIRE_ITEM(session, slot) (((uint64_t)(session) << 16) | (uint64_t)(slot))
#define WIRE_ITEM_SESSION(item) ((uint32_t)((item) >> 16))
#define WIRE_ITEM_SLOT(item) ((uint32_t)((item)&0xffff))

/* ---- operations ------------------------------------------------------------------------------ */

enum wire_request_flags {
	WIRE_NOFOLLOW = 1 << 0, /* do not follow a symbolic link in the last component */
	WIRE_EMPTY = 1 << 1,    /* path is empty: the object is `handle` (or base) itself */
	WIRE_DATASYNC = 1 << 2,
	WIRE_EFFECTIVE = 1 << 3, /* ACCESS with the effective ids (AT_EACCESS) */
	WIRE_REMOVEDIR = 1 << 4,
	WIRE_APPEND = 1 << 5,    /* WRITE at the end, whatever the handle's flags */
	WIRE_NOREAD_ATTR = 1 << 6,
	/* OPEN: put all of a small file's bytes, at most out_max, into the payload. GETDENTS: say if it is all. */
	WIRE_WANT_DATA = 1 << 7,
	WIRE_OWN_OFFSET = 1 << 8, /* at the offset that the service keeps of an open file with a token */
	WIRE_LEARN = 1 << 9,      /* enter what the path leads over, or the handle's inode, into the lease table */
	WIRE_ALONE = 1 << 10,     /* the client has no kernel to leave to what that should see (WATCH) */
	WIRE_AND_NEXT = 1 << 11,  /* OPEN: what is likely to be opened next may be opened as well (struct wire_ahead) */
	WIRE_ASK = 1 << 12,       /* more requests will follow closely; please spin for them */
	WIRE_MORE = 1 << 13,      /* wire_request.more counts */
};

/*
 * The mode of what is to be made: after the umask, and what bits the umask took away, shifted. They count where the
 * directory has a default ACL.
 */
#define WIRE_MASKED_SHIFT 16
#define WIRE_MADE_MODE(mode, umask) (((mode) & ~(umask)) | ((mode) & (umask)) << WIRE_MASKED_SHIFT)
#define WIRE_MODE_ASKED(made) (((made) | (made) >> WIRE_MASKED_SHIFT) & 0177777)
#define WIRE_MODE_MASKED(made) ((made) >> WIRE_MASKED_SHIFT & 0777)

/*
 * Every operation, with what it reads of the request and writes to the reply. "object" means:
 * base + path, or with WIRE_EMPTY the handle (or, if handle is 0, base itself). Paths are relative to
 * base; leading slashes do not mean the root of anything. All path operations fail as the system call
 * of that name does.
 *
 * Payload in: for operations with a path: path NUL [path2 NUL, if path2_len > 0] [data]; the first NUL
 * is there even if path_len is 0 (WIRE_EMPTY). For READ, WRITE and others without: data from its first
 * byte. Payload out: from the first byte, over what was there.
 *
 *  NULL         nothing: a round trip, for measuring and for being alive.
 *  OPEN         base path; arg = open(2) flags, mode. -> handle, attr, arg = enum wire_opened
 *               With WIRE_WANT_DATA, if the file is opened only to read and fits: data
 *               With O_PATH: a handle to start from and to ask attributes of, nothing else
 *               With WIRE_EMPTY: the handle's inode again, as by /proc/self/fd
 *  CLOSE        handle. Drops the caller's POSIX locks on the inode too, as close(2) does.
 *  FLUSH        handle. Only that dropping: a duplicate descriptor was closed.
 *  READ         handle offset length (<= WIRE_BULK); or WIRE_OWN_OFFSET. -> result, data
 *  WRITE        handle offset length, data; WIRE_APPEND; WIRE_OWN_OFFSET; arg = RWF_* of pwritev2.
 *               -> result, offset = end of what was written
 *  GETATTR      object -> attr
 *  SETATTR      object; arg = wire_setattr mask; mode; offset = size; arg2 = uid | gid << 32;
 *               payload after the path: struct wire_times. -> attr
 *  ACCESS       object; mode = R_OK | W_OK | X_OK
 *  READLINK     object -> data, result = length
 *  GETDENTS     handle; offset = cookie (0 first), or WIRE_OWN_OFFSET; -> data: struct linux_dirent64 records as
 *               getdents64(2) gives; offset = the next cookie; result = bytes; arg = enum wire_listed
 *  MKDIR MKNOD  base path mode; arg = rdev as (major << 32 | minor) -> attr
 *  SYMLINK      base path = new name, path2 = target -> attr
 *  LINK         object = existing; base2 path2 = new name
 *  UNLINK       base path; WIRE_REMOVEDIR for rmdir
 *  RENAME       base path -> base2 path2; arg = renameat2 flags
 *  TRUNCATE is SETATTR with size.
 *  FALLOCATE    handle; arg = mode, offset, length
 *  FSYNC        handle, or 0: the file that the session's share number `arg` is of; WIRE_DATASYNC
 *  SYNCFS       handle or base
 *  STATFS       object -> data: struct wire_statfs
 *  GETXATTR     object; path2 = name; out_max -> data, result = length (out_max 0: length only)
 *  SETXATTR     object; path2 = name; arg = flags; length = value's size, value after both strings
 *  LISTXATTR    object; out_max -> data, result
 *  REMOVEXATTR  object; path2 = name
 *  SEEK         handle, offset, arg = SEEK_DATA | SEEK_HOLE -> offset
 *               With WIRE_OWN_OFFSET: as lseek(2), arg = SEEK_*
 *  FLOCK        handle; arg = LOCK_* ; without LOCK_NB it waits: -> when granted
 *  LOCK         handle; arg = F_GETLK, F_SETLK, F_SETLKW or their F_OFD_ forms; mode = F_RDLCK,
 *               F_WRLCK, F_UNLCK; offset, length (0: to the end) absolute.
 *               -> for GETLK: arg = type, offset, length, handle = pid
 *  CANCEL       arg = slot of this session whose lock wait is to end with -EINTR
 *  SETFL        handle; arg = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME as they shall be
 *  COPY         handle = in, base = out handle; offset = in offset, arg = out offset, length -> result
 *  MATERIALISE  handle: the caller's thread will open this open file through the FUSE mount next.
 *               -> data: where, a path relative to the mount; result = its length; the OPEN message
 *               of that thread for that inode will join the existing open file. arg = 1: use the
 *               name that always works (WIRE_OPEN_NAME), though it reads oddly in /proc/self/fd.
 *  ADOPT        offset = st_ino, arg = a descriptor's number, or UINT64_MAX for the working directory,
 *               base = WIRE_MOUNT(n): the caller holds this directory; the service verifies it
 *               in /proc. -> handle
 *               Without FUSE the same of any token (FETCH) -> handle, attr, arg = open(2) flags
 *  GETPATH      handle -> data: path relative to the mount's root; result = its length; -ENOENT if none, or, with
 *               arg = 1, the last that it had and " (deleted)", as /proc/self/fd shows it
 *  FADVISE      handle offset length; arg = POSIX_FADV_*
 *  UNSHARE      arg = number of a share (WIRE_HELLO_SHARE). Those to copy end with the last handle on the file, too
 *  GRANT        handle, with a share to write: may this session append by itself? -EBUSY: not now
 *  WATCH        object: the caller's process has told the kernel to watch it (inotify). What changes it is the
 *               kernel's from now on, so that the kernel sees it
 */
#define WIRE_OPS(X)                                                                                 \
	X(NULL, null)                                                                               \
	X(OPEN, open)                                                                               \
	X(CLOSE, close)                                                                             \
	X(FLUSH, flush)                                                                             \
	X(READ, read)                                                                               \
	X(WRITE, write)                                                                             \
	X(GETATTR, getattr)                                                                         \
	X(SETATTR, setattr)                                                                         \
	X(ACCESS, access)                                                                           \
	X(READLINK, readlink)                                                                       \
	X(GETDENTS, getdents)                                                                       \
	X(MKDIR, mkdir)                                                                             \
	X(MKNOD, mknod)                                                                             \
	X(SYMLINK, symlink)                                                                         \
	X(LINK, link)                                                                               \
	X(UNLINK, unlink)                                                                           \
	X(RENAME, rename)                                                                           \
	X(FALLOCATE, fallocate)                                                                     \
	X(FSYNC, fsync)                                                                             \
	X(SYNCFS, syncfs)                                                                           \
	X(STATFS, statfs)                                                                           \
	X(GETXATTR, getxattr)                                                                       \
	X(SETXATTR, setxattr)                                                                       \
	X(LISTXATTR, listxattr)                                                                     \
	X(REMOVEXATTR, removexattr)                                                                 \
	X(SEEK, seek)                                                                               \
	X(FLOCK, flock)                                                                             \
	X(LOCK, lock)                                                                               \
	X(CANCEL, cancel)                                                                           \
	X(SETFL, setfl)                                                                             \
	X(COPY, copy)                                                                               \
	X(MATERIALISE, materialise)                                                                 \
	X(ADOPT, adopt)                                                                             \
	X(GETPATH, getpath)                                                                         \
	X(FADVISE, fadvise)                                                                         \
	X(UNSHARE, unshare)                                                                         \
	X(GRANT, grant)                                                                             \
	X(WATCH, watch)

enum wire_op {
#define X(NAME, name) WIRE_##NAME,
	WIRE_OPS(X)
#undef X
		WIRE_OP_MAX
};

enum wire_opened {
	WIRE_OPENED_CREATED = 1 << 0,
	WIRE_OPENED_DATA = 1 << 1, /* the payload is all of the file: out_len bytes, as of reply.change */
	WIRE_OPENED_SHARE = 1 << 2, /* its data can be shared (WIRE_HELLO_SHARE) */
};

/* In a GETDENTS reply's arg. */
enum wire_listed {
	WIRE_LISTED_ALL = 1 << 0, /* the payload is all of the directory, as of reply.change */
};

enum wire_setattr {
	WIRE_SET_MODE = 1 << 0,
	WIRE_SET_UID = 1 << 1,
	WIRE_SET_GID = 1 << 2,
	WIRE_SET_SIZE = 1 << 3,
	WIRE_SET_ATIME = 1 << 4,
	WIRE_SET_MTIME = 1 << 5,
	WIRE_SET_ATIME_NOW = 1 << 6, /* with SET_ATIME: the service's clock */
	WIRE_SET_MTIME_NOW = 1 << 7,
};

struct wire_times {
	int64_t atime, mtime;
	uint32_t atime_ns, mtime_ns;
};

struct wire_statfs {
	uint64_t bsize, frsize, blocks, bfree, bavail, files, ffree, namelen, type;
};

/* The ioctl that turns a FUSE descriptor into a handle of the calling process's session. */
struct wire_adopt {
	uint32_t handle; /* out */
	uint32_t flags;  /* out: open(2) flags of the open file */
};
#define WIRE_IOC_ADOPT 0x80085001u /* _IOR('P', 1, struct wire_adopt) */
