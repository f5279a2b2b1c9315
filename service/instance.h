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
	unsigned kernel_passes; /* 1: they pass through, the kernel has the cached bytes themselves. All do or none */
	unsigned kernel_plain; /* of those that do not, or it is not decided yet: their mappings are pages of the kernel's */
	unsigned executed;      /* of those, by which it is a program that runs */
	bool kernel_attr;      /* it was told attributes with a timeout since they last changed */
	bool kernel_pages;     /* it may have kept pages after the last close */
	bool kernel_names;     /* of a directory: it was told of names in it, there or not, with a timeout */
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
	unsigned covered;      /* views in which a mount lies on it: view.h; atomic */
	unsigned covered_here; /* the same in the pool's own namespace: enum cover_here; atomic */
	unsigned watched;      /* watched.h; atomic */
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
	/* `kept`: it may have the name though it was told of it for no time. */
	void (*entry)(void *door, struct inode *dir, const char *name, bool kept);
	/* Would the kernel have any file as the bytes of FUSE files? */
	bool (*passes)(void *door);
	/* Lets it have that file: an id, or -errno. And ends it. */
	int (*backing)(void *door, int data);
	void (*backing_end)(void *door, int id);
};

enum { INODE_BUCKETS = 4096, ACL_ABSENT = 1024 };

enum acl_of { ACL_OF_ACCESS, ACL_OF_DEFAULT, ACL_OF_MAX };

/* Inodes that have no ACL of a kind: see acl-find.c. */
struct acl_absent {
	pthread_mutex_t lock;
	uint64_t changes;         /* how often one may have got one */
	uint64_t ino[ACL_ABSENT]; /* 0: nobody. Read without the lock */
};

struct instance {
	const char *path; /* where it is mounted in the pool */
	size_t path_len;
	const char *tenant;
	uint64_t dev; /* as both doors show it */
	unsigned index;
	struct ls *stack;
	bool shared;  /* LS_SHARED */
	bool delegates; /* LS_DELEGATES: attributes of regular files may be kept, while they are ls_attr.kept */
	bool locks;     /* LS_LOCKS */
	bool rdonly;
	bool counted; /* what is read is counted by caches in the stack (limit.h) */
	struct inode *root;
	pthread_mutex_t lock;
	struct inode *bucket[INODE_BUCKETS];
	size_t inode_count;
	struct acl_absent no_acl[ACL_OF_MAX];
	pthread_mutex_t dirty_lock;
	struct inode *dirty;
	void (*became_dirty)(void); /* the first dirty inode; may be NULL */
	const int64_t *flush_interval; /* if it is 0, nothing is kept as dirty; may be NULL */
	const struct door_hooks *hooks; /* NULL: no other door */
	int root_fd; /* the FUSE mount's root, as the kernel has it; -1 without */
	int token_dir; /* for token.c, without FUSE; else -1 */
	void *door;
	/* Of one that comes and goes: */
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
/* It has not forgotten all of that. */
bool inode_is_looked_up(const struct inode *inode);

void inode_mark_dirty(struct inode *inode);
/* Its last name is gone: nobody will miss what was not written back. */
void inode_mark_clean(struct inode *inode);
/* The dirty inodes, referenced, as a list by dirty_next; each is clean from now on. */
struct inode *instance_take_dirty(struct instance *fs);
