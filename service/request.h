/* SPDX-License-Identifier: Apache-2.0 */
/* A request of the preload door while it is served. */
#pragma once

#include "service/service.h"
#include "service/session.h"
#include "service/walk.h"
#include "service/watched.h"

struct request {
	struct service *service;
	struct session *session;
	struct back_request *back;
	const struct wire_request *in; /* private copy */
	struct wire_reply out;
	struct caller caller;
	char *payload; /* shared with a hostile client */
	size_t payload_size;
	char *path, *path2; /* private copies, ended by NUL */
	size_t data_at;     /* where data begins in the payload */
};

/* A handler returns what goes into out.result, or REQUEST_PARKED: it will be completed later. */
#define REQUEST_PARKED INT64_MIN
typedef int64_t request_handler(struct request *q);
/* Which operations carry strings: the names of what they are about. */
bool request_has_path(unsigned op);

/* It is to be left to the kernel, which somebody has told to watch the inode. */
static inline bool request_watched(const struct request *q, const struct inode *inode)
{
	return watched(q->service, inode) && !(q->in->flags & WIRE_ALONE);
}

/* What an operation works on: path or handle. The inode is referenced, ofd may be NULL and is referenced. */
struct object {
	struct inode *inode;
	struct ofd *ofd;
};
int request_object(struct request *q, unsigned walk_flags, struct object *ret);
/* The same of one that is about to be changed: WIRE_ESCAPE if the kernel is to see it (watched.h). */
int request_object_change(struct request *q, unsigned walk_flags, struct object *ret);
void object_end(struct object *object);

/* The open file that the request names, referenced; NULL if there is none. */
struct ofd *request_ofd(struct request *q);
/* Hands an open file to the client. Takes over the reference. 0 or -errno. */
int64_t request_give(struct request *q, struct ofd *ofd);

/* The directory that `base` names, referenced, with its hint path in *ret_path (owned) or NULL. */
int session_base(struct session *session, uint32_t base, struct inode **ret, char **ret_path);
/* Walks from a base. */
int request_walk(struct request *q, uint32_t base, const char *path, unsigned flags, struct walk *w);

/* The same to a name that is about to be made, moved or removed, or a file to be opened to be written. */
int request_walk_change(struct request *q, uint32_t base, const char *path, unsigned flags, struct walk *w);

void wire_attr_from(const struct ls_attr *from, struct wire_attr *to);

request_handler request_open, request_close, request_flush; /* request-open.c */
request_handler request_read, request_write, request_getdents, request_fallocate, request_fsync, request_seek,
	request_setfl, request_copy, request_fadvise;                     /* request-file.c */
request_handler request_materialise, request_adopt, request_getpath; /* request-adopt.c */
request_handler request_getattr, request_setattr, request_access, request_readlink, request_mkdir, request_mknod,
	request_symlink, request_link, request_unlink, request_rename, request_statfs, request_syncfs,
	request_getxattr, request_setxattr, request_listxattr, request_removexattr; /* request-path.c */
request_handler request_flock, request_lock, request_cancel; /* request-lock.c */
request_handler request_unshare, request_grant; /* request-share.c */
request_handler request_watch; /* watched.c */
