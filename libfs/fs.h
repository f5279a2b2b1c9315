/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client library from inside: what preload/ and the public interface (polytropon.h) are made of.
 *
 * A *library open file* stands for a service open file in this process: its handle, its flags, its offset.
 * Descriptors (preload/) and the handles of polytropon.h refer to it. The operations below send one request
 * each, of the kind that ipc/wire.h documents under the same name, and return >= 0, -errno, or FS_KERNEL.
 *
 * Freestanding (docs/architecture.md). All functions may be called by any thread and from signal handlers.
 * None holds a lock while it waits for the service.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "ipc/front.h"
#include "ipc/wire.h"

struct iovec;

/* "Not ours": the kernel has to do this call. A path that leaves the instance, or no service to ask. */
#define FS_KERNEL WIRE_ESCAPE

enum {
	FS_FILES_MAX = 16384,
	FS_PATH_MAX = 4096, /* with its NUL */
};

/* In place of an offset: the open file has a descriptor of the kernel's, and that keeps the offset. */
#define FS_MOVED UINT64_MAX
/* The open file has a token (fs_token), and the service keeps the offset, for all processes that have the file. */
#define FS_KEPT (UINT64_MAX - 1)
/* It is on its way there. */
#define FS_HANDED (UINT64_MAX - 2)

struct fs_file {
	uint32_t refs; /* 0: free */
	uint32_t handle;
	uint64_t session; /* that knows the handle: fs_session() of then */
	uint64_t offset;  /* or FS_MOVED, FS_KEPT; of a directory, the cookie */
	uint64_t ino;
	uint32_t flags; /* open(2) flags */
	uint32_t mount; /* index in the mount table */
	uint32_t type;  /* S_IFMT bits */
	uint32_t api;   /* it is a file of polytropon.h */
	uint64_t path;  /* by which it was opened, as a hash; 0: its closing must reach the service (park.h) */
	uint32_t share; /* 1 + the place of its share of the data (direct.h); 0: it has none */
	uint32_t heat;  /* direct.c */
	uint32_t hint;  /* 1 + that of F_SET_RW_HINT; 0: none was given */
	uint32_t created; /* 1: the file was not there before it was opened */
};

/* What an operation is about: base + path (empty: the root of a mount), or with WIRE_EMPTY an open file. */
struct fs_object {
	uint32_t base;
	uint32_t handle;
	uint64_t session; /* of the handle or base; 0: there is neither */
	uint32_t mount;
	uint32_t len;
	uint16_t flags; /* WIRE_NOFOLLOW | WIRE_EMPTY | WIRE_EFFECTIVE ... */
	const char *path;
	uint64_t ino; /* of the handle or base; 0: not known */
};

/* What fs_open opened. */
struct fs_opened {
	uint32_t handle;
	uint32_t how; /* enum wire_opened */
	uint64_t path; /* fs_file.path */
	struct wire_attr attr;
};

/* ---- the process (fs.c) ---------------------------------------------------------------------- */

/* Maps the pool's table. 0; -ENOENT outside of a pool. */
int fs_init(void);
/* The pool's table; NULL before fs_init. */
const struct wire_table *fs_table(void);
/* A good session, waiting for a service that restarts. 0 or -errno. */
int fs_ready(void);
/* The next request comes with other credentials. */
void fs_credentials_changed(void);
void fs_umask_set(uint32_t mask);
uint32_t fs_umask(void);
/* A mode, with its type or not, as what is made is asked for with: with what the umask makes of it. */
uint32_t fs_mode(uint32_t mode);
/* Before an exec: see WIRE_HELLO_EXEC. A descriptor, or -errno. */
int fs_hello_exec(void);
/* Something was mounted or unmounted: returns when the service knows, which nobody else tells it so soon. */
void fs_mounts_changed(void);
int fs_attached(void);
/* Names the session for ever: the service's generation << 32 | its number. 0: none. */
uint64_t fs_session(void);
/* Lets the child of a fork find `memory` (whole pages) zeroed. 0 or -errno. */
int fs_wipe_on_fork(void *memory, size_t size);

/* ---- routing (route.c) ----------------------------------------------------------------------- */

/*
 * The mount that an absolute path leads into, by its text alone: 1 and ret->base, mount, path, len; else 0.
 * Leaves to the kernel what text cannot decide ("..", before or inside the mount's own path).
 */
int fs_route(const char *path, struct fs_object *ret);
/*
 * The same for all other absolute paths, in a process whose "/" is the root of a container. What the kernel has mounted
 * in there the service leaves to it.
 */
int fs_route_root(const char *path, struct fs_object *ret);
/* That root's mount; 0: there is none, for mount 0 is the pool's. */
uint32_t fs_route_own(void);
/* Where the mount is, as this process sees it. */
const char *fs_route_path(uint32_t mount);
/* The same for a path from a directory of the kernel's, whose own path this is. */
int fs_route_from(const char *dir, uint32_t len, const char *path, struct fs_object *ret);
/* Whether some mount point is at or below that directory. */
int fs_route_above(const char *dir, uint32_t len);
/* The mount whose files show this st_dev, or -1. */
int fs_route_dev(uint64_t dev);
/* strlen with a bound: FS_PATH_MAX if there is no NUL before. (memory.c; fs_memory_text for a program's strings.) */
uint32_t fs_path_length(const char *path);

/* ---- library open files (file.c) ------------------------------------------------------------- */

/* A free one with one reference, or NULL. */
struct fs_file *fs_file_new(uint32_t mount, uint32_t handle, uint32_t flags, const struct wire_attr *attr);
uint32_t fs_file_index(const struct fs_file *f);
struct fs_file *fs_file_at(uint32_t index);
/* There is no room for another, or hardly. */
int fs_files_full(void);
/* fs_file_new of what fs_open opened. */
struct fs_file *fs_file_opened(uint32_t mount, const struct fs_opened *opened, uint32_t flags);
/* One more reference; 0 if it was free (it is then left alone). */
int fs_file_get(struct fs_file *f);
/* One reference less; with the last one the handle is closed: the result of that. */
int64_t fs_file_put(struct fs_file *f);
/* Ends a reference without telling the service, for handles that it has forgotten or will. */
void fs_file_drop(struct fs_file *f);
/* WIRE_ALONE for files of polytropon.h, which are no descriptors. */
static inline uint16_t fs_file_alone(const struct fs_file *f)
{
	return f->api ? WIRE_ALONE : 0;
}
/* Its session has ended since. */
int fs_file_stale(const struct fs_file *f);
void fs_object_file(const struct fs_file *f, struct fs_object *ret);
/* A path below an open directory. */
void fs_object_below(const struct fs_file *dir, const char *path, uint32_t len, struct fs_object *ret);

/* ---- requests (op.c) ------------------------------------------------------------------------- */

struct fs_op {
	struct wire_slot *slot;
	struct wire_request *q;
	struct wire_reply *a;
	char *payload;
	uint64_t filled; /* bytes of strings in it */
};

/*
 * Claims a slot for a request of at most `room` bytes of payload, in or out. `session`: of the handles that
 * it will name, or 0. 0: call fs_op_end later. Else -EIO (stale handle) or FS_KERNEL.
 */
int64_t fs_op_begin(struct fs_op *op, enum wire_op code, uint64_t session, uint64_t room);
/* fs_op_begin, and the object with its path put in; `extra` bytes of room after it. */
int64_t fs_op_object(struct fs_op *op, enum wire_op code, const struct fs_object *o, uint64_t extra);
/* The second string. */
void fs_op_string(struct fs_op *op, const char *text, uint32_t len);
int64_t fs_op_call(struct fs_op *op);
int64_t fs_op_call_with(struct fs_op *op, const struct front_meanwhile *meanwhile);
void fs_op_end(struct fs_op *op);
/* fs_op_call and fs_op_end. */
int64_t fs_op_finish(struct fs_op *op);

/* ---- operations on names (names.c) ----------------------------------------------------------- */

/* `meanwhile` may run while the service opens it, or may not; NULL: there is nothing. */
int64_t fs_open(const struct fs_object *o, uint32_t flags, uint32_t mode, const struct front_meanwhile *meanwhile,
		struct fs_opened *ret);
int64_t fs_mkdir(const struct fs_object *o, uint32_t mode);
int64_t fs_mknod(const struct fs_object *o, uint32_t mode, uint32_t major, uint32_t minor);
int64_t fs_symlink(const struct fs_object *o, const char *target, uint32_t len);
int64_t fs_link(const struct fs_object *o, const struct fs_object *to);
int64_t fs_unlink(const struct fs_object *o); /* WIRE_REMOVEDIR in o->flags: rmdir */
int64_t fs_rename(const struct fs_object *o, const struct fs_object *to, uint32_t flags);
int64_t fs_readlink(const struct fs_object *o, char *buf, uint64_t size);
int64_t fs_access(const struct fs_object *o, uint32_t mode);

/* ---- attributes (attr.c) --------------------------------------------------------------------- */

int64_t fs_getattr(const struct fs_object *o, struct wire_attr *ret);
/* What `set` (enum wire_setattr) names. `owner` is uid | gid << 32. */
struct fs_setattr {
	uint32_t set;
	uint32_t mode;
	uint64_t size;
	uint64_t owner;
	struct wire_times times;
};
int64_t fs_setattr(const struct fs_object *o, const struct fs_setattr *in);
int64_t fs_statfs(const struct fs_object *o, struct wire_statfs *ret);
int64_t fs_getxattr(const struct fs_object *o, const char *name, void *buf, uint64_t size);
int64_t fs_setxattr(const struct fs_object *o, const char *name, const void *value, uint64_t size, int flags);
int64_t fs_listxattr(const struct fs_object *o, void *buf, uint64_t size);
int64_t fs_removexattr(const struct fs_object *o, const char *name);
/* The kernel watches it for this process (inotify). */
int64_t fs_watch(const struct fs_object *o);

/* ---- data (data.c) --------------------------------------------------------------------------- */

/*
 * At an offset, or FS_KEPT: at the one that the service keeps; whatever the size. A short count is the end of file, a
 * full device or a later error.
 */
int64_t fs_readv(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset);
/* `flags` are RWF_*; *ret_end, if not NULL, is set to the offset after what was written. */
int64_t fs_writev(struct fs_file *f, const struct iovec *iov, int count, uint64_t offset, uint32_t flags,
		  uint64_t *ret_end);
int64_t fs_getdents(struct fs_file *f, void *buf, uint64_t size, uint64_t cookie, uint64_t *ret_next);
int64_t fs_copy(struct fs_file *in, uint64_t in_off, struct fs_file *out, uint64_t out_off, uint64_t length);

/* The same at the open file's own offset (offset.c). -EAGAIN: the offset has moved to the kernel. */
int64_t fs_readv_next(struct fs_file *f, const struct iovec *iov, int count);
int64_t fs_writev_next(struct fs_file *f, const struct iovec *iov, int count, uint32_t flags);
int64_t fs_getdents_next(struct fs_file *f, void *buf, uint64_t size);
int64_t fs_lseek(struct fs_file *f, int64_t offset, int whence);

/* ---- open files (handle.c) ------------------------------------------------------------------- */

int64_t fs_close(uint32_t handle, uint64_t session);
int64_t fs_flush(struct fs_file *f);
int64_t fs_fsync(struct fs_file *f, int datasync);
int64_t fs_syncfs(uint32_t mount);
int64_t fs_fallocate(struct fs_file *f, int mode, uint64_t offset, uint64_t length);
int64_t fs_fadvise(struct fs_file *f, uint64_t offset, uint64_t length, int advice);
/* Only SEEK_DATA and SEEK_HOLE; with WIRE_OWN_OFFSET, lseek of an open file whose offset the service keeps. */
int64_t fs_seek(struct fs_file *f, uint64_t offset, int whence, uint16_t flags);
int64_t fs_setfl(struct fs_file *f, uint32_t flags);
int64_t fs_flock(struct fs_file *f, int how);
struct fs_lock {
	uint32_t command; /* F_SETLK, ... */
	uint32_t type;    /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t start, length;
	uint32_t pid; /* of F_GETLK's answer */
};
int64_t fs_lock(struct fs_file *f, struct fs_lock *lock);
/*
 * A directory that the kernel has open for us (fd, or UINT64_MAX: the working directory) -> its handle. Without FUSE, a
 * token: then *ret_attr and *ret_flags are its open file's.
 */
int64_t fs_adopt(uint32_t mount, uint64_t ino, uint64_t fd, struct wire_attr *ret_attr, uint32_t *ret_flags);
/* The working directory, which came with the session, most likely. */
int64_t fs_adopt_cwd(uint32_t mount, uint64_t ino);
/* What tells which it is, for a session that is about to be made: 0, or -errno if it is none of ours. */
void fs_cwd_by(int (*identify)(uint32_t *ret_mount, uint64_t *ret_ino));
/* It may be another now. */
void fs_cwd_changed(void);
/*
 * Calls `open` with the absolute path by which this thread can open the same open file through the FUSE
 * mount. `always`: by the name that always works. Returns what it returns, or -errno.
 */
int64_t fs_fetch(struct fs_file *f); /* the same, opened by the service and handed over */
int64_t fs_materialise(struct fs_file *f, int always, int64_t (*open)(const char *path, void *arg), void *arg);
/*
 * Without FUSE: a token of the open file, a descriptor that stands for it in other processes and after an exec. The
 * service keeps its offset from now on, and that is `offset`; UINT64_MAX: it keeps what it has. Or -errno.
 */
int64_t fs_token(struct fs_file *f, uint64_t offset);
/* ---- mappings of a program's own (map.c) ------------------------------------------------------ */

/*
 * A descriptor of the file's cached data, to be mapped from `offset` on, which the caller closes; or -errno, for
 * example -EAGAIN. The range stays in memory until fs_unshare(*ret_number).
 */
int64_t fs_map(struct fs_file *f, int writable, uint64_t offset, uint64_t length, uint32_t *ret_number);
/* The same for the file that a share of this session is of, without a handle. */
int64_t fs_map_again(uint32_t number, int writable, uint64_t offset, uint64_t length, uint32_t *ret_number);
/* A share like that of the session `parent`, for a mapping that was inherited from its process. 0 or -errno. */
int64_t fs_map_inherited(uint32_t parent, uint32_t number, uint32_t *ret_number);
int64_t fs_unshare(uint32_t number);
int64_t fs_map_sync(uint32_t number);
/* A child will inherit mappings. */
void fs_forking(void);

/* The directory's absolute path now. Its length, or -errno. */
int64_t fs_getpath(struct fs_file *f, char *buf, uint64_t size);
/* What readlink(2) says of the file in /proc/self/fd: its path, or that it is gone. Bytes of it in buf, or -errno. */
int64_t fs_getlink(struct fs_file *f, char *buf, uint64_t size);
