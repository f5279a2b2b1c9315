/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: the kernel's numbers, and what we know of each.
 *
 * The kernel allocates every number, so the table can only lag behind it, never disagree about what is free. An
 * open file of ours is at first a *placeholder*: an O_PATH descriptor that does nothing, with a library open file
 * behind it. When a call comes that the kernel must do, all descriptors of that open file are *made real*: replaced
 * by one opened through the FUSE mount, which joins the same service open file. (Without FUSE: fd-token.c.)
 *
 * An entry is a word: state | index << 3, changed only by compare-and-swap. Every change to a placeholder's number
 * (close, dup2 over it) takes the entry out first and does the kernel's part then; making real marks the entry
 * FD_MOVING while it replaces the kernel's part. So neither undoes the other.
 */
#pragma once

#include <stdint.h>
#include "libfs/fs.h"
#include "preload/process.h"

enum fd_state {
	FD_UNKNOWN = 0,     /* not looked at: the kernel serves it */
	FD_FOREIGN = 1,     /* not on a mount of ours (index 1: a directory above one: fd_is_above) */
	FD_OPENING = 2,     /* an open is under way that will get this number: a placeholder without a file */
	FD_PASS = 3,        /* on a mount of ours (index), opened by the kernel; we have no handle */
	FD_PLACEHOLDER = 4, /* library open file (index) */
	FD_REAL = 5,        /* library open file (index), and a descriptor of the kernel's that keeps the offset */
	FD_MOVING = 6,      /* from PLACEHOLDER to REAL; wait */
};

#define FD_ENTRY(state, index) ((uint32_t)(state) | (uint32_t)(index) << 3)
#define FD_STATE(entry) ((entry)&7)
#define FD_INDEX(entry) ((entry) >> 3)
#define FD_IN(state) (1u << (state))

/* Descriptors are ints; negative ones and those from FD_MAX on are nobody we know. */
static inline uint32_t fd_entry(uint64_t fd)
{
	return (uint32_t)fd < FD_MAX ? __atomic_load_n(&process.fd[(uint32_t)fd], __ATOMIC_ACQUIRE) : FD_UNKNOWN;
}

static inline int fd_is(uint64_t fd, enum fd_state state)
{
	return FD_STATE(fd_entry(fd)) == state;
}

/* A placeholder to the kernel, too: no token. */
static inline int fd_entry_plain(uint32_t entry)
{
	return FD_STATE(entry) == FD_PLACEHOLDER &&
	       __atomic_load_n(&fs_file_at(FD_INDEX(entry))->offset, __ATOMIC_ACQUIRE) < FS_HANDED;
}

/* ---- fd.c: the table ------------------------------------------------------------------------- */

/* The file of an entry word in one of the states (FD_IN), referenced, or NULL. */
struct fs_file *fd_word_get(uint32_t *word, uint32_t states);
/* Of a placeholder. */
struct fs_file *fd_placeholder(uint64_t fd);
/* Of a placeholder or a real descriptor whose handle is good. */
struct fs_file *fd_file(uint64_t fd);
/* Enters a descriptor that the kernel has just made, taking over a reference to its file. */
void fd_enter(uint32_t fd, enum fd_state state, struct fs_file *f);
/* The same for an open under way. */
void fd_enter_opening(uint32_t fd);
/* It has its file now. 0: somebody closed the descriptor meanwhile. */
int fd_enter_opened(uint32_t fd, struct fs_file *f);
/* Closes the descriptor of an open under way, if it is one; the open will find another number. */
void fd_leave_opening(uint32_t fd);
/* Takes the entry out, before the kernel closes or replaces the descriptor. */
uint32_t fd_take(uint32_t fd);
/* Puts it back: the kernel refused. */
void fd_restore(uint32_t fd, uint32_t entry);
/* After the kernel's part: drops locks, ends the reference. Result of the close, if it was one. */
int64_t fd_ended(uint32_t entry);

/* ---- fd-open.c ------------------------------------------------------------------------------- */

/* A descriptor before its file: the kernel takes a microsecond or two, in which the service can open the file. */
struct fd_opening {
	int64_t fd; /* -1: there is none */
	int cloexec;
};
void fd_open_begin(void *opening); /* of struct fd_opening; for front_meanwhile */
void fd_open_cancel(struct fd_opening *opening);
/* A descriptor for f, taking over the reference. Its number, or -errno (f is closed then). */
int64_t fd_open(struct fs_file *f, struct fd_opening *opening);
/* Whether the kernel's descriptor is a placeholder of this pool's. */
int fd_is_kernel_placeholder(uint32_t fd);

/* ---- fd-vacant.c ----------------------------------------------------------------------------- */

/* Closes the vacant descriptor, if there is one. */
void fd_vacate(void);
/* The program closes a placeholder that is no token: keeps its number for the next open. 0: the kernel is to close it. */
int fd_vacant_keep(uint32_t fd);
/* The vacant descriptor if it has the lowest number of all that are free; else it is closed, and -EBADF. */
int64_t fd_vacant_take(int cloexec);
/* What fd_used returned before the kernel gave a new descriptor the lowest number. */
uint64_t fd_used(void);
void fd_used_given(uint64_t before, uint32_t fd);
/* After the kernel closed a descriptor of the program's, of whatever kind. */
void fd_used_closed(uint32_t fd);

/* ---- fd-dup.c -------------------------------------------------------------------------------- */

int64_t fd_close(uint32_t fd);
/* A duplicate by `fcntl` command, F_DUPFD or F_DUPFD_CLOEXEC. fd is a placeholder or real. */
int64_t fd_dup(uint32_t fd, int command, uint64_t from);
int64_t fd_dup_onto(uint32_t fd, uint32_t onto, int cloexec);

/* ---- fd-materialise.c ------------------------------------------------------------------------ */

/*
 * Makes it real if it is a placeholder. 0 or -errno. Where there is no FUSE mount: gives it a token if it is to be
 * inherited or passed; else -ENOTSUP.
 */
int64_t fd_materialise(uint64_t fd, enum reason why);
void fd_materialise_all(enum reason why);
/* All whose numbers are not below this. */
void fd_materialise_from(uint64_t from, enum reason why);
/* For a file that nobody has seen yet, a real descriptor under a number beyond the table. Takes over the reference. */
int64_t fd_open_real(struct fs_file *f, uint32_t fd, int cloexec);
/* For an exec: those without close-on-exec. 1: others remain. */
int fd_materialise_inherited(void);
/* A duplicate of a placeholder was made while another thread made its file real: catches up. */
void fd_settle(uint32_t fd, struct fs_file *f);
/* Waits while a thread makes a descriptor real. */
void fd_wait(void);
/* The lock of those who replace the kernel's part of descriptors. */
struct fd_moving {
	uint64_t signals;
};
void fd_moving_begin(struct fd_moving *m);
void fd_moving_end(struct fd_moving *m);

/* ---- fd-token.c ------------------------------------------------------------------------------ */

/* Gives all descriptors of a file without FUSE a token. 0 or -errno. */
int64_t fd_token(struct fs_file *f);
int fd_is_token(uint32_t fd);
/* As fd_settle. */
void fd_token_settle(uint32_t fd, struct fs_file *f);

/* ---- fd-adopt.c ------------------------------------------------------------------------------ */

/* The path of a directory (AT_FDCWD: the working directory) as the kernel has it. Its length, or -errno. */
int64_t fd_kernel_path(int fd, char *buf, uint64_t size);
/*
 * Whether a path from this directory of the kernel's may lead into a mount. It is known of the working directory, and
 * without FUSE of all.
 */
int fd_is_above(uint64_t fd);
/* For an entry word: FD_FOREIGN with the index that is due. */
uint32_t fd_foreign(int fd, uint32_t type);

/* Without a message to any file system's server. */
struct fd_identity {
	uint64_t dev, ino;
	uint32_t type; /* S_IFMT bits */
};
/* Of path from fd; of fd itself if path is empty. 0 or -errno. */
int fd_identify(int fd, const char *path, struct fd_identity *ret);
/* What it is, asking the kernel if nobody has: FD_FOREIGN, FD_PASS, FD_PLACEHOLDER or FD_REAL. */
enum fd_state fd_probe(uint32_t fd);
/* Open, and on no mount of ours. */
int fd_is_foreign(uint64_t fd);
/* As fd_file, but takes over descriptors of our mounts that the kernel opened. NULL: not ours. */
struct fs_file *fd_adopt(uint64_t fd);
/* Takes over a descriptor that nobody has looked at, if it is ours. */
void fd_learn(uint64_t fd);
/* A library open file for a handle of an open file whose offset is the kernel's. NULL: there is no room. */
struct fs_file *fd_adopt_file(uint32_t mount, int64_t handle, uint32_t flags, uint64_t ino, uint32_t type);
/*
 * A descriptor is about to be closed. If the kernel opened it and this process may hold POSIX locks on its file,
 * closing must drop them, and only the service knows of them: takes it over.
 */
void fd_adopt_locked(uint64_t fd);

/* ---- fd-cwd.c -------------------------------------------------------------------------------- */

/* The working directory if it is ours, referenced; else NULL. */
struct fs_file *fd_cwd(void);
/* The same if the kernel does not know of it. */
struct fs_file *fd_cwd_virtual(void);
/* Which it is to the kernel. 0, or -errno if it is none of ours. */
int fd_cwd_identify(uint32_t *ret_mount, uint64_t *ret_ino);
void fd_cwd_changed(void);
/* The process went where the kernel knows its way. */
void fd_cwd_left(void);
/* Makes an open directory of a mount without FUSE the working directory. */
void fd_cwd_set(struct fs_file *dir);
/* Before a fork or an exec: lets those who come find it. */
void fd_cwd_token(void);
