/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks by way of the kernel. A lock that must wait is answered later, or when the kernel interrupts it.
 *
 * An owner of byte ranges is what the kernel calls the lock owner (a table of open files for POSIX locks, an
 * open file for OFD locks), so one program's locks through the kernel stand against those of preloaded ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <stdlib.h>

#include "fuse/ops.h"

struct lock_op {
	struct lock_wait wait;
	fuse_req_t req;
	struct ofd *ofd;
	unsigned stat;
	int64_t started_at;
	struct stat_about about; /* without a path: the message is gone */
};

static void lock_done(struct lock_wait *wait, int result)
{
	struct lock_op *lock = (struct lock_op *)wait;

	fuse_reply_err(lock->req, -result);
	stat_record_parked(DOOR_FUSE, lock->stat, lock->started_at, result, &lock->about);
	ofd_unref(lock->ofd);
	free(lock);
}

static void lock_interrupted(fuse_req_t req, void *arg)
{
	hosts_lock_cancel(arg);
}

static struct lock_op *lock_new(struct op *op, struct ofd *ofd)
{
	struct lock_op *lock = calloc(1, sizeof(*lock));

	if (lock)
		*lock = (struct lock_op){.wait.done = lock_done, .req = op->req, .ofd = ofd, .stat = op->stat,
					 .started_at = op->started_at, .about = op->about};
	return lock;
}

/* Once a wait is parked nothing of `op` may be touched: it may be answered already. */
static void lock_settle(struct op *op, struct ofd *ofd, struct lock_op *lock, int r)
{
	if (r == 1)
		return;
	if (lock)
		fuse_req_interrupt_func(op->req, NULL, NULL);
	free(lock);
	ofd_unref(ofd);
	ops_status(op, r);
}

static struct lock_range range_of(const struct op *op, const struct fuse_file_info *fi, const struct flock *lock)
{
	return (struct lock_range){
		.owner = {LOCK_OWNER_KERNEL, fi->lock_owner},
		.type = lock->l_type,
		.start = lock->l_start,
		.end = lock->l_len ? (uint64_t)lock->l_start + lock->l_len - 1 : UINT64_MAX,
		.pid = lock->l_pid,
	};
}

void op_getlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *lock)
{
	struct lock_range probe = {0}, found;
	struct ofd *ofd;
	struct op op;
	int r;

	ops_begin(&op, req, WIRE_LOCK);
	ofd = door_file_get(op.door, fi->fh);
	if (!ofd) {
		ops_status(&op, -EIO);
		return;
	}
	probe = range_of(&op, fi, lock);
	r = hosts_lock_get(ofd, &probe, &found);
	ofd_unref(ofd);
	if (r < 0) {
		ops_status(&op, r);
		return;
	}
	lock->l_type = found.type;
	lock->l_whence = SEEK_SET;
	lock->l_start = found.start;
	lock->l_len = found.end == UINT64_MAX ? 0 : found.end - found.start + 1;
	lock->l_pid = found.type == F_UNLCK ? 0 : found.pid;
	fuse_reply_lock(req, lock);
	ops_end(&op, 0);
}

void op_setlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *flock, int sleep)
{
	struct lock_range range;
	struct lock_op *lock = NULL;
	struct ofd *ofd;
	struct op op;

	ops_begin(&op, req, WIRE_LOCK);
	ofd = door_file_get(op.door, fi->fh);
	if (!ofd) {
		ops_status(&op, -EIO);
		return;
	}
	range = range_of(&op, fi, flock);
	if (!sleep) {
		lock_settle(&op, ofd, NULL, hosts_lock(ofd, &range));
		return;
	}
	lock = lock_new(&op, ofd);
	if (!lock) {
		lock_settle(&op, ofd, NULL, -ENOMEM);
		return;
	}
	lock->wait.range = range;
	caller_fini(&op.c);
	fuse_req_interrupt_func(req, lock_interrupted, &lock->wait);
	lock_settle(&op, ofd, lock, hosts_lock_wait(ofd, &lock->wait));
}

void op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, int operation)
{
	struct lock_op *lock = NULL;
	struct ofd *ofd;
	struct op op;

	ops_begin(&op, req, WIRE_FLOCK);
	ofd = door_file_get(op.door, fi->fh);
	if (!ofd) {
		ops_status(&op, -EIO);
		return;
	}
	if (!(operation & LOCK_NB)) {
		lock = lock_new(&op, ofd);
		if (!lock) {
			lock_settle(&op, ofd, NULL, -ENOMEM);
			return;
		}
		caller_fini(&op.c);
		fuse_req_interrupt_func(req, lock_interrupted, &lock->wait);
	}
	lock_settle(&op, ofd, lock, vfs_flock(&op.c, ofd, operation, lock ? &lock->wait : NULL));
}
