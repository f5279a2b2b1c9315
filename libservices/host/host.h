/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host layer's insides. See host.c for the idea as a whole.
 *
 * Locks: the stripes (of directories, ascending) before `lock`, which guards the table of inodes, the
 * descriptors and the mounts, and is held for no system call.
 */
#pragma once

#include <linux/stat.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libservices/libservice.h"
#include "libservices/lock.h"

enum { HOST_STRIPES = 256, HOST_MOUNTS = 64, HOST_LISTING = 32768 };

/* Where a file handle can be opened again: some directory of each mount that we met. */
struct host_mount {
	int id;
	int fd;
};

struct host_handle; /* descriptor.c */

struct host_inode {
	struct host_inode *next;          /* in its bucket */
	struct host_inode *newer, *older; /* in the ring of those whose descriptor may be dropped */
	uint64_t dev, ino;                /* the host's */
	uint64_t number;                  /* ours */
	mode_t type;
	uint64_t refs;
	unsigned pins; /* calls that use the descriptor */
	int fd;        /* O_PATH, or -1: dropped */
	bool used;     /* since the ring last came by */
	bool fixed;    /* its descriptor is never dropped */
	bool gone;     /* the host gave its number to another file */
	struct host_handle *handle;
};

struct host {
	int root_fd;   /* O_PATH */
	int sync_fd;   /* the root too, opened for reading */
	int self_fd;   /* /proc/self/fd */
	bool xattr_at; /* no /proc in our namespace: reach attributes by self_fd */
	bool handles;  /* the host's filesystem has file handles, and we may open them */
	unsigned fd_limit;
	int fd_top;   /* descriptors from this number on are for others */
	bool crowded; /* one of them was the next, the last time. Atomic */
	struct host_inode *root;
	/* Each of some directories: those who change them write, those who look names up read. */
	struct fair_lock stripe[HOST_STRIPES];

	pthread_mutex_t lock;
	struct host_inode **bucket;
	size_t bucket_count, count;
	struct host_inode *hand; /* of the ring */
	unsigned fd_count;
	uint64_t renumbered;
	struct host_mount mount[HOST_MOUNTS];
	unsigned mount_count;
};

struct host_file {
	int fd;
	bool writable;
	struct host_inode *inode;
	pthread_mutex_t lock; /* the descriptor's offset, and what follows */
	char *listing;        /* entries as getdents64 gave them */
	size_t listing_size;
	uint64_t listing_end; /* the cookie after them, where the descriptor stands */
};

static inline struct host *host_of(struct ls *ls)
{
	return ls->state;
}

static inline struct host_inode *host_inode_of(struct ls_inode *inode)
{
	return (struct host_inode *)inode;
}

static inline struct host_file *host_file_of(struct ls_file *f)
{
	return (struct host_file *)f;
}

/* table.c */
int host_table_init(struct host *h);
void host_table_fini(struct host *h);
/* The inode of an O_PATH descriptor, which it takes over; one reference for the caller. */
int host_inode_enter(struct host *h, int fd, const struct statx *sx, struct host_inode **ret);
/* The inode with these attributes if it is known and open; referenced. Else NULL. */
struct host_inode *host_inode_known(struct host *h, const struct statx *sx);
struct host_inode *host_inode_ref(struct host *h, struct host_inode *inode);
void host_inode_unref(struct host *h, struct host_inode *inode, uint64_t n);
/* With the lock held. If nobody needs the inode any more, frees it and returns a descriptor to close, or
 * -1. */
int host_inode_end(struct host *h, struct host_inode *inode);
/* Its O_PATH descriptor, which stays open until host_let_go. -errno. */
int host_hold(struct host *h, struct host_inode *inode);
void host_let_go(struct host *h, struct host_inode *inode);
/* The inode of that name if it is known, held: removing its last name must not lose it. Else NULL. */
struct host_inode *host_hold_victim(struct host *h, int dirfd, const char *name);
uint64_t host_number(const struct host *h, uint64_t dev, uint64_t ino);

/* descriptor.c */
/* Opens, making room if the process has too many descriptors. -errno. */
int host_openat(struct host *h, int dirfd, const char *name, int flags, mode_t mode);
void host_close(int fd); /* takes -1 */
/* With the lock held: the inode's descriptor may be dropped from now on; or it has none any more. */
void host_ring_add(struct host *h, struct host_inode *inode);
void host_ring_remove(struct host *h, struct host_inode *inode);
/* Drops descriptors while there are more than the limit. */
void host_make_room(struct host *h);
/* Opens a pinned inode's dropped descriptor again; -errno, and the pin is gone. */
int host_reopen(struct host *h, struct host_inode *inode);
/* Is the descriptor one of the inode with that handle? */
bool host_handle_is(struct host *h, const struct host_handle *handle, int fd);
/* Finds out whether there are handles, for the root and so for its mount. */
void host_try_handles(struct host *h);

/* attr.c */
int host_statx(int fd, const char *name, struct statx *ret); /* name "": the descriptor itself */
void host_attr(const struct host_inode *inode, const struct statx *sx, struct ls_attr *ret);
uint64_t host_dev(const struct statx *sx);
/* "N" for the directory /proc/self/fd. */
struct host_fd_name {
	char text[16];
};
struct host_fd_name host_fd_name(int fd);

/* file.c */
int host_open_flags(int flags);
/* Takes the descriptor over, and a reference to the inode of its own. */
int host_file_new(struct host *h, struct host_inode *inode, int fd, int flags, struct ls_file **ret);

/* The operations, host_<op>, in all of the files but descriptor.c. */
#define X(ret, name, params, ...) ret host_##name params;
LS_FILE_OPS(X)
#undef X
