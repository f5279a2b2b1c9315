/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fuse/door.h"
#include "service/cred.h"
#include "service/ofd.h"
#include "service/share.h"
#include "service/vfs.h"

enum { DOOR_THREADS = 6, DOOR_MAX_IO = 1024 * 1024 };

/* A FUSE file. */
struct door_file {
	struct ofd *ofd; /* NULL: an empty place */
	struct share_pass pass;
};

struct fuse_door {
	struct service *service;
	struct instance *fs;
	struct fuse_session *session;
	int fd;
	uint32_t *init; /* where INIT's parameters are kept: wire_mount.fuse_init */
	bool replay;    /* INIT is to be made up from them, and its answer kept from the kernel */
	bool init_seen, init_answered;
	bool stopping;
	bool epoch;      /* the kernel knows FUSE_NOTIFY_INC_EPOCH */
	bool passes;     /* the kernel knows passthrough, as far as we know */
	bool passes_sure; /* it has been tried */
	pthread_t thread[DOOR_THREADS];
	unsigned threads;
	pthread_mutex_t turn_lock; /* of waiting */
	pthread_cond_t turn;
	unsigned waiting;  /* threads that read, or are about to */
	int64_t served_at; /* the last message, as stat_now() has it; atomic */
	unsigned streak;   /* messages that came shortly after the one before, up to a few; atomic */
	bool spins;        /* somebody does; atomic */
	pthread_cond_t held_less;
	unsigned held; /* messages that wait for a limit, or were waiting; with turn_lock */
	size_t held_bytes;
	/* Open files as the kernel names them. */
	pthread_mutex_t files_lock;
	struct door_file *files;
	unsigned file_room, file_hint;
	uint32_t incarnation; /* in the upper half of a file's number: those of an earlier service are unknown */
};

/* In a file's number: it may have been written by passthrough. */
#define DOOR_PASSES (1ull << 31)

/* files.c: numbers for open files. Takes over the reference; 0: no memory. */
uint64_t door_file_new(struct fuse_door *door, struct ofd *ofd);
/* How it passes, to be known when it is closed; the number that the kernel is to be told now. */
uint64_t door_file_passes(struct fuse_door *door, uint64_t number, const struct share_pass *pass);
struct ofd *door_file_get(struct fuse_door *door, uint64_t number);  /* referenced; NULL if unknown */
struct ofd *door_file_take(struct fuse_door *door, uint64_t number); /* the reference is the caller's */

/* passthrough.c: struct door_hooks has the contract. */
bool door_passes(void *door);
int door_backing(void *door, int data);
void door_backing_end(void *door, int id);

/* turn.c: waits for a message; as fuse_session_receive_buf has it. And: it is served. */
int turn_receive(struct fuse_door *door, struct fuse_buf *buf);
void turn_served(struct fuse_door *door);

/* hold.c: answers a message, at once or when a limit lets it. */
void door_message(struct fuse_door *door, const struct fuse_buf *buf);
/* Whose message this thread answers, if that was asked; 0: not known. */
unsigned door_payer(void);
/* No message is taken any more: those that wait go, and nobody is at work on one when it returns. */
void door_held_end(struct fuse_door *door);

/* notify.c */
extern const struct door_hooks fuse_door_hooks;
/* Has the kernel send again what an earlier service took and never answered (Linux 6.9). */
void door_resend(struct fuse_door *door);
/* Has the kernel ask again for every name. What it has mounted on them is gone then. */
void door_names_void(struct fuse_door *door);

/* ops.c */
extern const struct fuse_lowlevel_ops fuse_door_ops;

/* transport.c: reading and writing /dev/fuse, with INIT negotiated beyond what the library knows. */
extern const struct fuse_custom_io fuse_door_io;
/* The next answer of this thread is to an OPEN or CREATE, whose file passes through to that backing file. */
void transport_open_passes(int id);
/* It has not been sent after all. */
void transport_open_end(void);

static inline uint64_t node_of(const struct inode *inode)
{
	return inode == inode->fs->root ? FUSE_ROOT_ID : inode->ino;
}

/* Referenced; NULL if the kernel names an inode that this service does not know. */
static inline struct inode *inode_of(struct fuse_door *door, uint64_t node)
{
	return node == FUSE_ROOT_ID ? inode_ref(door->fs->root) : inode_find(door->fs, node);
}
