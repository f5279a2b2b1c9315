/* SPDX-License-Identifier: Apache-2.0 */
/* The area in a file or a block device, inside. */
#pragma once

#include <pthread.h>

#include "libservices/area.h"

struct file_async; /* what transfers that nobody waits for need; made when the first comes */

struct file {
	int fd;
	int device;           /* a block device */
	int memory;           /* the medium is memory: nothing is gained by doing it elsewhere or later */
	int by_engine;        /* the descriptor was given */
	int ring;             /* use io_uring */
	char *name;           /* for sentences */
	pthread_mutex_t lock; /* of the making of: */
	struct file_async *async; /* atomic */
};

/* file-place.c: the transfer, in the calling thread. */
int file_transfer(struct file *file, const struct area_io *io);
/* The same for memory in `iov` (which it changes) at one place. */
int file_piece(struct file *file, enum area_op op, struct iovec *iov, unsigned count, uint64_t offset,
	       int rwf);
int file_sync(struct file *file);
/* Steps over n bytes, changing the array. Returns where it goes on. */
struct iovec *file_iov_skip(struct iovec *iov, unsigned *count, size_t n);
/* What the rest of us calls that errno. */
int file_error(int error);

/* file-ring.c: queues the transfer in a ring, and starts it or leaves that to the caller. The lock may be
 * NULL. */
void file_queue(struct file *file, struct area_io *io, struct area_ring *ring, pthread_mutex_t *lock,
		int start);

/* file-async.c: the transfer, elsewhere. */
void file_start(struct file *file, struct area_io *io);
void file_async_free(struct file *file);
