/* SPDX-License-Identifier: Apache-2.0 */
/* The preload door's operations on open files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/ahead.h"
#include "service/lease.h"
#include "service/request.h"
#include "service/share.h"

/* Memory of this thread for data that goes from or to the client's own memory. */
static char *transfer_buffer(void)
{
	static _Thread_local char *buffer;

	if (!buffer)
		buffer = malloc(WIRE_BULK);
	return buffer;
}

static size_t data_room(const struct request *q)
{
	size_t room = q->in->where == WIRE_IN_CLIENT ? WIRE_BULK : q->payload_size;

	return q->in->length < room ? q->in->length : room;
}

/* The offset that a request speaks of: its own, or the open file's, which nobody else moves until position_end. */
static off_t position_begin(struct request *q, struct ofd *ofd)
{
	if (!(q->in->flags & WIRE_OWN_OFFSET))
		return q->in->offset;
	pthread_mutex_lock(&ofd->position_lock);
	return ofd->position;
}

static void position_end(struct request *q, struct ofd *ofd, off_t to)
{
	if (!(q->in->flags & WIRE_OWN_OFFSET))
		return;
	ofd->position = to;
	pthread_mutex_unlock(&ofd->position_lock);
}

/* Between our memory and the client's. */
static int64_t transfer(struct request *q, const struct iovec *iov, bool to_client)
{
	STAGE_IN(STAGE_COPY);

	return to_client ? cma_write(q->session->pid, q->in->more.address, iov->iov_base, iov->iov_len) :
			   cma_read(q->session->pid, iov->iov_base, q->in->more.address, iov->iov_len);
}

int64_t request_read(struct request *q)
{
	bool direct = q->in->where == WIRE_IN_CLIENT;
	struct iovec iov = {direct ? transfer_buffer() : q->payload, data_room(q)};
	struct ofd *ofd = request_ofd(q);
	int64_t n;
	off_t at;

	if (!ofd)
		return -EBADF;
	at = position_begin(q, ofd);
	if (!iov.iov_base)
		n = -ENOMEM;
	else
		n = vfs_read(&q->caller, ofd, &iov, 1, at);
	if (n > 0 && direct)
		n = transfer(q, &(struct iovec){iov.iov_base, n}, true);
	position_end(q, ofd, n > 0 ? at + n : at);
	if (q->caller.learns) /* reading may have changed its access time */
		lease_learn(&q->caller, ofd->inode);
	ofd_unref(ofd);
	if (n > 0)
		q->out.out_len = direct ? 0 : n;
	return n;
}

static unsigned write_flags(const struct request *q)
{
	unsigned flags = q->in->flags & WIRE_APPEND ? LS_WRITE_APPEND : 0;

	if (q->in->arg & RWF_APPEND)
		flags |= LS_WRITE_APPEND;
	if (q->in->arg & RWF_DSYNC)
		flags |= LS_WRITE_DSYNC;
	if (q->in->arg & RWF_SYNC)
		flags |= LS_WRITE_SYNC;
	return flags;
}

int64_t request_write(struct request *q)
{
	bool direct = q->in->where == WIRE_IN_CLIENT;
	struct iovec iov = {direct ? transfer_buffer() : q->payload, data_room(q)};
	struct ofd *ofd = request_ofd(q);
	off_t at, end = 0;
	int64_t n = iov.iov_len;

	if (!ofd)
		return -EBADF;
	if (request_watched(q, ofd->inode) && !(q->in->flags & WIRE_OWN_OFFSET)) {
		ofd_unref(ofd);
		return WIRE_ESCAPE;
	}
	if (!iov.iov_base)
		n = -ENOMEM;
	else if (direct)
		n = transfer(q, &iov, false);
	at = position_begin(q, ofd);
	if (n >= 0) {
		iov.iov_len = n;
		n = vfs_write(&q->caller, ofd, &iov, 1, at, write_flags(q), &end);
	}
	position_end(q, ofd, n > 0 ? end : at);
	if (n > 0 && end == n) /* all of a small file, as a rule: many look at what they have written */
		lease_learn(&q->caller, ofd->inode);
	ofd_unref(ofd);
	q->out.offset = end;
	return n;
}

struct dirents {
	char *buf;
	size_t used, size;
	uint64_t next;
	bool full;
};

static int dirent_emit(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct dirents *d = arg;
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t reclen;
		uint8_t type;
	} __attribute__((packed)) head = {ino, next, (19 + len + 1 + 7) & ~7u, type};

	if (d->used + head.reclen > d->size) {
		d->full = true;
		return 1;
	}
	memset(d->buf + d->used + head.reclen - 8, 0, 8);
	memcpy(d->buf + d->used, &head, 19);
	memcpy(d->buf + d->used + 19, name, len);
	d->buf[d->used + 19 + len] = 0;
	d->used += head.reclen;
	d->next = next;
	return 0;
}

int64_t request_getdents(struct request *q)
{
	struct dirents d = {.buf = q->payload, .size = q->payload_size};
	struct ofd *ofd = request_ofd(q);
	uint64_t at, change;
	int64_t r;

	if (!ofd)
		return -EBADF;
	if (q->in->out_max < d.size)
		d.size = q->in->out_max;
	d.next = at = position_begin(q, ofd);
	change = q->in->flags & WIRE_WANT_DATA ? lease_learn(&q->caller, ofd->inode) : 0;
	r = vfs_readdir(&q->caller, ofd, at, dirent_emit, &d);
	if (r >= 0 && !at && !d.full && change && lease_known(&q->caller, ofd->inode) == change) {
		q->out.arg = WIRE_LISTED_ALL;
		q->out.change = change;
		ahead_listed(q->session, q->in, ofd->inode->ino, d.buf, d.used);
	}
	if (r >= 0 && d.full && !d.used)
		r = -EINVAL;
	position_end(q, ofd, r < 0 ? at : d.next);
	ofd_unref(ofd);
	if (r < 0)
		return r;
	q->out.offset = d.next;
	q->out.out_len = d.used;
	return d.used;
}

int64_t request_fallocate(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	int r;

	if (!ofd)
		return -EBADF;
	if (request_watched(q, ofd->inode))
		r = WIRE_ESCAPE;
	else
		r = vfs_fallocate(&q->caller, ofd, q->in->arg, q->in->offset, q->in->length);
	ofd_unref(ofd);
	return r;
}

int64_t request_fsync(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	int r;

	if (!ofd && !q->in->handle && q->in->arg <= UINT32_MAX)
		return share_sync(&q->caller, q->session, q->in->arg);
	if (!ofd)
		return -EBADF;
	r = vfs_fsync(&q->caller, ofd, q->in->flags & WIRE_DATASYNC);
	ofd_unref(ofd);
	return r;
}

/* lseek(2) from `at`. */
static off_t seek_from(struct request *q, struct ofd *ofd, off_t at)
{
	off_t offset = q->in->offset, r;
	struct ls_attr attr;

	switch (q->in->arg) {
	case SEEK_SET:
		at = 0;
		break;
	case SEEK_CUR:
		break;
	case SEEK_END:
		r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
		if (r < 0)
			return r;
		at = attr.size;
		break;
	default:
		return vfs_seek(&q->caller, ofd, offset, q->in->arg);
	}
	return __builtin_add_overflow(at, offset, &r) || r < 0 ? -EINVAL : r;
}

int64_t request_seek(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	off_t r, at;

	if (!ofd)
		return -EBADF;
	if (q->in->flags & WIRE_OWN_OFFSET) {
		at = position_begin(q, ofd);
		r = seek_from(q, ofd, at);
		position_end(q, ofd, r < 0 ? at : r);
	} else {
		r = vfs_seek(&q->caller, ofd, q->in->offset, q->in->arg);
	}
	ofd_unref(ofd);
	if (r < 0)
		return r;
	q->out.offset = r;
	return 0;
}

int64_t request_setfl(struct request *q)
{
	enum { CHANGEABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME };
	struct ofd *ofd = request_ofd(q);
	int r = 0;

	if (!ofd)
		return -EBADF;
	if ((q->in->arg & O_NOATIME) && !(ofd->flags & O_NOATIME)) {
		struct ls_attr attr;
		r = vfs_getattr(&q->caller, ofd->inode, ofd, &attr);
		if (r == 0 && attr.uid != q->caller.cred.uid && !caller_is_root(&q->caller))
			r = -EPERM;
	}
	if (r == 0)
		__atomic_store_n(&ofd->flags, (ofd->flags & ~CHANGEABLE) | (q->in->arg & CHANGEABLE),
				 __ATOMIC_RELAXED);
	ofd_unref(ofd);
	return r;
}

int64_t request_copy(struct request *q)
{
	struct ofd *in = request_ofd(q), *out = session_handle_get(q->session, q->in->base);
	int64_t n = -EBADF;

	if (in && out && request_watched(q, out->inode))
		n = WIRE_ESCAPE;
	else if (in && out)
		n = vfs_copy(&q->caller, in, q->in->offset, out, q->in->arg, q->in->length);
	if (n > 0) /* who asks again finds out by itself that this was all */
		lease_learn(&q->caller, in->inode);
	ofd_unref(in);
	ofd_unref(out);
	return n;
}

int64_t request_fadvise(struct request *q)
{
	struct ofd *ofd = request_ofd(q);
	int r;

	if (!ofd)
		return -EBADF;
	r = vfs_advise(&q->caller, ofd, q->in->offset, q->in->length, q->in->arg);
	ofd_unref(ofd);
	return r;
}
