/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: reading, touching, setting. They change only within an operation, with attr_lock held. */
#include <errno.h>

#include "libservices/volume/vol.h"

enum { ENTRY_SIZE = 20 }; /* what a name adds to its directory's st_size; any number would do */

void vol_inode_attr(struct vol_inode *inode, struct ls_attr *ret)
{
	pthread_mutex_lock(&inode->attr_lock);
	*ret = inode->attr;
	pthread_mutex_unlock(&inode->attr_lock);
	if (inode->type == S_IFDIR)
		ret->size = (ret->size + 2) * ENTRY_SIZE;
	ret->blocks = (__atomic_load_n(&inode->blocks, __ATOMIC_RELAXED) +
		       __atomic_load_n(&inode->promised, __ATOMIC_RELAXED));
	/* A file without blocks is taken for one big hole by some who copy files. */
	if (ret->blocks == 0 && __atomic_load_n(&inode->inlined, __ATOMIC_RELAXED))
		ret->blocks = 1;
	ret->blocks *= VF_BLOCK / 512;
}

void vol_size_raise(struct vol_inode *inode, uint64_t end)
{
	if (end <= inode->attr.size)
		return;
	pthread_mutex_lock(&inode->attr_lock);
	inode->attr.size = end;
	pthread_mutex_unlock(&inode->attr_lock);
}

/* With attr_lock held. */
static void inode_decide_atime(struct vol_inode *inode)
{
	__atomic_store_n(&inode->atime_due, ls_atime_due(&inode->attr), __ATOMIC_RELAXED);
}

/* With attr_lock held. */
static void inode_touch(struct vol_inode *inode, unsigned what)
{
	if (!what)
		return;
	ls_attr_touch(&inode->attr, what);
	inode_decide_atime(inode);
}

void vol_inode_touch(struct vol *v, struct vol_inode *inode, unsigned what)
{
	pthread_mutex_lock(&inode->attr_lock);
	inode_touch(inode, what);
	pthread_mutex_unlock(&inode->attr_lock);
	vol_inode_dirty(v, inode, false);
}

void vol_inode_links(struct vol *v, struct vol_inode *inode, int change, unsigned touch)
{
	pthread_mutex_lock(&inode->attr_lock);
	inode->attr.nlink += change;
	inode_touch(inode, touch);
	pthread_mutex_unlock(&inode->attr_lock);
	vol_inode_dirty(v, inode, true);
}

void vol_inode_accessed(struct vol *v, struct vol_inode *inode)
{
	if (!__atomic_load_n(&inode->atime_due, __ATOMIC_RELAXED))
		return;
	vol_throttle(v);
	if (vol_op_begin(v, 0) < 0)
		return;
	vol_inode_touch(v, inode, LS_ATIME);
	vol_op_end(v);
}

void vol_dir_changed(struct vol *v, struct vol_inode *dir, int names)
{
	pthread_mutex_lock(&dir->attr_lock);
	dir->attr.size += names;
	inode_touch(dir, LS_MTIME | LS_CTIME);
	pthread_mutex_unlock(&dir->attr_lock);
	vol_inode_dirty(v, dir, true);
}

int vol_ls_getattr(struct ls *ls, const struct ls_call *call, struct ls_inode *inode, struct ls_file *f,
		   struct ls_attr *ret_attr)
{
	vol_inode_attr(vol_inode_of(inode), ret_attr);
	return 0;
}

static void attr_set(struct vol_inode *inode, const struct ls_attr *in, unsigned set)
{
	pthread_mutex_lock(&inode->attr_lock);
	ls_attr_apply(&inode->attr, in, set);
	inode_decide_atime(inode);
	pthread_mutex_unlock(&inode->attr_lock);
}

static bool time_good(const struct timespec *t)
{
	return t->tv_nsec >= 0 && t->tv_nsec < 1000000000;
}

static int inode_set(struct vol *v, struct vol_inode *inode, const struct ls_attr *in, unsigned set)
{
	int r = set & LS_SET_SIZE ? vol_file_resize(v, inode, in->size) : 0;

	if (r == 0)
		r = vol_op_begin(v, 0);
	if (r < 0)
		return r;
	attr_set(inode, in, set);
	vol_inode_dirty(v, inode, set & LS_SET_SIZE);
	vol_op_end(v);
	return 0;
}

int vol_ls_setattr(struct ls *ls, const struct ls_call *call, struct ls_inode *ls_inode, struct ls_file *f,
		   const struct ls_attr *in, unsigned set, struct ls_attr *ret_attr)
{
	struct vol_inode *inode = vol_inode_of(ls_inode);
	struct vol *v = vol_of(ls);
	int r;

	if ((set & LS_SET_SIZE) && inode->type != S_IFREG)
		return inode->type == S_IFDIR ? -EISDIR : -EINVAL;
	if ((set & LS_SET_SIZE) && in->size > VF_FILE_MAX)
		return -EFBIG;
	if (((set & LS_SET_ATIME) && !(set & LS_SET_ATIME_NOW) && !time_good(&in->atime)) ||
	    ((set & LS_SET_MTIME) && !(set & LS_SET_MTIME_NOW) && !time_good(&in->mtime)) ||
	    ((set & LS_SET_CTIME) && !time_good(&in->ctime)))
		return -EINVAL;
	vol_throttle(v);
	if (set & LS_SET_SIZE)
		fair_lock_write(&inode->content);
	r = inode_set(v, inode, in, set);
	if (r == 0)
		vol_inode_attr(inode, ret_attr);
	if (set & LS_SET_SIZE)
		fair_unlock(&inode->content);
	return r;
}
