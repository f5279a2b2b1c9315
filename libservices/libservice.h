/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one interface of a layer ("libservice") of a filesystem stack.
 *
 * A filesystem instance is a stack of layers. Each layer is an instance of a `struct ls_type` and
 * knows the layers below it only as `struct ls *`. The interface is based on inode handles, as FUSE's
 * low level and libcephfs' ceph_ll_* are, so that rename, unlink of open files and unions are right.
 *
 * Everything comes from LS_ALL_OPS: the function table, the dispatchers ls_<op>(), and the names in traces
 * and metrics. A type states what its unset operations mean: PASS to the layer below, or REFUSE with
 * -EOPNOTSUPP. ls_open() resolves that once, so a silent layer costs nothing per call.
 *
 * Rules for a layer:
 *  - Thread-safe: any operation may run in any number of threads at once. Each is atomic with respect
 *    to others on the same inodes. An operation may block; the service has threads for that.
 *  - All state hangs off the instance. The same type may appear twice in a stack.
 *  - No permission checks: the service has made them, for every door. `call->cred` says who owns what
 *    is created, nothing else. Set-id bits are cleared by the service, by setattr.
 *  - Returns 0 or a count, or a negative errno. Out-parameters, named ret_*, are untouched on failure.
 *  - `attr` results are the attributes after the operation.
 *  - Data buffers may lie in memory that a hostile client changes meanwhile: read each byte once, and
 *    decide nothing by what was read.
 *
 * References: lookup, create, mkdir, mknod, symlink, tmpfile and resolve return an inode with one
 * reference for the caller, which ends it by forget. The root is never forgotten. An inode that is open
 * or referenced stays usable after its last name is gone. An open file holds its inode.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "libservices/stage.h"

struct ls;        /* an instance of a layer */
struct ls_inode;  /* a layer's inode; each layer casts to its own */
struct ls_file;   /* a layer's open file */
struct json_object;

struct ls_cred {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
};

struct ls_call {
	const char *tenant; /* pool name; for logs */
	const struct ls_cred *cred;
	int64_t deadline; /* as ls_now() has it; 0: none. Past it, a call that waits ends with -ETIMEDOUT */
	uint64_t trace;
	uint32_t payer; /* whose bytes it moves, as who counts them numbers them (ls.moved); 0: nobody's */
};

/* CLOCK_MONOTONIC, in ns: what deadlines, delays and figures are measured by. */
static inline int64_t ls_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

struct ls_attr {
	uint64_t ino; /* unique in the instance, stable while referenced */
	uint32_t mode, nlink, uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	uint32_t blksize;
	struct timespec atime, mtime, ctime, btime;
	bool kept; /* of a file that others may change (LS_DELEGATES): it stays like this until ls.revoke */
};

enum ls_set {
	LS_SET_MODE = 1 << 0,
	LS_SET_UID = 1 << 1,
	LS_SET_GID = 1 << 2,
	LS_SET_SIZE = 1 << 3,
	LS_SET_ATIME = 1 << 4, /* to attr->atime */
	LS_SET_MTIME = 1 << 5,
	LS_SET_ATIME_NOW = 1 << 6,
	LS_SET_MTIME_NOW = 1 << 7,
	LS_SET_CTIME = 1 << 8, /* a cache writes back: to attr->ctime, where the layer can */
};

struct ls_statfs {
	uint64_t bsize, frsize, blocks, bfree, bavail, files, ffree, namelen, type;
};

/*
 * Called for each entry of a directory, "." and ".." included. `next` is the cookie after this entry;
 * cookies stay valid while entries come and go: an entry present throughout is seen exactly once.
 * `type` is a DT_* value. Returns 0, or non-zero to stop before this entry.
 */
typedef int ls_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next);

enum ls_write_flags {
	LS_WRITE_APPEND = 1 << 0, /* at the end of the file, atomically; the offset given is ignored */
	LS_WRITE_DSYNC = 1 << 1,
	LS_WRITE_SYNC = 1 << 2,
	LS_WRITE_NOWAIT = 1 << 3,
	LS_WRITE_KEPT = 1 << 4, /* kept under a delegation: -ESTALE if that has ended, and nobody could recall it */
};

enum ls_share_how {
	LS_SHARE_NONE = 0,
	LS_SHARE_READ = 1,  /* to copy from */
	LS_SHARE_WRITE = 2, /* and to copy to */
	LS_SHARE_MAP = 3,   /* programs map the range themselves: all of it is there and stays */
	LS_SHARE_MAP_WRITE = 4,
	LS_SHARE_KERNEL = 5, /* FUSE passthrough: the whole file is there and stays */
	LS_SHARE_KERNEL_WRITE = 6, /* beside a KERNEL share: the kernel may change it, and make it longer */
	LS_SHARE_MAX,
};

enum { LS_SHARE_FORCE = 1 };

enum ls_delegation {
	LS_DELEGATION_NONE = 0,
	LS_DELEGATION_READ = 1,  /* nobody else changes the file */
	LS_DELEGATION_WRITE = 2, /* nobody else looks at it either */
};

/* An advisory lock, of bytes or, in a name space of its own, of the file (flock). */
struct ls_lock {
	int type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	bool flock;
	bool last; /* with F_UNLCK: nobody has a lock of the inode by us then */
	uint64_t start, end; /* inclusive; UINT64_MAX: to infinity */
	uint64_t owner; /* one that each that locks has of its own */
	pid_t pid;
};

/* For `advise`: a program has closed the file, and whoever opens it next, wherever that is, is to see what it wrote. */
enum { LS_ADVISE_CLOSED = 1 << 16 };

/* Shared memory with an inode's data: ipc/wire-share.h says how it is used. The descriptors are the layer's. */
struct ls_share {
	int data, state, marks; /* marks: -1 if it is not to be written */
};

/*
 * X(return type, name, parameters, arguments). The instance and the call come first in each.
 *
 *  lookup      -ENOENT if there is no such name. name is neither "." nor ".."
 *  forget      ends n references
 *  resolve     the inode with that number, for clients that outlived the service; -ESTALE if none
 *  parent      the directory that holds this directory (the root's is the root), referenced
 *  getattr     f may be NULL
 *  setattr     what `set` (enum ls_set) names, from `in`; changes ctime. f may be NULL
 *  open        flags as open(2) without O_CREAT, O_EXCL, O_NOFOLLOW, O_TRUNC; directories too
 *  create      a regular file and its open in one; -EEXIST if the name is there
 *  tmpfile     a regular file without a name; link may give it one unless flags has O_EXCL
 *  read/write  as preadv2 and pwritev2; write sets *ret_end to the offset after what it wrote
 *  rename      flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT or 0. Refuses to move a
 *              directory below itself (-EINVAL)
 *  readdir     from cookie (0: the start)
 *  seek        whence is SEEK_DATA or SEEK_HOLE
 *  copy        as copy_file_range; -EOPNOTSUPP lets the service copy
 *  fsync       of one file; sync: of everything in the instance
 *  getxattr    size 0 asks for the length; -ERANGE if it does not fit; -ENODATA if there is none
 *  advise      POSIX_FADV_*; a hint
 *  reserve     room for a later write of that range, which then does not fail for lack of it. -ENOSPC, or
 *              -EOPNOTSUPP where that cannot be promised
 *  share       one more user of the file's data in shared memory (offset, length: of MAP). -EOPNOTSUPP, -EAGAIN:
 *              not now (no room in the cache, ...). Until as many calls of unshare.
 *              KERNEL_WRITE is had whenever there is a KERNEL share, but for memory (-ENOMEM) or room below (-EAGAIN).
 *  unshare     ends a share. The last KERNEL or KERNEL_WRITE share goes on while the kernel has the data mapped for
 *              somebody (-EBUSY), unless offset is LS_SHARE_FORCE. LS_SHARE_NONE: ends none, and begins a new epoch, so that all who copy ask again
 *              - Overwriting is allowed (share_state.writable) only while there are WRITE shares.
 *              - When the last of the READ and WRITE shares ends, a new epoch begins.
 *              - `data` becomes shorter only while it is `exact`, after a new epoch and ls.settle; with the first MAP
 *                share it becomes so, and if there are READ or WRITE shares then, they go on with the old one and a
 *                new epoch begins with another.
 *              - When an appender is given up, the new epoch has new `marks`, too: it may still write the old.
 *              - After a WRITE share of one user (call->cred->uid) no other user is given the same `data`.
 *  grant       lets the session with that number append without asking; UINT32_MAX takes the grant back, and
 *              returns when it is back. Only while nobody else has the file open
 *  delegate    until ls.recall, the release of the file, or delegate of NONE: what enum ls_delegation says, of clients of
 *              the same storage elsewhere. -EAGAIN: there are others, or were a moment ago; -EBUSY: this file has one
 *  lock        takes the lock or, F_UNLCK, gives it up, or -EAGAIN: the locks of clients of the same storage elsewhere, and
 *              our own, stand against it. It lasts until it is given up or nobody has the inode in hand. `get`: *lock becomes
 *              one that stands against it, or gets the type F_UNLCK. f may be NULL but to take a lock. Calls of one inode do
 *              not overlap
 */
/* clang-format off */
#define LS struct ls *ls, const struct ls_call *call
#define LS_RET_INODE struct ls_inode **ret_inode, struct ls_attr *ret_attr
#define LS_FILE_OPS(X) \
	X(int, lookup, (LS, struct ls_inode *dir, const char *name, LS_RET_INODE), dir, name, ret_inode, ret_attr) \
	X(void, forget, (LS, struct ls_inode *inode, uint64_t n), inode, n) \
	X(int, resolve, (LS, uint64_t ino, LS_RET_INODE), ino, ret_inode, ret_attr) \
	X(int, parent, (LS, struct ls_inode *dir, LS_RET_INODE), dir, ret_inode, ret_attr) \
	X(int, getattr, (LS, struct ls_inode *inode, struct ls_file *f, struct ls_attr *ret_attr), inode, f, ret_attr) \
	X(int, setattr, (LS, struct ls_inode *inode, struct ls_file *f, const struct ls_attr *in, unsigned set, \
		struct ls_attr *ret_attr), inode, f, in, set, ret_attr) \
	X(ssize_t, readlink, (LS, struct ls_inode *inode, char *buf, size_t size), inode, buf, size) \
	X(int, mknod, (LS, struct ls_inode *dir, const char *name, mode_t mode, unsigned major, unsigned minor, \
		LS_RET_INODE), dir, name, mode, major, minor, ret_inode, ret_attr) \
	X(int, mkdir, (LS, struct ls_inode *dir, const char *name, mode_t mode, LS_RET_INODE), \
		dir, name, mode, ret_inode, ret_attr) \
	X(int, symlink, (LS, struct ls_inode *dir, const char *name, const char *target, LS_RET_INODE), \
		dir, name, target, ret_inode, ret_attr) \
	X(int, link, (LS, struct ls_inode *inode, struct ls_inode *dir, const char *name, struct ls_attr *ret_attr), \
		inode, dir, name, ret_attr) \
	X(int, unlink, (LS, struct ls_inode *dir, const char *name), dir, name) \
	X(int, rmdir, (LS, struct ls_inode *dir, const char *name), dir, name) \
	X(int, rename, (LS, struct ls_inode *dir, const char *name, struct ls_inode *dir2, const char *name2, \
		unsigned flags), dir, name, dir2, name2, flags) \
	X(int, open, (LS, struct ls_inode *inode, int flags, struct ls_file **ret_file), inode, flags, ret_file) \
	X(int, create, (LS, struct ls_inode *dir, const char *name, mode_t mode, int flags, LS_RET_INODE, \
		struct ls_file **ret_file), dir, name, mode, flags, ret_inode, ret_attr, ret_file) \
	X(int, tmpfile, (LS, struct ls_inode *dir, mode_t mode, int flags, LS_RET_INODE, struct ls_file **ret_file), \
		dir, mode, flags, ret_inode, ret_attr, ret_file) \
	X(void, release, (LS, struct ls_file *f), f) \
	X(ssize_t, read, (LS, struct ls_file *f, const struct iovec *iov, int iovcnt, off_t offset), \
		f, iov, iovcnt, offset) \
	X(ssize_t, write, (LS, struct ls_file *f, const struct iovec *iov, int iovcnt, off_t offset, unsigned flags, \
		off_t *ret_end), f, iov, iovcnt, offset, flags, ret_end) \
	X(int, fsync, (LS, struct ls_file *f, int datasync), f, datasync) \
	X(int, sync, (LS)) \
	X(int, fallocate, (LS, struct ls_file *f, int mode, off_t offset, off_t length), f, mode, offset, length) \
	X(off_t, seek, (LS, struct ls_file *f, off_t offset, int whence), f, offset, whence) \
	X(ssize_t, copy, (LS, struct ls_file *in, off_t in_off, struct ls_file *out, off_t out_off, size_t length), \
		in, in_off, out, out_off, length) \
	X(int, readdir, (LS, struct ls_file *f, uint64_t cookie, ls_emit *emit, void *arg), f, cookie, emit, arg) \
	X(int, statfs, (LS, struct ls_statfs *ret), ret) \
	X(ssize_t, getxattr, (LS, struct ls_inode *inode, const char *name, void *buf, size_t size), \
		inode, name, buf, size) \
	X(int, setxattr, (LS, struct ls_inode *inode, const char *name, const void *buf, size_t size, int flags), \
		inode, name, buf, size, flags) \
	X(ssize_t, listxattr, (LS, struct ls_inode *inode, char *buf, size_t size), inode, buf, size) \
	X(int, removexattr, (LS, struct ls_inode *inode, const char *name), inode, name) \
	X(int, advise, (LS, struct ls_file *f, off_t offset, off_t length, int advice), f, offset, length, advice)
/* What a cache has, or needs of what is below; most layers leave it out. */
#define LS_CACHE_OPS(X) \
	X(int, reserve, (LS, struct ls_file *f, off_t offset, off_t length), f, offset, length) \
	X(int, share, (LS, struct ls_inode *inode, enum ls_share_how how, off_t offset, off_t length, \
		struct ls_share *ret), inode, how, offset, length, ret) \
	X(int, unshare, (LS, struct ls_inode *inode, enum ls_share_how how, off_t offset, off_t length), \
		inode, how, offset, length) \
	X(int, grant, (LS, struct ls_inode *inode, uint32_t session), inode, session)
#define LS_OPS(X) LS_FILE_OPS(X) LS_CACHE_OPS(X)
/* What only a layer has whose storage others use, too. */
#define LS_REMOTE_OPS(X) \
	X(int, delegate, (LS, struct ls_file *f, enum ls_delegation what), f, what) \
	X(int, lock, (LS, struct ls_inode *inode, struct ls_file *f, bool get, struct ls_lock *lock), inode, f, get, lock)
#define LS_ALL_OPS(X) LS_OPS(X) LS_REMOTE_OPS(X)
/* clang-format on */

struct ls_ops {
#define X(ret, name, params, ...) ret(*name) params;
	LS_ALL_OPS(X)
#undef X
};

enum ls_unset {
	LS_REFUSE = 0,
	LS_PASS = 1,
};

enum ls_traits {
	/* Others may change the files without this layer seeing it (a host directory): keep no names
	 * or attributes above it without asking. */
	LS_SHARED = 1 << 0,
	LS_RDONLY = 1 << 1,
	LS_FLUSHES = 1 << 2, /* writes back by itself, as its own options say */
	/* Beside LS_SHARED: what is known of regular files may be kept under delegations; of names nothing may. */
	LS_DELEGATES = 1 << 3,
	LS_LOCKS = 1 << 4, /* others lock its files, too: `lock` */
};

/* LS_AREA is the description of an area, as area_check (libservices/area.h) takes it. */
enum ls_option_kind { LS_STRING, LS_SIZE, LS_TIME, LS_COUNT, LS_BOOL, LS_FD, LS_AREA };

/* One table per type: option parsing, `--help`, errors with the nearest key, and man pages read it. */
struct ls_option {
	const char *name;
	enum ls_option_kind kind;
	const char *fallback; /* as it would be written; NULL: must be given */
	uint64_t min, max;    /* for SIZE (bytes), TIME (ns), COUNT; 0, 0: any */
	const char *help;     /* one line */
	int live;             /* may be set while running */
};

/* Takes one figure of a layer. Names are of lower-case letters and underscores. */
typedef void ls_figure(void *arg, const char *name, uint64_t value);

struct ls_type {
	const char *name;
	const char *help;
	enum ls_unset unset;
	unsigned below_min, below_max;   /* how many layers it stands on */
	const struct ls_option *options; /* ends with an entry without a name */
	const char *primary;             /* the option that a bare scalar sets: `host: /srv/x` */
	const char *object;              /* not NULL: only described here, the rest is in this object (object.h) */
	/*
	 * Makes the instance's state and root inode from `config`, the JSON object of this layer with
	 * options as strings already checked against the table ("fd" a number). ls->below is open.
	 * On failure returns -errno and writes a sentence with the path and the reason to error.
	 */
	int (*open)(struct ls *ls, struct json_object *config, char *error, size_t error_size);
	void (*close)(struct ls *ls);
	/* An option changed while running. The value is checked. May be NULL if none is live. */
	int (*set)(struct ls *ls, const char *option, const char *value, char *error, size_t error_size);
	void (*stats)(struct ls *ls, ls_figure *figure, void *arg); /* what it counted; may be NULL */
	struct ls_ops ops;
};

struct ls {
	const struct ls_type *type;
	const char *tenant;
	void *state; /* the layer's own */
	struct ls_inode *root;
	struct ls_attr root_attr; /* as of open */
	unsigned traits;          /* enum ls_traits; a layer with one below starts with its */
	struct ls *below[129]; /* a union of a writable branch and 128 others */
	unsigned below_count;
	/*
	 * Set by whoever holds the stack, for layers that share: returns when no client copies from shared memory that
	 * is exact (wire_session.copying was 0 once for each). False: some client does not come out, and the memory must
	 * not be cut now. NULL: there are no clients.
	 */
	bool (*settle)(void *arg);
	void *settle_arg;
	/*
	 * Set by whoever holds the stack, for layers that move bytes on their own account, and told after they did: bytes read
	 * from below, or (`written`) that clients stored into shared memory and that are going below. How long it is until more
	 * of them are welcome, in ns. NULL: nobody counts them.
	 */
	int64_t (*moved)(const struct ls_call *call, bool written, uint64_t bytes);
	/*
	 * Set by whoever stands on a layer that delegates (LS_SHARED), before it asks for a delegation: somebody elsewhere wants
	 * the file. Called in a thread of the layer that holds nothing; drops what was kept of the file. It cannot write to it: a
	 * write waits until the delegation has ended, which is when this returns. So what is kept above is only what has been
	 * written below. It may be called for a delegation that has just ended.
	 */
	void (*recall)(void *arg, struct ls_file *f);
	void *recall_arg;
	/*
	 * Set by whoever holds the stack, for layers that keep something under delegations: ls_attr.kept of the inode with that
	 * number is untrue from now on. Does not wait for anything that may wait for the layer.
	 */
	void (*revoke)(void *arg, uint64_t ino);
	void *revoke_arg;
	/* Bound by ls_open: where each operation really goes, and what time in it is spent on (enum stage). */
	struct {
#define X(ret, name, params, ...)                                                                         \
	struct {                                                                                          \
		struct ls *ls;                                                                            \
		ret(*fn) params;                                                                          \
		uint8_t stage;                                                                            \
	} name;
		LS_ALL_OPS(X)
#undef X
	} op;
};

#define X(ret, name, params, ...)                                                                         \
	static inline ret ls_##name params                                                                \
	{                                                                                                 \
		STAGE_OF(ls->op.name.stage);                                                              \
		return ls->op.name.fn(ls->op.name.ls, call, ##__VA_ARGS__);                               \
	}
LS_ALL_OPS(X)
#undef X

enum ls_op {
#define X(ret, name, ...) LS_OP_##name,
	LS_ALL_OPS(X)
#undef X
		LS_OP_MAX
};
extern const char *const ls_op_names[LS_OP_MAX];

/*
 * Opens a stack bottom-up from its JSON form, {"<type>": {options..., "below": [stack, ...]}}; the
 * key `below` may also be one stack. Closes what it opened on failure; the error is a sentence.
 * Returns 0 or -errno (-EINVAL: the description is wrong).
 */
int ls_stack_open(struct json_object *stack, const char *tenant, struct ls **ret, char *error,
		  size_t error_size);
/* Closes top-down. Takes NULL. Returns NULL. */
struct ls *ls_stack_close(struct ls *top);
/* One layer, {options}, on open ones, which it takes over, also on failure. */
int ls_open_on(const char *type, struct json_object *options, const char *tenant, struct ls *const *below,
	       unsigned count, struct ls **ret, char *error, size_t error_size);

enum ls_part_flags {
	LS_PART_PRIVATE = 1 << 0, /* its data is not shared */
	LS_PART_SHARED = 1 << 1,  /* LS_SHARED: somebody else changes the stack's files, too */
};

/*
 * A directory of an open stack as a stack of its own: several filesystems, and layers on them, stand on one. Its
 * operations are the stack's, at no cost. Takes over the reference to the directory, also on failure. It ends before
 * the stack does. `resolve`, which knows the whole stack, is refused, and
 * so is `parent`, but of the stack's root.
 */
int ls_part_open(struct ls *stack, struct ls_inode *dir, const struct ls_attr *attr, unsigned flags, struct ls **ret);
/* The names in a directory but "." and "..", each ended by a NUL, and an empty one; the caller's to free. */
int ls_names(struct ls *ls, const struct ls_call *call, struct ls_inode *dir, char **ret);
/* Finds the layer of that type nearest to the top, for `set`. NULL if there is none. */
struct ls *ls_stack_find(struct ls *top, const char *type);
/* Sets a live option of one layer, checked against its table. 0, or -errno and a sentence. */
int ls_option_set(struct ls *ls, const char *option, const char *value, char *error, size_t error_size);

/*
 * Checks a stack's JSON without opening anything: types, options, values, number of layers below.
 * Scalars and missing parts are normalised in place ({"host": "/srv/x"} becomes {"host": {"path": ..}}).
 * Returns 0 or -EINVAL with a sentence that names the nearest right word.
 */
int ls_stack_check(struct json_object *stack, char *error, size_t error_size);

/* What a description may say of a type, be it a layer or an area. */
struct ls_form {
	const char *name;
	unsigned below_min, below_max; /* below_min > 1: a bare list is what is below */
	const struct ls_option *options;
	const char *primary;
};

struct ls_family {
	const char *noun, *article;               /* "layer", "a" */
	const char *example;                      /* the name of a type */
	int (*form)(size_t i, struct ls_form *ret); /* of the i-th type; -ENOENT: there are no more */
};

/* ls_stack_check for any family. */
int ls_description_check(const struct ls_family *family, struct json_object *description, char *error,
			 size_t error_size);
/* A checked body's options as given, without `below`, and the fallbacks of others. The caller's to put. */
struct json_object *ls_config(const struct ls_option *options, struct json_object *body);

const struct ls_type *ls_type_find(const char *name);
extern const struct ls_type *const ls_types[]; /* ends with NULL */

/* "1G", "256M", "4096" -> bytes; "250ms", "5s", "1m" -> ns. 0 or -EINVAL. */
int ls_parse_size(const char *text, uint64_t *ret);
int ls_parse_time(const char *text, uint64_t *ret);
/* The candidate nearest to `word` by edit distance, or NULL where none is near. */
const char *ls_nearest(const char *word, const char *const *candidates);
