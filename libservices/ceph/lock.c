/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks between hosts. The MDS knows each by the client and a number of its owner.
 *
 * libcephfs gives up what was locked by an open file when that is closed, and remembers by which one it was. So all locks
 * of an inode are taken and given up by one of its open files, the `locker`, which stays open until there is no lock.
 *
 * Its low-level interface has ranges of bytes, and no flock(2). Locks of the file are ranges far behind where files end;
 * so the two kinds do not stand against each other here, as they do not on one host.
 */
#include <errno.h>
#include <stdlib.h>

#include "libservices/ceph/ceph.h"

#define FAR_AWAY (INT64_C(1) << 62)

static struct flock range_of(const struct ls_lock *lock)
{
	uint64_t end = lock->end < FAR_AWAY ? lock->end + 1 : FAR_AWAY;
	struct flock range = {.l_type = lock->type, .l_whence = SEEK_SET, .l_pid = lock->pid};

	range.l_start = lock->flock ? FAR_AWAY : lock->start < FAR_AWAY ? (off_t)lock->start : FAR_AWAY - 1;
	range.l_len = lock->flock || lock->start >= FAR_AWAY ? 1 : (off_t)(end - lock->start);
	return range;
}

static ssize_t set_run(struct ceph_job *j)
{
	return ceph_ll_setlk(j->client->mount, ceph_file_handle(j->file), &j->lock, j->owner, 0);
}

static void set_undo(struct ceph_job *j)
{
	j->lock.l_type = F_UNLCK;
	set_run(j);
}

static ssize_t get_run(struct ceph_job *j)
{
	return ceph_ll_getlk(j->client->mount, ceph_file_handle(j->file), &j->lock, j->owner);
}

static void locker_end(struct ceph *c, struct ceph_inode *inode)
{
	struct ceph_file *locker = inode->locker;

	inode->locker = NULL;
	if (locker)
		ceph_file_unref(c, locker);
}

static void locker_begin(struct ceph_inode *inode, struct ceph_file *file)
{
	if (inode->locker)
		return;
	__atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
	inode->locker = file;
}

static int lock_set(struct ceph_job *j, struct ceph_inode *inode, const struct ls_lock *lock)
{
	struct ceph *c = j->c;
	struct ceph_file *file = j->file;
	int r;

	if (lock->type != F_UNLCK) {
		j->undo = set_undo;
		locker_begin(inode, file);
	}
	r = ceph_job_do_end(j);
	if (lock->type == F_UNLCK && lock->last)
		locker_end(c, inode);
	return r;
}

static void found(const struct flock *range, struct ls_lock *ret)
{
	ret->type = range->l_type;
	ret->pid = range->l_pid;
	if (ret->flock || range->l_type == F_UNLCK)
		return;
	ret->start = range->l_start;
	ret->end = range->l_len && range->l_start + range->l_len < FAR_AWAY ? (uint64_t)range->l_start + range->l_len - 1
									     : UINT64_MAX;
}

int ceph_lock_op(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f, bool get,
		 struct ls_lock *lock)
{
	struct ceph_inode *inode = ceph_inode_of(ls_inode);
	struct ls_file *by = inode->locker ? (struct ls_file *)inode->locker : f;
	struct ceph_job *j;
	int r;

	if (!by)
		return lock->type == F_UNLCK && !get ? 0 : -EBADF;
	if (ceph_file_of(by)->dir)
		return -EOPNOTSUPP;
	j = ceph_job_with(ceph_of(ls), call, get ? get_run : set_run, by);
	if (!j)
		return -ENOMEM;
	j->lock = range_of(lock);
	j->owner = lock->owner;
	if (!get)
		return lock_set(j, inode, lock);
	r = ceph_job_do(&j);
	if (r == 0)
		found(&j->lock, lock);
	ceph_job_end(j);
	return r;
}
