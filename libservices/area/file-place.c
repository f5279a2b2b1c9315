/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers by system calls of the calling thread. For one durable write to a regular file nothing is
 * quicker than pwritev2 with RWF_DSYNC; measured in file.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libservices/area/cursor.h"
#include "libservices/area/file.h"

enum { PIECES = 256 };

/*
 * Block devices have many words for a medium that failed; those above us know one. That there is no room is
 * another thing: it is the host's, and may pass.
 */
int file_error(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case ENOMEM:
	case EOPNOTSUPP:
	case EINVAL:
	case EROFS:
		return -error;
	case EBADF:
	case EPERM:
		return -EROFS;
	default:
		return -EIO;
	}
}

int file_sync(struct file *file)
{
	int r;

	do
		r = fdatasync(file->fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? file_error(errno) : 0;
}

static ssize_t iov_move(struct file *file, enum area_op op, const struct iovec *iov, int count,
			uint64_t offset, int rwf)
{
	ssize_t n;

	do
		n = op == AREA_READ ? preadv2(file->fd, iov, count, offset, 0)
				    : pwritev2(file->fd, iov, count, offset, rwf);
	while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return file_error(errno);
	return n > 0 ? n : -EIO; /* an end where there was none before */
}

struct iovec *file_iov_skip(struct iovec *iov, unsigned *count, size_t n)
{
	for (; *count > 0 && n >= iov->iov_len; iov++, --*count)
		n -= iov->iov_len;
	if (*count > 0) {
		iov->iov_base = (char *)iov->iov_base + n;
		iov->iov_len -= n;
	}
	return iov;
}

int file_piece(struct file *file, enum area_op op, struct iovec *iov, unsigned count, uint64_t offset,
	       int rwf)
{
	while (count > 0) {
		ssize_t n = iov_move(file, op, iov, count, offset, rwf);

		if (n < 0)
			return n;
		offset += n;
		iov = file_iov_skip(iov, &count, n);
	}
	return 0;
}

static int pieces_move(struct file *file, const struct area_io *io, struct area_cursor *c)
{
	struct iovec iov[PIECES];
	uint64_t offset;
	unsigned count;
	int r = 0;

	while (r == 0 && area_cursor_left(c, &offset)) {
		area_cursor_next(c, UINT64_MAX, iov, PIECES, &count);
		r = file_piece(file, io->op, iov, count, offset, 0);
	}
	return r;
}

/* One range, memory that one call takes: the usual. */
static int one_move(struct file *file, const struct area_io *io, int rwf)
{
	struct area_cursor c = {.io = io};
	struct iovec iov[PIECES];
	uint64_t skip;
	unsigned count;
	ssize_t n = iov_move(file, io->op, io->iov, io->iov_count, io->ranges->offset, rwf);

	if (n < 0 || n == io->ranges->length)
		return n < 0 ? n : 0;
	for (skip = n; skip > 0;)
		skip -= area_cursor_next(&c, skip, iov, PIECES, &count);
	n = pieces_move(file, io, &c);
	return n == 0 && rwf ? file_sync(file) : n;
}

static int range_discard(struct file *file, const struct area_range *range)
{
	uint64_t where[2] = {range->offset, range->length};
	int r = file->device ? ioctl(file->fd, BLKDISCARD, where)
			     : fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					 range->offset, range->length);

	return r < 0 ? file_error(errno) : 0;
}

static int file_discard(struct file *file, const struct area_io *io)
{
	int r = 0;

	for (unsigned i = 0; i < io->range_count && r == 0; i++)
		r = range_discard(file, &io->ranges[i]);
	return r == -EOPNOTSUPP ? 0 : r;
}

int file_transfer(struct file *file, const struct area_io *io)
{
	int fua = io->op == AREA_WRITE && io->flags & AREA_FUA, r;
	struct area_cursor c = {.io = io};

	if (io->op == AREA_FLUSH)
		return file_sync(file);
	if (io->op == AREA_DISCARD)
		return file_discard(file, io);
	/* A device is given the flush of RWF_DSYNC twice: fdatasync does it once. */
	if (io->range_count == 1 && io->iov_count <= IOV_MAX && !(fua && file->device))
		return one_move(file, io, fua ? RWF_DSYNC : 0);
	r = pieces_move(file, io, &c);
	return r == 0 && fua ? file_sync(file) : r;
}
