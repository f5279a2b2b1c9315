/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The preload door's opens and closes. An open answers with a handle and, where it is cheap, with what the client will
 * ask for next: attributes, and a small file's data.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "service/lease.h"
#include "service/perm.h"
#include "service/request.h"

static bool is_special(mode_t type)
{
	return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR || type == S_IFBLK;
}

/* O_CREAT, and the name was not there. Returns 1 if somebody else made it meanwhile. */
static int64_t open_create(struct request *q, struct walk *w, int flags)
{
	struct entry entry;
	struct ofd *ofd;
	int r;

	if (w->slash)
		return -EISDIR;
	r = vfs_create(&q->caller, w->dir, w->last, WIRE_MODE_ASKED(q->in->mode), flags,
		       w->path_known ? w->path : NULL, &ofd, &entry);
	if (r == -EEXIST && !(flags & O_EXCL))
		return 1;
	if (r < 0)
		return r;
	wire_attr_from(&entry.attr, &q->out.attr);
	lease_learn(&q->caller, entry.inode); /* many look at what they have made */
	inode_unref(entry.inode);
	q->out.arg = WIRE_OPENED_CREATED;
	return request_give(q, ofd);
}

/* O_PATH: no file of the layer's, so that nothing can be done with it but to start from it. */
static int64_t open_path_only(struct request *q, struct walk *w, int flags)
{
	struct ofd *ofd;
	int r = ofd_new(inode_ref(w->inode), NULL, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW),
			w->path_known ? w->path : NULL, &ofd);

	if (r < 0)
		return r;
	wire_attr_from(&w->attr, &q->out.attr);
	return request_give(q, ofd);
}

/* All of the file as it was under one change count. False: it does not fit, or changes. */
static bool data_take(struct request *q, struct ofd *ofd, size_t room, uint64_t *ret_change)
{
	struct iovec iov = {q->payload, room};
	struct ls_attr attr;
	ssize_t n;

	*ret_change = lease_learn(&q->caller, ofd->inode);
	if (!*ret_change || vfs_getattr(&q->caller, ofd->inode, ofd, &attr) < 0 || attr.size > room)
		return false;
	n = vfs_read(&q->caller, ofd, &iov, 1, 0);
	if (n != (ssize_t)attr.size)
		return false;
	q->out.out_len = n;
	return true;
}

/* The bytes of a small file along with its open. */
static void open_data(struct request *q, struct ofd *ofd)
{
	size_t room = q->in->out_max < q->payload_size ? q->in->out_max : q->payload_size;
	uint64_t change;

	if (ofd->inode->type != S_IFREG || (ofd->flags & O_ACCMODE) != O_RDONLY)
		return;
	/* The first time, reading may change the access time. */
	for (int i = 0; i < 2 && data_take(q, ofd, room, &change); i++)
		if (lease_known(&q->caller, ofd->inode) == change) {
			q->out.arg |= WIRE_OPENED_DATA;
			q->out.change = change;
			return;
		}
	q->out.out_len = 0;
}

static int64_t open_existing(struct request *q, struct walk *w, int flags)
{
	struct ls_attr attr;
	struct ofd *ofd;
	int r;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((flags & O_CREAT) && (w->slash || w->inode->type == S_IFDIR))
		return -EISDIR;
	if ((flags & O_DIRECTORY) && w->inode->type != S_IFDIR)
		return -ENOTDIR;
	if (flags & O_PATH)
		return open_path_only(q, w, flags);
	if (w->inode->type == S_IFLNK)
		return -ELOOP;
	if (is_special(w->inode->type))
		return WIRE_ESCAPE;
	r = perm_create_existing(&q->caller, &w->dir_attr, &w->attr, flags);
	if (r == 0)
		r = vfs_open(&q->caller, w->inode, flags, w->path_known ? w->path : NULL, &ofd);
	if (r < 0)
		return r;
	attr = w->attr;
	if (flags & O_TRUNC)
		vfs_getattr(&q->caller, w->inode, ofd, &attr);
	wire_attr_from(&attr, &q->out.attr);
	if (q->in->flags & WIRE_WANT_DATA)
		open_data(q, ofd);
	return request_give(q, ofd);
}

static int64_t open_tmpfile(struct request *q, int flags)
{
	struct entry entry;
	struct ofd *ofd;
	struct walk w;
	int r = request_walk(q, q->in->base, q->path, WALK_FOLLOW, &w);

	if (r < 0)
		return r;
	r = w.inode->type == S_IFDIR ? vfs_tmpfile(&q->caller, w.inode, WIRE_MODE_ASKED(q->in->mode), flags, &ofd, &entry)
				   : -ENOTDIR;
	walk_end(&w);
	if (r < 0)
		return r;
	wire_attr_from(&entry.attr, &q->out.attr);
	inode_unref(entry.inode);
	return request_give(q, ofd);
}

/* What a handle names already, opened once more. */
static int64_t open_again(struct request *q, int flags)
{
	struct ofd *ofd = request_ofd(q), *again;
	struct ls_attr attr;
	int64_t r;

	if (!ofd)
		return -EBADF;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		r = -EEXIST;
	else if ((flags & O_DIRECTORY) && ofd->inode->type != S_IFDIR)
		r = -ENOTDIR;
	else if ((flags & O_CREAT) && ofd->inode->type == S_IFDIR)
		r = -EISDIR;
	else if (ofd->inode->type != S_IFREG && ofd->inode->type != S_IFDIR)
		r = WIRE_ESCAPE;
	else if ((flags & (O_ACCMODE | O_TRUNC)) && request_watched(q, ofd->inode))
		r = WIRE_ESCAPE;
	else
		r = vfs_open(&q->caller, ofd->inode, flags & ~O_CREAT, ofd->path, &again);
	if (r == 0)
		r = vfs_getattr(&q->caller, ofd->inode, again, &attr);
	if (r == 0) {
		wire_attr_from(&attr, &q->out.attr);
		r = request_give(q, again);
	}
	ofd_unref(ofd);
	return r;
}

int64_t request_open(struct request *q)
{
	int flags = q->in->arg;
	unsigned how = (flags & O_NOFOLLOW) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? 0 : WALK_FOLLOW;
	bool changes;
	int64_t r;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	if (q->in->flags & WIRE_EMPTY)
		return open_again(q, flags);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return (flags & O_ACCMODE) == O_RDONLY ? -EINVAL : open_tmpfile(q, flags);
	if (flags & O_CREAT)
		how |= WALK_CREATE;
	changes = (flags & (O_CREAT | O_TRUNC)) || ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH));
	for (int tries = 0;; tries++) {
		struct walk w;
		r = changes ? request_walk_change(q, q->in->base, q->path, how, &w) :
			      request_walk(q, q->in->base, q->path, how, &w);
		if (r < 0)
			return r;
		r = w.inode ? open_existing(q, &w, flags) : open_create(q, &w, flags);
		walk_end(&w);
		/* Made or removed under us: look again, but not for ever. */
		if (r != 1 && !(r == -ENOENT && (flags & O_CREAT) && tries < 3))
			return r;
		if (tries >= 100)
			return -EEXIST;
	}
}

/* Closing any descriptor of an inode drops the process's POSIX locks on it. */
static void drop_process_locks(struct request *q, struct ofd *ofd)
{
	hosts_lock_drop(ofd->inode, session_lock_owner(q->session), false);
}

int64_t request_close(struct request *q)
{
	struct ofd *ofd = session_handle_take(q->session, q->in->handle);

	if (!ofd)
		return -EBADF;
	drop_process_locks(q, ofd);
	vfs_flush(&q->caller, ofd);
	ofd_unref(ofd);
	return 0;
}

int64_t request_flush(struct request *q)
{
	struct ofd *ofd = request_ofd(q);

	if (!ofd)
		return -EBADF;
	drop_process_locks(q, ofd);
	ofd_unref(ofd);
	return 0;
}
