/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing. Data goes through the job's memory, never the caller's: a job may outlive its call. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "libservices/ceph/ceph.h"

static size_t iov_bytes(const struct iovec *iov, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	return n;
}

/* Copies n bytes between the job's memory and the caller's, from byte `at` of the latter. */
static void iov_copy(char *buf, size_t n, const struct iovec *iov, size_t at, bool in)
{
	for (; n; iov++) {
		size_t part = iov->iov_len > at ? iov->iov_len - at : 0;
		char *place = (char *)iov->iov_base + at;

		part = part < n ? part : n;
		at -= part ? at : iov->iov_len;
		if (part && in)
			memcpy(buf, place, part);
		else if (part)
			memcpy(place, buf, part);
		buf += part;
		n -= part;
	}
}

static ssize_t read_with(struct ceph_job *j, Fh *fh)
{
	return ceph_ll_read(j->client->mount, fh, j->offset, j->length, j->buf);
}

static ssize_t read_run(struct ceph_job *j)
{
	return ceph_with_handle(j, read_with);
}

/* One piece: at most CEPH_PIECE bytes from byte `at` of the caller's memory. */
static ssize_t read_piece(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
			  size_t at, size_t length, off_t offset)
{
	struct ceph_job *j = ceph_job_with(ceph_of(ls), call, read_run, f);
	ssize_t n = j ? ceph_job_room(j, length) : -ENOMEM;

	if (n == 0) {
		j->offset = offset;
		j->length = length;
		n = ceph_job_do(&j);
	}
	if (n > 0)
		iov_copy(j->buf, n, iov, at, false);
	ceph_job_end(j);
	return n;
}

ssize_t ceph_read_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov, int iovcnt,
		     off_t offset)
{
	size_t total = iov_bytes(iov, iovcnt), done = 0;
	ssize_t n = 0;

	if (ceph_file_of(f)->inode->type == S_IFDIR)
		return -EISDIR;
	if (offset < 0 || total > INT64_MAX - (uint64_t)offset)
		return -EINVAL;
	while (done < total) {
		size_t length = total - done < CEPH_PIECE ? total - done : CEPH_PIECE;
		n = read_piece(ls, call, f, iov, done, length, offset + done);
		done += n > 0 ? n : 0;
		if (n < (ssize_t)length)
			break;
	}
	return done ? (ssize_t)done : n;
}

static ssize_t write_with(struct ceph_job *j, Fh *fh)
{
	ssize_t n, r = 0;

	n = ceph_ll_write(j->client->mount, fh, j->offset, j->length, j->buf);
	if (n >= 0 && j->flags & (LS_WRITE_SYNC | LS_WRITE_DSYNC))
		r = ceph_ll_fsync(j->client->mount, fh, !(j->flags & LS_WRITE_SYNC));
	return r < 0 ? r : n;
}

/* What was kept above, under a delegation that may be another's by now: see evict.c. */
static ssize_t write_kept(struct ceph_job *j)
{
	Fh *fh = ceph_file_handle(j->file);
	ssize_t n = __atomic_load_n(&j->file->unheard, __ATOMIC_ACQUIRE) ? -ESTALE : write_with(j, fh);

	if (n != -EBADF)
		return n;
	ceph_handle_renew(j, fh);
	return -ESTALE;
}

static ssize_t write_run(struct ceph_job *j)
{
	struct ceph_inode *inode = j->file->inode;
	ssize_t n;

	if (j->flags & LS_WRITE_KEPT)
		return write_kept(j);
	if (!(j->flags & LS_WRITE_APPEND))
		return ceph_with_handle(j, write_with);
	pthread_mutex_lock(&inode->appends);
	n = ceph_ll_getattr(j->client->mount, inode->in, &j->stx, CEPH_STATX_SIZE, 0, j->perm);
	j->offset = j->stx.stx_size;
	if (n == 0)
		n = ceph_with_handle(j, write_with);
	pthread_mutex_unlock(&inode->appends);
	return n;
}

/* *offset becomes where it was written. */
static ssize_t write_piece(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov,
			   size_t at, size_t length, off_t *offset, unsigned flags)
{
	struct ceph_job *j = ceph_job_with(ceph_of(ls), call, write_run, f);
	ssize_t n = j ? ceph_job_room(j, length) : -ENOMEM;

	if (n == 0) {
		iov_copy(j->buf, length, iov, at, true);
		j->offset = *offset;
		j->length = length;
		j->flags = flags;
		__atomic_store_n(&j->file->inode->unsynced, true, __ATOMIC_RELAXED);
		n = ceph_job_do(&j);
	}
	if (n >= 0)
		*offset = j->offset;
	ceph_job_end(j);
	return n;
}

ssize_t ceph_write_op(struct ls *ls, const struct ls_call *call, struct ls_file *f, const struct iovec *iov, int iovcnt,
		      off_t offset, unsigned flags, off_t *ret_end)
{
	size_t total = iov_bytes(iov, iovcnt), done = 0;
	struct ceph_file *file = ceph_file_of(f);
	ssize_t n = 0;

	if (flags & LS_WRITE_NOWAIT)
		return -EOPNOTSUPP;
	if (!(flags & LS_WRITE_APPEND) && (offset < 0 || total > INT64_MAX - (uint64_t)offset))
		return offset < 0 ? -EINVAL : -EFBIG;
	if (total == 0)
		*ret_end = offset;
	flags |= (file->flags & O_SYNC) == O_SYNC ? LS_WRITE_SYNC : file->flags & O_DSYNC ? LS_WRITE_DSYNC : 0;
	while (done < total) {
		size_t length = total - done < CEPH_PIECE ? total - done : CEPH_PIECE;
		n = write_piece(ls, call, f, iov, done, length, &offset, flags);
		if (n <= 0)
			break;
		done += n;
		offset += n;
		*ret_end = offset;
	}
	return done ? (ssize_t)done : n;
}
