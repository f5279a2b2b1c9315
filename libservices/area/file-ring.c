/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers by io_uring. A transfer becomes one entry for each contiguous part, and is done when the last
 * of them is. What the kernel did not finish is finished by system calls: that is rare.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "libservices/area/cursor.h"
#include "libservices/area/file.h"
#include "libservices/area/ring.h"

struct part {
	struct area_ring_entry entry;
	struct work *work;
	struct iovec *iov;
	unsigned count;
	uint64_t offset, length;
};

struct work {
	struct file *file;
	struct area_io *io;
	unsigned left; /* atomic: parts, and one while they are being queued */
	int result;    /* atomic: the first error */
	int rwf;
	unsigned count;
	struct part part[];
};

static void work_put(struct work *work)
{
	struct area_io *io = work->io;
	int r;

	if (__atomic_sub_fetch(&work->left, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	r = work->result;
	free(work);
	area_io_done(io, r);
}

/* The kernel did `done` bytes of it. */
static int part_finish(struct part *part, size_t done)
{
	struct work *work = part->work;
	struct iovec *iov;

	if (work->io->op == AREA_FLUSH)
		return file_sync(work->file);
	iov = file_iov_skip(part->iov, &part->count, done);
	return file_piece(work->file, work->io->op, iov, part->count, part->offset + done, work->rwf);
}

/* Cancelled means that the thread which submitted it has ended. */
static int is_unfinished(int result)
{
	return result > 0 || result == -EAGAIN || result == -EINTR || result == -ECANCELED;
}

static void part_done(struct area_ring_entry *entry, int result)
{
	struct part *part = (struct part *)entry;
	struct work *work = part->work;
	int none = 0, r = 0;

	if (result != part->length)
		r = is_unfinished(result) ? part_finish(part, result > 0 ? result : 0)
					  : file_error(result < 0 ? -result : EIO);
	if (r < 0)
		__atomic_compare_exchange_n(&work->result, &none, r, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	work_put(work);
}

static int part_queue(struct part *part, struct area_ring *ring)
{
	struct io_uring_sqe *sqe = area_ring_sqe(ring);
	int fd = part->work->file->fd;

	if (!sqe)
		return -EAGAIN;
	if (part->work->io->op == AREA_FLUSH)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else if (part->work->io->op == AREA_READ)
		io_uring_prep_readv(sqe, fd, part->iov, part->count, part->offset);
	else
		io_uring_prep_writev2(sqe, fd, part->iov, part->count, part->offset, part->work->rwf);
	io_uring_sqe_set_data(sqe, &part->entry);
	return 0;
}

/* Each part ends with its range, or takes IOV_MAX pieces of memory; an iovec in two parts counts twice. */
static struct work *work_new(struct file *file, struct area_io *io)
{
	size_t parts = io->range_count + io->iov_count / (IOV_MAX - 1) + 1, iovs = io->iov_count + parts;
	struct work *work =
		malloc(sizeof(*work) + parts * sizeof(struct part) + iovs * sizeof(struct iovec));

	if (!work)
		return NULL;
	*work = (struct work){.file = file, .io = io, .left = 1};
	work->rwf = io->op == AREA_WRITE && io->flags & AREA_FUA ? RWF_DSYNC : 0;
	work->part[0].iov = (struct iovec *)&work->part[parts];
	return work;
}

static void work_split(struct work *work)
{
	struct area_cursor c = {.io = work->io};
	struct iovec *iov = work->part[0].iov;
	struct part *part = work->part;
	uint64_t offset = 0;

	for (; area_cursor_left(&c, &offset); part++) {
		*part = (struct part){{part_done}, work, iov, 0, offset, 0};
		part->length = area_cursor_next(&c, UINT64_MAX, iov, IOV_MAX, &part->count);
		iov += part->count;
	}
	if (work->io->op == AREA_FLUSH)
		*part++ = (struct part){.entry = {part_done}, .work = work};
	work->count = part - work->part;
	work->left += work->count;
}

/* Queues all parts or, where the ring is full, as many as there is room for. */
static unsigned work_queue(struct work *work, struct area_ring *ring)
{
	unsigned i = 0;

	while (i < work->count && part_queue(&work->part[i], ring) == 0)
		i++;
	return i;
}

void file_queue(struct file *file, struct area_io *io, struct area_ring *ring, pthread_mutex_t *lock,
		int start)
{
	struct work *work = work_new(file, io);
	unsigned queued;

	if (!work) {
		area_io_done(io, file_transfer(file, io));
		return;
	}
	work_split(work);
	if (lock)
		pthread_mutex_lock(lock);
	queued = work_queue(work, ring);
	if (start)
		area_ring_start(ring);
	if (lock)
		pthread_mutex_unlock(lock);
	while (queued < work->count)
		part_done(&work->part[queued++].entry, -EAGAIN);
	work_put(work);
}
