/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of the preload door: from the private copy of a descriptor to its reply.
 *
 * The descriptor is ours, but every number in it was chosen by a client: each length is checked against the
 * payload that it speaks of, each string is copied before it is looked at.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "service/ahead.h"
#include "service/request.h"
#include "service/stats.h"

static int64_t request_null(struct request *q)
{
	return 0;
}

static request_handler *const handlers[WIRE_OP_MAX] = {
#define X(NAME, name) [WIRE_##NAME] = request_##name,
	WIRE_OPS(X)
#undef X
};

bool request_has_path(unsigned op)
{
	switch (op) {
	case WIRE_OPEN:
	case WIRE_GETATTR:
	case WIRE_SETATTR:
	case WIRE_ACCESS:
	case WIRE_READLINK:
	case WIRE_MKDIR:
	case WIRE_MKNOD:
	case WIRE_SYMLINK:
	case WIRE_LINK:
	case WIRE_UNLINK:
	case WIRE_RENAME:
	case WIRE_STATFS:
	case WIRE_GETXATTR:
	case WIRE_SETXATTR:
	case WIRE_LISTXATTR:
	case WIRE_REMOVEXATTR:
	case WIRE_WATCH:
		return true;
	}
	return false;
}

static int string_take(struct request *q, size_t length, char *to)
{
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	if (q->data_at + length + 1 > q->payload_size)
		return -EINVAL;
	memcpy(to, q->payload + q->data_at, length);
	to[length] = 0;
	q->data_at += length + 1;
	return 0;
}

static int strings_take(struct request *q, char *path, char *path2)
{
	int r;

	q->path = path;
	q->path2 = path2;
	path[0] = path2[0] = 0;
	if (!request_has_path(q->in->op))
		return 0;
	r = string_take(q, q->in->path_len, path);
	if (r == 0 && q->in->more.path2_len)
		r = string_take(q, q->in->more.path2_len, path2);
	return r;
}

/* For a trace, or of what was slow: where the handle was opened. To be freed; NULL if there is nothing to tell. */
static char *path_of_handle(void *arg)
{
	struct request *q = arg;
	struct ofd *ofd = request_has_path(q->in->op) || !q->in->handle ? NULL : request_ofd(q);
	char *path;

	if (!ofd)
		return NULL;
	pthread_mutex_lock(&ofd->lock);
	path = ofd->path ? strdup(ofd->path) : NULL;
	pthread_mutex_unlock(&ofd->lock);
	ofd_unref(ofd);
	return path;
}

void request_serve(struct service *s, struct back_request *back)
{
	char path[PATH_MAX], path2[PATH_MAX];
	struct request q = {.service = s, .session = (struct session *)back->session, .back = back,
			    .in = &back->request};
	struct back_session *still;
	struct stat_about about = {.pid = q.session->pid, .container = q.session->container, .sent = q.in->sent,
				   .offset = q.in->offset, .length = q.in->length, .find_path = path_of_handle,
				   .find_arg = &q};
	char *traced = NULL;
	int64_t result;
	unsigned ahead;
	bool follows;

	if (q.in->op >= WIRE_OP_MAX) {
		result = -ENOSYS;
	} else {
		stat_begin();
		traced = __builtin_expect(stat_traces(), 0) ? path_of_handle(&q) : NULL;
		q.payload = back_payload(back, q.in->where == WIRE_IN_BULK ? WIRE_IN_BULK : WIRE_IN_INLINE,
					 &q.payload_size);
		session_caller(q.session, &q.caller, q.in->op == WIRE_ACCESS && !(q.in->flags & WIRE_EFFECTIVE));
		q.caller.tid = q.in->more.tid;
		q.caller.umask = WIRE_MODE_MASKED(q.in->mode);
		q.caller.learns = q.in->flags & WIRE_LEARN;
		result = strings_take(&q, path, path2);
		if (result == 0)
			result = handlers[q.in->op](&q);
		caller_fini(&q.caller);
		if (result == REQUEST_PARKED) {
			free(traced);
			return;
		}
		about.path = traced ? traced : q.path;
		about.ino = q.out.attr.ino;
	}
	q.out.result = result;
	back_answer(back, &q.out);
	if (q.in->op < WIRE_OP_MAX)
		stat_record(DOOR_PRELOAD, q.in->op, back->taken_at, result, &about);
	free(traced);
	follows = ahead_wants(q.session, q.in, result);
	still = follows || q.in->op == WIRE_OPEN ? back_session_get(s->back, back->session->number) : NULL;
	back_finish(s->back, back);
	if (!still)
		return;
	ahead = follows ? ahead_follow(q.session, q.in, path) : 0;
	if (ahead || q.in->op == WIRE_OPEN)
		session_parked_busy(q.session, ahead);
	back_session_put(still);
}

void wire_attr_from(const struct ls_attr *from, struct wire_attr *to)
{
	*to = (struct wire_attr){
		.ino = from->ino,
		.mode = from->mode,
		.nlink = from->nlink,
		.uid = from->uid,
		.gid = from->gid,
		.rdev_major = from->rdev_major,
		.rdev_minor = from->rdev_minor,
		.size = from->size,
		.blocks = from->blocks,
		.blksize = from->blksize,
		.atime = from->atime.tv_sec,
		.mtime = from->mtime.tv_sec,
		.ctime = from->ctime.tv_sec,
		.btime = from->btime.tv_sec,
		.atime_ns = from->atime.tv_nsec,
		.mtime_ns = from->mtime.tv_nsec,
		.ctime_ns = from->ctime.tv_nsec,
		.btime_ns = from->btime.tv_nsec,
	};
}

int session_base(struct session *session, uint32_t base, struct inode **ret, char **ret_path)
{
	struct ofd *ofd;

	*ret_path = NULL;
	if (base & 0x80000000u) {
		struct instance *fs = service_mount_get(session->service, base & 0x7fffffffu);
		if (!fs)
			return -EINVAL;
		if (!session_sees(session, fs)) {
			service_mount_put(fs);
			return WIRE_ESCAPE;
		}
		*ret = fs->root;
		*ret_path = strdup("");
		return 0;
	}
	ofd = session_handle_get(session, base);
	if (!ofd)
		return -EBADF;
	if (!session_sees(session, ofd->inode->fs)) {
		ofd_unref(ofd);
		return WIRE_ESCAPE;
	}
	*ret = inode_ref(ofd->inode);
	pthread_mutex_lock(&ofd->lock);
	if (ofd->path)
		*ret_path = strdup(ofd->path);
	pthread_mutex_unlock(&ofd->lock);
	ofd_unref(ofd);
	return 0;
}

int request_walk(struct request *q, uint32_t base, const char *path, unsigned flags, struct walk *w)
{
	struct inode *dir;
	char *base_path;
	int r;

	r = session_base(q->session, base, &dir, &base_path);
	if (r < 0)
		return r;
	/* The root itself, named by its own absolute path, comes as an empty path. */
	if (!*path && !(base & 0x80000000u))
		r = -ENOENT;
	else
		r = walk(&q->caller, dir, base_path, path, flags, w);
	free(base_path);
	inode_unref(dir);
	return r;
}

int request_walk_change(struct request *q, uint32_t base, const char *path, unsigned flags, struct walk *w)
{
	int r = request_walk(q, base, path, flags, w);

	if (r == 0 && (request_watched(q, w->dir) || (w->inode && request_watched(q, w->inode)))) {
		walk_end(w);
		r = WIRE_ESCAPE;
	}
	return r;
}

struct ofd *request_ofd(struct request *q)
{
	return session_handle_get(q->session, q->in->handle);
}

int64_t request_give(struct request *q, struct ofd *ofd)
{
	int64_t handle = session_handle_new(q->session, ofd);

	if (handle < 0)
		return handle;
	q->out.handle = handle;
	return 0;
}

int request_object(struct request *q, unsigned walk_flags, struct object *ret)
{
	struct walk w;
	int r;

	*ret = (struct object){0};
	if (q->in->flags & WIRE_EMPTY) {
		char *path;
		if (!q->in->handle) {
			r = session_base(q->session, q->in->base, &ret->inode, &path);
			if (r == 0)
				free(path);
			return r;
		}
		ret->ofd = session_handle_get(q->session, q->in->handle);
		if (!ret->ofd)
			return -EBADF;
		ret->inode = inode_ref(ret->ofd->inode);
		return 0;
	}
	r = request_walk(q, q->in->base, q->path, walk_flags, &w);
	if (r < 0)
		return r;
	ret->inode = inode_ref(w.inode);
	walk_end(&w);
	return 0;
}

int request_object_change(struct request *q, unsigned walk_flags, struct object *ret)
{
	struct walk w;
	int r;

	if (q->in->flags & WIRE_EMPTY) {
		r = request_object(q, walk_flags, ret);
	} else {
		*ret = (struct object){0};
		r = request_walk_change(q, q->in->base, q->path, walk_flags, &w);
		if (r == 0) {
			ret->inode = inode_ref(w.inode);
			walk_end(&w);
		}
	}
	if (r == 0 && request_watched(q, ret->inode)) {
		object_end(ret);
		r = WIRE_ESCAPE;
	}
	return r;
}

void object_end(struct object *object)
{
	inode_unref(object->inode);
	ofd_unref(object->ofd);
}
