/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of inodes, targets of links, and inodes by their number. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "libservices/ceph/ceph.h"

enum { BLOCK_SIZE = 1 << 20 }; /* Ceph would have programs read 4 MiB at a time */

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* The MDS tells others of a directory's new times, us included, when it has written them down. */
static struct timespec later(struct timespec t, int64_t changed)
{
	return ns_of(t) >= changed ? t : (struct timespec){changed / 1000000000, changed % 1000000000};
}

void ceph_attr(const struct ceph_inode *inode, const struct ceph_statx *stx, struct ls_attr *ret)
{
	int64_t changed = inode ? __atomic_load_n(&inode->changed, __ATOMIC_RELAXED) : 0;

	*ret = (struct ls_attr){
		.ino = ceph_number(stx->stx_ino, stx->stx_dev),
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.rdev_major = major(stx->stx_rdev),
		.rdev_minor = minor(stx->stx_rdev),
		.size = stx->stx_size,
		.blocks = S_ISREG(stx->stx_mode) ? stx->stx_blocks : 0,
		.blksize = BLOCK_SIZE,
		.atime = stx->stx_atime,
		.mtime = later(stx->stx_mtime, changed),
		.ctime = later(stx->stx_ctime, changed),
		.btime = stx->stx_btime,
	};
}

int ceph_job_inode(struct ceph_job *j, struct ls_inode **ret_inode, struct ls_attr *ret_attr)
{
	struct ceph_inode *inode;
	int r = ceph_inode_enter(j->c, j->client, j->in, &j->stx, &inode);

	if (r < 0)
		return r;
	*ret_inode = (struct ls_inode *)inode;
	ceph_attr(inode, &j->stx, ret_attr);
	return 0;
}

void ceph_undo_inode(struct ceph_job *j)
{
	ceph_ll_put(j->client->mount, j->in);
}

void ceph_forget_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, uint64_t n)
{
	ceph_inode_unref(ceph_of(ls), ceph_inode_of(inode), n);
}

/* ---- getattr, setattr ------------------------------------------------------------------------------ */

static ssize_t getattr_run(struct ceph_job *j)
{
	return ceph_ll_getattr(j->client->mount, j->inode->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
}

int ceph_getattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
		    struct ls_attr *ret_attr)
{
	struct ceph_job *j = ceph_job_on(ceph_of(ls), call, getattr_run, inode);
	int r = j ? ceph_job_do(&j) : -ENOMEM;

	if (r == 0)
		ceph_attr(j->inode, &j->stx, ret_attr);
	ceph_job_end(j);
	return r;
}

/* With a size, the MDS does not look at times. */
static ssize_t setattr_run(struct ceph_job *j)
{
	int size = j->flags & CEPH_SETATTR_SIZE, others = j->flags & ~CEPH_SETATTR_SIZE, r = 0;
	struct ceph_statx stx = j->stx; /* it is changed */

	if (size)
		r = ceph_ll_setattr(j->client->mount, j->inode->in, &stx, size, j->perm);
	if (r == 0 && others)
		r = ceph_ll_setattr(j->client->mount, j->inode->in, &j->stx, others, j->perm);
	return r < 0 ? r : getattr_run(j);
}

static const struct {
	unsigned ours, cephs;
} set_names[] = {
	{LS_SET_MODE, CEPH_SETATTR_MODE},   {LS_SET_UID, CEPH_SETATTR_UID},
	{LS_SET_GID, CEPH_SETATTR_GID},     {LS_SET_SIZE, CEPH_SETATTR_SIZE},
	{LS_SET_ATIME, CEPH_SETATTR_ATIME}, {LS_SET_ATIME_NOW, CEPH_SETATTR_ATIME},
	{LS_SET_MTIME, CEPH_SETATTR_MTIME}, {LS_SET_MTIME_NOW, CEPH_SETATTR_MTIME},
};

static void job_set(struct ceph_job *j, const struct ls_attr *in, unsigned set)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < sizeof(set_names) / sizeof(set_names[0]); i++)
		if (set & set_names[i].ours)
			j->flags |= set_names[i].cephs;
	j->stx = (struct ceph_statx){
		.stx_mode = in->mode & 07777,
		.stx_uid = in->uid,
		.stx_gid = in->gid,
		.stx_size = in->size,
		.stx_atime = set & LS_SET_ATIME_NOW ? now : in->atime,
		.stx_mtime = set & LS_SET_MTIME_NOW ? now : in->mtime,
	};
}

int ceph_setattr_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
		    const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct ceph_job *j;
	int r;

	if (set & LS_SET_SIZE && ceph_inode_of(inode)->type != S_IFREG)
		return ceph_inode_of(inode)->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (set & LS_SET_SIZE && in->size > INT64_MAX)
		return -EINVAL;
	j = ceph_job_on(ceph_of(ls), call, setattr_run, inode);
	if (!j)
		return -ENOMEM;
	job_set(j, in, set);
	r = ceph_job_do(&j);
	if (r == 0)
		ceph_attr(j->inode, &j->stx, ret_attr);
	ceph_job_end(j);
	return r;
}

/* ---- readlink -------------------------------------------------------------------------------------- */

static ssize_t readlink_run(struct ceph_job *j)
{
	return ceph_ll_readlink(j->client->mount, j->inode->in, j->buf, j->length, j->perm);
}

ssize_t ceph_readlink_op(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, char *buf, size_t size)
{
	struct ceph_job *j;
	ssize_t r;

	if (ceph_inode_of(inode)->type != S_IFLNK)
		return -EINVAL;
	j = ceph_job_on(ceph_of(ls), call, readlink_run, inode);
	if (!j)
		return -ENOMEM;
	j->length = size;
	r = ceph_job_room(j, size);
	if (r == 0)
		r = ceph_job_do(&j);
	if (r > 0)
		memcpy(buf, j->buf, r);
	ceph_job_end(j);
	return r;
}

/* ---- resolve --------------------------------------------------------------------------------------- */

static ssize_t resolve_run(struct ceph_job *j)
{
	vinodeno_t vino = {{j->offset}, {CEPH_NOSNAP}};
	int r;

	j->in = NULL;
	r = ceph_ll_lookup_vino(j->client->mount, vino, &j->in);
	if (r < 0)
		return r;
	r = ceph_ll_getattr(j->client->mount, j->in, &j->stx, CEPH_STATX_ALL_STATS, 0, j->perm);
	if (r < 0)
		ceph_ll_put(j->client->mount, j->in);
	return r;
}

int ceph_resolve_op(struct ls *ls, const struct ls_call *call, uint64_t ino, struct ls_inode **ret_inode,
		    struct ls_attr *ret_attr)
{
	struct ceph *c = ceph_of(ls);
	struct ceph_inode *known = ceph_inode_known(c, ino);
	struct ceph_job *j;
	int r;

	if (known) {
		r = ceph_getattr_op(ls, call, (struct ls_inode *)known, NULL, ret_attr);
		if (r < 0)
			ceph_inode_unref(c, known, 1);
		else
			*ret_inode = (struct ls_inode *)known;
		return r;
	}
	if (ino >> 63) /* of a snapshot */
		return -ESTALE;
	j = ceph_job_new(c, call, resolve_run);
	if (!j)
		return -ENOMEM;
	j->undo = ceph_undo_inode;
	j->offset = ino;
	r = ceph_job_do(&j);
	if (r == 0)
		r = ceph_job_inode(j, ret_inode, ret_attr);
	ceph_job_end(j);
	return r == -ENOENT ? -ESTALE : r;
}
