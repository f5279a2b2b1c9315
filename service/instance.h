/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filesystem instance: a mounted stack, with the inodes of it that anybody has in hand.
 *
 * The inode table maps inode numbers to inodes. An inode is in it while it has references: open files,
 * handles, requests under way (refs), or the kernel's knowledge of it through FUSE (lookups). Each inode
 * holds exactly one reference to the layer's inode.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "libservices/libservice.h"
#include "service/lock.h"

struct instance;

struct inode {
	struct instance *fs;
	struct inode *hash_next;
	uint64_t ino;
	struct ls_inode *ls;
	uint32_t type;    /* S_IFMT bits */
	unsigned refs;    /* under the table's lock */
	uint64_t lookups; /* the kernel's, under the table's lock */
	/* What the kernel may hold of this inode; see fuse/door.h. Atomic. */
	unsigned kernel_opens; /* FUSE files open on it, mappings included */
	unsigned kernel_rdwr;   /* of those, by which it may be changed without a message: by a mapping, or by passing */
	unsigned kernel_passes; /* of those, passed through: the kernel has the cached bytes themselves. All or none */
	unsigned kernel_cached; /* of those, whose reads the kernel may answer by itself */
	bool kernel_attr;      /* it was told attributes with a timeout since they last changed */
	bool kernel_pages;     /* it may have kept pages after the last close */
	int64_t pass_after;    /* before that time it is not passed through; see share-kernel.c */
	uint64_t kernel_size;  /* the size that it was told last */
	/* Written through us since the last write-back. */
	bool dirty;
	struct inode *dirty_next, **dirty_at; /* in the list of the instance; under its dirty_lock */
	struct lock_table locks;
	unsigned opens;        /* open files. Atomic */
	int64_t closed_at;     /* CLOCK_MONOTONIC ns of the last close(2) of a FUSE file; 0: none. Atomic */
	struct shares *shares; /* share.h; NULL: there never were any. Atomic */
	pthread_mutex_t names; /* of a directory: held while a name in it is changed; see vfs.c */
	unsigned handles;      /* of sessions, open on it. Atomic */
	unsigned lease_held;   /* lease.h; atomic */
};

/*
 * How a door keeps its side's caches right. Called after a change made through another door took effect and
 * before it is acknowledged; never with a lock held that serving a request of that door needs.
 */
struct door_hooks {
	void (*attr)(void *door, struct inode *inode);
	void (*data)(void *door, struct inode *inode, off_t offset, off_t length); /* length 0: to the end */
	/* Returns when what the kernel had to say before now has been heard. Never from a thread of that door. */
	void (*drain)(void *door);
	void (*grown)(void *door, struct inode *inode, off_t size, char last); /* `last`: the byte before size */
	void (*entry)(void *door, struct inode *dir, const char *name);
	/* Lets the kernel have that file as the bytes of FUSE files: an id, or -errno. And ends it. */
	int (*backing)(void *door, int data);
	void (*backing_end)(void *door, int id);
};

enum { INODE_BUCKETS = 4096 };

struct instance {
	const char *path; /* where it is mounted in the pool */
	size_t path_len;
	const char *tenant;
	uint64_t dev; /* as both doors show it */
	unsigned index;
	struct ls *stack;
	bool shared;  /* LS_SHARED */
	bool rdonly;
	struct inode *root;
	pthread_mutex_t lock;
	struct inode *bucket[INODE_BUCKETS];
	size_t inode_count;
	pthread_mutex_t dirty_lock;
	struct inode *dirty;
	void (*became_dirty)(void); /* the first dirty inode; may be NULL */
	const int64_t *flush_interval; /* if it is 0, nothing is kept as dirty; may be NULL */
	const struct door_hooks *hooks; /* NULL: no other door */
	int root_fd; /* the FUSE mount's root, as the kernel has it; -1 without */
	int token_dir; /* for token.c, without FUSE; else -1 */
	void *door;
	/* Of one that comes and goes: */
	unsigned view;                        /* from 1 on, never used twice */
	bool closed;                          /* under `lock`: the last inode's end is its own */
	void (*door_end)(struct instance *fs); /* frees the door */
	void (*ended)(struct instance *fs);    /* in place of closing the stack */
	void *ended_arg;
};

/* Takes the stack over if it succeeds. */
int instance_new(struct ls *stack, const char *tenant, const char *path, unsigned index, struct instance **ret);
struct instance *instance_free(struct instance *fs);
/* Nobody comes in any more, and the kernel knows nothing of it: when nobody has anything in hand, it is freed. */
void instance_close(struct instance *fs);

/* Turns a layer's inode, whose reference it takes over, into ours, referenced. Never fails but for memory. */
int inode_enter(struct instance *fs, struct ls_inode *ls, const struct ls_attr *attr, struct inode **ret);
struct inode *inode_ref(struct inode *inode);
void inode_unref(struct inode *inode); /* takes NULL */
/* By number, referenced; NULL if it is not in hand. */
struct inode *inode_find(struct instance *fs, uint64_t ino);
/* The kernel learned of the inode; forgets n of what it learned. */
void inode_lookup_add(struct inode *inode);
void inode_lookup_forget(struct inode *inode, uint64_t n);

void inode_mark_dirty(struct inode *inode);
/* Its last name is gone: nobody will miss what was not written back. */
void inode_mark_clean(struct inode *inode);
/* The dirty inodes, referenced, as a list by dirty_next; each is clean from now on. */
struct inode *instance_take_dirty(struct instance *fs);
