/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares: which session has which file's cached data in its memory (ipc/wire-share.h says how it uses it). share.c
 * has the rules.
 *
 * A share to copy (READ, WRITE) ends with the session's last handle on the file; a share to map (MAP, MAP_WRITE) when
 * the session says so; all of them with the session. All functions may be called by any thread; those that take
 * shares or grants back may wait for a client for some milliseconds.
 */
#pragma once

#include "service/instance.h"

struct session;
struct ofd;
struct wire_hello;

/* ---- asked for by clients -------------------------------------------------------------------- */

/* Answers WIRE_HELLO_SHARE on the socket that it came by. 0 or -errno of the sending. */
int share_answer(struct session *session, int socket, const struct wire_hello *hello);
/* WIRE_UNSHARE. 0, or -EBADF. */
int share_end(struct session *session, uint32_t number);
/* fsync of the file that a share is of. 0 or -errno. */
struct caller;
int share_sync(struct caller *c, struct session *session, uint32_t number);
/* WIRE_GRANT. 0, or -EBUSY: others have the file open; -EBADF: the session does not share it to write. */
int share_grant(struct session *session, struct ofd *ofd);

/* ---- called as things happen ------------------------------------------------------------------ */

/* A handle of the session on the inode was closed. */
void share_handle_closed(struct session *session, struct inode *inode);
/* The session has ended, or its process runs another program. */
void share_session_ended(struct session *session);
/* In the socket thread, now and then. In how many ms again; -1: not before something happens. */
int share_orphans_expire(void);
/* Sessions whose writes are limited have nothing to write by themselves any more. */
struct service;
void share_limited(struct service *s);
/* It has other credentials. */
void share_user_changed(struct session *session);
/* Another open file is there, or is about to be told to somebody. */
void share_opened(struct inode *inode);
/* The FUSE door has opened the file: inode->kernel_opens says so already. */
void share_kernel_opened(struct inode *inode);
void share_inode_free(struct inode *inode);

/* ---- FUSE passthrough: share-kernel.c ---------------------------------------------------------- */

/* How a FUSE file is to be opened. */
struct share_pass {
	bool passes; /* through: then all FUSE files of the inode are */
	bool plain;  /* it does not */
	bool direct; /* reads and writes are to be sent to us, whatever becomes of mappings */
	bool writes; /* its share is one to write */
	bool maps;   /* ... and it may map what it writes */
	bool through; /* its writes pass by us */
	int id;      /* of the backing file */
};
/*
 * Decides for a FUSE file that is being opened: inode->kernel_opens counts it already. May read the file from below, if
 * that is not long. What it says is in force until share_kernel_closed. -errno: it cannot be opened at all.
 */
int share_kernel_pass(struct caller *c, struct ofd *ofd, int flags, struct share_pass *ret);
void share_kernel_closed(struct inode *inode, const struct share_pass *pass);
/* Ends what is left of the kernel's shares of an instance, NULL: of all, whatever is mapped. */
void share_linger_end(const struct instance *fs);
/* Programs may be writing it without our seeing who: it gets no set-id bits and no capabilities meanwhile. */
bool share_kernel_through(struct inode *inode);
/* It was synced: that compares all of it. */
void share_kernel_synced(struct inode *inode);
/* off, auto or always; -EINVAL. Of all mounts. */
int share_pass_set(const char *word);

/* Before the layer is asked for what a grant's holder may have changed: its size, bytes behind it; or is to change it. */
void share_settle_slow(struct inode *inode);
static inline void share_settle(struct inode *inode)
{
	if (__builtin_expect(__atomic_load_n(&inode->shares, __ATOMIC_ACQUIRE) != NULL, 0))
		share_settle_slow(inode);
}

/* The file must not be written by clients themselves any more, for its mode has bits that writing takes away. */
void share_end_writers(struct inode *inode);

/* Lets the stack's layers wait for clients to leave memory that is to be cut (ls.settle). */
struct service;
void share_watch(struct service *s, struct ls *ls);

/* Clients may be changing its bytes and its times by themselves. */
bool share_is_written(struct inode *inode);
