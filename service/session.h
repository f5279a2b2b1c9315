/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session: one client process at the preload door, its identity and its handles.
 *
 * It ends when the process does (its pidfd becomes readable), when the process attaches anew (an exec), or
 * when the connection that it kept for an exec closes. Then its handles and its POSIX locks go.
 */
#pragma once

#include "ipc/back.h"
#include "service/cred.h"
#include "service/ofd.h"

struct service;
struct view;

struct handle {
	struct ofd *ofd;
	uint16_t generation; /* of this place, 15 bits: a stale handle is -EBADF, not somebody else's file */
};

struct session {
	struct back_session back; /* first: back's callbacks cast */
	struct service *service;
	pid_t pid; /* in the host's PID namespace */
	int pidfd;
	struct watch *watch; /* socket.c's */
	bool had_locks; /* it may hold POSIX locks */
	struct session *next; /* in the service's list */
	pthread_mutex_t lock; /* of all below */
	bool ended;  /* no new handles */
	bool watches; /* under the service's watch_lock: watched.h */
	bool reaped; /* under the service's sessions_lock: found dead by sessions_reap */
	struct process process;
	struct view *view;   /* of its own mount namespace; NULL: that is the pool's */
	unsigned container; /* container.c: its row in the meter */
	struct lease *lease; /* of these credentials; NULL: none */
	struct handle *handles;
	unsigned handle_room, handle_hint;
	unsigned opens, parked_next; /* see session-park.c */
	struct ahead *ahead; /* ahead.c; NULL: nothing yet */
	struct share *shares; /* share-session.c */
	bool copying_stuck;   /* share.c: it did not leave memory that was to be cut */
	bool copying_late;    /* nor did it once */
	struct wait_entry *waits; /* lock waits of this session's slots; see request-lock.c */
};

enum { HANDLES_MAX = 65536 };

/* session-view.c: finds out what a new session may name. 0 or -errno. */
int session_view(struct service *s, struct session *session);
bool session_sees(const struct session *session, const struct instance *fs);

/* Takes over an open file's reference, also on failure. Returns the handle, or -ENFILE or -ENOMEM as negative. */
int64_t session_handle_new(struct session *session, struct ofd *ofd);
/* The open file, referenced; NULL if there is no such handle. */
struct ofd *session_handle_get(struct session *session, uint32_t handle);
/* Takes the handle out; its reference is the caller's. NULL if there is none. */
struct ofd *session_handle_take(struct session *session, uint32_t handle);

/*
 * Handles that clients keep only to use them again (wire_session.parked). `busy` is called after each open, and told how
 * many files were opened ahead: when many handles are kept, some are closed. `drop`: those of the inode, in all sessions.
 */
void session_parked_busy(struct session *session, unsigned ahead);
/* The open file of one that is ours from now on, by the word that had it, or NULL. */
struct ofd *session_parked_take(struct session *session, uint32_t *word, uint32_t handle);
void sessions_parked_drop(void *service, struct inode *inode);

/* request-adopt.c: a handle of the process's working directory, if it is that; or 0. */
uint32_t session_adopt_cwd(struct session *session, uint32_t base, uint64_t ino);

/* session-writes.c: whether a client has it open to write, and the kernel does not know. */
bool sessions_write(void *service, struct inode *inode);

/* Fills a caller with the session's identity. real: with the real ids, as access(2) wants. */
void session_caller(struct session *session, struct caller *c, bool real);

struct lock_owner session_lock_owner(const struct session *session);
